"""Array libraries that the tests of this folder run on."""

import importlib.util

import numpy as np
import pytest


@pytest.fixture(params=["numpy", "cupy"])
def xp(request):
    """Numpy always, cupy where it is installed and finds a device."""
    if request.param == "numpy":
        return np
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("cupy is not installed")
    cupy = pytest.importorskip("cupy")
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        pytest.skip(f"cupy finds no GPU: {error}")
    return cupy
