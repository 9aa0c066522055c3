"""The results of a 2D classification as Scipion sets."""

from typing import Any

from pwem.constants import ALIGN_NONE
from pwem.objects import Float, Integer, Particle, SetOfAverages, SetOfClasses2D, SetOfParticles, Transform

from relion4plugin.scipion.classes2d import Class2DResult


def fill_classes(classes: SetOfClasses2D, result: Class2DResult, pixel_size: float) -> None:
    """Classify the particles of a new set of classes, with their poses and scores.

    Parameters
    ----------
    classes : SetOfClasses2D
        Empty, its images set; particles that the result does not know are left out.
    result : Class2DResult
    pixel_size : float
        Of the averages, A.
    """

    def update_item(item: Particle, _row: Any) -> None:
        row = result.row_of.get(item.getObjId())
        item._appendItem = row is not None
        if row is None:  # added to the input after the conversion
            return
        item.setClassId(int(result.class_number[row]))
        item.setTransform(Transform(matrix=result.transforms[row]))
        for label, values in result.items.items():
            kind = Integer if isinstance(values[row], int) else Float
            setattr(item, f"_{label}", kind(values[row]))

    def update_class(item: Any) -> None:
        number = item.getObjId()
        item.setAlignment2D()
        representative = item.getRepresentative()
        representative.setLocation(number, str(result.averages))
        representative.setSamplingRate(pixel_size)
        _add_class_scores(item, result, number)

    classes.classifyItems(updateItemCallback=update_item, updateClassCallback=update_class, doClone=False)


def fill_averages(averages: SetOfAverages, result: Class2DResult, particles: SetOfParticles) -> None:
    """Append the averages of all populated classes; ids are class numbers."""
    averages.copyInfo(particles)
    averages.setAlignment(ALIGN_NONE)
    averages.setHasCTF(False)
    for number, size in enumerate(result.sizes, start=1):
        if not size:
            continue
        average = Particle(location=(number, str(result.averages)), objId=number)
        average.setSamplingRate(particles.getSamplingRate())
        average.setClassId(number)
        average._r4pSize = Integer(int(size))
        _add_class_scores(average, result, number)
        averages.append(average)


def _add_class_scores(item: Any, result: Class2DResult, number: int) -> None:
    for label, values in result.scores.items():
        setattr(item, f"_{label}", Float(values[number - 1]))
