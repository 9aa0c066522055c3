"""Import of movies and micrographs: the same content as RELION's, complete files only, one line for each bad one."""

import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.movie_write import write_eer, write_movie
from relion4plugin.files.mrc import write_volume
from relion4plugin.files.star import read_star
from relion4plugin.jobs import import_job
from relion4plugin.jobs.import_job import ImportParameters, RawImport
from relion4plugin.jobs.registry import Execution, job_type
from relion4plugin.progress import Silent

JOB = Path("Import/job001")
BASE = ImportParameters(fn_in_raw="Movies/*.tif", angpix=1.5, kV=200.0)
FRAME = np.ones((8, 12), np.uint8)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Movies").mkdir()
    return tmp_path


def add(*names: str, n_frames: int = 3, age: float = 1000.0, frame: np.ndarray = FRAME, pixel_size: float = 0.0) -> None:
    for name in names:
        path = Path("Movies") / name
        if path.suffix == ".eer":
            write_eer(path, [frame] * n_frames)
        else:
            write_movie(path, [frame] * n_frames, pixel_size)
        set_age(path, age)


def set_age(path: Path, age: float) -> None:
    os.utime(path, (time.time() - age,) * 2)


def run(parameters: ImportParameters = BASE, is_continue: bool = False, **options: bool) -> RawImport:
    outputs = import_job.run(parameters, JOB, Silent(), is_continue=is_continue, **options)
    assert isinstance(outputs, RawImport)
    return outputs


def names() -> list[str]:
    return list(read_star(JOB / "movies.star")["movies"]["rlnMicrographMovieName"])


def set_aside() -> dict[str, str]:
    table = read_star(JOB / "set_aside.star")["set_aside"]
    return dict(zip(table["rlnMicrographMovieName"], table["r4pReason"], strict=True))


def test_sorted_rows_and_optics(project: Path) -> None:
    add("b.tif", "a10.tif", "a9.tif")
    outputs = run()
    assert (outputs.n_images, outputs.n_new, outputs.remarks) == (3, 3, ())
    assert names() == ["Movies/a10.tif", "Movies/a9.tif", "Movies/b.tif"]
    optics = read_star(JOB / "movies.star")["optics"].to_dict("records")
    assert optics == [
        {
            "rlnOpticsGroupName": "opticsGroup1", "rlnOpticsGroup": 1, "rlnMicrographOriginalPixelSize": 1.5, "rlnVoltage": 200.0,
            "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1,
        }
    ]  # fmt: skip


def test_continue_keeps_order_and_adds(project: Path) -> None:
    add("b.tif", "c.tif")
    run()
    add("a.tif")
    shutil.rmtree(project / "Movies" / "c.tif", ignore_errors=True)
    (project / "Movies" / "c.tif").unlink()  # moved to the archive
    assert run(is_continue=True).n_new == 1
    assert names() == ["Movies/b.tif", "Movies/c.tif", "Movies/a.tif"]


def test_new_group_and_its_values(project: Path) -> None:
    add("a.tif")
    run()
    add("n1.tif")
    Path("mtf.star").touch()
    second = replace(BASE, fn_in_raw="Movies/n*.tif", optics_group_name="new", beamtilt_x=0.4, fn_mtf="mtf.star")
    run(second, is_continue=True)
    blocks = read_star(JOB / "movies.star")
    assert list(blocks["movies"]["rlnOpticsGroup"]) == [1, 2]
    optics = blocks["optics"]
    assert list(optics["rlnOpticsGroupName"]) == ["opticsGroup1", "new"]
    assert list(optics["rlnBeamTiltX"]) == [0.0, 0.4] and list(optics["rlnMtfFileName"]) == ["", "mtf.star"]
    with pytest.raises(UserError, match=r"Movies/n1\.tif was imported in optics group new before"):
        run(is_continue=True)
    with pytest.raises(UserError, match="optics group new has rlnVoltage 200, but kV is 300"):
        run(replace(second, kV=300.0), is_continue=True)


