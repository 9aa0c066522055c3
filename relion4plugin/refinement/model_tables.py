"""Model and sampling of an iteration as the tables of RELION's run_itNNN_model.star and run_itNNN_sampling.star."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.refinement import resolution, schedules
from relion4plugin.refinement.autosampling import SamplingState
from relion4plugin.refinement.orientations import angular_step
from relion4plugin.refinement.particles import SortedParticles
from relion4plugin.refinement.search import SearchPlan
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model

GLOBAL_SEARCH, LOCAL_SEARCH = 0, 1  # rlnOrientationalPriorMode: none; about each particle's own rot, tilt and psi


def model_blocks(
    references: Sequence[str],
    moments: tuple[Sequence[str], Sequence[str]] | None,
    settings: RefinementSettings,
    particles: SortedParticles,
    model: Model,
    pixel_size: float,
    iteration: int,
    sampling: SamplingState | None,
    rows: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return all tables of a model file.

    Parameters
    ----------
    references : sequence of str
        Image of each class, as other programs find it.
    moments : two sequences of str, optional
        Images of the first and second moments.
    sampling : SamplingState, optional
        Of a 3D run; tells whether angles were searched locally.
    rows : int array, optional
        Particles that belong to the model; all if not given.
    """
    blocks: dict[str, Any] = {
        "model_general": _general_table(settings, particles, model, pixel_size, iteration, sampling),
        "model_classes": _class_table(references, moments, model, pixel_size),
    }
    for k in range(model.n_classes):
        blocks[f"model_class_{k + 1}"] = _class_spectra(model, k, pixel_size)
    group = particles.group if rows is None else particles.group[rows]
    blocks["model_groups"] = pd.DataFrame(
        {
            "rlnGroupNumber": np.arange(1, particles.n_groups + 1),
            "rlnGroupName": list(particles.group_names),
            "rlnGroupNrParticles": np.bincount(group, minlength=particles.n_groups),
            "rlnGroupScaleCorrection": model.scale,
        }
    )
    for number, spectrum in enumerate(model.sigma2_noise, 1):
        shells = _shell_columns(model.box, pixel_size)
        del shells["rlnAngstromResolution"]
        blocks[f"model_optics_group_{number}"] = pd.DataFrame({**shells, "rlnSigma2Noise": spectrum})
    for number, density in enumerate(model.pdf_direction, 1):
        blocks[f"model_pdf_orient_class_{number}"] = pd.DataFrame({"rlnOrientationDistribution": density})
    return blocks


def _general_table(
    settings: RefinementSettings,
    particles: SortedParticles,
    model: Model,
    pixel_size: float,
    iteration: int,
    sampling: SamplingState | None,
) -> dict[str, Any]:
    local = sampling is not None and sampling.local
    sigma = sampling.sigma_angles if sampling is not None and sampling.local else 0.0
    return {
        "rlnReferenceDimensionality": settings.dimension,
        "rlnDataDimensionality": 2,
        "rlnOriginalImageSize": model.box,
        "rlnCurrentResolution": resolution.resolution_of_shell(model.resolution_shell, model.box, pixel_size),
        "rlnCurrentImageSize": model.current_size,
        "rlnPaddingFactor": float(settings.padding),
        "rlnIsHelix": 0,
        "rlnFourierSpaceInterpolator": 1,
        "rlnMinRadiusNnInterpolation": 10,
        "rlnPixelSize": pixel_size,
        "rlnNrClasses": model.n_classes,
        "rlnNrBodies": 1,
        "rlnNrGroups": particles.n_groups,
        "rlnNrOpticsGroups": len(model.sigma2_noise),
        "rlnTau2FudgeFactor": schedules.tau2_fudge(settings, max(iteration, 1)),
        "rlnNormCorrectionAverage": model.avg_norm,
        "rlnSigmaOffsetsAngst": model.sigma_offset,
        "rlnOrientationalPriorMode": LOCAL_SEARCH if local else GLOBAL_SEARCH,
        "rlnSigmaPriorRotAngle": sigma,
        "rlnSigmaPriorTiltAngle": sigma,
        "rlnSigmaPriorPsiAngle": sigma if local else max(settings.psi_prior_sigma, 0.0),
        "rlnLogLikelihood": model.log_likelihood,
        "rlnAveragePmax": model.ave_pmax,
    }


