"""A 2D classification with known scores in a Scipion project, as if it had been run there."""

from pathlib import Path
from typing import Any

import numpy as np

from .workplace import _register

TOTAL = 400


def write_classification(folder: Path, image_ids: bool = True, stack: Path | None = None) -> Path:
    """Write the files of the test vectors' run; rows are particles 1 to 400, or those images of a stack."""
    from relion4plugin.files.star import read_star, write_star

    from ..ranker.vectors import write_run

    optimiser = write_run(folder, total=TOTAL)
    data = folder / "run_it025_data.star"
    blocks = read_star(data)
    particles = blocks["particles"]
    if image_ids:
        particles = particles.assign(rlnImageId=np.arange(TOTAL) + 1)
    if stack is not None:
        particles = particles.assign(rlnImageName=[f"{i + 1}@{stack}" for i in range(TOTAL)])
    write_star(data, {**blocks, "particles": particles})
    model = folder / "run_it025_model.star"
    blocks = read_star(model)
    names = [f"{k + 1:06d}@{folder / 'run_it025_classes.mrcs'}" for k in range(len(blocks["model_classes"]))]
    write_star(model, {**blocks, "model_classes": blocks["model_classes"].assign(rlnReferenceImage=names)})
    return optimiser


def import_particles(project: Any) -> Any:
    """Register 400 empty images of 70 px, 3.1 A per pixel."""

    def fill(run: Any, particles: Any) -> None:
        from pwem.objects import Acquisition, Particle

        from relion4plugin.files.mrc import write_stack

        stack = run._getExtraPath("particles.mrcs")
        write_stack(stack, np.zeros((TOTAL, 70, 70), np.float32), 3.1)
        particles.setAcquisition(Acquisition(voltage=300.0, sphericalAberration=2.7, amplitudeContrast=0.1))
        particles.setSamplingRate(3.1)
        for row in range(TOTAL):
            item = Particle(location=(row + 1, stack))
            item.setAcquisition(particles.getAcquisition())
            particles.append(item)

    return _register(project, fill)


def classified(project: Any, source: Any) -> Any:
    """Register a finished 2D classification of the particles of a run, with its five classes."""
    import pyworkflow

    from relion4plugin.scipion.classes2d import Class2DResult
    from relion4plugin.scipion.outputs import fill_classes2d
    from relion4plugin.scipion.particle_results import CLASS_SCORES, read_particle_results

    run = project.newProtocol(pyworkflow.Config.getDomain().getProtocols()["ProtR4pClassify2D"], nr_classes=5)
    run.inputParticles.set(source)
    run.inputParticles.setExtended("outputParticles")
    project.saveProtocol(run)
    run.makePathsAndClean()
    write_classification(run.runFolder())
    result = Class2DResult(
        particles=read_particle_results(run.runFolder() / "run_it025_data.star", 3.1, projection=False),
        sizes=np.full(5, TOTAL // 5),
        scores={label: [0.0] * 5 for label in CLASS_SCORES},
        averages=run.runFolder() / "run_it025_classes.mrcs",
    )
    classes = run._createSetOfClasses2D(run.inputParticles)
    fill_classes2d(classes, result, 3.1)
    run._defineOutputs(outputClasses=classes)
    run.setFinished()
    project._storeProtocol(run)
    classes.close()
    return run
