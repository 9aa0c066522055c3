"""The commands of mdcatch."""

import json

import pytest

from relion4plugin.acquisition.launches import LEDGER
from relion4plugin.cli import (
    mdcatch_check,
    mdcatch_fill,
    mdcatch_groups,
    mdcatch_launch,
    mdcatch_scan,
    mdcatch_show,
    mdcatch_watch,
)
from relion4plugin.cli.main import CommandParser
from relion4plugin.errors import UserError
from relion4plugin.files.star_text import read_tables

from ..acquisition.conftest import both_started, runners  # noqa: F401
from ..acquisition.small_sessions import small_session, tree, write_preset


def call(module, *words):
    parser = CommandParser(prog="mdcatch", allow_abbrev=False)
    module.add_args(parser)
    return module.main(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def world(tmp_path):
    small_session(tmp_path / "root" / "one")
    (tmp_path / "root" / "empty").mkdir()
    (tmp_path / "projects").mkdir()
    write_preset(tmp_path / "p.toml")
    return tmp_path


def outcome(capsys):
    return json.loads(capsys.readouterr().out)


def test_scan(world, capsys):
    assert call(mdcatch_scan, world / "root", "--json") == 0
    (session,) = outcome(capsys)["sessions"]
    assert (session["name"], session["kind"], session["counts"]["movies"]) == ("one", "data", 3)
    call(mdcatch_scan, world / "root" / "empty")
    assert "no session in" in capsys.readouterr().out


def test_show(world, capsys):
    call(mdcatch_show, world / "root" / "one", "--preset", world / "p.toml", "--set", "voltage_kV=200", "--all", "--json")
    found = outcome(capsys)
    assert found["values"]["voltage_kV"]["source"] == "user" and len(found["movies"]) == 3
    assert [item["field"] for item in found["conflicts"]] == ["voltage_kV"]
    call(mdcatch_show, world / "root" / "one", "--all", "--set", "voltage_kV=200")
    text = capsys.readouterr().out
    assert "movie_px_A = 1.06 A  [mdoc, " in text and "conflict: voltage_kV: 200" in text and "mov_0002.tif" in text


def test_groups(world, capsys, monkeypatch):
    (world / "project").mkdir()
    (world / "project" / "Movies").symlink_to(world / "root" / "one")
    star = world / "groups.star"
    assert call(mdcatch_groups, world / "root" / "one", "--star", star, "--project", world / "project", "--json") == 0
    assert sum(outcome(capsys)["groups"].values()) == 3
    rows = read_tables(star)["movie_groups"].rows
    assert [row[0] for row in rows] == [f"Movies/mov_{number:04d}.tif" for number in range(3)]


def test_check(world, capsys):
    assert call(mdcatch_check, world / "root" / "one", "--preset", world / "p.toml") == 0
    assert "nothing is wrong" in capsys.readouterr().out
    assert call(mdcatch_check, world / "root" / "one", "--set", "gain_path=/nowhere", "--preset", world / "p.toml", "--json") == 2
    assert outcome(capsys)["findings"][0]["rule"] == "V08"
    assert call(mdcatch_check, world / "root" / "one", "--set", "gain_path=/nowhere", "--accept", "V08") == 0
    capsys.readouterr()
    (world / "bad.toml").write_text("[gain]\nturn = 3\n")
    assert call(mdcatch_check, "--preset", world / "bad.toml") == 2
    assert "bad.toml:2: error: there is no key gain.turn" in capsys.readouterr().out
    (world / "doubtful.toml").write_text('[paths]\nmtf = "/nowhere"\n')
    assert call(mdcatch_check, "--preset", world / "doubtful.toml") == 0
    assert call(mdcatch_check, "--preset", world / "doubtful.toml", "--strict") == 1
    with pytest.raises(UserError, match="nothing to check"):
        call(mdcatch_check)


@pytest.mark.parametrize("pipeline", ["relion", "scipion"])
def test_a_dry_run_writes_nothing(world, capsys, pipeline):
    before = tree(world)
    words = ["--preset", world / "p.toml", "--projects", world / "projects", "--pipeline", pipeline, "--dry-run"]
    assert call(mdcatch_launch, world / "root" / "one", *words, "--json") == 0
    plan = outcome(capsys)
    assert plan["pipeline"] == pipeline and len(plan["commands"]) == 2 and plan["files"]
    assert all({"key", "old", "new", "source"} == set(change) for change in plan["changes"])
    call(mdcatch_launch, world / "root" / "one", *words)
    text = capsys.readouterr().out
    assert "1.06  [mdoc" in text and "this can be launched" in text
    assert tree(world) == before


def test_fill_starts_nothing(world, capsys, runners):  # noqa: F811
    call(mdcatch_fill, world / "root" / "one", "--preset", world / "p.toml", "--project", world / "projects" / "x", "--json")
    assert outcome(capsys)["project"] == str(world / "projects" / "x")
    assert (world / "projects" / "x" / "Schemes" / "proc" / "scheme.star").is_file() and runners.started() == []
    assert not (world / "projects" / LEDGER).exists()


def test_launch_and_a_second_one(world, capsys, runners, both_started):  # noqa: F811
    words = [world / "root" / "one", "--preset", world / "p.toml", "--projects", world / "projects", "--json"]
    assert call(mdcatch_launch, *words) == 0
    first = outcome(capsys)
    assert sorted(first["runners"]) == ["prep", "proc"]
    both_started()
    with pytest.raises(UserError, match="was launched on"):
        call(mdcatch_launch, *words)
    assert call(mdcatch_launch, *words, "--again") == 0
    assert outcome(capsys)["project"] == first["project"] + "_2"


def test_watch_once(world, capsys, runners, both_started):  # noqa: F811
    words = [world / "root", "--preset", world / "p.toml", "--projects", world / "projects", "--once", "--json"]
    assert call(mdcatch_watch, *words) == 0
    (event,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert event["state"] == "launched" and event["session"] == str((world / "root" / "one").resolve())
    both_started()
    assert call(mdcatch_watch, *words) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no folder to watch"),
        (["/nowhere"], "no folder /nowhere to watch"),
        ([".", "--projects", "/nowhere"], "no folder /nowhere for"),
    ],
)
def test_what_watch_refuses(words, message):
    with pytest.raises(UserError, match=message):
        call(mdcatch_watch, *words)
