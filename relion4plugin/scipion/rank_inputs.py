"""The RELION files behind a set of classes, and which of its particles a row of them is."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relion4plugin.errors import UserError
from relion4plugin.scipion.sets import read_columns

if TYPE_CHECKING:
    from relion4plugin.files.particles import ParticleSet

_STACK = "_classes.mrcs"


def optimiser_of(classes: Any) -> Path:
    """Optimiser file of the iteration whose class averages a SetOfClasses2D has.

    A subset of classes leads to its whole classification.

    Raises
    ------
    UserError
        If the averages do not lie beside the files of a classification.
    """
    first = classes.getFirstItem()
    if first is None:
        raise UserError(f"{classes.getFileName()}: no classes in this set; choose those of a finished 2D classification")
    stack = Path(str(first.getRepresentative().getFileName()).removesuffix(":mrcs"))
    optimiser = stack.with_name(stack.name.removesuffix(_STACK) + "_optimiser.star")
    if not stack.name.endswith(_STACK) or not optimiser.is_file():
        raise UserError(
            f"{stack}: no optimiser file beside these class averages; choose classes that a 2D classification of this plugin or of "
            "RELION's has made"
        )
    return optimiser


def object_ids(data: "ParticleSet", particles: Any) -> NDArray[np.int64]:
    """Object ids of the rows of a data file in a SetOfParticles.

    Rows are known by their rlnImageId, which files made from a Scipion set have, else by their image.

    Parameters
    ----------
    data : ParticleSet
        n particles.
    particles : SetOfParticles

    Returns
    -------
    int array (n,)

    Raises
    ------
    UserError
        If a row is not in the set.
    """
    columns = read_columns(particles.getFileName(), ("_index", "_filename"), particles.getPrefix() or "")
    if "rlnImageId" in data.table:
        ids = data.column("rlnImageId").astype(np.int64)
        unknown = np.flatnonzero(~np.isin(ids, columns.ids))
    else:
        names = zip(columns.get("_index", 1), columns.get("_filename"), strict=True)
        known = {(index or 1, os.path.realpath(name)): item for item, (index, name) in zip(columns.ids, names, strict=True)}
        stacks = [os.path.realpath(path) for path in data.stack_paths]
        images = zip((data.slice_index + 1).tolist(), data.stack_index.tolist(), strict=True)
        ids = np.array([known.get((index, stacks[stack]), 0) for index, stack in images], np.int64)
        unknown = np.flatnonzero(ids == 0)
    if len(unknown):
        raise UserError(
            f"{data.source}: {len(unknown)} of {len(data)} particles (first: row {unknown[0] + 1}) are not in "
            f"{particles.getFileName()}; choose the particles that were classified"
        )
    return ids
