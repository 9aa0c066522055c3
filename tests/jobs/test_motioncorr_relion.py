"""RELION's own program on the same movie."""

import subprocess

import numpy as np
import pytest

from relion4plugin.files.motion_star import read_motion
from relion4plugin.files.movie_write import write_movie
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.jobs import motioncorr
from relion4plugin.preprocessing.motion.model import LocalMotion
from relion4plugin.progress import Silent
from tests.preprocessing.motion.synthetic import distance, movie, movies_star

pytestmark = pytest.mark.relion
N_FRAMES = 12


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Both programs' results for one movie with local motion and two hot pixels."""
    import os

    where = tmp_path_factory.mktemp("motion")
    (where / "Movies").mkdir()
    made = movie((832, 896), n_frames=N_FRAMES, local=4.0)
    counts = made.counts.copy()
    counts[:, 100, 200] += 30
    counts[:, 500, 77] += 40
    write_movie(where / "Movies/a.tiff", counts, 0.9)
    movies_star(where / "movies.star", ["Movies/a.tiff"], 0.9)
    options = ["--patch_x", "4", "--patch_y", "3", "--dose_per_frame", "1.2", "--dose_weighting", "--save_noDW", "--grouping_for_ps", "3"]
    words = ["relion_run_motioncorr", "--i", "movies.star", "--o", "Theirs/", "--use_own", *options, "--bfactor", "150"]
    subprocess.run(words, cwd=where, check=True, capture_output=True)
    before = os.getcwd()
    os.chdir(where)
    try:
        p = motioncorr.MotionCorrParameters(
            input_star_mics="movies.star", patch_x=4, patch_y=3, dose_per_frame=1.2, do_save_noDW=True, do_float16=False
        )
        motioncorr.run(p, where / "Ours", Silent())
    finally:
        os.chdir(before)
    return where, made


def field(record):
    u, v = np.meshgrid(np.linspace(-0.4, 0.4, 5), np.linspace(-0.4, 0.4, 5))
    return LocalMotion.from_list(record.coefficients).shifts(u[..., None], v[..., None], np.arange(N_FRAMES)) + record.shifts


def shells(a, b, n=16):
    """Correlation of two images by shells of frequency."""
    window = np.outer(*(np.hanning(size) for size in a.shape))
    fa, fb = (np.fft.rfft2((image - image.mean()) * window) for image in (a, b))
    radius = np.hypot(np.fft.fftfreq(a.shape[0])[:, None], np.fft.rfftfreq(a.shape[1]))
    shell = np.minimum((radius * 2 * n).astype(int), n).ravel()
    cross, one, two = (np.bincount(shell, values.ravel(), n + 1)[1:n] for values in ((fa * fb.conj()).real, abs(fa) ** 2, abs(fb) ** 2))
    return cross / np.sqrt(one * two)


def test_shifts_have_the_same_sign_and_size(both):
    where, made = both
    ours, theirs = (read_motion(where / name / "Movies/a.star") for name in ("Ours", "Theirs"))
    assert distance(ours.shifts, theirs.shifts) < 0.2
    assert distance(field(ours), field(theirs)) < 0.4
    u, v = np.meshgrid(np.linspace(-0.4, 0.4, 5), np.linspace(-0.4, 0.4, 5))
    truth = made.local.shifts(u[..., None], v[..., None], np.arange(N_FRAMES)) + made.shifts
    assert distance(field(ours), truth) < min(0.3, 1.1 * distance(field(theirs), truth))
    assert ours.hot_pixels.tolist() == theirs.hot_pixels.tolist() == [[200, 100], [77, 500]]


def test_sums_agree_and_ours_is_no_worse(both):
    where, made = both
    for name in ("a.mrc", "a_noDW.mrc"):
        (ours, size), (theirs, expected) = (read_mrc(where / place / "Movies" / name) for place in ("Ours", "Theirs"))
        assert size == pytest.approx(expected) and ours.shape == theirs.shape
        assert ours.mean() == pytest.approx(theirs.mean(), rel=1e-3)
        alike = shells(ours[0], theirs[0])
        assert (alike[:5] > 0.975).all() and (alike[5:10] > 0.85).all()
        assert shells(ours[0], made.image)[:8].sum() > shells(theirs[0], made.image)[:8].sum() - 0.02


def test_power_spectra_have_the_same_layout(both):
    where, _ = both
    (ours, size), (theirs, expected) = (read_mrc(where / place / "Movies/a_PS.mrc") for place in ("Ours", "Theirs"))
    assert size == pytest.approx(expected, rel=1e-5) and ours.shape == theirs.shape
    ours, theirs = ours[0], theirs[0]
    assert ours[256, 256] == pytest.approx(theirs[256, 256], rel=1e-2)
    ours[256, 256] = theirs[256, 256] = 0
    # Here the frames of a group are aligned before their spectrum is taken.
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.7
    assert ours.mean() == pytest.approx(theirs.mean(), rel=0.2)


def test_tables_have_the_same_columns(both):
    where, _ = both
    ours, theirs = (read_star(where / name / "corrected_micrographs.star") for name in ("Ours", "Theirs"))
    for block in ("optics", "micrographs"):
        assert list(ours[block].columns) == list(theirs[block].columns)
    for part in ("Total", "Early", "Late"):
        label = f"rlnAccumMotion{part}"
        assert ours["micrographs"][label][0] == pytest.approx(theirs["micrographs"][label][0], rel=0.1)
    motions = [read_star(where / name / "Movies/a.star") for name in ("Ours", "Theirs")]
    assert list(motions[0]) == list(motions[1])
    assert list(motions[0]["general"]) == list(motions[1]["general"])
    for block in ("global_shift", "local_motion_model", "local_shift", "hot_pixels"):
        assert list(motions[0][block].columns) == list(motions[1][block].columns)
