"""A Scipion project for tests, with particles taken from a STAR file or made up."""

import os
import unittest
from pathlib import Path
from typing import Any

import numpy as np


def new_project(name: str) -> Any:
    """Create an empty project and move into its folder, as Scipion's paths are relative to it."""
    import pyworkflow
    from pyworkflow.project import Manager

    pyworkflow.Config.getDomain().getProtocols()
    manager = Manager()
    if manager.hasProject(name):
        manager.deleteProject(name)
    project = manager.createProject(name)
    os.chdir(project.path)
    return project


def _register(project: Any, fill: Any) -> Any:
    """Register a set of particles as the output of a finished import run; returns the run."""
    from pwem.protocols import ProtImportParticles

    run = project.newProtocol(ProtImportParticles)
    project.saveProtocol(run)
    run.makePathsAndClean()
    particles = run._createSetOfParticles()
    fill(run, particles)
    run._defineOutputs(outputParticles=particles)
    run.setFinished()
    project._storeProtocol(run)
    particles.close()
    return run


def import_star(project: Any, star: Path, rows: int | None = None) -> Any:
    """Register the particles of a STAR file with CTF and micrograph names."""
    from relion4plugin.files.particles import read_particles

    source = read_particles(star)

    def fill(run: Any, particles: Any) -> None:
        from pwem.objects import Acquisition, Coordinate, CTFModel, Particle

        optics = source.optics[0]
        particles.setAcquisition(
            Acquisition(
                magnification=50000,
                voltage=optics.voltage,
                sphericalAberration=optics.spherical_aberration,
                amplitudeContrast=optics.amplitude_contrast,
            )
        )
        particles.setSamplingRate(source.pixel_size)
        particles.setHasCTF(True)
        table = source.table
        for row in range(len(source) if rows is None else rows):
            item = Particle(location=(int(source.slice_index[row]) + 1, str(source.stack_paths[source.stack_index[row]])))
            ctf = CTFModel()
            ctf.setDefocusU(float(table["rlnDefocusU"][row]))
            ctf.setDefocusV(float(table["rlnDefocusV"][row]))
            ctf.setDefocusAngle(float(table["rlnDefocusAngle"][row]))
            item.setCTF(ctf)
            item.setAcquisition(particles.getAcquisition())
            coordinate = Coordinate(x=int(table["rlnCoordinateX"][row]), y=int(table["rlnCoordinateY"][row]))
            coordinate.setMicName(str(table["rlnMicrographName"][row]))
            item.setCoordinate(coordinate)
            particles.append(item)

    return _register(project, fill)


def toy_images(n: int, box: int = 32, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Noisy discs and bars: images float32 (n, box, box) and their kind (0 or 1)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:box, :box] - box // 2
    kind = np.arange(n) % 2
    images = rng.normal(0, 1, (n, box, box))
    for row in range(n):
        angle = rng.uniform(0, np.pi)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        images[row] += 3.0 * ((np.hypot(x, y) < 6) if kind[row] else ((abs(along) < 10) & (abs(across) < 2)))
    return images.astype(np.float32), kind


def import_toys(project: Any, n: int = 60, box: int = 32, suffix: str = ".mrcs", disabled: tuple[int, ...] = ()) -> Any:
    """Register made-up particles without CTF, 4 A per pixel, written as MRC or (suffix .stk) Spider stacks."""
    images, _ = toy_images(n, box)

    def fill(run: Any, particles: Any) -> None:
        from pwem.emlib.image import ImageHandler
        from pwem.objects import Acquisition, Particle

        from relion4plugin.files.mrc import write_stack

        stack = run._getExtraPath(f"toys{suffix}")
        if suffix == ".mrcs":
            write_stack(stack, images, 4.0)
        else:
            handler = ImageHandler()
            for row, image in enumerate(images):
                picture = handler.createImage()
                picture.setData(image)
                picture.write((row + 1, stack))
        particles.setAcquisition(Acquisition(voltage=300.0, sphericalAberration=2.7, amplitudeContrast=0.1))
        particles.setSamplingRate(4.0)
        for row in range(n):
            item = Particle(location=(row + 1, stack))
            item.setAcquisition(particles.getAcquisition())
            item.setEnabled(row + 1 not in disabled)
            particles.append(item)

    return _register(project, fill)


def shared_particles() -> Path:
    """Folder of real particles beside the checkout.

    Raises
    ------
    unittest.SkipTest
        There is none.
    """
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "particles"
    if not folder.is_dir():
        raise unittest.SkipTest(f"no real particles at {folder}")
    return folder


def import_projections(project: Any, volume: np.ndarray, n: int, pixel_size: float, noise: float = 0.5, aligned: bool = False) -> Any:
    """Register noisy projections of a map without CTF, with their true poses if asked."""
    from relion4plugin.geometry.euler import euler_to_matrix
    from relion4plugin.imaging.projection import project_volume

    rng = np.random.default_rng(8)
    angles = np.stack([rng.uniform(-180, 180, n), np.rad2deg(np.arccos(rng.uniform(-1, 1, n))), rng.uniform(-180, 180, n)], axis=1)
    images = project_volume(volume, euler_to_matrix(*angles.T))
    images /= images.std()
    images += noise * rng.normal(size=images.shape)

    def fill(run: Any, particles: Any) -> None:
        from pwem.objects import Acquisition, Particle, Transform

        from relion4plugin.files.mrc import write_stack
        from relion4plugin.scipion.geometry import projection_matrices

        stack = run._getExtraPath("projections.mrcs")
        write_stack(stack, images.astype(np.float32), pixel_size)
        particles.setAcquisition(Acquisition(voltage=300.0, sphericalAberration=2.7, amplitudeContrast=0.1))
        particles.setSamplingRate(pixel_size)
        if aligned:
            particles.setAlignmentProj()
        matrices = projection_matrices(angles, np.zeros((n, 3)))
        for row in range(n):
            item = Particle(location=(row + 1, stack))
            item.setAcquisition(particles.getAcquisition())
            if aligned:
                item.setTransform(Transform(matrix=matrices[row]))
            particles.append(item)

    return _register(project, fill)


def import_map(project: Any, volume: np.ndarray, pixel_size: float, halves: tuple[np.ndarray, ...] = (), suffix: str = ".mrc") -> Any:
    """Register a map (with half maps) as the output of a finished run; the header of the file does not know the pixel size."""
    from pwem.protocols import ProtImportVolumes

    from relion4plugin.files.mrc import write_volume

    run = project.newProtocol(ProtImportVolumes)
    project.saveProtocol(run)
    run.makePathsAndClean()
    from relion4plugin.scipion.volumes import make_volume

    path = Path(run._getExtraPath(f"map{suffix}"))
    if suffix == ".mrc":
        write_volume(path, volume, 1.0)
    else:
        from pwem.emlib.image import ImageHandler

        picture = ImageHandler().createImage()
        picture.setData(volume)
        picture.write(str(path))
    paths = [Path(run._getExtraPath(f"half{number}.mrc")) for number in range(1, len(halves) + 1)]
    for one, half in zip(paths, halves, strict=True):
        write_volume(one, half, 1.0)
    run._defineOutputs(outputVolume=make_volume(path, pixel_size, paths, "imported"))
    run.setFinished()
    project._storeProtocol(run)
    return run
