"""Fake runners of schemes, ended after the test."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from relion4plugin.schemes.it import launch

from . import fake_runner
from .small_sessions import is_alive, wait_until


@dataclass
class Runners:
    """Fake runners by their log: process, scheme, project."""

    log: Path

    def started(self) -> list[tuple[int, str, str]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(int(pid), scheme, project) for pid, scheme, project in (line.split("\t") for line in lines)]

    def end(self) -> None:
        for pid, _, _ in self.started():
            if is_alive(pid):
                os.kill(pid, signal.SIGTERM)


@pytest.fixture
def runners(tmp_path, monkeypatch):
    found = Runners(tmp_path / "runners.log")
    monkeypatch.setattr(launch, "runner_words", lambda name: [sys.executable, fake_runner.__file__, str(found.log), name])
    monkeypatch.setattr(launch.start_runners, "__defaults__", (0.2,))
    yield found
    found.end()


@pytest.fixture
def both_started(runners):
    """Wait until both runners have said that they run."""
    return lambda count=2: wait_until(lambda: len(runners.started()) >= count)
