"""The results of a 2D classification as Scipion sets, and what registering particles has in common with 3D."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pwem.constants import ALIGN_NONE
from pwem.objects import Float, Integer, Particle, SetOfAverages, SetOfClasses2D, SetOfParticles, Transform

from relion4plugin.scipion.classes2d import Class2DResult
from relion4plugin.scipion.particle_results import ParticleResults


def item_update(results: ParticleResults) -> Callable[[Particle, Any], None]:
    """Return the callback that gives a particle its class, pose and scores, and drops one that the results do not know."""

    def update(item: Particle, _row: Any) -> None:
        row = results.row_of.get(item.getObjId())
        item._appendItem = row is not None
        if row is None:  # added to the input after the conversion
            return
        item.setClassId(int(results.class_number[row]))
        item.setTransform(Transform(matrix=results.transforms[row]))
        for label, values in results.items.items():
            kind = Integer if isinstance(values[row], int) else Float
            setattr(item, f"_{label}", kind(values[row]))

    return update


def add_class_scores(item: Any, scores: Mapping[str, Sequence[float]], number: int) -> None:
    """Give a class, average or map (from 1) its scores."""
    for label, values in scores.items():
        setattr(item, f"_{label}", Float(values[number - 1]))


def fill_classes2d(classes: SetOfClasses2D, result: Class2DResult, pixel_size: float) -> None:
    """Classify the particles of a new set of classes, with their poses and scores.

    Parameters
    ----------
    classes : SetOfClasses2D
        Empty, its images set; particles that the result does not know are left out.
    result : Class2DResult
    pixel_size : float
        Of the averages, A.
    """

    def update_class(item: Any) -> None:
        number = item.getObjId()
        item.setAlignment2D()
        representative = item.getRepresentative()
        representative.setLocation(number, str(result.averages))
        representative.setSamplingRate(pixel_size)
        add_class_scores(item, result.scores, number)

    classes.classifyItems(updateItemCallback=item_update(result.particles), updateClassCallback=update_class, doClone=False)


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
        add_class_scores(average, result.scores, number)
        averages.append(average)
