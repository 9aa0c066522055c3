import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.geometry.euler import random_rotations
from relion4plugin.imaging.volumes import rotate_volume
from relion4plugin.postprocessing.align_symmetry import align_symmetry

from .maps_with_answers import PIXEL, axis_error, blob_map, molecule, noise_like, symmetric_molecule


def turned_map(name, rng, noise=0.0):
    rotation, shift = random_rotations(1, rng)[0], rng.normal(0, 2, 3)
    volume = blob_map(symmetric_molecule(name, rng) @ rotation.T + shift)
    return volume + (noise_like(volume, noise, rng) if noise else 0), rotation, shift


@pytest.mark.parametrize("name", ["C2", "C5", "D2", "D7", "T", "O", "I1"])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_axes_and_centre_of_a_turned_map_are_found(name, noise, rng):
    volume, rotation, shift = turned_map(name, rng, noise)
    result = align_symmetry(volume, PIXEL, name)
    assert axis_error(name, result.rotation @ rotation) < (0.2 if noise == 0 else 0.7)
    left = result.rotation @ shift + result.shift
    assert np.linalg.norm(left[:2] if name[0] == "C" else left) < 0.2
    np.testing.assert_allclose(result.volume, rotate_volume(volume, result.rotation, result.shift), atol=1e-6)
    assert result.evidence.score > (0.85 if noise == 0 else 0.4)
    assert result.fsc[5] > 0.9
    if noise == 0:
        assert result.cost < 0.01


def test_a_map_without_symmetry_has_a_low_score(rng):
    result = align_symmetry(blob_map(molecule(rng)), PIXEL, "C3")
    assert result.evidence.score < 0.25 and result.cost > 0.1


def test_a_body_of_revolution_about_the_axis_is_no_evidence(rng):
    """A stack of rings looks seven-fold to a plain correlation."""
    angle = np.deg2rad(np.arange(0, 360, 4.5))
    rings = [np.stack([r * np.cos(angle), r * np.sin(angle), np.full(len(angle), z)], 1) for r, z in ((9, -8), (6, 0), (10, 9))]
    volume = blob_map(np.concatenate([*rings, np.array([[9.0, 3.0, 2.0], [-4.0, 8.0, -3.0]])]))
    evidence = align_symmetry(volume, PIXEL, "C7").evidence
    assert evidence.agreement > 0.7 and evidence.score < 0.3


def test_keep_centre_only_turns(rng):
    rotation = random_rotations(1, rng)[0]
    volume = blob_map(symmetric_molecule("D2", rng) @ rotation.T)
    result = align_symmetry(volume, PIXEL, "D2", keep_centre=True)
    np.testing.assert_array_equal(result.shift, 0)
    assert axis_error("D2", result.rotation @ rotation) < 0.2


def test_one_axis_leaves_the_centre_of_mass_at_the_origin(rng):
    from relion4plugin.imaging.volumes import centre_of_mass

    result = align_symmetry(turned_map("C4", rng)[0], PIXEL, "c4")
    assert result.symmetry == "C4"
    assert np.abs(centre_of_mass(result.volume)).max() < 0.7


def test_c1_leaves_the_map_as_it_is(rng):
    volume = blob_map(molecule(rng))
    result = align_symmetry(volume, PIXEL, "C1")
    np.testing.assert_array_equal(result.volume, volume)
    assert result.evidence.score == 1 and result.cost == 0


def test_odd_boxes_are_taken(rng):
    rotation = random_rotations(1, rng)[0]
    volume = blob_map(symmetric_molecule("D2", rng) @ rotation.T, n=49)
    result = align_symmetry(volume, PIXEL, "D2")
    assert result.volume.shape == (49, 49, 49)
    assert axis_error("D2", result.rotation @ rotation) < 0.2


@pytest.mark.parametrize(
    ("volume", "symmetry", "message"),
    [
        (np.ones((32, 32, 32), np.float32), "C2", "all voxels are 1"),
        (np.full((32, 32, 32), np.nan, np.float32), "C2", "not numbers"),
        (np.ones((8, 8, 8), np.float32), "C2", "at least 16"),
        (np.ones((32, 32, 30), np.float32), "C2", "expected a cube"),
        (np.ones((32, 32, 32), np.float32), "Q2", "expected C1 to C99"),
    ],
)
def test_unusable_input_is_a_user_error(volume, symmetry, message):
    with pytest.raises(UserError, match=message):
        align_symmetry(volume, PIXEL, symmetry)


@pytest.mark.relion
def test_relion_puts_the_axes_of_a_real_map_in_the_same_places(shared_data, tmp_path):
    """The map is exactly symmetric, so ours must be exact; RELION's last step is 2 degrees.

    RELION starts from random orientations with a seed of its own: enough of them, and local steps as far as the next one, make its
    answer depend on the map and not on luck (200 and +-4 degrees left it up to 12 degrees off).
    """
    import subprocess

    from relion4plugin.files.mrc import read_mrc, write_volume
    from relion4plugin.postprocessing.align_maps import agreement

    volume, pixel = read_mrc(shared_data / "maps" / "bgal_empiar10204_reference_D2.mrc")
    rotation = random_rotations(1, np.random.default_rng(4))[0]
    volume = rotate_volume(volume, rotation)
    write_volume(tmp_path / "in.mrc", volume, pixel)
    words = ["relion_align_symmetry", "--i", tmp_path / "in.mrc", "--o", tmp_path / "out.mrc", "--sym", "D2"]
    words += ["--nr_uniform", "800", "--local_search_range", "6", "--box_size", "40"]
    subprocess.run([str(w) for w in words], check=True, capture_output=True, cwd=tmp_path, timeout=120)
    ours = align_symmetry(volume, pixel, "D2")
    theirs = read_mrc(tmp_path / "out.mrc")[0]
    result = agreement(theirs, ours.volume, pixel)
    assert axis_error("D2", ours.rotation @ rotation) < 0.1
    assert axis_error("D2", result.alignment.rotation) < 4
