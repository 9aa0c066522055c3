"""Which expectation step runs: fused kernels on the CPU, array operations on a GPU or for kept poses."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from relion4plugin.arrays import device_namespace
from relion4plugin.refinement.images import ImageModel, ImageSource
from relion4plugin.refinement.search import Batch, Expectation
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model


class ExpectationStep(Protocol):
    """Expects over a batch with the current references."""

    def run(self, batch: Batch, transforms: np.ndarray, plan: Any, model: Model, advance: Callable[[int], object]) -> Expectation:
        """Return the sums over the batch; `advance` is told the number of particles done.

        Parameters
        ----------
        transforms : complex64 (K, M, M//2+1)
            Gridding-corrected padded references.
        """

    def close(self) -> None:
        """Free threads or device memory."""


def own_expectation(settings: RefinementSettings, source: ImageSource, images: ImageModel) -> ExpectationStep:
    """Return the expectation step of this process for the device of the settings."""
    if settings.dimension == 3:
        return _volume_expectation(settings, source, images)
    if settings.skip_align or settings.skip_rotate:
        from relion4plugin.refinement.fixed_poses import FixedPosesExpectation

        return FixedPosesExpectation(source, images, settings, device_namespace(settings.gpu))
    if settings.gpu is not None:
        from relion4plugin.refinement.expectation_arrays import ArrayExpectation

        return ArrayExpectation(source, images, settings, device_namespace(settings.gpu))
    from relion4plugin.refinement.expectation_cpu import CpuExpectation

    return CpuExpectation(source, images, settings)


def _volume_expectation(settings: RefinementSettings, source: ImageSource, images: ImageModel) -> ExpectationStep:
    if settings.gpu is not None:
        from relion4plugin.refinement.expectation_volume_arrays import VolumeArrayExpectation

        return VolumeArrayExpectation(source, images, settings, device_namespace(settings.gpu))
    from relion4plugin.refinement.expectation_volume_cpu import VolumeCpuExpectation

    return VolumeCpuExpectation(source, images, settings)
