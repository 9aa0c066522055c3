import os
import shutil

import pytest

from relion4plugin.schemes.project import Project
from tests.schemes.world import World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def cnio(shared_data, tmp_path):
    """A project with the published schemes prep, proc and png."""
    shutil.copytree(shared_data / "star" / "schemes_cnio_relion4", tmp_path / "Schemes", copy_function=shutil.copyfile)
    for folder in [tmp_path / "Schemes", *(tmp_path / "Schemes").glob("**/")]:
        folder.chmod(0o755)
    return Project(tmp_path)


@pytest.fixture
def no_fsync(monkeypatch):
    """Leave out waiting for the disk, which only a power cut would need."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
