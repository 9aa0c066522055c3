"""Sessions that appear while they are watched: launched once each, also across kills, and mistakes of one do not stop the others."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from relion4plugin.acquisition import watch as watch_module
from relion4plugin.acquisition.preset import read_preset
from relion4plugin.acquisition.watch import Rules, Watcher
from relion4plugin.acquisition.watch_state import FAILED, LAUNCHED, LEFT, WAITING, Watched, WatchState
from relion4plugin.errors import UserError

from . import watch_once_killed
from .small_sessions import add_mdoc, add_movie, launches, movie_bytes, small_session, wait_until, write_preset


@pytest.fixture
def world(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "projects").mkdir()
    return tmp_path


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


def watcher(world, min_movies=2, settle=0.0, clock=None, presets=None, **rules):
    presets = presets or [read_preset(write_preset(world / "p.toml", min_movies, settle))]
    clock = clock or Clock()
    state = WatchState.load(world / "projects" / "watch.json")
    return Watcher(world / "root", Rules(presets, world / "projects", **rules), state, clock=clock, settle_clock=clock)


def states(made):
    return {Path(name).name: item.state for name, item in made.state.sessions.items()}


def test_a_session_is_launched_when_it_has_enough_finished_movies(world, runners, both_started):
    clock = Clock()
    made = watcher(world, min_movies=2, settle=10.0, clock=clock)
    assert made.poll() == []
    small_session(world / "root" / "one", 2)
    assert [(event.state, event.text) for event in made.poll()] == [(WAITING, "0 of 2 finished movies")]
    clock.ahead += 11
    (world / "root" / "one" / "mov_0001.tif").write_bytes(movie_bytes(1) + b"more")  # still growing
    assert [event.text for event in made.poll()] == ["1 of 2 finished movies"]
    clock.ahead += 11
    assert [event.state for event in made.poll()] == [LAUNCHED]
    both_started()
    assert made.poll() == [] and watcher(world).poll() == []
    assert len(runners.started()) == 2 and len(launches(world / "projects")) == 1


def test_several_presets_and_names_to_ignore(world, runners):
    epu = read_preset(write_preset(world / "epu.toml", more='[match]\nsoftware = ["EPU"]\n'))
    path = write_preset(world / "semi.toml", more='[match]\nsoftware = ["SerialEM"]\n')
    path.write_text(path.read_text().replace("[watch]\n", '[watch]\nignore = ["*test*"]\n'))
    small_session(world / "root" / "good")
    small_session(world / "root" / "my test 1")
    made = watcher(world, presets=[epu, read_preset(path)])
    texts = {Path(event.session).name: event.text for event in made.poll()}
    assert texts["good"].endswith("with semi") and texts["my test 1"] == "its name is to be ignored by semi"
    assert states(made) == {"good": LAUNCHED, "my test 1": LEFT}


def test_mistakes_of_one_session_do_not_stop_the_others_and_are_tried_again(world, runners, both_started):
    clock = Clock()
    small_session(world / "root" / "a bad one", pixel=0)  # pixel size not known
    small_session(world / "root" / "good")
    made = watcher(world, clock=clock)
    made.poll()
    assert states(made) == {"a bad one": FAILED, "good": LAUNCHED}
    bad = next(item for item in made.state.sessions.values() if item.state == FAILED)
    assert bad.tries == 1 and "angpix" in bad.message
    assert made.poll() == []  # not at once
    small_session(world / "root" / "a bad one", pixel=1.2)
    clock.ahead += 31
    made.poll()
    assert states(made) == {"a bad one": LAUNCHED, "good": LAUNCHED}
    both_started(4)


def test_pauses_double_and_end_at_an_hour():
    item = Watched()
    pauses = []
    for _ in range(10):
        item = item.failed("x", 1000.0)
        pauses.append(item.next_try - 1000.0)
    assert pauses[:3] == [30.0, 60.0, 120.0] and pauses[-1] == 3600.0


def test_an_error_that_nobody_foresaw_in_a_file_system(world, runners, monkeypatch):
    small_session(world / "root" / "one")
    made = watcher(world)

    def broken(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(watch_module, "launch", broken)
    assert [event.state for event in made.poll()] == [FAILED]


def test_a_root_that_vanishes_is_said_once_and_waited_for(world, runners, both_started):
    made = watcher(world)
    (world / "root").rename(world / "away")
    assert [event.state for event in made.poll()] == [FAILED] and made.poll() == []
    (world / "away").rename(world / "root")
    small_session(world / "root" / "one")
    assert [event.state for event in made.poll()] == [LAUNCHED]


def test_old_sessions_are_left_alone(world, runners):
    folder = small_session(world / "root" / "old")
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    made = watcher(world)
    made.poll()
    assert states(made) == {"old": LEFT} and runners.started() == []


def test_sessions_that_were_launched_by_hand_are_left_alone(world, runners, both_started):
    small_session(world / "root" / "one")
    watcher(world).poll()
    both_started()
    (world / "projects" / "watch.json").unlink()  # the watch has forgotten; the ledger has not
    made = watcher(world)
    made.poll()
    assert states(made) == {"one": LEFT} and len(runners.started()) == 2


def test_a_damaged_state_is_not_overwritten(world):
    (world / "projects" / "watch.json").write_text("{")
    with pytest.raises(UserError, match="is not the state of a watch"):
        watcher(world)


def test_a_session_in_real_time(world, runners, both_started):
    """Files appear half-written, metadata before or after movies; the session goes once and all its movies are there."""
    number = 12
    folder = world / "root" / "live"

    def microscope():
        folder.mkdir()
        for movie in range(number):
            data = movie_bytes(movie)
            if movie % 2:
                add_mdoc(folder, movie)
            with open(folder / f"mov_{movie:04d}.tif", "wb") as stream:
                stream.write(data[: len(data) // 2])
                stream.flush()
                time.sleep(0.1)
                stream.write(data[len(data) // 2 :])
            if not movie % 2:
                add_mdoc(folder, movie)

    made = watcher(world, min_movies=3, settle=0.3)
    thread = threading.Thread(target=microscope)
    thread.start()
    events = []
    end = time.monotonic() + 60
    while (thread.is_alive() or LAUNCHED not in states(made).values()) and time.monotonic() < end:
        events += made.poll()
        time.sleep(0.05)
    thread.join()
    made.poll()
    both_started()
    assert [event.state for event in events].count(LAUNCHED) == 1, events
    assert len(launches(world / "projects")) == 1 and len(runners.started()) == 2
    project = Path(launches(world / "projects")[0]["project"])
    assert len(list((project / "Movies").glob("*.tif"))) == number


@pytest.mark.slow
def test_kills_at_any_time(world, runners):
    """The watch is killed (SIGKILL) again and again while three sessions appear; each is launched exactly once."""
    preset = write_preset(world / "p.toml", 2, 0.2)
    words = [str(runners.log), str(world / "root"), "--preset", str(preset), "--projects", str(world / "projects"), "--poll", "0.05"]
    command = [sys.executable, "-m", watch_once_killed.__name__, *words]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OPENBLAS_NUM_THREADS": "1"}
    draws = random.Random(7)
    for number in range(3):
        small_session(world / "root" / f"session{number}", 2)
        for _ in range(2):
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
            time.sleep(draws.uniform(0.8, 2.2))
            process.send_signal(signal.SIGKILL)
            process.wait()
    add_movie(world / "root" / "session0", 7)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(runners.started()) >= 6 and all(item["state"] == "launched" for item in launches(world / "projects")), 60)
        time.sleep(1.0)
    finally:
        process.kill()
        process.wait()
    assert len(launches(world / "projects")) == 3
    jobs = [(scheme, project) for _, scheme, project in runners.started()]
    assert len(jobs) == 6 and len(set(jobs)) == 6
