"""The results of a 3D run as Scipion sets."""

from typing import Any

from pwem.objects import Integer, SetOfClasses3D, SetOfParticles, SetOfVolumes

from relion4plugin.scipion.classes3d import Result3D
from relion4plugin.scipion.outputs import add_class_scores, item_update
from relion4plugin.scipion.volumes import make_volume


def fill_classes3d(classes: SetOfClasses3D, result: Result3D) -> None:
    """Classify the particles of a new set of classes, with projection alignments and scores.

    Parameters
    ----------
    classes : SetOfClasses3D
        Empty, its images set; particles that the result does not know are left out.
    result : Result3D
    """

    def update_class(item: Any) -> None:
        number = item.getObjId()
        item.setAlignmentProj()
        representative = item.getRepresentative()
        representative.setLocation(str(result.maps[number - 1]))
        representative.setSamplingRate(result.pixel_size)
        representative.setClassId(number)
        add_class_scores(item, result.scores, number)

    classes.classifyItems(updateItemCallback=item_update(result.particles), updateClassCallback=update_class, doClone=False)


def fill_volumes(volumes: SetOfVolumes, result: Result3D) -> None:
    """Append the maps of all classes, also of empty ones; ids are class numbers."""
    volumes.setSamplingRate(result.pixel_size)
    for number, path in enumerate(result.maps, start=1):
        volume = make_volume(path, result.pixel_size, label=f"class {number}")
        volume.setObjId(number)
        volume.setClassId(number)
        volume._r4pSize = Integer(int(result.sizes[number - 1]))
        add_class_scores(volume, result.scores, number)
        volumes.append(volume)


def fill_particles(particles: SetOfParticles, source: SetOfParticles, result: Result3D) -> None:
    """Copy the particles of a set with the projection alignments and scores that a run found."""
    particles.copyInfo(source)
    particles.setAlignmentProj()
    particles.copyItems(source, updateItemCallback=item_update(result.particles), doClone=False)
