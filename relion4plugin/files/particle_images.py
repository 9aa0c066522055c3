"""Images of a particle set, checked as they are read."""

from typing import TYPE_CHECKING

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import StackReader

if TYPE_CHECKING:
    from relion4plugin.files.particles import ParticleSet


class ParticleImages:
    """Reader of the images of a particle set.

    Parameters
    ----------
    particles : ParticleSet
        The particles.
    max_open : int
        Number of stacks kept mapped.

    Raises
    ------
    UserError
        If a stack is missing, naming the STAR file and the first particle that needs it.
    """

    def __init__(self, particles: "ParticleSet", max_open: int = 64) -> None:
        self._particles = particles
        self._sizes = np.array([group.image_size for group in particles.optics])
        self._reader = StackReader(particles.stack_paths, max_open)
        used = np.unique(particles.stack_index)
        for stack in used:
            if not particles.stack_paths[stack].is_file():
                row = int(np.flatnonzero(particles.stack_index == stack)[0])
                raise UserError(
                    f"{particles.source}: particle {row + 1} needs {particles.stack_paths[stack]}, which does not exist; "
                    "start in the project folder or correct rlnImageName"
                )

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Read the images of the given rows of the particle table.

        Parameters
        ----------
        rows : int (n,)
            Rows in any order.

        Returns
        -------
        array : float32 (n, N, N)
            The images in that order.

        Raises
        ------
        UserError
            If a stack is damaged, the box differs from rlnImageSize, or an image has a value that is not finite.
        """
        particles, rows = self._particles, np.asarray(rows, dtype=np.int64)
        images = self._reader.read(particles.stack_index[rows], particles.slice_index[rows])
        if len(rows) == 0:
            return np.empty((0, particles.box_size, particles.box_size), dtype=np.float32)
        wrong = np.flatnonzero(self._sizes[particles.optics_index[rows]] != images.shape[1])
        if len(wrong):
            group = particles.optics[particles.optics_index[rows[wrong[0]]]]
            raise UserError(
                f"{self._name(rows[wrong[0]])}: image of {images.shape[1]} px, but optics group {group.number} has rlnImageSize "
                f"{group.image_size}; correct data_optics or extract the particles again"
            )
        # A sum is spoilt by any value that is not finite, and needs no array of the size of the images.
        with np.errstate(invalid="ignore", over="ignore"):
            sums = images.sum(axis=(1, 2))
        spoilt = np.flatnonzero(~np.isfinite(sums))
        if len(spoilt):
            raise UserError(f"{self._name(rows[spoilt[0]])}: the image has values that are not finite; remove it from the STAR file")
        return images

    def _name(self, row: np.int64) -> str:
        return f"{self._particles.source}: particle {int(row) + 1} ({self._particles.table['rlnImageName'].iloc[int(row)]})"

    def close(self) -> None:
        """Release all open files."""
        self._reader.close()
