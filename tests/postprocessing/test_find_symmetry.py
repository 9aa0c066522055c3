import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.geometry.euler import random_rotations
from relion4plugin.postprocessing.find_symmetry import find_symmetry

from .maps_with_answers import PIXEL, blob_map, molecule, noise_like, symmetric_molecule

_TRIED = ("C2", "C3", "C4", "C6", "D2", "D3", "D4", "T", "O")


@pytest.mark.parametrize("name", ["C1", "C3", "C6", "D2", "D4", "T", "O"])
def test_the_group_of_a_noisy_turned_map_is_found(name, rng):
    points = molecule(rng) if name == "C1" else symmetric_molecule(name, rng)
    volume = blob_map(points @ random_rotations(1, rng)[0].T + rng.normal(0, 2, 3))
    found = find_symmetry(volume + noise_like(volume, 0.2, rng), PIXEL, _TRIED)
    assert found.symmetry == name
    scores = [group.evidence.score for group in found.ranking]
    assert scores == sorted(scores, reverse=True)


def test_a_nearly_symmetric_map_is_not_taken_for_symmetric(rng):
    half = molecule(rng, 30) * [1, 1, 1.4]
    volume = blob_map(np.concatenate([half, half * [-1, -1, 1] + rng.normal(0, 2.0, half.shape)]))
    found = find_symmetry(volume, PIXEL, ("C2", "C3"))
    assert found.symmetry == "C1"
    assert found.ranking[0].symmetry == "C2" and 0.05 < found.ranking[0].evidence.score < 0.5


def test_only_candidates_are_tried(rng):
    volume = blob_map(symmetric_molecule("D4", rng))
    assert find_symmetry(volume, PIXEL, ("C1", "d2", "C3")).symmetry == "D2"
    assert find_symmetry(volume, PIXEL, ("C1",)).symmetry == "C1"


def test_unknown_candidates_are_a_user_error(rng):
    with pytest.raises(UserError, match="symmetry 'X9'"):
        find_symmetry(blob_map(molecule(rng)), PIXEL, ("C2", "X9"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bgal_empiar10204_reference_D2.mrc", "D2"),
        ("bgal_relion_tutorial_D2.mrc", "D2"),
        ("emd_1997_GroEL.mrc", "D7"),
        ("ribosome70S_clean_65.mrc", "C1"),
    ],
)
def test_real_maps(name, expected, shared_data):
    volume, pixel_size = read_mrc(shared_data / "maps" / name)
    assert find_symmetry(volume, pixel_size).symmetry == expected
