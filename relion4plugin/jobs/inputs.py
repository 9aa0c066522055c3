"""Particle input of a job: read, and checked as far as headers tell, before anything is computed."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from relion4plugin.errors import UserError

if TYPE_CHECKING:
    from relion4plugin.files.particles import ParticleSet


def read_input_particles(source: Path) -> "ParticleSet":
    """Read a particle STAR file and check that its stacks are there, complete, and of the right box.

    Raises
    ------
    UserError
        If there are no particles, or a stack is missing, truncated, too short or of another box size.
    """
    from relion4plugin.files.particles import read_particles

    particles = read_particles(source)
    if len(particles) == 0:
        raise UserError(f"{source} has no particles: give a STAR file with at least one row in data_particles")
    _check_stacks(particles, source)
    return particles


def _check_stacks(particles: "ParticleSet", source: Path) -> None:
    from relion4plugin.files.mrc import read_header

    missing = [path for path in particles.stack_paths if not path.is_file()]
    if missing:
        raise UserError(
            f"{source} names {len(missing)} image stack(s) that do not exist, first {missing[0]}: "
            "run from the directory that the names are relative to, or correct rlnImageName"
        )
    last_slice = np.zeros(len(particles.stack_paths), dtype=np.int64)
    np.maximum.at(last_slice, particles.stack_index, particles.slice_index)
    box = particles.box_size
    for path, needed in zip(particles.stack_paths, last_slice + 1, strict=True):
        header = read_header(path)
        found = path.stat().st_size
        if found < header.expected_bytes:
            raise UserError(
                f"{path} is truncated: {found} of {header.expected_bytes} bytes; copy it again or wait until it is written completely"
            )
        if header.nz < needed:
            raise UserError(f"{path} has {header.nz} images but {source} names image {needed}: correct rlnImageName or the stack")
        if (header.nx, header.ny) != (box, box):
            raise UserError(
                f"{path} has images of {header.nx} x {header.ny} px but {source} says {box} x {box} px (rlnImageSize): correct one of them"
            )
