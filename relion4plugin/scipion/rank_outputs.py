"""What a class selection leaves as Scipion sets: the selected classes, their averages and their particles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pwem.constants import ALIGN_NONE
from pwem.objects import Integer, Particle, SetOfAverages, SetOfClasses2D, SetOfParticles

from relion4plugin.files.own_labels import JOB_SCORE
from relion4plugin.scipion.outputs import add_class_scores, item_update
from relion4plugin.scipion.particle_results import CLASS_SCORES, ParticleResults, results_of_rows

if TYPE_CHECKING:
    from relion4plugin.files.particles import ParticleSet

SCORE = "rlnPredictedClassScore"


@dataclass(frozen=True, eq=False)
class SelectedClasses:
    """The m selected classes of a run.

    Attributes
    ----------
    particles : ParticleResults
        Those of the selected classes.
    numbers : tuple of int
        Class numbers in the classification, from 1: ids of classes and averages.
    sizes : tuple of int
        Particles of each class.
    locations : tuple of (int, str)
        Slice, from 1, and stack of each average.
    scores : dict
        STAR label to values by class, the scores among them; that in the job only where the weights gave one.
    """

    particles: ParticleResults
    numbers: tuple[int, ...]
    sizes: tuple[int, ...]
    locations: tuple[tuple[int, str], ...]
    scores: dict[str, list[float]]


def read_selection(class_averages: Path, kept: "ParticleSet", ids: NDArray[np.int64], numbers: Sequence[int]) -> SelectedClasses:
    """Read the files of a selection.

    Parameters
    ----------
    class_averages : Path
        class_averages.star, one row per class in the order of `numbers`.
    kept : ParticleSet
        The selected particles, as particles.star has them.
    ids : int array
        Their object ids.
    numbers : sequence of int
        Numbers of the selected classes.

    Raises
    ------
    UserError
        If the files are damaged.
    """
    from relion4plugin.files.run_files import rows
    from relion4plugin.files.star import read_star

    needed = (SCORE, *CLASS_SCORES)
    averages = rows(read_star(class_averages), "", ("rlnReferenceImage", *needed), class_averages, "the class averages of a selection")
    labels = (*needed, JOB_SCORE) if JOB_SCORE in averages else needed
    images = [str(name).partition("@") for name in averages["rlnReferenceImage"]]
    class_number = kept.column("rlnClassNumber").astype(np.int64)
    return SelectedClasses(
        particles=results_of_rows(kept, ids, projection=False),
        numbers=tuple(int(number) for number in numbers),
        sizes=tuple(int(np.count_nonzero(class_number == number)) for number in numbers),
        locations=tuple((int(index), stack) for index, _, stack in images),
        scores={label: [float(value) for value in averages[label]] for label in labels},
    )


def fill_selected_classes(classes: SetOfClasses2D, selection: SelectedClasses, pixel_size: float) -> None:
    """Put the selected particles into a new set of classes whose images are set; `pixel_size` of the averages in A."""
    row_of = {number: row for row, number in enumerate(selection.numbers)}

    def update_class(item: Any) -> None:
        row = row_of[item.getObjId()]
        item.setAlignment2D()
        representative = item.getRepresentative()
        representative.setLocation(*selection.locations[row])
        representative.setSamplingRate(pixel_size)
        add_class_scores(item, selection.scores, row + 1)

    classes.classifyItems(updateItemCallback=item_update(selection.particles), updateClassCallback=update_class, doClone=False)


def fill_selected_averages(averages: SetOfAverages, selection: SelectedClasses, source: SetOfParticles) -> None:
    """Append the selected averages, best score first; ids are class numbers."""
    averages.copyInfo(source)
    averages.setAlignment(ALIGN_NONE)
    averages.setHasCTF(False)
    for row in np.argsort(-np.asarray(selection.scores[SCORE]), kind="stable").tolist():
        average = Particle(location=selection.locations[row], objId=selection.numbers[row])
        average.setSamplingRate(source.getSamplingRate())
        average.setClassId(selection.numbers[row])
        average._r4pSize = Integer(selection.sizes[row])
        add_class_scores(average, selection.scores, row + 1)
        averages.append(average)


def fill_selected_particles(particles: SetOfParticles, selection: SelectedClasses, source: SetOfParticles) -> None:
    """Copy the selected particles of a set, with their class and 2D alignment."""
    particles.copyInfo(source)
    particles.setAlignment2D()
    particles.copyItems(source, updateItemCallback=item_update(selection.particles), doClone=False)
