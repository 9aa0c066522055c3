"""Environment of all tests: a throw-away Scipion home (before any pyworkflow import), shared data, skips with reasons."""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _scipion_environment() -> None:
    if "pyworkflow" in sys.modules:
        raise RuntimeError("pyworkflow was imported before tests/conftest.py could set its environment")
    home = Path(tempfile.mkdtemp(prefix="relion4plugin-scipion-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    hosts = home / "hosts.conf"
    hosts.write_text("[localhost]\nPARALLEL_COMMAND = mpirun -np %_(JOB_NODES)d %_(COMMAND)s\n", encoding="utf-8")
    (home / "user").mkdir()
    os.environ.update(
        SCIPION_HOME=str(home),
        SCIPION_USER_DATA=str(home / "user"),
        SCIPION_HOSTS=str(hosts),
        SCIPION_CONFIG=str(home / "scipion.conf"),
        SCIPION_LOCAL_CONFIG=str(home / "local.conf"),
        SCIPION_DOMAIN="pwem",
        SCIPION_PYTHON=sys.executable,
        SCIPION_NOTIFY="False",
        MPLBACKEND="Agg",
    )
    # Scipion starts protocols with the literal "python": the one that runs the tests must come first.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


_scipion_environment()

if importlib.util.find_spec("hypothesis") is not None:
    import hypothesis

    hypothesis.settings.register_profile("house", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("house")


def _gpu_reason() -> str | None:
    if importlib.util.find_spec("cupy") is None:
        return "cupy is not installed"
    import cupy

    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"cupy finds no graphics card: {error}"
    return None if count else "no graphics card"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests whose machine or program is not here, naming it."""
    if any(item.get_closest_marker("gpu") for item in items):
        reason = _gpu_reason()
        for item in items:
            if reason and item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason=reason))
    if shutil.which("relion_refine") is None:
        for item in items:
            if item.get_closest_marker("relion"):
                item.add_marker(pytest.mark.skip(reason="RELION's programs are not on PATH"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout; the test is skipped where there is none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture(params=["numpy", "cupy"])
def xp(request):
    """Numpy always, cupy where it is installed and finds a device."""
    if request.param == "numpy":
        return np
    reason = _gpu_reason()
    if reason:
        pytest.skip(reason)
    import cupy

    return cupy


@pytest.fixture
def rng():
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20)
