"""Lists of particles as they grow, and a state of a run of one of them."""

from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.files.particles import ParticleSet, make_particles
from relion4plugin.refinement.particles import SortedParticles
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.state import Model

BOX, N_CLASSES = 16, 2


def particle_set(names: list[tuple[str, int]], optics: tuple[str, ...] = ("a",)) -> ParticleSet:
    """Particles (micrograph, number), whose optics groups take turns."""
    numbers = np.arange(len(names)) % len(optics) + 1
    table = pd.DataFrame({
        "rlnImageName": [f"{number:06d}@{micrograph}.mrcs" for micrograph, number in names],
        "rlnMicrographName": [f"{micrograph}.mrc" for micrograph, _ in names],
        "rlnOpticsGroup": numbers,
    })  # fmt: skip
    groups = pd.DataFrame({
        "rlnOpticsGroup": np.arange(len(optics)) + 1, "rlnOpticsGroupName": list(optics), "rlnVoltage": 300.0,
        "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1, "rlnImagePixelSize": 3.0, "rlnImageSize": BOX,
        "rlnImageDimensionality": 2,
    })  # fmt: skip
    return make_particles(table, groups, Path("list.star"))


def make_state(particles: SortedParticles, seed: int = 1) -> RunState:
    """A state in which every particle was visited."""
    rng = np.random.default_rng(seed)
    n = len(particles.table)
    poses = particles.start_poses()
    poses.angles[:], poses.norm[:], poses.n_significant[:] = rng.uniform(-180, 180, (n, 3)), rng.uniform(0.5, 2, n), 1
    noise = rng.uniform(1, 2, (len(particles.table.optics), BOX // 2 + 1))
    model = Model(np.zeros((N_CLASSES, BOX, BOX), np.float32), np.full(N_CLASSES, 0.5), noise, np.ones(particles.n_groups))
    return RunState(7, [model], poses)
