"""Particle images in whatever format the host holds them, named as RELION names MRC stacks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.progress import Progress

MRC_SUFFIXES = frozenset({".mrc", ".mrcs", ".map", ".st"})
IMAGES_PER_STACK = 2000


def mrc_image_names(
    indices: Sequence[int | None], files: Sequence[str], folder: Path, pixel_size: float | None, progress: Progress
) -> list[str]:
    """Names ``000001@path`` of images, converting those that are not MRC.

    Parameters
    ----------
    indices : sequence of int
        1-based slice; 0 or None for a single image.
    files : sequence of str
        Image files; Xmipp's ``:mrc`` endings are stripped.
    folder : Path
        Where converted stacks are written.
    pixel_size : float
        For the headers of converted stacks, A.
    progress : Progress
        Told about conversions.

    Raises
    ------
    UserError
        An image cannot be read.
    """
    paths = {name: _mrc_path(name) for name in set(files)}
    slices = [index or 1 for index in indices]
    names = [f"{index:06d}@{paths[name]}" for index, name in zip(slices, files, strict=True)]
    foreign = [row for row, name in enumerate(files) if paths[name] is None]
    if not foreign:
        return names
    from relion4plugin.files.mrc import write_stack

    progress.start("Converting images to MRC", len(foreign))
    for number, first in enumerate(range(0, len(foreign), IMAGES_PER_STACK), start=1):
        rows = foreign[first : first + IMAGES_PER_STACK]
        stack = folder / f"converted_{number:04d}.mrcs"
        write_stack(stack, read_images([(slices[row], files[row]) for row in rows]), pixel_size or 1.0)
        for position, row in enumerate(rows, start=1):
            names[row] = f"{position:06d}@{stack}"
        progress.advance(len(rows))
    progress.finish()
    return names


def _mrc_path(name: str) -> str | None:
    base, _, suffix = name.rpartition(":")
    if suffix in {"mrc", "mrcs"}:
        name = base
    return name if Path(name).suffix.lower() in MRC_SUFFIXES else None


def read_images(locations: Sequence[tuple[int, str]]) -> np.ndarray:
    """Images at 1-based (index, file) locations of any format the host reads, float32 (n, N, N).

    Raises
    ------
    UserError
        An image does not exist or cannot be read.
    """
    from pwem.emlib.image import ImageHandler

    handler = ImageHandler()
    images = []
    for index, name in locations:
        if not Path(name).is_file():
            raise UserError(f"{name}: the image file of a particle does not exist; repeat the run that made it")
        # The host's readers raise plain exceptions of several kinds for damaged files.
        try:
            data = handler.read((index, name)).getData()
        except Exception as error:
            raise UserError(f"{index}@{name}: cannot read this image ({error}); import the particles again") from error
        images.append(np.asarray(data, dtype=np.float32))
    return np.stack(images)
