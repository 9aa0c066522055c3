"""The command that estimates a job."""

import json

from relion4plugin.cli.main import main


def test_says_hours_and_memory(capsys):
    assert main(["cost", "--particles", "20000", "--box", "64", "--K", "25", "--threads", "2"]) == 0
    text = capsys.readouterr().out
    assert "h on 2 threads" in text and "131,400 visits" in text and "GiB of memory" in text


def test_defaults_depend_on_the_job(capsys):
    assert main(["cost", "--particles", "1000", "--box", "64", "--job", "class2d-em", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["visits"] == 25000 and found["job"] == "class2d-em"


def test_a_mistake_is_one_line(capsys):
    assert main(["cost", "--particles", "0", "--box", "64"]) == 2
    assert capsys.readouterr().err.strip() == "error: n_particles is 0; expected at least 1"
