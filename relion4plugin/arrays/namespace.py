"""Array namespaces without importing a framework just to look at an array."""

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np

from relion4plugin.errors import UserError


def _is_cupy(array: Any) -> bool:
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(array, cupy.ndarray)


def array_namespace(*arrays: Any) -> Any:
    """Return the library (numpy or cupy) that the arrays belong to.

    Raises
    ------
    TypeError
        If arrays of both libraries are mixed: nothing is converted silently.
    """
    on_gpu = any(_is_cupy(a) for a in arrays)
    if on_gpu and any(isinstance(a, np.ndarray) and a.ndim for a in arrays):
        raise TypeError("numpy and cupy arrays are mixed: move them to one device first")
    return sys.modules["cupy"] if on_gpu else np


def device_namespace(gpu: int | None) -> Any:
    """Return numpy for ``gpu=None``, else cupy with that device made current.

    Raises
    ------
    UserError
        If cupy or the device is not available.
    """
    if gpu is None:
        return np
    try:
        cupy = importlib.import_module("cupy")
        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # a broken driver raises its own types
        raise UserError(f"GPU {gpu} was asked for but cupy cannot use one ({error}); install cupy-cuda12x or leave out --gpu") from error
    if not 0 <= gpu < count:
        raise UserError(f"GPU {gpu} was asked for but this machine has {count} (numbered from 0); choose another with --gpu")
    cupy.cuda.Device(gpu).use()
    return cupy


def to_numpy(array: Any) -> np.ndarray:
    """Copy an array of either library to host memory (numpy arrays pass unchanged)."""
    return array.get() if _is_cupy(array) else np.asarray(array)


def fft_module(xp: Any) -> ModuleType:
    """FFT functions that keep float32: scipy.fft for numpy, cupyx.scipy.fft for cupy."""
    return importlib.import_module("scipy.fft" if xp is np else "cupyx.scipy.fft")


def sparse_module(xp: Any) -> ModuleType:
    """Sparse matrices of the namespace: scipy.sparse or cupyx.scipy.sparse."""
    return importlib.import_module("scipy.sparse" if xp is np else "cupyx.scipy.sparse")


def scatter_add(total: Any, index: Any, values: Any) -> None:
    """Add values to ``total[index]`` in place; indices may repeat.

    Parameters
    ----------
    total : array (m,)
    index : int array (n,)
    values : array (n,)
    """
    if array_namespace(total, index, values) is np:
        np.add.at(total, index, values)
    else:
        importlib.import_module("cupyx").scatter_add(total, index, values)