def test_young_files_wait_and_are_taken_later(project: Path) -> None:
    add("a.tif")
    add("b.tif", age=5.0)
    outputs = run()
    assert (outputs.n_images, outputs.n_waiting) == (1, 1) and "wait for the next execution" in outputs.remarks[0]
    assert list(read_star(JOB / "waiting.star")["waiting"]["rlnMicrographMovieName"]) == ["Movies/b.tif"]
    set_age(Path("Movies/b.tif"), 60.0)
    assert run(is_continue=True).n_new == 1
    assert names() == ["Movies/a.tif", "Movies/b.tif"] and not (JOB / "waiting.star").exists()


def test_nothing_ready_yet_is_no_mistake(project: Path) -> None:
    add("a.tif", age=1.0)
    assert run().n_images == 0
    set_age(Path("Movies/a.tif"), 60.0)
    assert run(is_continue=True).n_images == 1
    assert run(replace(BASE, settle_seconds=0.0), overwrite=True).n_images == 1


def test_an_empty_folder_may_fill_later(project: Path) -> None:
    outputs = run()
    assert outputs.n_images == 0 and "no file matches fn_in_raw 'Movies/*.tif' yet" in outputs.remarks[0]
    add("a.tif")
    assert run(is_continue=True).n_images == 1


def test_clock_of_the_server_ahead(project: Path) -> None:
    add("a.tif", age=-3500.0)
    add("b.tif", age=-3600.0)
    assert run().n_waiting == 1 and names() == ["Movies/a.tif"]


