"""Import of coordinates, half maps, particles and other files: the same files as RELION makes."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.jobs import import_job
from relion4plugin.jobs.import_job import ImportParameters, OtherImport
from relion4plugin.jobs.import_parameters import COORDINATES, HALF_MAP, MASK, PARTICLES, REFERENCES
from relion4plugin.jobs.registry import Execution, job_type
from relion4plugin.progress import Silent
from tests.jobs.small_project import write_map, write_particles_star

JOB = Path("Import/job001")
BASE = ImportParameters(do_raw=False, do_other=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(kind: str, path: str, **changes: str) -> OtherImport:
    outputs = import_job.run(replace(BASE, node_type=kind, fn_in_other=path, **changes), JOB, Silent())
    assert isinstance(outputs, OtherImport)
    return outputs


def by_relion(kind: str, path: str, **changes: str) -> Path:
    theirs = Path("Theirs/job001")
    theirs.mkdir(parents=True)
    words = import_job.relion_command(replace(BASE, node_type=kind, fn_in_other=path, **changes), theirs, False)
    subprocess.run(words[: words.index("--pipeline_control")], check=True, capture_output=True)
    return theirs


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_coordinates(folder: str) -> None:
    Path(folder).mkdir(parents=True)
    for name in ("a", "b"):
        Path(folder, f"{name}_pick.star").write_text(f"data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 {len(name)}\n")


def test_coordinates_keep_their_folders(project: Path) -> None:
    make_coordinates("ManualPick/job004/Movies")
    outputs = run(COORDINATES, "ManualPick/job004/Movies/*_pick.star")
    assert outputs.n_copied == 2 and outputs.files == (JOB / "coords_suffix_pick.star",)
    assert sorted(content(JOB)) == ["Movies/a_pick.star", "Movies/b_pick.star", "coords_suffix_pick.star"]


@pytest.mark.relion
@pytest.mark.parametrize("folder", ["Movies", "ManualPick/job004/Movies"])
def test_coordinates_as_by_relion(project: Path, folder: str) -> None:
    make_coordinates(folder)
    run(COORDINATES, f"{folder}/*_pick.star")
    assert content(JOB) == content(by_relion(COORDINATES, f"{folder}/*_pick.star"))


@pytest.mark.parametrize("given", [1, 2])
def test_a_half_map_brings_the_other_one(project: Path, given: int) -> None:
    for half in (1, 2):
        write_map(f"x_half{half}_class001_unfil.mrc", box=8 + half)
    run(HALF_MAP, f"x_half{given}_class001_unfil.mrc")
    assert sorted(content(JOB)) == ["x_half1_class001_unfil.mrc", "x_half2_class001_unfil.mrc"]


def test_particles_get_a_new_group_name(project: Path) -> None:
    write_particles_star("p.star", 3)
    outputs = run(PARTICLES, "p.star", optics_group_particles="newName")
    blocks = read_star(JOB / "p.star")
    assert list(blocks["optics"]["rlnOpticsGroupName"]) == ["newName"] and len(blocks["particles"]) == 3
    assert "1 of 1 image stacks of the particles are not there, the first one is stack.mrcs" in outputs.remarks[0]


@pytest.mark.relion
def test_particles_as_by_relion(project: Path) -> None:
    write_particles_star("p.star", 3)
    run(PARTICLES, "p.star", optics_group_particles="newName")
    ours, theirs = read_star(JOB / "p.star"), read_star(by_relion(PARTICLES, "p.star", optics_group_particles="newName") / "p.star")
    assert set(ours) == set(theirs)
    for block in ours:
        assert ours[block].equals(theirs[block][ours[block].columns])


def test_other_files_are_copied_as_they_are(project: Path) -> None:
    write_map("mask.mrc")
    run(MASK, "mask.mrc")
    assert content(JOB) == {"mask.mrc": Path("mask.mrc").read_bytes()}


def test_particles_without_renaming_are_copied_as_they_are(project: Path) -> None:
    write_particles_star("p.star", 3)
    run(PARTICLES, "p.star")
    assert (JOB / "p.star").read_bytes() == Path("p.star").read_bytes()


def test_the_declared_files_are_made(project: Path) -> None:
    for half in (1, 2):
        write_map(f"x_half{half}_unfil.mrc")
    kind = job_type("relion.import.other")
    options = {"do_raw": "No", "do_other": "Yes", "fn_in_other": "x_half2_unfil.mrc", "node_type": HALF_MAP.replace(" ", "__")}
    runner = kind.runner(options)
    assert runner is not None
    runner(Execution(kind.text(options).values, JOB, False, Silent()))
    assert all(Path(name).is_file() for name in kind.nodes_out(options, JOB, False))


@pytest.mark.parametrize(
    ("kind", "path", "changes", "message"),
    [
        (MASK, "nix.mrc", {}, "file to import nix.mrc: no such file"),
        (MASK, "", {}, "fn_in_other is empty"),
        (MASK, "cut.mrc", {}, r"cut\.mrc: truncated file"),
        (HALF_MAP, "map.mrc", {}, "expected half1 or half2 in its name"),
        (HALF_MAP, "lone_half1.mrc", {}, r"lone_half2\.mrc: no such file"),
        (COORDINATES, "Movies/*.box", {}, "no file matches fn_in_other"),
        (COORDINATES, "a.box", {}, r"need a pattern with \*"),
        (COORDINATES, "/data/*.box", {}, "below the project directory"),
        (PARTICLES, "two.star", {"optics_group_particles": "n"}, "has 2 optics groups"),
        (PARTICLES, "two.star", {"optics_group_particles": "a_b"}, "letters, digits and hyphens"),
        (PARTICLES, "empty.star", {}, "has no particles"),
        (REFERENCES, "nix.star", {}, "no such file"),
    ],
)
def test_mistakes_are_told(project: Path, kind: str, path: str, changes: dict, message: str) -> None:
    write_map("map.mrc")
    write_map("lone_half1.mrc")
    Path("cut.mrc").write_bytes(Path("map.mrc").read_bytes()[:-10])
    write_particles_star("one.star", 2)
    text = Path("one.star").read_text()
    line = next(line for line in text.splitlines() if "opticsGroup1" in line)
    Path("two.star").write_text(text.replace(line, f"{line}\n{line.replace('opticsGroup1', 'g2').replace(' 1 ', ' 2 ', 1)}"))
    Path("empty.star").write_text("data_optics\n\nloop_\n_rlnOpticsGroup #1\n1\n")
    with pytest.raises(UserError, match=message):
        run(kind, path, **changes)
    assert not JOB.exists()
