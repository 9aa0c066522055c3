"""Counting of directions: closed forms, symmetry, and the model's own distribution."""

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.model3d_star import read_3d_results
from relion4plugin.files.star import read_star, write_star
from relion4plugin.files.view_directions import direction_counts, direction_prior, particle_directions, pixels_of, unit_vectors
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.geometry.healpix import directions
from relion4plugin.geometry.symmetry import point_group
from tests.web.fake3d import make_class3d


def test_vectors_are_the_third_rows_of_the_matrices(rng):
    rot, tilt = rng.uniform(-180, 180, 20), rng.uniform(0, 180, 20)
    np.testing.assert_allclose(unit_vectors(rot, tilt), euler_to_matrix(rot, tilt, 33.0)[:, 2], atol=1e-12)


@pytest.mark.parametrize("order", [0, 2, 3])
def test_centres_lie_in_their_own_pixels(order):
    assert pixels_of(unit_vectors(*directions(order)), order).tolist() == list(range(12 * 4**order))


def test_even_directions_are_counted_evenly(rng):
    n = 400_000
    counts = direction_counts(rng.uniform(-180, 180, n), np.rad2deg(np.arccos(rng.uniform(-1, 1, n))), order=2)
    assert counts.sum() == n
    # Poisson: 1/sqrt(2083) = 2.2 %; the borders of pixels add a little
    assert (counts / counts.mean()).std() < 0.04


def test_weights():
    counts = direction_counts([0.0, 0.0, 90.0], [10.0, 10.0, 90.0], [0.5, 0.25, 3.0], order=1)
    assert sorted(counts[counts > 0]) == [0.75, 3.0]


def test_symmetry_fills_equivalent_directions(rng):
    rot, tilt = directions(5)
    chosen = rng.integers(0, len(rot), 300)
    counts = direction_counts(rot[chosen], tilt[chosen], order=1, symmetry="D2")
    expected = np.zeros(48)
    for operator in point_group("D2"):
        # a pose A and the pose A R of the symmetric map give the same image
        views = (euler_to_matrix(rot[chosen], tilt[chosen], 0.0) @ operator)[:, 2]
        expected += np.bincount(pixels_of(views, 1), minlength=48) / 4
    assert counts.sum() == pytest.approx(300)
    # directions at the border of two pixels may fall to either side
    assert np.abs(counts - expected).sum() <= 0.1 * 300
    with pytest.raises(UserError, match="symmetry"):
        direction_counts(rot, tilt, symmetry="X9")


def test_particles_of_a_class(tmp_path):
    results = read_3d_results(make_class3d(tmp_path, n_classes=3, n=90))
    table = read_star(results.data_star)["particles"]
    rot, tilt = particle_directions(results, 2)
    np.testing.assert_allclose(rot, table["rlnAngleRot"][1::3])
    assert len(particle_directions(results)[1]) == 90 and len(tilt) == 30


def test_prior_of_the_model(tmp_path):
    folder = make_class3d(tmp_path, n_classes=2)
    rot, tilt, share = direction_prior(read_3d_results(folder), 2)
    assert len(rot) == len(tilt) == 48
    np.testing.assert_allclose(share, 1 / 48, rtol=1e-4)
    np.testing.assert_allclose(tilt, directions(1)[1], atol=1e-4)
    path = folder / "run_it010_sampling.star"
    blocks = read_star(path)
    write_star(path, blocks | {"sampling_directions": blocks["sampling_directions"][:-1]})
    with pytest.raises(UserError, match=r"48 directions, but run_it010_sampling\.star has 47"):
        direction_prior(read_3d_results(folder), 2)
    path.unlink()
    assert direction_prior(read_3d_results(folder), 2) is None
