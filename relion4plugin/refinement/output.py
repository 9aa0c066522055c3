"""The files of an iteration, as RELION writes them: data, model, optimiser, sampling, classes and moments."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.files.atomic import atomic_path
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.particles import write_particles
from relion4plugin.files.star import write_star
from relion4plugin.refinement import resolution, schedules
from relion4plugin.refinement.images import ImageModel
from relion4plugin.refinement.optimiser_star import optimiser_table
from relion4plugin.refinement.particles import SortedParticles
from relion4plugin.refinement.search import SearchPlan
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.state import Changes, Model, Poses
from relion4plugin.refinement.vdam import Replacement


@dataclass(frozen=True)
class RefinementResult:
    """Where a run stands and which files describe it."""

    iteration: int
    finished: bool
    data_star: Path
    model_star: Path
    optimiser_star: Path
    classes: Path


def prefix(out_dir: Path, iteration: int) -> str:
    """Return the path prefix of an iteration's files."""
    return str(out_dir / f"run_it{iteration:03d}")


def result_files(out_dir: Path, iteration: int, finished: bool) -> RefinementResult:
    """Return the result of an iteration whose files are written."""
    name = prefix(out_dir, iteration)
    data, model, optimiser = (Path(f"{name}_{kind}.star") for kind in ("data", "model", "optimiser"))
    return RefinementResult(iteration, finished, data, model, optimiser, Path(f"{name}_classes.mrcs"))


def write_iteration(
    out_dir: Path,
    iteration: int,
    settings: RefinementSettings,
    particles: SortedParticles,
    model: Model,
    poses: Poses,
    images: ImageModel,
    plan: SearchPlan | None,
    changes: Changes,
) -> None:
    """Write everything another program, the report or a continued run needs; the optimiser file comes last."""
    name, pixel_size = prefix(out_dir, iteration), images.pixel_size
    write_particles(f"{name}_data.star", _with_results(particles, poses))
    write_stack(f"{name}_classes.mrcs", model.references, pixel_size)
    if model.moment1 is not None and model.moment2 is not None:
        write_stack(f"{name}_1moment.mrcs", _interleaved(model.moment1.reshape(-1, *model.moment1.shape[2:])), pixel_size)
        write_stack(f"{name}_2moment.mrcs", _interleaved(model.moment2.astype(np.complex64)), pixel_size)
    write_star(f"{name}_model.star", _model_blocks(name, settings, particles, model, images, iteration))
    if plan is not None:
        write_star(f"{name}_sampling.star", {"sampling_general": _sampling_table(settings, plan, pixel_size)})
    _write_state(f"{name}_state.npz", model, poses)
    optimiser = optimiser_table(out_dir, name, iteration, settings, model, changes, plan is not None, pixel_size)
    write_star(f"{name}_optimiser.star", {"optimiser_general": optimiser}, comment="relion4plugin optimiser\n")


def _interleaved(values: np.ndarray) -> np.ndarray:
    """View complex images (n, M, M//2+1) as float32 (n, M, 2 (M//2+1)), real and imaginary parts in turn."""
    return np.ascontiguousarray(values).view(np.float32)


def _with_results(particles: SortedParticles, poses: Poses) -> Any:
    n = len(particles.table)
    return particles.table.with_columns(
        {
            "rlnGroupNumber": particles.group.astype(np.int64) + 1,
            "rlnAngleRot": np.zeros(n),
            "rlnAngleTilt": np.zeros(n),
            "rlnAnglePsi": poses.psi,
            "rlnOriginXAngst": poses.offset[:, 0],
            "rlnOriginYAngst": poses.offset[:, 1],
            "rlnClassNumber": poses.class_number.astype(np.int64),
            "rlnNormCorrection": poses.norm,
            "rlnLogLikeliContribution": poses.log_likelihood,
            "rlnMaxValueProbDistribution": poses.pmax,
            "rlnNrOfSignificantSamples": poses.n_significant.astype(np.int64),
        }
    )


def _model_blocks(
    name: str, settings: RefinementSettings, particles: SortedParticles, model: Model, images: ImageModel, iteration: int
) -> dict[str, Any]:
    box, pixel_size = model.box, images.pixel_size
    blocks: dict[str, Any] = {
        "model_general": {
            "rlnReferenceDimensionality": 2,
            "rlnDataDimensionality": 2,
            "rlnOriginalImageSize": box,
            "rlnCurrentResolution": resolution.resolution_of_shell(model.resolution_shell, box, pixel_size),
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
            "rlnOrientationalPriorMode": 0,
            "rlnSigmaPriorRotAngle": 0.0,
            "rlnSigmaPriorTiltAngle": 0.0,
            "rlnSigmaPriorPsiAngle": max(settings.psi_prior_sigma, 0.0),
            "rlnLogLikelihood": model.log_likelihood,
            "rlnAveragePmax": model.ave_pmax,
        },
        "model_classes": _class_table(name, model, pixel_size),
    }
    for k in range(model.n_classes):
        blocks[f"model_class_{k + 1}"] = _class_spectra(model, k, pixel_size)
    count = np.bincount(particles.group, minlength=particles.n_groups)
    blocks["model_groups"] = pd.DataFrame(
        {
            "rlnGroupNumber": np.arange(1, particles.n_groups + 1),
            "rlnGroupName": list(particles.group_names),
            "rlnGroupNrParticles": count,
            "rlnGroupScaleCorrection": model.scale,
        }
    )
    for group, spectrum in enumerate(model.sigma2_noise):
        blocks[f"model_optics_group_{group + 1}"] = pd.DataFrame({**_shell_columns(box, pixel_size), "rlnSigma2Noise": spectrum})
        del blocks[f"model_optics_group_{group + 1}"]["rlnAngstromResolution"]
    return blocks


