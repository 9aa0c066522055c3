"""The truth of simulated movies as STAR tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from relion4plugin.simulation.movie_plan import PARTICLE, MoviePlan
from relion4plugin.simulation.movie_spec import MovieSpec

if TYPE_CHECKING:
    import pandas as pd


def movie_row(spec: MovieSpec, plan: MoviePlan, name: str) -> dict[str, Any]:
    """Truth of a movie as a whole: RELION's labels, and rlnSimulated ones.

    Parameters
    ----------
    spec : MovieSpec
        A valid spec.
    plan : MoviePlan
        The truth.
    name : str
        Of the movie.

    Returns
    -------
    dict
        Label and value.
    """
    rows = plan.in_frame
    return {
        "rlnMicrographMovieName": name,
        "rlnOpticsGroup": plan.optics_group,
        "rlnImageSizeX": spec.width,
        "rlnImageSizeY": spec.height,
        "rlnImageSizeZ": spec.n_frames,
        "rlnMicrographOriginalPixelSize": spec.file_pixel_size,
        "rlnMicrographDoseRate": spec.dose_per_frame,
        "rlnVoltage": spec.voltage,
        "rlnDefocusU": float(plan.ctf.defocus_u[0]),
        "rlnDefocusV": float(plan.ctf.defocus_v[0]),
        "rlnDefocusAngle": float(plan.ctf.defocus_angle[0]),
        "rlnPhaseShift": float(plan.ctf.phase_shift[0]),
        "rlnSimulatedIceThickness": float(plan.ice[0]),
        "rlnSimulatedHasCarbon": int(plan.carbon is not None),
        "rlnSimulatedNumberOfParticles": int((plan.kinds[rows] == PARTICLE).sum()),
    }


def whole_motion(plan: MoviePlan) -> "pd.DataFrame":
    """Displacement of the whole frame, px of the file: content moves by it to larger x and y."""
    import pandas as pd

    x, y = plan.motion.whole.T
    return pd.DataFrame({"rlnMicrographFrameNumber": np.arange(1, len(x) + 1), "rlnSimulatedMotionX": x, "rlnSimulatedMotionY": y})


def particle_table(spec: MovieSpec, plan: MoviePlan, name: str) -> "pd.DataFrame":
    """Particles and contaminants whose centre is in the first frame.

    Parameters
    ----------
    spec, plan, name
        As `movie_row`.

    Returns
    -------
    pandas.DataFrame
        Coordinates in px of the file in the first frame, orientation, own defocus, kind, source.
    """
    import pandas as pd

    rows = plan.in_frame
    ctf = plan.ctf_of_layers(plan.layers[rows])
    return pd.DataFrame(
        {
            "rlnMicrographMovieName": [name] * len(rows),
            "rlnCoordinateX": plan.places[rows, 0],
            "rlnCoordinateY": plan.places[rows, 1],
            "rlnAngleRot": plan.angles[rows, 0],
            "rlnAngleTilt": plan.angles[rows, 1],
            "rlnAnglePsi": plan.angles[rows, 2],
            "rlnDefocusU": ctf.defocus_u,
            "rlnDefocusV": ctf.defocus_v,
            "rlnDefocusAngle": ctf.defocus_angle,
            "rlnOpticsGroup": np.full(len(rows), plan.optics_group),
            "rlnSimulatedKind": plan.kinds[rows],
            "rlnSimulatedMap": plan.map_number[rows],
            "rlnSimulatedIsParticle": (plan.kinds[rows] == PARTICLE).astype(int),
        }
    )


def local_motion(plan: MoviePlan) -> "pd.DataFrame":
    """Displacement of each item beyond that of the whole frame, px of the file; items as the rows of `particle_table`, from 1."""
    import pandas as pd

    rows = plan.in_frame
    moved = plan.motion.local(plan.places[rows])
    frames = len(moved)
    return pd.DataFrame(
        {
            "rlnSimulatedItem": np.tile(np.arange(1, len(rows) + 1), frames),
            "rlnMicrographFrameNumber": np.repeat(np.arange(1, frames + 1), len(rows)),
            "rlnSimulatedMotionX": moved[..., 0].ravel(),
            "rlnSimulatedMotionY": moved[..., 1].ravel(),
        }
    )


def import_tables(spec: MovieSpec, names: Sequence[str], groups: Sequence[int]) -> "Mapping[str, pd.DataFrame]":
    """Movies as RELION's import lists them: optics groups and movies."""
    import pandas as pd

    numbers = np.arange(1, spec.n_optics_groups + 1)
    optics = pd.DataFrame(
        {
            "rlnOpticsGroupName": [f"opticsGroup{number}" for number in numbers],
            "rlnOpticsGroup": numbers,
            "rlnMicrographOriginalPixelSize": spec.file_pixel_size,
            "rlnVoltage": spec.voltage,
            "rlnSphericalAberration": spec.spherical_aberration,
            "rlnAmplitudeContrast": spec.amplitude_contrast,
        }
    )
    return {"optics": optics, "movies": pd.DataFrame({"rlnMicrographMovieName": list(names), "rlnOpticsGroup": list(groups)})}
