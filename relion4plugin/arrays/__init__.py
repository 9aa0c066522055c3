"""Which library an array belongs to: numpy or cupy, decided by the array, never by a global switch."""

from relion4plugin.arrays.namespace import (
    array_namespace,
    device_namespace,
    fft_module,
    scatter_add,
    sparse_module,
    to_numpy,
)

__all__ = ["array_namespace", "device_namespace", "fft_module", "scatter_add", "sparse_module", "to_numpy"]
