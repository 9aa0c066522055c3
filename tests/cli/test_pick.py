import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.cli import pick
from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from tests.jobs.picking_project import make_micrographs
from tests.preprocessing.picking.imitated_topaz import imitated_topaz


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_micrographs(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    pick.add_args(parser)
    return pick.main(parser.parse_args([*words, "--quiet"]))


LOG = ("--i", "mics.star", "--o", "AutoPick/job001", "--LoG_diam_min", "130", "--log_diam_max", "175")


def test_blobs_are_picked_and_judged(project, capsys):
    assert run(*LOG, "--truth", "known.star", "--overlay", "--j", "2") == 0
    told = capsys.readouterr().out
    assert "in 3 micrographs" in told and "precision: " in told and "set aside: 0" in told
    assert len(list(Path("AutoPick/job001/Movies").glob("*.png"))) == 3
    assert run(*LOG, "--continue") == 0
    assert "picked now: 0" in capsys.readouterr().out


def test_topaz_is_called(project, capsys):
    program = imitated_topaz(project)[0]
    words = ("--i", "mics.star", "--o", "AutoPick/job002", "--particle_diameter", "160", "--topaz_exe", program)
    assert run("--topaz_extract", *words, "--json") == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert (outputs["n_picks"], outputs["precision"]) == (3, None)
    with pytest.raises(UserError, match="pip install topaz-em"):
        run("--topaz_extract", *words[:-1], "/nowhere", "--overwrite")


def test_the_command_of_relion_is_printed(capsys):
    assert run(*LOG, "--relion_command") == 0
    assert capsys.readouterr().out.startswith("relion_autopick --i mics.star --odir AutoPick/job001/ ")
    assert run("--topaz_extract", *LOG, "--particle_diameter", "160", "--gpu", "1", "--relion_command") == 0
    assert "--topaz_extract --gpu 1" in capsys.readouterr().out


def test_class_averages_are_looked_for(project, capsys):
    y, x = np.indices((64, 64)) - 32
    write_stack("refs.mrcs", (np.hypot(x, y) < 20).astype(np.float32)[None], 4.0)
    words = ("--ref", "refs.mrcs", "--i", "mics.star", "--o", "AutoPick/job003", "--ctf", "No", "--min_distance", "150", "--lowpass", "25")
    assert run(*words, "--ang", "360", "--truth", "known.star", "--json") == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert outputs["n_micrographs"] == 3 and outputs["recall"] > 0.8 and outputs["precision"] > 0.9
    assert run(*words, "--relion_command") == 0
    assert "--ref refs.mrcs --invert --ang 5 --shrink 0 --lowpass 25 --threshold 0.05" in capsys.readouterr().out
    with pytest.raises(UserError, match="runs on the processor"):
        run(*words, "--gpu", "0", "--overwrite")


def test_methods_exclude_each_other():
    with pytest.raises(SystemExit):
        run(*LOG, "--LoG", "--topaz_extract")
