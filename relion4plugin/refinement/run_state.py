"""What a running refinement carries from one iteration to the next."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.refinement.autosampling import SamplingState
from relion4plugin.refinement.state import Changes, Model, Poses


@dataclass
class RunState:
    """State after an iteration; `sampling` is None in 2D, `half` where there are no gold-standard halves."""

    iteration: int
    models: list[Model]  # one, or those of both gold-standard halves
    poses: Poses
    sampling: SamplingState | None = None
    changes: Changes | None = None
    half: np.ndarray | None = None  # int8 (n,), 0 or 1
    directions: np.ndarray | None = None  # float64 (D, 2), rot and tilt of the coarse grid; not kept in files
    joined: bool = False  # the last iteration of auto-refinement, with all particles in one map

    @property
    def model(self) -> Model:
        """The model, that of the first half in auto-refinement."""
        return self.models[0]

    def rows_of(self, number: int, rows: np.ndarray) -> np.ndarray:
        """Return those of `rows` that belong to model `number`."""
        return rows if len(self.models) == 1 or self.half is None else rows[self.half[rows] == number]
