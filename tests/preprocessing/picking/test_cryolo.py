import json
import os
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.preprocessing.picking.cryolo_files import read_cryolo_picks
from relion4plugin.preprocessing.picking.cryolo_program import (
    CryoloSettings,
    configuration,
    environment,
    find_cryolo,
    find_model,
    gpu_numbers,
    picking_words,
)
from tests.preprocessing.picking.imitated_cryolo import imitated_cryolo

CBOX = """
data_global

_version    1.0


data_cryolo

loop_
_CoordinateX #1
_CoordinateY #2
_CoordinateZ #3
_Width #4
_Height #5
_EstWidth #6
_EstHeight #7
_Confidence #8
{rows}
data_cryolo_include

loop_
_slice_index #1
"""
STAR = "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n_rlnAutopickFigureOfMerit #3\n{rows}"


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path, monkeypatch):
    for name in ("CRYOLO_ENV", "CRYOLO_GENERIC_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def written(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_boxes_become_centres_with_confidence_and_diameter(tmp_path):
    rows = "10.0 20.0 <NA> 40.0 30.0 50.0 46.0 0.5\n100 200 <NA> 40 30 <NA> <NA> 0.9\n1 2 <NA> 40 30 50 50 0.1\n"
    written(tmp_path, "CBOX/m.cbox", CBOX.format(rows=rows))
    picks = read_cryolo_picks(tmp_path, "m", 0.3, pixel_size=2.0)
    np.testing.assert_allclose(picks.centres, [[120, 215], [30, 35]])
    np.testing.assert_allclose(picks.score, [0.9, 0.5])
    np.testing.assert_allclose(picks.diameter, [0, 96])


@pytest.mark.parametrize("text", ["", "\n", CBOX.format(rows="")])
def test_no_boxes_are_no_picks(tmp_path, text):
    written(tmp_path, "CBOX/m.cbox", text)
    assert len(read_cryolo_picks(tmp_path, "m", 0.3)) == 0


def test_star_and_eman_files_are_read_where_there_is_no_cbox(tmp_path):
    written(tmp_path, "STAR/m.star", STAR.format(rows="10.5 20 0.75\n30 40 -9999\n"))
    picks = read_cryolo_picks(tmp_path, "m", 0.3)
    assert (picks.x.tolist(), picks.score.tolist()) == ([10.5, 30], [0.75, 0])
    written(tmp_path, "EMAN/n.box", "10\t20\t40\t30\n")
    assert read_cryolo_picks(tmp_path, "n", 0.3).centres.tolist() == [[30, 35]]
    assert read_cryolo_picks(tmp_path, "o", 0.3) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data_cryolo\n\nloop_\n_CoordinateX #1\n1\n", "expected a table data_cryolo with the columns"),
        (CBOX.format(rows="a 2 0 40 30 50 50 0.5\n"), "boxes are not numbers"),
    ],
)
def test_a_damaged_file_is_told(tmp_path, text, message):
    written(tmp_path, "CBOX/m.cbox", text)
    with pytest.raises(UserError, match=message):
        read_cryolo_picks(tmp_path, "m", 0.3)


def test_the_program_is_found_by_option_variable_or_path(tmp_path, monkeypatch):
    script = imitated_cryolo(tmp_path)
    with pytest.raises(UserError, match=r"crYOLO is not installed: there is no cryolo_predict\.py on PATH"):
        find_cryolo()
    for given in (tmp_path / "env", script.parent, script):
        assert find_cryolo(str(given)) == script
    monkeypatch.setenv("PATH", str(script.parent))
    assert find_cryolo() == script
    monkeypatch.setenv("CRYOLO_ENV", str(tmp_path))
    with pytest.raises(UserError, match=r"CRYOLO_ENV is .*, but there is no program"):
        find_cryolo()
    with pytest.raises(UserError, match="--cryolo_env is /nowhere"):
        find_cryolo("/nowhere")


def test_the_network_is_given_or_general(tmp_path, monkeypatch):
    imitated_cryolo(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_model("model.h5") == tmp_path / "model.h5"
    with pytest.raises(UserError, match=r"no crYOLO network: give a \.h5 file with --model"):
        find_model("None")
    with pytest.raises(UserError, match=r"crYOLO network other\.h5: no such file; correct --model"):
        find_model("other.h5")
    monkeypatch.setenv("CRYOLO_GENERIC_MODEL", str(tmp_path / "model.h5"))
    assert find_model("None") == tmp_path / "model.h5"


@pytest.mark.parametrize(("text", "expected"), [("0", ("0",)), ("0,1", ("0", "1")), (' "2:3" ', ("2", "3")), ("0 1", ("0", "1")), ("", ())])
def test_graphics_cards_are_numbers(text, expected):
    assert gpu_numbers(text) == expected


def test_a_graphics_card_without_number_is_refused():
    with pytest.raises(UserError, match="gpu is '0,all' but must be numbers"):
        gpu_numbers("0,all")


def test_the_box_is_left_to_the_network_unless_it_is_given(tmp_path):
    settings = CryoloSettings(tmp_path / "env/bin/cryolo_predict.py", tmp_path / "model.h5")
    model = json.loads(configuration(settings, tmp_path / "filtered", tmp_path / "logs"))["model"]
    assert "anchors" not in model and model["filter"] == [0.1, f"{tmp_path}/filtered/"]
    with_box = CryoloSettings(settings.program, settings.model, box=180)
    assert json.loads(configuration(with_box, tmp_path, tmp_path))["model"]["anchors"] == [180, 180]


def test_the_command_has_crYOLOs_options(tmp_path):
    program, model = tmp_path / "env/bin/cryolo_predict.py", tmp_path / "model.h5"
    words = picking_words(CryoloSettings(program, model, 0, 0.25, ("0", "1"), 4), tmp_path / "c.json", tmp_path / "in", tmp_path / "out")
    assert words[0] == str(program)
    pairs = f"-c {tmp_path}/c.json -w {model} -i {tmp_path}/in/ -o {tmp_path}/out/ -t 0.25 -nc 4 --write_empty -g 0 1"
    assert words[1:] == pairs.split()
    assert "-g" not in picking_words(CryoloSettings(program, model, gpus=()), tmp_path, tmp_path, tmp_path)
    variables = environment(CryoloSettings(program, model))
    assert variables["PATH"].split(os.pathsep)[0] == str(program.parent) and variables["CONDA_PREFIX"] == str(tmp_path / "env")
