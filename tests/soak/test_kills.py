"""A small session whose processes are killed: every movie and particle is there once, and copies of one movie come out alike."""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from soak_compare import Left, completeness, differences, read_left
from soak_kill import Killer, kind_of, processes_of
from soak_session import Feeder, Session, simulate_originals, watch

from relion4plugin.progress import Silent

N_MOVIES, N_ORIGINALS, N_KILLS = 24, 6, 6


@pytest.fixture
def session(tmp_path):
    # Movies come for 12 s: also where nothing else takes time, each kill but the last has its moment before the session can end.
    made = Session(tmp_path / "session", N_MOVIES, n_first=40, interval=0.5, at_most=8, pause=1.0)
    yield made
    for victim in processes_of(made.folder / "project"):
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_nothing_is_lost_doubled_or_changed(session, tmp_path):
    originals, gain = simulate_originals(tmp_path / "originals", N_ORIGINALS, Silent())
    session.start(gain)
    feeder, chance = Feeder(session, originals), random.Random(4)
    killer = Killer(session.project.root, N_MOVIES, N_KILLS, chance, tmp_path / "kills.jsonl", delay=1.0)
    feeder.start()
    watched = watch(session, feeder, killer.look, chance)
    assert killer.killed.total() >= N_KILLS - 1 and watched.restarts.total() >= 1
    left = read_left(session.project.root)
    complete = completeness(left, N_MOVIES)
    assert complete["particles"] > N_MOVIES
    assert {name: count for name, count in complete.items() if count and name not in ("movies", "particles", "temporary files")} == {}
    different = differences(left, left, N_ORIGINALS)
    assert different == dict.fromkeys(different, 0)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("python -m relion4plugin.cli.main scheme run prep", "runner of prep"),
        ("python -m relion4plugin.schemes.executors.supervisor CtfFind/job003/ 35", "supervisor"),
        ("python -m relion4plugin.cli.main run-job Class2D/job007/", "Class2D"),
        ("python -m pytest", ""),
    ],
)
def test_kinds_of_processes(command, kind):
    assert kind_of(command.split()) == kind


def test_what_is_lost_or_changed_is_found():
    """Each figure counts what it says; otherwise a session that lost something would pass."""
    stems = ["movie_00001", "movie_00002", "movie_00003"]
    rows = pd.DataFrame({"stem": stems, "value": [1.0, 2.0, 1.0]})
    places = {"rlnCoordinateX": 1.0, "rlnCoordinateY": [1.0, 2.0, 3.0]}
    particles = pd.DataFrame({"stem": stems, "rlnImageName": ["1@a", "1@b", "1@a"], **places})
    left = Left(Path("/nowhere"), rows[:2], pd.concat([rows, rows[:1]]), rows, particles, particles[:2], 2)
    found = completeness(left, 3)
    assert (found["corrected missing"], found["CTFs missing"], found["CTFs twice"]) == (1, 0, 1)
    assert (found["particles twice"], found["particles not classified"]) == (1, 1)
