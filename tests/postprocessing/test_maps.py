import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_volume
from relion4plugin.postprocessing.maps import other_half, read_half_maps, read_mask, read_mtf, touches_edge


@pytest.fixture
def half(tmp_path, rng):
    for number in (1, 2):
        write_volume(tmp_path / f"run_half{number}.mrc", rng.standard_normal((16, 16, 16)), 2.0)
    return tmp_path / "run_half1.mrc"


def test_the_other_half_is_found_by_name(tmp_path):
    assert other_half("a/run_half1_class001.mrc").name == "run_half2_class001.mrc"
    assert other_half("run_half2.mrc").name == "run_half1.mrc"
    with pytest.raises(UserError, match="neither half1 nor half2"):
        other_half("half1/map.mrc")


def test_both_halves_and_their_mean(half):
    halves = read_half_maps(half)
    assert halves.pixel_size == 2.0 and halves.box == 16 and halves.remarks == ()
    np.testing.assert_allclose(halves.average(), (halves.first + halves.second) / 2, atol=1e-6)
    assert "instead of 2 A" in read_half_maps(half, pixel_size=1.9).remarks[0]


@pytest.mark.parametrize(
    ("second", "pixel", "expected"),
    [
        (np.zeros((16, 16, 16)), 2.0, "every voxel is zero"),
        (np.ones((18, 18, 18)) * np.arange(18), 2.0, "different boxes"),
        (np.full((16, 16, 16), np.nan), 2.0, "not numbers"),
        (np.ones((15, 15, 15)) * np.arange(15), 2.0, "cube of even size"),
        (np.ones((16, 16, 12)) * np.arange(12), 2.0, "cube of even size"),
        (None, 2.0, "no such file"),
    ],
)
def test_unusable_halves_are_refused(half, second, pixel, expected):
    path = half.with_name("run_half2.mrc")
    path.unlink()
    if second is not None:
        write_volume(path, second, pixel)
    with pytest.raises(UserError, match=expected):
        read_half_maps(half)


def test_the_same_map_twice_is_refused(half):
    with pytest.raises(UserError, match="same map"):
        read_half_maps(half, half)


def test_pixel_sizes_are_compared_and_needed(half, rng):
    volume = rng.standard_normal((16, 16, 16))
    write_volume(half.with_name("run_half2.mrc"), volume, 2.2)
    assert "pixel sizes differ" in read_half_maps(half).remarks[0]
    write_volume(half, volume + rng.standard_normal(volume.shape), 0.0)
    with pytest.raises(UserError, match="--angpix"):
        read_half_maps(half)


def test_masks_are_checked(tmp_path):
    path = tmp_path / "mask.mrc"
    values = np.zeros((16, 16, 16))
    values[4:12, 4:12, 4:12] = 1
    write_volume(path, values, 2.0)
    mask, remarks = read_mask(path, 16, 2.0)
    assert remarks == () and mask.max() == 1 and not touches_edge(mask)
    assert "pixel size of mask" in read_mask(path, 16, 2.1)[1][0]
    with pytest.raises(UserError, match="16 px but the maps have 32 px"):
        read_mask(path, 32, 2.0)
    write_volume(path, values * 3, 2.0)
    with pytest.raises(UserError, match="expected 0 to 1"):
        read_mask(path, 16, 2.0)
    values[:, :, 0] = 1
    write_volume(path, values, 2.0)
    assert "edge of the box" in read_mask(path, 16, 2.0)[1][0]


def test_mtf_tables(tmp_path, shared_data):
    table = read_mtf(shared_data / "particles/bgal_empiar10204/mtf_k2_200kV.star")
    assert table.shape[1] == 2 and table[0].tolist() == [0.0, 1.0]
    path = tmp_path / "mtf.star"
    for text, expected in (
        ("data_\nloop_\n_rlnResolutionInversePixel\n_rlnMtfValue\n0.1 1\n0.0 0.9\n", "rising"),
        ("data_\nloop_\n_rlnAngleRot\n_rlnMtfValue\n0.1 1\n0.2 0.9\n", "no table"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=expected):
            read_mtf(path)
    with pytest.raises(UserError, match="no such file"):
        read_mtf(tmp_path / "none.star")
