import argparse
import json

import pytest

from relion4plugin.cli import motioncorr
from relion4plugin.errors import UserError
from relion4plugin.files.movie_write import write_movie
from tests.preprocessing.motion.synthetic import movie, movies_star


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Movies").mkdir()
    write_movie(tmp_path / "Movies/a.tiff", movie((96, 128), n_frames=6).counts, 1.0)
    movies_star(tmp_path / "movies.star", ["Movies/a.tiff"])
    return tmp_path


def call(*words):
    parser = argparse.ArgumentParser()
    motioncorr.add_args(parser)
    return motioncorr.main(parser.parse_args(words))


def test_a_session_in_two_calls(project, capsys):
    assert call("--i", "movies.star", "--o", "MotionCorr/job002", "--dose_per_frame", "1.5", "--j", "2", "--quiet", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["outputs"]["n_new"] == 1
    assert (project / "MotionCorr/job002/Movies/a_PS.mrc").is_file()
    assert call("--i", "movies.star", "--o", "MotionCorr/job002", "--only_do_unfinished", "--quiet") == 0
    assert "corrected now: 0" in capsys.readouterr().out


def test_relions_command_has_the_same_options(project, capsys):
    words = ("--i", "movies.star", "--o", "M", "--patch_x", "5", "--bin_factor", "2", "--float16", "--dose_weighting", "--do_at_most", "5")
    assert call(*words, "--relion_command") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("relion_run_motioncorr --i movies.star --o M/") and "--patch_x 5" in printed and "--bin_factor 2" in printed
    assert printed.split()[-4:-2] == ["--do_at_most", "5"]
    assert not (project / "M").exists()


def test_a_mistake_is_one_line(project):
    with pytest.raises(UserError, match="dose_per_frame"):
        call("--i", "movies.star", "--o", "M", "--dose_per_frame", "0")
    with pytest.raises(UserError, match="GPU 99"):
        call("--i", "movies.star", "--o", "M", "--gpu", "99", "--quiet")
