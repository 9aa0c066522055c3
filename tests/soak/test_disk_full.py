"""A disk that is full at any moment: one line names file and disk, no half file is taken for a whole one, the work goes on later."""

import os
import re
import resource

import pytest

from relion4plugin.cli.main import main
from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.jobs.markers import FAILURE, SUCCESS
from relion4plugin.schemes.pipeline import Status
from relion4plugin.schemes.pipeline_star import read_pipeline
from tests.schemes.stubs import make_project, run_stubs, state
from tests.schemes.test_kills import thirty_nodes
from tests.soak.conftest import MOTION

NAMES = [f"m{i}.tiff" for i in range(6)]


def job_files(root):
    return sorted(path.name for path in (root / MOTION / "Movies").glob("*"))


def same_results(root, other):
    """Tables and images of two motion corrections."""
    tables = [read_star(place / MOTION / "corrected_micrographs.star")["micrographs"] for place in (root, other)]
    if not tables[0].equals(tables[1]):
        return False
    return all((read_mrc(root / name)[0] == read_mrc(other / name)[0]).all() for name in tables[0]["rlnMicrographName"])


@pytest.fixture
def whole(tmp_path, motion_project, monkeypatch):
    """The same job on a disk with room."""
    root = tmp_path / "whole"
    motion_project(root, NAMES)
    monkeypatch.chdir(root)
    assert main(["run-job", str(MOTION)]) == 0
    return root


def test_a_job_ends_with_one_line_and_goes_on_when_there_is_room(whole, small_disk, motion_project, monkeypatch, capsys):
    small_disk.mount(4000)  # power spectra of 1 MiB: three movies and a half
    motion_project(small_disk.path, NAMES)
    monkeypatch.chdir(small_disk.path)
    capsys.readouterr()
    assert main(["run-job", str(MOTION)]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    line = rf"error: cannot write {MOTION}/Movies/m\d_PS.mrc: no space left on device; make room on {small_disk.path} \(\d\.\d MiB free\).*"
    assert len(errors) == 1 and re.fullmatch(line, errors[0])
    assert errors[0] in (small_disk.path / MOTION / "run.err").read_text()
    assert (small_disk.path / MOTION / FAILURE).exists()
    assert not [name for name in job_files(small_disk.path) if name.endswith(".tmp")]
    assert main(["run-job", str(MOTION), "--continue"]) == 2
    small_disk.grow(20000)
    assert main(["run-job", str(MOTION), "--continue"]) == 0
    assert (small_disk.path / MOTION / SUCCESS).exists()
    assert same_results(small_disk.path, whole)


def test_a_limit_on_the_size_of_files_is_told_alike(tmp_path, motion_project, monkeypatch, capsys):
    motion_project(tmp_path, NAMES[:1])
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert main(["run-job", str(MOTION)]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"error: cannot write {MOTION}/Movies/m0_PS.mrc: file too large; " in capsys.readouterr().err
    assert job_files(tmp_path) == ["m0.mrc"]


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("free", [0, 8, 16, 40, 100, 200])
def test_a_scheme_stops_with_one_line_and_goes_on_when_there_is_room(tmp_path, small_disk, free):
    (tmp_path / "whole").mkdir()
    whole = make_project(tmp_path / "whole", [thirty_nodes(1)])
    run_stubs(whole, "toy")
    small_disk.mount(2000)
    project = make_project(small_disk.path, [thirty_nodes(1)])
    ballast = small_disk.path / "ballast"
    _fill(ballast, free)
    with pytest.raises(UserError) as caught:
        while run_stubs(project, "toy").outcome.value == "failed":
            _fill(ballast, 0)
    assert re.match(r"cannot (write|lock|make) .*no space left on device.*", str(caught.value)) and "\n" not in str(caught.value)
    assert not project.scheme_lock("toy").exists()
    ballast.unlink()
    assert run_stubs(project, "toy").outcome.value == "finished"
    assert (state(project, "toy").floats, state(project, "toy").bools) == (state(whole, "toy").floats, state(whole, "toy").bools)
    assert succeeded(project) == succeeded(whole) == 10
    assert not (project.root / "stubs/twice").exists()


def succeeded(project):
    return sum(process.status is Status.SUCCEEDED for process in read_pipeline(project.pipeline_path).processes.values())


def _fill(path, free):
    """Write a file that leaves so many KiB free."""
    status = os.statvfs(path.parent)
    with path.open("ab", buffering=0) as stream:
        while stream.tell() < 1 << 24:
            left = status.f_bavail * status.f_frsize - (free << 10)
            if left <= 0:
                return
            stream.write(b"x" * min(left, 1 << 16))
            status = os.statvfs(path.parent)
