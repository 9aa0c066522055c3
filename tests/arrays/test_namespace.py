"""Which library an array belongs to."""

import sys
import types

import numpy as np
import pytest
import scipy.fft
import scipy.sparse

from relion4plugin.arrays import array_namespace, device_namespace, fft_module, scatter_add, sparse_module, to_numpy
from relion4plugin.errors import UserError


class FakeGpuArray:
    """Stands for cupy.ndarray on machines without a GPU."""

    dtype = np.dtype(np.float32)

    def get(self):
        return np.arange(3)


@pytest.fixture
def fake_cupy(monkeypatch):
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1)
    used = []
    cuda = types.SimpleNamespace(runtime=runtime, Device=lambda gpu: types.SimpleNamespace(use=lambda: used.append(gpu)))
    module = types.ModuleType("cupy")
    module.ndarray = FakeGpuArray
    module.cuda = cuda
    module.used = used
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_real_arrays_keep_their_library(xp):
    assert array_namespace(xp.zeros(3), 2.0, xp.ones(2)) is xp
    np.testing.assert_array_equal(to_numpy(xp.arange(3)), [0, 1, 2])


def test_scalars_and_lists_are_numpy():
    assert array_namespace(1.0, [2, 3], np.float32(4)) is np
    assert array_namespace() is np


def test_gpu_arrays_belong_to_cupy(fake_cupy):
    assert array_namespace(FakeGpuArray()) is fake_cupy
    assert array_namespace(FakeGpuArray(), 3.0) is fake_cupy
    assert array_namespace(np.zeros(2)) is np
    np.testing.assert_array_equal(to_numpy(FakeGpuArray()), [0, 1, 2])


def test_mixed_arrays_are_refused(fake_cupy):
    with pytest.raises(TypeError, match="mixed"):
        array_namespace(FakeGpuArray(), np.zeros(2))


def test_host_modules():
    assert device_namespace(None) is np
    assert fft_module(np) is scipy.fft
    assert sparse_module(np) is scipy.sparse


def test_scatter_add_counts_repeated_indices(xp):
    total = xp.ones(4, xp.float32)
    scatter_add(total, xp.asarray([2, 0, 2, 2]), xp.asarray([1.0, 2.0, 3.0, 4.0], dtype=xp.float32))
    np.testing.assert_array_equal(to_numpy(total), [3, 1, 9, 1])


def test_scatter_add_goes_to_the_arrays_library(fake_cupy, monkeypatch):
    seen = []
    cupyx = types.ModuleType("cupyx")
    cupyx.scatter_add = lambda *arguments: seen.append(arguments)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    total, index, values = FakeGpuArray(), FakeGpuArray(), FakeGpuArray()
    scatter_add(total, index, values)
    assert seen == [(total, index, values)]


def test_device_is_made_current(fake_cupy):
    assert device_namespace(0) is fake_cupy
    assert fake_cupy.used == [0]


@pytest.mark.parametrize("gpu", [-1, 1])
def test_missing_device_is_a_user_error(fake_cupy, gpu):
    with pytest.raises(UserError, match=f"GPU {gpu} was asked for but this machine has 1"):
        device_namespace(gpu)


def test_missing_cupy_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(UserError, match="GPU 0 was asked for"):
        device_namespace(0)
