"""Whole runs by one process and by several that mpirun starts: the same result within rounding; how they end when something is wrong."""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.files.mrc import read_mrc, write_volume
from tests.conftest import REPOSITORY
from tests.refinement.projections import DIAMETER, molecule, project
from tests.refinement.simulated import PIXEL, simulate

pytestmark = [
    pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun"),
    pytest.mark.skipif(find_spec("mpi4py") is None, reason="mpi4py is not installed"),
]

# Sums of float32 over the particles in another order: 1e-6 of the sum per iteration, which later iterations carry on. What follows a
# decision (a class, a pose on the grid) either is the same or is far off, so there is nothing between rounding and failure.
ROUNDING = 1e-3  # of the standard deviation
SAME = 0.999  # share of the particles with the same class and pose

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(REPOSITORY),
    "OMPI_ALLOW_RUN_AS_ROOT": "1",  # containers
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
OURS = [sys.executable, "-m", "relion4plugin.cli.main"]
COMMON = ["--no_report", "--seed", "3", "--memory_limit", "0.2"]
PLANE = [*COMMON, "--particle_diameter", "72", "--K", "2", "--offset_range", "3"]
VOLUME = [*COMMON, "--particle_diameter", f"{DIAMETER:g}", "--offset_range", "3", "--sampling", "15 degrees"]
BATCHES = ["--grad_ini_subset", "60", "--grad_fin_subset", "100"]


def start(processes: int, *words: str, where: Path, **options) -> subprocess.Popen:
    launcher = ["mpirun", "--bind-to", "none", "-n", str(processes)] if processes > 1 else []
    return subprocess.Popen(
        [*launcher, *OURS, *words], cwd=where, env={**ENVIRONMENT, **options}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(processes: int, *words: str, where: Path, code: int = 0, **options) -> str:
    """Run a command to its end; return its error stream."""
    process = start(processes, *words, where=where, **options)
    try:
        out, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == code, f"{out}\n{errors}"
    return errors


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Particles of two flat structures."""
    folder = tmp_path_factory.mktemp("flat")
    simulate(folder, 150, noise=0.15)
    return folder


@pytest.fixture(scope="module")
def solid(tmp_path_factory):
    """Particles of two molecules, and a map to start from."""
    folder = tmp_path_factory.mktemp("solid")
    truth = project(folder, 80, structures=[molecule(5), molecule(6)], noise=0.2, signal=2.0)
    write_volume(folder / "start.mrc", 2 * truth.volume, PIXEL)
    return folder


@pytest.fixture(scope="module")
def clear(tmp_path_factory):
    """Particles of one molecule with little noise: poses without a map to start from are told apart by little else."""
    folder = tmp_path_factory.mktemp("clear")
    project(folder, 120, structures=[molecule(5)], noise=0.1, signal=2.0)
    return folder


RUNS = {
    "vdam": ("flat", ["class2d", *PLANE, "--grad", "--iter", "12", *BATCHES]),
    "em": ("flat", ["class2d", *PLANE, "--em", "--iter", "4"]),
    "class3d": ("solid", ["class3d", *VOLUME, "--K", "2", "--iter", "5", "--ref", "start.mrc", "--ini_high", "20", "--do_pad1", "Yes"]),
    "initialmodel": ("clear", ["initialmodel", *VOLUME[:-2], "--iter", "6", "--restarts", "2", "--nr_iter_halves", "1", *BATCHES]),
    "refine3d": ("solid", ["refine3d", *VOLUME, "--iter", "4", "--ref", "start.mrc", "--ini_high", "20", "--do_pad1", "Yes"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_processes_do_what_one_does(request, name):
    kind, words = RUNS[name]
    folder = request.getfixturevalue(kind)
    for processes in (1, 2):
        run(processes, *words, "--i", "particles.star", "--o", f"{name}{processes}", where=folder)
    one, two = folder / f"{name}1", folder / f"{name}2"
    files = sorted(path.relative_to(one) for path in one.rglob("*"))
    assert files == sorted(path.relative_to(two) for path in two.rglob("*"))
    for path in files:
        if path.suffix in (".mrc", ".mrcs") and "moment" not in path.name:
            value, other = (read_mrc(folder / path)[0] for folder in (one, two))
            assert np.abs(value - other).max() < ROUNDING * value.std(), path
    check_states(one, two)


def check_states(one: Path, two: Path) -> None:
    """Compare what is known of particles and model after the last iteration."""
    last = sorted(one.glob("run_it*_state.npz"))[-1].name
    with np.load(one / last) as expected, np.load(two / last) as found:
        same = np.ones(len(expected["poses_class_number"]), bool)
        for key in ("poses_class_number", "poses_angles", "poses_offset"):
            close = np.isclose(expected[key], found[key], rtol=0, atol=1e-6)
            same &= close if close.ndim == 1 else close.all(axis=1)
        assert same.mean() >= SAME
        for key in ("model_pdf_class", "model_sigma2_noise", "model_scale", "model_avg_norm", "poses_norm"):
            assert np.allclose(expected[key], found[key], rtol=ROUNDING), key
        for key in ("model_resolution_shell", "model_current_size"):
            assert expected[key] == found[key], key


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(flat):
    words = ["class2d", *PLANE, "--i", "particles.star", "--em"]
    run(1, *words, "--iter", "4", "--o", "whole", where=flat)
    run(3, *words, "--iter", "2", "--o", "parts", where=flat)
    run(2, *words, "--iter", "4", "--o", "parts", "--continue", "parts/run_it002_optimiser.star", where=flat)
    check_states(flat / "whole", flat / "parts")


def test_a_mistake_is_said_once(flat):
    errors = run(2, "class2d", *PLANE, "--i", "nowhere.star", "--o", "none", where=flat, code=2)
    assert errors.count("error:") == 1 and "nowhere.star: no such file" in errors
    assert not (flat / "none").exists()


def test_other_commands_are_refused(flat):
    errors = run(2, "mask", "--i", "map.mrc", "--o", "none", where=flat, code=2)
    assert errors.count("error:") == 1 and "only class2d, class3d, initialmodel, refine3d, run-job share their work" in errors


def test_processes_that_cannot_reach_each_other_are_refused(flat, tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ImportError('no mpi4py here')\n")
    path = f"{tmp_path}{os.pathsep}{REPOSITORY}"
    errors = run(2, "class2d", *PLANE, "--i", "particles.star", "--o", "none", where=flat, code=2, PYTHONPATH=path)
    assert 1 <= errors.count("error:") <= 2  # one line of each process that comes to it
    assert "need mpi4py to work together (no mpi4py here)" in errors
    alone = {"PMI_SIZE": "2", "PMI_RANK": "0"}  # a launcher that is not of mpi4py's library
    errors = run(1, "class2d", *PLANE, "--i", "particles.star", "--o", "none", where=flat, code=2, **alone)
    assert "started as 2 processes, but mpi4py's library" in errors and "sees 1" in errors
    assert not (flat / "none").exists()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "signal"])
def test_an_abort_ends_all(flat, way):
    """The job directory says so, and no process stays."""
    out = flat / f"abort_{way}"
    process = start(2, "class2d", *PLANE, "--i", "particles.star", "--em", "--iter", "500", "--o", out.name, where=flat)
    try:
        end = time.monotonic() + 120
        while not (out / "run_it002_optimiser.star").exists():
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
        if way == "file":
            (out / "RELION_JOB_ABORT_NOW").touch()
        else:
            process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0
    assert (out / "RELION_JOB_EXIT_ABORTED").exists(), errors
    assert not (out / "RELION_JOB_EXIT_SUCCESS").exists()
