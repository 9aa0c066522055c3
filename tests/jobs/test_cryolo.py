import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc, write_stack, write_volume
from relion4plugin.files.star import read_star
from relion4plugin.jobs import cryolo
from relion4plugin.jobs.cryolo_parameters import CryoloParameters
from relion4plugin.jobs.execution import run_job
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.jobdir import ABORT_NOW, ABORTED, FAILURE, SUCCESS, AbortRequested
from relion4plugin.jobs.output_nodes import read_output_nodes
from relion4plugin.preprocessing.picking.picks import read_picks
from relion4plugin.progress import Silent
from tests.jobs.picking_project import NAMES, make_micrographs
from tests.preprocessing.picking.imitated_cryolo import imitated_cryolo

OUT = Path("External/job005")


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("CRYOLO_ENV", "CRYOLO_GENERIC_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    make_micrographs(tmp_path)
    imitated_cryolo(tmp_path)
    return tmp_path


def parameters(**changes):
    given = {"fn_input_autopick": "mics.star", "cryolo_env": "env", "model": "model.h5"}
    return CryoloParameters(**{**given, **changes})


def calls() -> list[dict]:
    return [json.loads(line) for line in Path("calls.jsonl").read_text().splitlines()]


def darkest(name: str) -> list[float]:
    pixels = read_mrc(name)[0][0]
    return [float(value) for value in np.unravel_index(pixels.argmin(), pixels.shape)[::-1]]


def test_coordinates_become_those_of_relion(project):
    outputs = cryolo.run(parameters(box_size=40, nr_threads=3, gpu="0,1"), OUT, Silent())
    assert (outputs.n_micrographs, outputs.n_new, outputs.n_picks, outputs.n_set_aside) == (3, 3, 3, 0)
    assert outputs.remarks == ("crYOLO estimates a particle diameter of 160 A",)  # 40 px of 4 A
    table = read_star(OUT / "autopick.star")["coordinate_files"]
    assert table["rlnMicrographName"].tolist() == list(NAMES)
    assert table["rlnMicrographCoordinates"].tolist() == [f"{OUT}/Movies/m{n}_autopick.star" for n in (1, 2, 3)]
    picks = read_picks(OUT / "Movies/m2_autopick.star")
    assert picks.centres.tolist() == [darkest(NAMES[1])] and picks.score.tolist() == [0.875]
    assert read_output_nodes(OUT) == {f"{OUT}/autopick.star": "MicrographsCoords.star.relion.autopick"}
    [call] = calls()
    assert call["links"] == [True] * 3 and call["gpus"] == ["0", "1"] and call["weights"] == "network"
    assert call["config"]["model"]["anchors"] == [40, 40]
    assert Path(call["config"]["model"]["filter"][1]).is_relative_to(project / OUT)
    assert Path(call["cwd"]) == project / OUT / "cryolo_work" and not (OUT / "cryolo_work").exists()
    assert (OUT / "cryolo.log").read_text() == "loading the network\n"


def test_what_is_finished_is_kept(project):
    cryolo.run(parameters(cryolo_batch=2), OUT, Silent())
    assert [call["names"] for call in calls()] == [["000000.mrc", "000001.mrc"], ["000002.mrc"]]
    (OUT / "Movies/m2_autopick.star").unlink()
    assert cryolo.run(parameters(), OUT, Silent()).n_new == 1
    assert calls()[-1]["names"] == ["000001.mrc"]
    assert cryolo.run(parameters(), OUT, Silent()).n_new == 0 and len(calls()) == 3
    assert cryolo.run(parameters(), OUT, Silent(), is_continue=False, overwrite=True).n_new == 3


def test_images_that_crYOLO_would_misread_are_written_anew(project):
    pixels = read_mrc(NAMES[0])[0]
    write_volume(NAMES[0], pixels, 4.0)  # a space group of maps: crYOLO would turn it upside down
    cryolo.run(parameters(), OUT, Silent())
    assert calls()[0]["links"] == [False, True, True]
    assert read_picks(OUT / "Movies/m1_autopick.star").centres.tolist() == [darkest(NAMES[0])]


def test_bad_micrographs_are_set_aside(project):
    Path(NAMES[0]).unlink()
    write_stack(NAMES[1], np.ones((2, 480, 512), np.float32), 4.0)
    outputs = cryolo.run(parameters(), OUT, Silent())
    assert (outputs.n_micrographs, outputs.n_set_aside) == (1, 2)
    table = read_star(OUT / "set_aside.star")["set_aside"]
    assert table["rlnMicrographName"].tolist() == list(NAMES[:2])
    assert "no such file" in table["r4pReason"][0] and "expected one image" in table["r4pReason"][1]


def script(project: Path, body: str) -> None:
    (project / "env/bin/cryolo_predict.py").write_text(f"#!/bin/sh\n{body}\n")


def test_a_failure_is_told_with_the_last_words(project):
    script(project, "echo loading; echo no GPU memory >&2; exit 3")
    with pytest.raises(UserError, match=r"none of 3 micrographs could be used; first: .*exit code 3: loading \| no GPU memory"):
        cryolo.run(parameters(), OUT, Silent())
    script(project, "exit 0")
    with pytest.raises(UserError, match=r"crYOLO wrote no coordinates; see External/job005/cryolo\.log"):
        cryolo.run(parameters(), OUT, Silent())


def test_an_abort_ends_crYOLO(project):
    script(project, "echo $$ > ../../../pid; sleep 60")

    class Impatient(Silent):
        def advance(self, n: int = 1, note: str = "") -> None:
            if Path("pid").exists():
                raise AbortRequested("enough")

    begin = time.monotonic()
    with pytest.raises(AbortRequested):
        cryolo.run(parameters(), OUT, Impatient())
    assert time.monotonic() - begin < 20 and not (OUT / "cryolo_work").exists()
    assert not Path(f"/proc/{Path('pid').read_text().strip()}").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cryolo_env": "nowhere"}, "give the folder of crYOLO's Python environment"),
        ({"model": "None"}, "no crYOLO network"),
        ({"gpu": "x"}, "must be numbers of graphics cards"),
        ({"threshold": 1.5}, "threshold is 1.5 but must be at most 1"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(project, changes, message):
    with pytest.raises(UserError, match=message):
        cryolo.run(parameters(**changes), OUT, Silent())
    assert not OUT.exists()


def external(**changes: str) -> JobStar:
    options = {"fn_exe": "relion4plugin cryolo", "in_mic": "mics.star", "nr_threads": "2"}
    words = {"gpu": "0", "box_size": "0", "model": "None"}
    for number, (label, value) in enumerate(words.items(), 1):
        options |= {f"param{number}_label": label, f"param{number}_value": value}
    return JobStar("relion.external", options={**options, **changes})


def test_the_external_job_of_the_scheme_runs_without_being_on_path(project, monkeypatch):
    monkeypatch.setenv("CRYOLO_ENV", str(project / "env"))
    monkeypatch.setenv("CRYOLO_GENERIC_MODEL", str(project / "model.h5"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    OUT.mkdir(parents=True)
    run_job(OUT, external(), False, Silent())
    assert (OUT / SUCCESS).exists() and len(read_star(OUT / "autopick.star")["coordinate_files"]) == 3
    assert calls()[0]["words"][-5:] == ["-nc", "2", "--write_empty", "-g", "0"]
    assert "files declared: External/job005/autopick.star" in (OUT / "run.out").read_text()
    assert (OUT / "run.err").read_text() == "note: crYOLO estimates a particle diameter of 160 A\n"


def test_the_external_job_says_in_one_line_that_crYOLO_is_missing(project, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    OUT.mkdir(parents=True)
    with pytest.raises(UserError, match="relion4plugin ended with exit code 2"):
        run_job(OUT, external(), False, Silent())
    said = (OUT / "run.err").read_text().splitlines()
    assert said[0].startswith("error: crYOLO is not installed: there is no cryolo_predict.py on PATH; install it")
    assert len([line for line in said if "crYOLO is not installed" in line]) == 1 and (OUT / FAILURE).exists()


def test_a_request_to_abort_ends_the_external_job(project, monkeypatch):
    script(project, "touch ../../../up; sleep 60")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    OUT.mkdir(parents=True)

    def ask() -> None:
        while not Path("up").exists():
            time.sleep(0.05)
        (OUT / ABORT_NOW).touch()

    thread = threading.Thread(target=ask)
    thread.start()
    with pytest.raises(AbortRequested):
        run_job(OUT, external(param3_value="model.h5", param4_label="cryolo_env", param4_value="env"), False, Silent())
    thread.join()
    assert (OUT / ABORTED).exists() and not (OUT / SUCCESS).exists()
