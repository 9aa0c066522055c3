"""The command that imports files."""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.cli import import_
from relion4plugin.files.movie_write import write_movie
from relion4plugin.files.star import read_star
from tests.jobs.small_project import write_map


def call(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="import")
    import_.add_args(parser)
    return import_.main(parser.parse_args(words))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Movies").mkdir()
    for name in ("a", "b"):
        write_movie(f"Movies/{name}.tif", [np.ones((8, 8), np.uint8)] * 3, 0.0)
        os.utime(f"Movies/{name}.tif", (0, 0))
    return tmp_path


def test_import_and_continue(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--i", "Movies/a*.tif", "--o", "Import/job001", "--angpix", "0.9", "--kV", "200", "--quiet") == 0
    assert "images: 1 in Import/job001/movies.star" in capsys.readouterr().out
    call("--i", "Movies/*.tif", "--o", "Import/job001", "--angpix", "0.9", "--kV", "200", "--quiet", "--continue", "--json")
    summary = json.loads(capsys.readouterr().out)
    assert summary["outputs"]["n_images"] == 2 and summary["outputs"]["n_new"] == 1
    assert len(read_star(project / "Import/job001/movies.star")["movies"]) == 2


def test_other_files(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_map("mask.mrc")
    words = ("--do_other", "--fn_in_other", "mask.mrc", "--node_type", "3D mask (.mrc)", "--o", "Import/job002", "--quiet")
    call(*words)
    assert Path("Import/job002/mask.mrc").is_file() and "imported: Import/job002/mask.mrc" in capsys.readouterr().out


def test_relion_command(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("--i", "Movies/*.tif", "--o", "Import/job001", "--relion_command", "--continue")
    out = capsys.readouterr().out
    assert out.startswith("relion_import --do_movies") and "--continue" in out and not Path("Import").exists()
