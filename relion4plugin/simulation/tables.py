"""Particle tables of simulated stacks, in RELION 3.1 layout."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from relion4plugin.imaging.ctf import CtfParameters
from relion4plugin.simulation.mixture_spec import MixtureSpec
from relion4plugin.simulation.spec import SimulationSpec

if TYPE_CHECKING:
    import pandas as pd


def optics_table(spec: SimulationSpec | MixtureSpec, n_groups: int) -> "pd.DataFrame":
    """Optics groups that differ in name only.

    Parameters
    ----------
    spec : SimulationSpec or MixtureSpec
        Microscope, box and pixel size.
    n_groups : int
        How many.

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    groups = np.arange(1, n_groups + 1)
    return pd.DataFrame(
        {
            "rlnOpticsGroup": groups,
            "rlnOpticsGroupName": [f"opticsGroup{group}" for group in groups],
            "rlnVoltage": spec.voltage,
            "rlnSphericalAberration": spec.spherical_aberration,
            "rlnAmplitudeContrast": spec.amplitude_contrast,
            "rlnImagePixelSize": spec.pixel_size,
            "rlnImageSize": spec.box_size,
            "rlnImageDimensionality": 2,
            "rlnCtfDataAreCtfPremultiplied": 0,
        }
    )


def extracted_table(
    image_names: Sequence[str], coordinates: np.ndarray, micrograph: np.ndarray, optics_group: np.ndarray, ctf: CtfParameters
) -> "pd.DataFrame":
    """Particles as from extraction, without poses.

    Parameters
    ----------
    image_names : sequence of str
        rlnImageName of n particles.
    coordinates : numpy.ndarray
        float (n, 2): x, y on the micrograph, px.
    micrograph, optics_group : numpy.ndarray
        int (n,): micrograph from 0 and optics group from 1.
    ctf : CtfParameters
        As a program that fits it would give it.

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "rlnCoordinateX": coordinates[:, 0],
            "rlnCoordinateY": coordinates[:, 1],
            "rlnImageName": image_names,
            "rlnMicrographName": [f"Micrographs/mic{m + 1:05d}.mrc" for m in micrograph],
            "rlnOpticsGroup": optics_group,
            "rlnDefocusU": ctf.defocus_u,
            "rlnDefocusV": ctf.defocus_v,
            "rlnDefocusAngle": ctf.defocus_angle,
            "rlnPhaseShift": ctf.phase_shift,
            "rlnCtfBfactor": ctf.bfactor,
            "rlnCtfScalefactor": ctf.scale,
        }
    )


def pose_columns(angles: np.ndarray, places: np.ndarray, pixel_size: float) -> dict[str, np.ndarray]:
    """Columns of the true poses.

    Parameters
    ----------
    angles : numpy.ndarray
        float (n, 3): rot, tilt, psi in degrees.
    places : numpy.ndarray
        float (n, 2): x, y of the particle from the box centre, px.
    pixel_size : float
        A per px.

    Returns
    -------
    dict
        rlnAngleRot/Tilt/Psi and rlnOriginX/YAngst.
    """
    return {
        "rlnAngleRot": angles[:, 0],
        "rlnAngleTilt": angles[:, 1],
        "rlnAnglePsi": angles[:, 2],
        "rlnOriginXAngst": -places[:, 0] * pixel_size,
        "rlnOriginYAngst": -places[:, 1] * pixel_size,
    }
