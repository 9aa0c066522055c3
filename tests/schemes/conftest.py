import os
import shutil

import pytest

from relion4plugin.schemes.library.catalogue import shipped_folder
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import read_scheme_star
from tests.schemes.play import Play
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


@pytest.fixture
def play(world):
    """Make a player of a shipped scheme, with what its jobs leave and changed variables."""
    shutil.copytree(shipped_folder(), world.root / "Schemes")
    project = Project(world.root)

    def make(name: str, made: dict, **changes) -> Play:
        scheme = read_scheme_star(project.scheme_file(name))
        for key, value in changes.items():
            scheme = scheme.with_bool(key, value) if isinstance(value, bool) else scheme.with_string(key, value)
        return Play(world, scheme, dict(made))

    return make