def _class_table(name: str, model: Model, pixel_size: float) -> pd.DataFrame:
    numbers = range(1, model.n_classes + 1)
    columns: dict[str, Any] = {"rlnReferenceImage": [f"{k:06d}@{name}_classes.mrcs" for k in numbers]}
    if model.moment1 is not None:
        columns["rlnGradMoment1"] = [f"{k:06d}@{name}_1moment.mrcs" for k in numbers]
        columns["rlnGradMoment2"] = [f"{k:06d}@{name}_2moment.mrcs" for k in numbers]
    columns |= {
        "rlnClassDistribution": model.pdf_class,
        "rlnAccuracyRotations": model.accuracy_rotation,
        "rlnAccuracyTranslationsAngst": model.accuracy_translation,
        "rlnEstimatedResolution": np.minimum(resolution.class_resolutions(model, pixel_size), 999.0),
        "rlnOverallFourierCompleteness": _completeness(model),
        "rlnClassPriorOffsetX": np.zeros(model.n_classes),
        "rlnClassPriorOffsetY": np.zeros(model.n_classes),
    }
    return pd.DataFrame(columns)


def _completeness(model: Model) -> np.ndarray:
    """Coverage averaged over the resolved shells of each class, weighted by their number of voxels."""
    last = np.maximum(resolution.first_unresolved(model.data_vs_prior), 2)
    shells = np.arange(model.coverage.shape[1])
    weight = shells[None] * (shells[None] < last[:, None])
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
            "rlnGoldStandardFsc": np.zeros(model.box // 2 + 1),
            "rlnFourierCompleteness": model.coverage[k],
            "rlnReferenceSigma2": model.sigma2_class[k],
            "rlnReferenceTau2": model.tau2[k],
            "rlnSpectralOrientabilityContribution": model.orientability[k],
        }
    )


def _sampling_table(settings: RefinementSettings, plan: SearchPlan, pixel_size: float) -> dict[str, Any]:
    sampling = plan.sampling
    reach, step = sampling.offset_range * pixel_size, sampling.offset_step * pixel_size
    return {
        "rlnIs3DSampling": 0,
        "rlnIs3DTranslationalSampling": 0,
        "rlnHealpixOrder": 2,
        "rlnSymmetryGroup": "C1",
        "rlnTiltAngleLimit": -91.0,
        "rlnPsiStep": sampling.psi_step,
        "rlnOffsetRange": reach,
        "rlnOffsetStep": step,
        "rlnHelicalOffsetStep": -1.0,
        "rlnSamplingPerturbInstance": sampling.perturbation,
        "rlnSamplingPerturbFactor": settings.perturbation,
        "rlnHealpixOrderOriginal": 2,
        "rlnPsiStepOriginal": settings.psi_step,
        "rlnOffsetRangeOriginal": reach,
        "rlnOffsetStepOriginal": step,
    }


def _write_state(path: str, model: Model, poses: Poses) -> None:
    """Keep at full precision what the STAR files round, so that a continued run equals an uninterrupted one."""
    values: dict[str, Any] = {f"poses_{key}": value for key, value in vars(poses).items()}
    values |= {f"model_{key}": value for key, value in vars(model).items() if key not in ("references", "moment1", "moment2")}
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **values)


def record(
    iteration: int,
    model: Model,
    changes: Changes,
    replaced: Replacement | None,
    pixel_size: float,
    *,
    stepsize: float,
    tau2_fudge: float,
    subset_size: int,
    image_size: int,
    seconds: float,
    cpu: float,
) -> dict[str, Any]:
    """Return the line of ``run_iterations.jsonl``."""
    return {
        "iteration": iteration,
        "algorithm": Algorithm.VDAM.value if model.moment1 is not None else Algorithm.EM.value,
        "stepsize": stepsize,
        "tau2_fudge": tau2_fudge,
        "subset_size": subset_size,
        "current_size": image_size,
        "resolution": resolution.resolution_of_shell(model.resolution_shell, model.box, pixel_size),
        "log_likelihood": model.log_likelihood,
        "ave_pmax": model.ave_pmax,
        "sigma_offset": model.sigma_offset,
        "avg_norm": model.avg_norm,
        "changed_classes": changes.classes,
        "changed_orientations": changes.orientations,
        "changed_offsets": changes.offsets,
        "class_distribution": [float(p) for p in model.pdf_class],
        "class_resolution": [min(float(r), 999.0) for r in resolution.class_resolutions(model, pixel_size)],
        "seconds": seconds,
        "cpu_seconds": cpu,
        "replaced": None if replaced is None else [replaced.dropped + 1, replaced.source + 1],
    }
