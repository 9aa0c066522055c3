"""Results against the truth of simulated movies, with errors that are put in."""

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.motion_star import MotionRecord, write_motion
from relion4plugin.files.mrc import write_volume
from relion4plugin.files.star import write_star
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.imaging.volumes import mirror_volume, rotate_volume
from relion4plugin.progress import Silent
from relion4plugin.simulation.compare_ctf import ctf_errors
from relion4plugin.simulation.compare_map import map_truth
from relion4plugin.simulation.compare_motion import motion_errors, shift_errors
from relion4plugin.simulation.compare_picks import pick_truth
from relion4plugin.simulation.known_truth import KnownTruth, find_truth, movie_key, read_truth
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import prepare_session, simulate_movies

PLACES = np.stack(np.meshgrid([20.0, 60.0, 100.0], [30.0, 90.0]), axis=-1).reshape(-1, 2)


def record(shifts, coefficients=None):
    return MotionRecord("m.tiff", (128, 128), 1.0, 300.0, shifts, coefficients=coefficients)


def truth_of(movies=("a",), places=PLACES, pixel_size=2.0, root=None, **columns):
    table = pd.DataFrame({"rlnMicrographMovieName": [f"Movies/{m}.tiff" for m in movies], "key": list(movies), **columns})
    rows = [{"key": m, "rlnCoordinateX": x, "rlnCoordinateY": y, "rlnSimulatedIsParticle": 1} for m in movies for x, y in places]
    rows.append({"key": movies[0], "rlnCoordinateX": 5.0, "rlnCoordinateY": 5.0, "rlnSimulatedIsParticle": 0})
    return KnownTruth(root, table, pd.DataFrame(rows), pixel_size)


def test_a_perfect_motion_has_no_error():
    rng = np.random.default_rng(0)
    drift, coefficients = rng.normal(size=(6, 2)), 0.01 * rng.normal(size=36)
    u, v = PLACES.T / 128 - 0.5
    space = np.stack([np.ones_like(u), u, u * u, v, v * v, u * v], axis=-1)
    time = np.arange(6.0)[:, None] ** (1, 2, 3)
    local = np.einsum("ps,tk,ask->pta", space, time, coefficients.reshape(2, 6, 3))
    whole, rest = shift_errors(record(drift, coefficients), PLACES, -(drift + local) + 3.0)  # a constant does not count
    assert whole == pytest.approx(0, abs=1e-9) and rest == pytest.approx(0, abs=1e-9)
    assert shift_errors(record(drift), PLACES, -(drift + local))[1] > 0.01


def test_errors_are_rms_distances_and_frames_left_out_do_not_count():
    shifts = np.zeros((5, 2))
    shifts[4] = np.nan
    wrong = np.zeros((6, 5, 2))
    wrong[:, 1, 0], wrong[:, 3, 0], wrong[:, 4] = 2.0, -2.0, 99.0
    assert shift_errors(record(shifts), PLACES, wrong) == pytest.approx((np.sqrt(2.0), 0.0))
    apart = np.zeros((6, 5, 2))
    apart[:3, 1, 1], apart[3:, 1, 1] = 2.0, -2.0  # no error on average; each place is off by (-.5, 1.5, -.5, -.5) px
    assert shift_errors(record(shifts), PLACES, apart) == pytest.approx((0.0, np.sqrt((3 * 0.25 + 2.25) / 4)))


