"""A small project folder as the current one."""

from pathlib import Path

import pytest

from tests.jobs.small_project import make_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)
    return tmp_path