def _class_table(
    references: Sequence[str], moments: tuple[Sequence[str], Sequence[str]] | None, model: Model, pixel_size: float
) -> pd.DataFrame:
    columns: dict[str, Any] = {"rlnReferenceImage": list(references)}
    if moments is not None:
        columns["rlnGradMoment1"], columns["rlnGradMoment2"] = (list(names) for names in moments)
    columns |= {
        "rlnClassDistribution": model.pdf_class,
        "rlnAccuracyRotations": model.accuracy_rotation,
        "rlnAccuracyTranslationsAngst": model.accuracy_translation,
        "rlnEstimatedResolution": np.minimum(resolution.class_resolutions(model, pixel_size), 999.0),
        "rlnOverallFourierCompleteness": _completeness(model),
    }
    if model.references.ndim == 3:
        columns["rlnClassPriorOffsetX"] = columns["rlnClassPriorOffsetY"] = np.zeros(model.n_classes)
    return pd.DataFrame(columns)


def _completeness(model: Model) -> np.ndarray:
    """Coverage averaged over the resolved shells of each class, weighted by their number of voxels."""
    last = np.maximum(resolution.first_unresolved(model.data_vs_prior), 2)
    shells = np.arange(model.coverage.shape[1])
    dimension = model.references.ndim - 1
    weight = shells[None] ** (dimension - 1) * (shells[None] < last[:, None])
    return np.divide((weight * model.coverage).sum(axis=1), weight.sum(axis=1))


def _shell_columns(box: int, pixel_size: float) -> dict[str, np.ndarray]:
    shells = np.arange(box // 2 + 1)
    with np.errstate(divide="ignore"):
        angstrom = np.where(shells > 0, box * pixel_size / shells, 999.0)
    return {"rlnSpectralIndex": shells, "rlnResolution": shells / (box * pixel_size), "rlnAngstromResolution": angstrom}


def _class_spectra(model: Model, k: int, pixel_size: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            **_shell_columns(model.box, pixel_size),
            "rlnSsnrMap": model.data_vs_prior[k],
            "rlnGoldStandardFsc": model.fsc if len(model.fsc) else np.zeros(model.box // 2 + 1),
            "rlnFourierCompleteness": model.coverage[k],
            "rlnReferenceSigma2": model.sigma2_class[k],
            "rlnReferenceTau2": model.tau2[k],
            "rlnSpectralOrientabilityContribution": model.orientability[k],
        }
    )


def sampling_blocks(
    settings: RefinementSettings,
    sampling: SearchPlan | SamplingState,
    perturbation: float,
    directions: np.ndarray | None,
    pixel_size: float,
) -> dict[str, Any]:
    """Return the tables of a sampling file.

    Parameters
    ----------
    sampling : SearchPlan or SamplingState
        The search of the iteration in 2D or in 3D.
    perturbation : float
        Of the grid, in coarse steps.
    directions : float (D, 2), optional
        rot and tilt (deg) of the coarse grid in 3D, in the order of the direction priors.
    """
    blocks: dict[str, Any] = {}
    if isinstance(sampling, SamplingState):
        order, original = sampling.healpix_order, settings.healpix_order
        step, first_step = angular_step(order), angular_step(original)
        offsets = (sampling.offset_range, sampling.offset_step)
        first_offsets = (settings.offset_range, settings.offset_step)
        if directions is not None:
            blocks["sampling_directions"] = pd.DataFrame({"rlnAngleRot": directions[:, 0], "rlnAngleTilt": directions[:, 1]})
    else:
        order = original = 2
        step, first_step = sampling.sampling.psi_step, settings.psi_step
        offsets = first_offsets = (sampling.shifts.reach, sampling.shifts.step)
    general = {
        "rlnIs3DSampling": int(settings.dimension == 3),
        "rlnIs3DTranslationalSampling": 0,
        "rlnHealpixOrder": order,
        "rlnSymmetryGroup": settings.symmetry,
        "rlnTiltAngleLimit": -91.0,
        "rlnPsiStep": step,
        "rlnOffsetRange": offsets[0] * pixel_size,
        "rlnOffsetStep": offsets[1] * pixel_size,
        "rlnHelicalOffsetStep": -1.0,
        "rlnSamplingPerturbInstance": perturbation,
        "rlnSamplingPerturbFactor": settings.perturbation,
        "rlnHealpixOrderOriginal": original,
        "rlnPsiStepOriginal": first_step,
        "rlnOffsetRangeOriginal": first_offsets[0] * pixel_size,
        "rlnOffsetStepOriginal": first_offsets[1] * pixel_size,
    }
    return {"sampling_general": general, **blocks}
