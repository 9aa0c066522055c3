"""Defocus that was found in simulated movies against the defocus that they have."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from relion4plugin.simulation.known_truth import KnownTruth, movie_key

_LABELS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")


@dataclass(frozen=True)
class CtfErrors:
    """True values and errors of n micrographs, in the order of their table.

    Attributes
    ----------
    defocus : float64 (n,)
        True mean defocus, A; NaN where there is no truth.
    defocus_error, astigmatism_error : float64 (n,)
        Found less true, A.
    angle_error : float64 (n,)
        Of the astigmatism, -90 to 90 degrees; NaN where there is none in truth.
    """

    defocus: np.ndarray
    defocus_error: np.ndarray
    astigmatism_error: np.ndarray
    angle_error: np.ndarray


def ctf_errors(truth: KnownTruth, micrographs: pd.DataFrame) -> CtfErrors:
    """Compare a table of micrographs (rlnMicrographName, rlnDefocusU, V, Angle) with the truth."""
    keys = [movie_key(str(name)) for name in micrographs["rlnMicrographName"]]
    known = truth.movies.drop_duplicates("key").set_index("key").reindex(keys)
    true = known[list(_LABELS)].to_numpy(dtype=np.float64)
    found = micrographs[list(_LABELS)].to_numpy(dtype=np.float64)
    astigmatism = true[:, 0] - true[:, 1]
    turned = (found[:, 2] - true[:, 2] + 90.0) % 180.0 - 90.0
    return CtfErrors(
        defocus=true[:, :2].mean(axis=1),
        defocus_error=found[:, :2].mean(axis=1) - true[:, :2].mean(axis=1),
        astigmatism_error=found[:, 0] - found[:, 1] - astigmatism,
        angle_error=np.where(astigmatism > 0, turned, np.nan),
    )
