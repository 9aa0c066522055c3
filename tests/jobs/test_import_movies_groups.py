"""Optics groups of imported movies from a table that grows with the session."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.movie_write import write_movie
from relion4plugin.files.star import read_star
from relion4plugin.files.star_text import loop, tables_text
from relion4plugin.jobs import import_job
from relion4plugin.jobs.import_job import ImportParameters
from relion4plugin.jobs.import_movies_groups import PATIENCE, read_groups
from relion4plugin.progress import Silent

JOB, TABLE = Path("Import/job001"), "Acquisition/movie_groups.star"
BASE = ImportParameters(fn_in_raw="Movies/*.tif", angpix=1.5, optics_groups_file=TABLE)


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("Movies").mkdir()
    Path("Acquisition").mkdir()


def add(*names, age=100.0):
    for name in names:
        write_movie(f"Movies/{name}.tif", [np.ones((8, 12), np.uint8)] * 2, 0.0)
        os.utime(f"Movies/{name}.tif", (time.time() - age,) * 2)


def listed(**groups):
    rows = [(f"Movies/{name}.tif", group) for name, group in groups.items()]
    labels = ("rlnMicrographMovieName", "rlnOpticsGroupName")
    Path(TABLE).write_text(tables_text([loop("movie_groups", labels, rows)]) if rows else "")


def imported(parameters=BASE, is_continue=False):
    outputs = import_job.run(parameters, JOB, Silent(), is_continue=is_continue)
    blocks = read_star(JOB / "movies.star")
    names = dict(zip(blocks["optics"]["rlnOpticsGroup"], blocks["optics"]["rlnOpticsGroupName"], strict=True))
    rows = blocks.get("movies")
    found = {} if rows is None else {Path(name).stem: names[group] for name, group in zip(*(rows[c] for c in rows.columns), strict=True)}
    return found, outputs


def test_each_movie_gets_the_group_of_the_table():
    add("a", "b", "c")
    listed(a="shot1", b="shot2", c="shot1")
    assert imported()[0] == {"a": "shot1", "b": "shot2", "c": "shot1"}


def test_new_groups_are_added_as_the_session_goes_on_and_old_ones_keep_their_numbers():
    add("a")
    listed(a="shot2")
    imported()
    add("b", "c")
    listed(a="shot2", b="shot1", c="shot2")
    assert imported(is_continue=True)[0] == {"a": "shot2", "b": "shot1", "c": "shot2"}
    optics = read_star(JOB / "movies.star")["optics"]
    assert list(optics["rlnOpticsGroupName"]) == ["shot2", "shot1"] and list(optics["rlnOpticsGroup"]) == [1, 2]


def test_a_movie_that_is_not_listed_yet_waits_but_is_never_lost():
    add("a", "b")
    listed(a="shot1")
    found, outputs = imported()
    assert found == {"a": "shot1"} and outputs.n_waiting == 1
    assert "not in Acquisition/movie_groups.star yet" in outputs.remarks[-1]
    os.utime("Movies/b.tif", (time.time() - PATIENCE - 1,) * 2)
    assert imported(is_continue=True)[0] == {"a": "shot1", "b": "opticsGroup1"}


def test_a_movie_keeps_the_group_in_which_it_was_imported():
    add("a")
    listed(a="shot1")
    imported()
    listed(a="shot9")
    assert imported(is_continue=True)[0] == {"a": "shot1"}


def test_a_table_without_rows_is_that_of_a_session_that_has_only_begun():
    add("a")
    listed()
    found, outputs = imported()
    assert found == {} and outputs.n_waiting == 1


def test_a_missing_or_wrong_table_is_told():
    with pytest.raises(UserError, match="no such file"):
        imported()
    Path(TABLE).write_text("data_movie_groups\n\nloop_\n_rlnMicrographMovieName #1\nMovies/a.tif\n")
    with pytest.raises(UserError, match="rlnOpticsGroupName"):
        read_groups(TABLE)
