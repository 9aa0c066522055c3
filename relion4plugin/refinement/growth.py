"""A run whose particles have become more: what is known of the old ones goes on, the new ones start unknown."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.refinement.particles import SortedParticles
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.state import Model, Poses


def grown(state: RunState, old: SortedParticles, new: SortedParticles) -> RunState:
    """Carry a state over to another set of particles, matched by image name.

    Poses, norms and scales of particles and groups that both sets have are kept. New scale groups start at scale 1, new optics
    groups with the mean noise of the known ones. Particles that are gone are forgotten.

    Parameters
    ----------
    state : RunState
        Of a 2D run with the old particles.
    old, new : SortedParticles
        In the order of their runs.

    Raises
    ------
    UserError
        If the sets have no particle in common, or a name occurs twice.
    """
    places = _places(old, new)
    known = places >= 0
    if not known.any():
        raise UserError(
            f"{new.table.source} has none of the particles of {old.table.source}: to go on, give the list that has grown, "
            "or start a new run"
        )
    poses = new.start_poses()
    for f in fields(Poses):
        getattr(poses, f.name)[known] = getattr(state.poses, f.name)[places[known]]
    return replace(state, models=[_grown_model(model, old, new) for model in state.models], poses=poses)


def _places(old: SortedParticles, new: SortedParticles) -> np.ndarray:
    """Return the old row of each new one, -1 where there is none, int64 (n,)."""
    names = [pd.Index(particles.table.table["rlnImageName"].astype(str)) for particles in (old, new)]
    for particles, index in zip((old, new), names, strict=True):
        if not index.is_unique:
            repeated = index[index.duplicated()][0]
            raise UserError(f"{particles.table.source}: image {repeated} is listed twice; a growing list needs each particle once")
    return np.asarray(names[0].get_indexer(names[1]))


def _grown_model(model: Model, old: SortedParticles, new: SortedParticles) -> Model:
    scale = pd.Series(model.scale, index=list(old.group_names)).reindex(list(new.group_names)).fillna(1.0)
    noise = dict(zip((group.name for group in old.table.optics), model.sigma2_noise, strict=True))
    mean = model.sigma2_noise.mean(axis=0)
    sigma2 = np.stack([noise.get(group.name, mean) for group in new.table.optics])
    return replace(model, scale=scale.to_numpy(np.float64), sigma2_noise=sigma2)
