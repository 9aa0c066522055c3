"""MRC stacks written a chunk at a time, in float32 or float16."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from relion4plugin.files.atomic import atomic_path
from relion4plugin.progress import Progress

MODES = {False: (2, np.float32), True: (12, np.float16)}


def write_stack_in_chunks(
    path: Path, chunks: Iterable[np.ndarray], count: int, box_size: int, pixel_size: float, float16: bool, progress: Progress
) -> None:
    """Write an image stack from arrays that come one after the other.

    Parameters
    ----------
    path : Path
        Stack to write; it appears when complete.
    chunks : iterable of numpy.ndarray
        float32 (m, N, N), `count` images in all.
    count, box_size : int
        Number and edge (px) of the images.
    pixel_size : float
        A per px, for the header.
    float16 : bool
        MRC mode 12 instead of 2.
    progress : Progress
        Advanced by the images of each chunk.

    Raises
    ------
    UserError
        If the folder is not writable or the disk is full.
    """
    import mrcfile

    mode, dtype = MODES[float16]
    with atomic_path(path) as temporary:
        with mrcfile.new_mmap(temporary, shape=(count, box_size, box_size), mrc_mode=mode, overwrite=True) as stack:
            _reserve(temporary)
            stack.set_image_stack()
            done, low, high, total, squares = 0, np.inf, -np.inf, 0.0, 0.0
            for images in chunks:
                stack.data[done : done + len(images)] = images.astype(dtype, copy=False)
                done += len(images)
                low, high = min(low, float(images.min())), max(high, float(images.max()))
                total += float(images.sum(dtype=np.float64))
                squares += float(np.vdot(images, images))
                progress.advance(len(images))
            stack.voxel_size = pixel_size
            mean = total / stack.data.size
            header = stack.header  # mrcfile's own statistics would hold the whole stack in memory
            header.dmin, header.dmax, header.dmean = low, high, mean
            header.rms = np.sqrt(max(0.0, squares / stack.data.size - mean**2))
        if done != count:
            raise ValueError(f"{path}: {done} of {count} images written")


def _reserve(path: Path) -> None:
    """Claim the disk space of a sparse file: a full disk is then an error here and not a crash at a memory access."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
