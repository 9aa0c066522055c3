import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.files.movie_write import write_movie
from relion4plugin.jobs.job_star import JobStar, write_job_star
from tests.schemes.conftest import no_fsync  # noqa: F401 - a fixture

BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")
if BENCHMARKS not in sys.path:
    sys.path.insert(0, BENCHMARKS)

MOVIES_STAR = """
data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographOriginalPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
opticsGroup1 1 1.5 300 2.7 0.1

data_movies

loop_
_rlnMicrographMovieName #1
_rlnOpticsGroup #2
"""
MOTION = Path("MotionCorr/job002")


class SmallDisk:
    """A file system of its own, of some KiB; it can be made larger, and goes with the test."""

    def __init__(self, folder):
        self.path = folder
        folder.mkdir()

    def mount(self, kibibytes):
        self._mount(f"size={kibibytes}k")

    def grow(self, kibibytes):
        self._mount(f"remount,size={kibibytes}k")

    def _mount(self, option):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(self.path)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path):
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk.path)], capture_output=True, check=False)


def make_motion_project(root, names):
    """A project with movies of noise and a prepared motion correction."""
    (root / "Movies").mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(5)
    for name in names:
        write_movie(root / "Movies" / name, chance.poisson(3.0, (3, 64, 64)).astype(np.uint8), 1.5)
    (root / "Import/job001").mkdir(parents=True)
    (root / "Import/job001/movies.star").write_text(MOVIES_STAR + "".join(f"Movies/{name} 1\n" for name in names) + "\n")
    (root / MOTION).mkdir(parents=True)
    options = {"input_star_mics": "Import/job001/movies.star", "patch_x": "1", "patch_y": "1", "do_float16": "No", "do_save_ps": "Yes"}
    write_job_star(root / MOTION / "job.star", JobStar("relion.motioncorr.own", options=options))


@pytest.fixture
def motion_project():
    return make_motion_project
