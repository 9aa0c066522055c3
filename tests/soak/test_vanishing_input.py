"""Movies and folders that go away while a session runs: set aside with one line, looked for again, and all others go on."""

import re
from pathlib import Path

import pytest

from relion4plugin.files.star import read_star
from relion4plugin.jobs import import_job, motioncorr
from relion4plugin.jobs.import_job import ImportParameters
from relion4plugin.jobs.motioncorr import MotionCorrParameters
from relion4plugin.progress import Silent
from tests.soak.conftest import MOTION

IMPORT = Path("Import/job001")
NAMES = [f"m{i}.tiff" for i in range(8)]
MOTION_OPTIONS = MotionCorrParameters(input_star_mics=str(IMPORT / "movies.star"), patch_x=1, patch_y=1, do_save_ps=False, do_float16=False)


@pytest.fixture
def project(tmp_path, motion_project, monkeypatch):
    motion_project(tmp_path, NAMES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def correct(at_most=-1):
    parameters = MotionCorrParameters(**{**vars(MOTION_OPTIONS), "do_at_most": at_most})
    return motioncorr.run(parameters, MOTION, Silent(), is_continue=True)


def corrected():
    rows = read_star(MOTION / "corrected_micrographs.star")["micrographs"]
    return [Path(name).stem for name in rows["rlnMicrographName"]]


def set_aside():
    path = MOTION / "set_aside.star"
    return dict(read_star(path)["set_aside"].itertuples(index=False, name=None)) if path.exists() else {}


def test_movies_that_went_after_import_do_not_hold_up_the_others(project):
    gone = [project / "Movies" / name for name in NAMES[:5]]
    for path in gone:
        path.rename(project / path.name)
    outputs = correct(at_most=2)
    assert (outputs.n_micrographs, outputs.n_set_aside) == (2, 5) and corrected() == ["m5", "m6"]
    for name, reason in set_aside().items():
        assert re.fullmatch(rf"{name}: .*(no such file|does not exist).*", reason, re.IGNORECASE)
    assert len(outputs.remarks) == 1 and outputs.remarks[0].startswith("5 movies set aside")
    for path in gone[1:]:
        (project / path.name).rename(path)
    assert correct().n_micrographs == 7
    assert corrected() == [f"m{i}" for i in range(1, 8)] and list(set_aside()) == ["Movies/m0.tiff"]


def test_a_disk_that_is_away_for_a_while(project):
    """Also in the middle of a job: what is finished stays finished, and nothing is done twice."""
    correct(at_most=3)
    before = {path: path.stat().st_mtime_ns for path in (MOTION / "Movies").iterdir()}
    Path("Movies").rename("away")
    outputs = correct()
    assert (outputs.n_micrographs, outputs.n_new, outputs.n_set_aside) == (3, 0, 5)
    listed = import_job.run(ImportParameters(fn_in_raw="Movies/*.tiff", angpix=1.5), IMPORT, Silent(), is_continue=True)
    assert listed.n_images == 8 and "is its disk mounted?" in listed.remarks[0]
    Path("away").rename("Movies")
    assert correct().n_new == 5 and corrected() == [name.removesuffix(".tiff") for name in NAMES]
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("what", ["empty", "cut", "folder", "other"])
def test_a_movie_that_changed_after_import_is_set_aside(project, what):
    path = project / "Movies/m2.tiff"
    content = path.read_bytes()
    path.unlink()
    if what == "folder":
        path.mkdir()
    else:
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "other": b"no movie at all" * 100}[what])
    outputs = correct()
    assert (outputs.n_micrographs, outputs.n_set_aside) == (7, 1)
    assert list(set_aside()) == ["Movies/m2.tiff"] and "Movies/m2.tiff" in set_aside()["Movies/m2.tiff"]