def test_simulated_movies_that_are_corrected_by_their_own_truth(tmp_path):
    """Signs and units of the files: shifts that undo the true drift leave only the local motion."""
    spec = MovieSpec(n_movies=2, width=256, height=256, n_frames=6, n_particles=6, seed=3, layout="epu")
    result = simulate_movies(spec, tmp_path, Silent())
    truth = read_truth(tmp_path)
    keys = [movie_key(path.name) for path in result.movies]
    assert keys == truth.movies["key"].tolist() and all(truth.motion(key).is_file() for key in keys)
    for i, key in enumerate(keys):
        whole = prepare_session(spec).plan(i).motion.whole
        write_motion(tmp_path / f"{key}.star", MotionRecord("m", (256, 256), 1.5, 300.0, -whole))
    found = motion_errors(truth, {key: tmp_path / f"{key}.star" for key in keys})
    assert found.whole.max() < 1.5 and (found.local > 0.05).all()
    write_motion(tmp_path / "no.star", MotionRecord("m", (256, 256), 1.5, 300.0, 0 * whole))
    still = motion_errors(truth, {keys[1]: tmp_path / "no.star", keys[0]: tmp_path / "nowhere.star"})
    assert still.whole[0] > 2 * found.whole[1] and np.isnan(still.whole[1])
    assert sum(map(len, truth.places.values())) == int(truth.particles["rlnSimulatedIsParticle"].sum())
    project = tmp_path / "elsewhere"
    project.mkdir()
    assert find_truth(project, result.movies[:1]) == tmp_path.resolve() and find_truth(project, []) is None


def test_defocus_and_angle():
    truth = truth_of(("a", "b"), rlnDefocusU=[10200.0, 9000.0], rlnDefocusV=[10000.0, 9000.0], rlnDefocusAngle=[-89.0, 0.0])
    found = pd.DataFrame({"rlnMicrographName": ["MotionCorr/job002/Movies/b.mrc", "x/a.mrc", "x/unknown.mrc"],
                          "rlnDefocusU": [9100.0, 10150.0, 1.0], "rlnDefocusV": [8900.0, 10050.0, 1.0],
                          "rlnDefocusAngle": [10.0, 88.0, 0.0]})  # fmt: skip
    errors = ctf_errors(truth, found)
    assert errors.defocus_error[:2].tolist() == [0.0, 0.0] and errors.astigmatism_error[:2].tolist() == [200.0, -100.0]
    assert np.isnan(errors.angle_error[0]) and errors.angle_error[1] == pytest.approx(-3.0)
    assert np.isnan(errors.defocus_error[2])


def test_picks_are_paired_once_in_lengths():
    """Micrographs of half the sampling: their px are twice as long."""
    truth = truth_of(("a", "b"))
    near = PLACES[:4] / 2 + 0.4
    picks = [("Job/a.mrc", np.concatenate([near, near[:1], [[2.5, 2.5]]])), ("b.mrc", np.zeros((0, 2))), ("c.mrc", near)]
    found = pick_truth(truth, picks, 4.0, 10.0)
    assert (found.agreement.n_picks, found.agreement.n_true, found.agreement.n_matched, found.n_micrographs) == (6, 12, 4, 2)
    assert found.is_true[1:4].all() and found.is_true[[0, 4]].sum() == 1 and not found.is_true[5]


def test_the_right_density_is_found_in_any_orientation_and_hand(tmp_path):
    rng = np.random.default_rng(2)
    z, y, x = np.mgrid[:32, :32, :32] - 16
    densities = []
    for number in (1, 2):
        volume = sum(np.exp(-((z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2) / 8) for a, b, c in rng.normal(0, 4, (8, 3)))
        densities.append(tmp_path / f"map{number:03d}.mrc")
        write_volume(densities[-1], volume.astype(np.float32), 4.0)
    moved = rotate_volume(mirror_volume(volume.astype(np.float32)), euler_to_matrix(40.0, 60.0, 10.0), np.zeros(3))
    found = map_truth(moved, 4.0, densities)
    assert found.number == 2 and found.mirrored and found.correlation > 0.95 and found.resolution < 12


def test_a_file_that_is_no_truth(tmp_path):
    write_star(tmp_path / "truth.star", {"movies": pd.DataFrame({"rlnMicrographMovieName": ["a"]})})
    with pytest.raises(UserError, match="no table data_particles"):
        read_truth(tmp_path)
