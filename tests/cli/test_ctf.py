import argparse
import json

import pytest

from relion4plugin.cli import ctf
from relion4plugin.errors import UserError
from tests.jobs.test_ctffind import project, write_micrographs  # noqa: F401


def call(*words):
    parser = argparse.ArgumentParser()
    ctf.add_args(parser)
    return ctf.main(parser.parse_args(words))


def test_the_command(project, capsys):  # noqa: F811
    write_micrographs("mics.star", [0])
    words = ("--i", "mics.star", "--o", "CtfFind/job003", "--Box", "256", "--quiet")
    assert call(*words) == 0
    captured = capsys.readouterr()
    assert "micrographs: 1 in CtfFind/job003/micrographs_ctf.star" in captured.out
    assert "note: use_given_ps" in captured.err
    assert call(*words, "--continue", "--json") == 0
    assert json.loads(capsys.readouterr().out)["outputs"]["n_new"] == 0


def test_relions_command(capsys):
    assert call("--i", "mics.star", "--o", "CtfFind/job003", "--dFMin", "3000", "--continue", "--relion_command") == 0
    words = capsys.readouterr().out
    assert "--dFMin 3000" in words
    assert "--is_ctffind4" in words
    assert "--only_do_unfinished" in words


def test_a_mistake_is_told(project):  # noqa: F811
    with pytest.raises(UserError, match="no such file"):
        call("--i", "other.star", "--o", "CtfFind/job003", "--quiet")
