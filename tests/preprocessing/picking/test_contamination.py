import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from relion4plugin.preprocessing.picking.contamination import far_too_strong


def bead(rng, strength, edge=160, radius=6.0):
    """Noise with a dark disc in its middle, and where the disc is."""
    y, x = np.indices((edge, edge))
    inside = np.hypot(y - edge / 2, x - edge / 2) < radius
    return (rng.normal(size=(edge, edge)) - strength * inside).astype(np.float32), inside


@pytest.mark.parametrize("sign", [1, -1])
def test_a_bead_is_found_with_half_a_particle_around_it(rng, sign):
    image, inside = bead(rng, 25.0)
    found = far_too_strong(sign * image, 10.0, 10.0)
    assert found[inside].all()
    assert not found[distance_transform_edt(~inside) > 6.5].any()


def test_what_is_as_strong_as_protein_stays(rng):
    assert not far_too_strong(bead(rng, 4.0)[0], 10.0, 10.0).any()


def test_fine_pixels_are_judged_as_coarse_ones(rng):
    """In pixels of 2.5 A noise is four times as strong, and a bead four times as wide."""
    strong, inside = bead(rng, 25.0 / 4, radius=24.0)
    assert far_too_strong(strong, 40.0, 2.5)[inside].mean() > 0.9
    assert not far_too_strong(bead(rng, 1.0, radius=24.0)[0], 40.0, 2.5).any()


def test_a_block_of_ice_is_found_as_a_whole(rng):
    """Else what is left of it would look like particles."""
    y, x = np.indices((160, 160))
    block = (abs(y - 80) < 30) & (abs(x - 80) < 20)
    image = (rng.normal(size=(160, 160)) - 9 * block).astype(np.float32)
    image[78:82, 78:82] -= 5
    assert far_too_strong(image, 10.0, 10.0)[block].all()


def test_a_micrograph_of_contaminants_alone_is_left_as_it_is(rng):
    image, _ = bead(rng, 25.0)
    image[:, ::12] -= 40.0
    assert not far_too_strong(image, 30.0, 10.0).any()


def test_an_even_micrograph_has_none():
    assert not far_too_strong(np.ones((64, 64), np.float32), 10.0, 10.0).any()