def test_bad_files_are_set_aside_and_the_rest_goes_on(project: Path) -> None:
    add("a.tif", "cut.tif", "with blank.tif", "e.tif")
    data = Path("Movies/cut.tif").read_bytes()
    Path("Movies/cut.tif").write_bytes(data[: len(data) // 2])
    Path("Movies/empty.tif").touch()
    for name in ("cut.tif", "empty.tif"):
        set_age(Path("Movies") / name, 100.0)
    Path("Movies/linked.tif").symlink_to("a.tif")
    Path("Movies/gone.tif").symlink_to("nowhere.tif")
    Path("Movies/folder.tif").mkdir()
    outputs = run()
    assert names() == ["Movies/a.tif", "Movies/e.tif"] and outputs.n_set_aside == 5
    reasons = set_aside()
    assert "truncated file" in reasons["Movies/cut.tif"] and "the file is empty" in reasons["Movies/empty.tif"]
    assert "blank in its name" in reasons["Movies/with blank.tif"]
    assert reasons["Movies/linked.tif"].startswith("Movies/linked.tif is the same file as Movies/a.tif")
    assert "not there" in reasons["Movies/gone.tif"]
    Path("Movies/cut.tif").write_bytes(data)
    set_age(Path("Movies/cut.tif"), 100.0)
    run(is_continue=True)
    assert names() == ["Movies/a.tif", "Movies/e.tif", "Movies/cut.tif"] and "Movies/cut.tif" not in set_aside()


def test_names_that_make_the_same_output(project: Path) -> None:
    add("a.mrc", "a.tif", "b.tif")
    run(replace(BASE, fn_in_raw="Movies/a*"))
    assert names() == ["Movies/a.mrc"] and "differ only in their suffix" in set_aside()["Movies/a.tif"]
    run(replace(BASE, fn_in_raw="Movies/*.tif"), is_continue=True)
    assert names() == ["Movies/a.mrc", "Movies/b.tif"]


def test_a_file_that_is_no_movie_is_set_aside(project: Path) -> None:
    add("a.tif")
    Path("Movies/a.mdoc").write_text("x")
    run(replace(BASE, fn_in_raw="Movies/*"))
    assert names() == ["Movies/a.tif"] and "not a movie by its name" in set_aside()["Movies/a.mdoc"]


def test_only_bad_files_is_an_error(project: Path) -> None:
    add("with blank.tif")
    with pytest.raises(UserError, match=r"none of 1 files can be imported; first: 'Movies/with blank\.tif'"):
        run()


def test_a_bad_first_file_may_still_be_on_its_way(project: Path) -> None:
    add("a.tif", age=100.0)
    content = Path("Movies/a.tif").read_bytes()
    Path("Movies/a.tif").write_bytes(content[: len(content) // 2])
    set_age(Path("Movies/a.tif"), 100.0)
    outputs = run()
    assert (outputs.n_images, outputs.n_set_aside) == (0, 1)
    Path("Movies/a.tif").write_bytes(content)
    set_age(Path("Movies/a.tif"), 50.0)
    assert run(is_continue=True).n_images == 1 and names() == ["Movies/a.tif"]


def test_a_folder_that_is_away_for_a_while_ends_no_session(project: Path) -> None:
    add("a.tif", "b.tif")
    run()
    Path("Movies").rename("away")
    outputs = run(is_continue=True)
    assert (outputs.n_images, outputs.n_new) == (2, 0)
    assert len(outputs.remarks) == 1 and "Movies any more: 2 images stay imported" in outputs.remarks[0]
    Path("away").rename("Movies")
    add("c.tif")
    assert run(is_continue=True).n_new == 1 and names() == ["Movies/a.tif", "Movies/b.tif", "Movies/c.tif"]


def test_unusual_files_are_told(project: Path) -> None:
    add("a.tif", "b.tif", "c.TIF", pixel_size=0.8)
    add("d.tif", n_frames=2)
    add("e.tif", frame=np.ones((12, 8), np.uint8))
    text = " | ".join(run(replace(BASE, fn_in_raw="Movies/*")).remarks)
    assert "4 files have 3 frames, 1 another number: Movies/d.tif has 2" in text
    assert "1 files have another size than 12 x 8 px: Movies/e.tif has 8 x 12 px" in text
    assert "tells a pixel size of 0.8 A, but angpix is 1.5 A" in text and "capital letters" in text


def test_new_movies_are_compared_with_old_ones(project: Path) -> None:
    add("a.tif")
    run()
    add("b.tif", n_frames=1)
    assert any("Movies/b.tif has 1" in remark for remark in run(is_continue=True).remarks)


def test_unchecked_files_are_not_opened(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add("a.tif")
    data = Path("Movies/a.tif").read_bytes()
    Path("Movies/a.tif").write_bytes(data[:50])
    set_age(Path("Movies/a.tif"), 100.0)
    assert run(replace(BASE, check_files=False)).n_images == 1


def test_only_new_files_are_opened(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relion4plugin.jobs import import_movies_check

    add(*(f"m{i}.tif" for i in range(5)))
    run()
    add("n.tif")
    opened: list[str] = []
    real = import_movies_check.read_movie_header
    monkeypatch.setattr(import_movies_check, "read_movie_header", lambda name, **k: opened.append(name) or real(name, **k))
    run(is_continue=True)
    assert sorted(opened) == ["Movies/m0.tif", "Movies/n.tif"]  # the first old one is what new ones are compared with


def test_gain_of_another_size_is_told_before_hours_are_lost(project: Path) -> None:
    add("a.tif")
    write_volume("gain.mrc", np.ones((1, 8, 12), np.float32), 1.0)
    write_volume("turned.mrc", np.ones((1, 12, 8), np.float32), 1.0)
    write_volume("wrong.mrc", np.ones((1, 8, 8), np.float32), 1.0)
    assert run(replace(BASE, fn_gain_ref="gain.mrc")).remarks == ()
    assert "quarter turn" in run(replace(BASE, fn_gain_ref="turned.mrc"), overwrite=True).remarks[0]
    with pytest.raises(UserError, match=r"gain reference wrong\.mrc has 8 x 8 px, expected"):
        run(replace(BASE, fn_gain_ref="wrong.mrc"), overwrite=True)
    assert names() == ["Movies/a.tif"]


def test_micrographs(project: Path) -> None:
    add("a.mrc", n_frames=1)
    add("b.mrc")
    run(replace(BASE, fn_in_raw="Movies/*.mrc", is_multiframe=False))
    blocks = read_star(JOB / "micrographs.star")
    assert list(blocks["micrographs"]["rlnMicrographName"]) == ["Movies/a.mrc"]
    assert blocks["optics"]["rlnMicrographPixelSize"][0] == 1.5
    assert "set is_multiframe to Yes" in read_star(JOB / "set_aside.star")["set_aside"]["r4pReason"][0]


def test_short_eer_movies_are_movies(project: Path) -> None:
    add("a.eer", "b.eer", n_frames=3)
    add("c.eer", n_frames=2)
    assert run(replace(BASE, fn_in_raw="Movies/*.eer")).remarks == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fn_in_raw": "/data/*.tif"}, "below the project directory"),
        ({"fn_in_raw": "../*.tif"}, "below the project directory"),
        ({"fn_in_raw": ""}, "fn_in_raw is empty"),
        ({"fn_in_raw": "Moives/*.tif"}, r"no file matches fn_in_raw 'Moives/\*\.tif': there is no folder .*Moives; correct the pattern"),
        ({"optics_group_name": "a_b"}, "letters, digits and hyphens"),
        ({"angpix": 0.0}, "angpix is 0 but must be above 0"),
        ({"do_raw": False}, "exactly one of do_raw and do_other"),
        ({"fn_mtf": "mtf.star"}, "MTF of the detector mtf.star: no such file"),
        ({"fn_gain_ref": "g.mrc"}, "gain reference g.mrc: no such file"),
    ],
)
def test_mistakes_are_told(project: Path, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(replace(BASE, **changes))
    assert not JOB.exists()


def test_results_of_an_earlier_run_are_not_lost(project: Path) -> None:
    add("a.tif")
    run()
    with pytest.raises(UserError, match="holds results of an earlier run"):
        run()


def test_the_registered_job_runs_natively(project: Path) -> None:
    add("a.tif")
    options = {"fn_in_raw": "Movies/*.tif", "angpix": "1.5", "fn_mtf": '""'}
    kind = job_type("relion.import.movies")
    runner = kind.runner(options)
    assert runner is not None
    runner(Execution(kind.text(options).values, JOB, False, Silent()))
    add("b.tif")
    runner(Execution(kind.text(options).values, JOB, True, Silent()))
    assert names() == ["Movies/a.tif", "Movies/b.tif"]


def same_content(ours: Path, theirs: Path) -> None:
    mine, other = read_star(ours), read_star(theirs)
    assert set(mine) == set(other)
    for block, table in other.items():
        pd.testing.assert_frame_equal(mine[block], table, check_like=False)


@pytest.mark.relion
@pytest.mark.parametrize("is_multiframe", [True, False])
def test_content_is_that_of_relion(project: Path, is_multiframe: bool) -> None:
    add("b.tif", "a10.tif", "a9.tif", n_frames=3 if is_multiframe else 1)
    Path("mtf.star").touch()
    first = replace(BASE, is_multiframe=is_multiframe, angpix=0.8849, Cs=1.4, fn_mtf="mtf.star", beamtilt_x=0.25)
    second = replace(first, fn_in_raw="Movies/n*.tif", optics_group_name="g-2", kV=300.0, angpix=1.1)
    theirs = Path("Theirs/job001")
    theirs.mkdir(parents=True)
    star = "movies.star" if is_multiframe else "micrographs.star"
    for parameters, is_continue in ((first, False), (second, True)):
        run(parameters, is_continue)
        words = import_job.relion_command(parameters, theirs, is_continue)
        subprocess.run(words[: words.index("--pipeline_control")], check=True, capture_output=True)
        same_content(JOB / star, theirs / star)
        add("n.tif", n_frames=3 if is_multiframe else 1)


def test_thousands_of_files_are_listed_in_seconds(project: Path) -> None:
    add("m00000.tif")
    for i in range(1, 2_000):
        path = Path(f"Movies/m{i:05d}.tif")
        path.write_bytes(b"x")
        os.utime(path, (0, 0))
    start = time.monotonic()
    assert run(replace(BASE, check_files=False)).n_images == 2_000
    assert run(replace(BASE, check_files=False), is_continue=True).n_new == 0
    assert time.monotonic() - start < 10.0  # about 0.2 s on an idle core
