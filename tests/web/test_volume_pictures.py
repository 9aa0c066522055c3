"""Views of a map and pictures of the sphere against closed forms."""

import base64
import io

import numpy as np
import pytest

from relion4plugin.files.view_directions import direction_counts
from relion4plugin.geometry.healpix import directions
from relion4plugin.web.images import png_data_uri
from relion4plugin.web.sphere import colour_bar, colours, mollweide_angles, sphere_picture
from relion4plugin.web.volume_views import at_most, common_levels, volume_views


def test_views_of_a_single_voxel():
    volume = np.zeros((8, 8, 8), np.float32)
    volume[4, 2, 5] = 8.0
    views = volume_views(volume)
    assert [float(image.sum()) for image in views.slices] == [8.0, 0.0, 0.0]  # only z = 4 is the origin's slice
    assert views.slices[0][2, 5] == 8.0
    assert [np.argwhere(image == 1.0).tolist() for image in views.projections] == [[[2, 5]], [[4, 5]], [[4, 2]]]


def test_common_grey_scale():
    dark, light = np.zeros((4, 4)), np.full((4, 4), 10.0)
    low, high = common_levels((dark, light))
    assert low.max() == 0 and high.min() == 255
    assert [int(image[0, 0]) for image in common_levels((dark, dark))] == [128, 128]
    broken = dark.copy()
    broken[0, 0] = np.nan
    assert common_levels((broken, light))[0][0, 0] == 0


def test_large_pictures_are_shrunk():
    picture = np.zeros((600, 300), np.uint8)
    assert at_most(picture).shape == (256, 128) and at_most(picture[:64, :64]).shape == (64, 64)


def test_mollweide_has_equal_areas():
    rot, tilt = mollweide_angles(400)
    inside = np.isfinite(rot)
    assert inside.mean() == pytest.approx(np.pi / 4, abs=2e-3)  # the ellipse in its box
    for low, high in ((0, 30), (30, 90), (90, 150), (60, 120)):
        share = ((tilt > low) & (tilt <= high)).sum() / inside.sum()
        assert share == pytest.approx((np.cos(np.deg2rad(low)) - np.cos(np.deg2rad(high))) / 2, abs=2e-3)
    assert ((rot > 0) & (rot < 90)).sum() / inside.sum() == pytest.approx(0.25, abs=2e-3)
    assert rot[200, 400] == pytest.approx(0, abs=0.5) and tilt[200, 400] == pytest.approx(90, abs=0.5)


def test_direction_is_drawn_where_it_belongs():
    rot = next(r for r, t in zip(*directions(2), strict=True) if abs(t - 90) < 1e-6 and 60 < r < 110)  # the centre of a pixel
    counts = direction_counts([rot], [90.0], order=2)
    picture = sphere_picture(counts, 200)
    bright = np.argwhere((picture[..., :3] == colours(np.ones(1))[0]).all(axis=-1))
    centre = bright.mean(axis=0)
    assert centre == pytest.approx([100, 200 + 200 * rot / 180], abs=2)  # along the equator rot is even
    assert picture[0, 0, 3] == 0 and picture[100, 200, 3] == 255


def test_colours_run_from_dark_to_bright():
    bar = colour_bar(16)[0, :, :3].astype(int)
    lightness = bar @ [0.3, 0.6, 0.1]
    assert (np.diff(lightness) > 0).all()
    assert colours(np.array([np.nan, -1.0])).tolist() == [[68, 1, 84]] * 2


def test_png_keeps_opacity():
    from PIL import Image

    picture = sphere_picture(np.ones(48), 20)
    data = base64.b64decode(png_data_uri(picture).partition(",")[2])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), picture)
