import argparse
import json
from pathlib import Path

import pandas as pd
import pytest

from relion4plugin.cli import select
from relion4plugin.cli.main import CommandParser
from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star, write_star


@pytest.fixture(autouse=True)
def star_files(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    optics = pd.DataFrame({"rlnOpticsGroupName": ["og1"], "rlnOpticsGroup": [1], "rlnImagePixelSize": [2.0]})
    mics = pd.DataFrame({"rlnMicrographName": [f"m{i}.mrc" for i in range(4)], "rlnOpticsGroup": 1, "rlnCtfMaxResolution": [3.0, 5, 7, 9]})
    write_star("mics.star", {"optics": optics, "micrographs": mics})
    rows = pd.DataFrame(
        {
            "rlnImageName": [f"{i + 1:06d}@s.mrcs" for i in range(10)], "rlnMicrographName": "m0.mrc", "rlnOpticsGroup": 1,
            "rlnCoordinateX": [0.0, 1, 20, 40, 60, 80, 100, 120, 140, 160], "rlnCoordinateY": 5.0,
        }
    )
    write_star("parts.star", {"optics": optics, "particles": rows})
    return tmp_path


def parsed(words: str) -> argparse.Namespace:
    parser = CommandParser(prog="select", allow_abbrev=False)
    select.add_args(parser)
    return parser.parse_args(words.split())


def call(words: str) -> int:
    return select.main(parsed(f"{words} --o S --quiet"))


def test_by_values_in_relions_words(capsys):
    assert call("--i mics.star --select rlnCtfMaxResolution --maxval 6") == 0
    assert capsys.readouterr().out == "S/micrographs.star: 2 rows\n"
    assert read_star("S/micrographs.star")["micrographs"]["rlnCtfMaxResolution"].tolist() == [3, 5]


def test_particles_are_known_by_their_table(capsys):
    assert call("--i parts.star --nr_split 3 --json") == 0
    counts = json.loads(capsys.readouterr().out)["outputs"]
    assert counts == {"S/particles_split1.star": 4, "S/particles_split2.star": 4, "S/particles_split3.star": 2}


def test_duplicates():
    assert call("--i parts.star --remove_duplicates 10") == 0
    assert len(read_star("S/particles.star")["particles"]) == 9


def test_an_option_means_its_task():
    assert select.parameters_from(parsed("--i mics.star --o S --maxval 6")).do_select_values
    assert select.parameters_from(parsed("--i mics.star --o S --discard_sigma 2")).do_discard
    assert select.parameters_from(parsed("--i mics.star --o S --split --size_split 3")).split_size == 3
    with pytest.raises(UserError, match=r"exactly one of .* not 0"):
        call("--i mics.star")
    with pytest.raises(UserError, match=r"exactly one of .* not 2"):
        call("--i mics.star --maxval 6 --nr_split 2")


def test_mistakes_and_relions_command(capsys):
    with pytest.raises(UserError, match=r"no\.star: no such file"):
        call("--i no.star --maxval 6")
    with pytest.raises(UserError, match="no column rlnNone"):
        call("--i mics.star --select rlnNone --maxval 6")
    assert call("--i parts.star --nr_split 3 --relion_command") == 0
    assert "relion_star_handler --i parts.star --o S/particles.star --split --nr_split 3" in capsys.readouterr().out
    assert not Path("S").exists()
