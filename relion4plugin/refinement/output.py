"""The files of an iteration, as RELION writes them: data, model, optimiser, sampling, classes and moments."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relion4plugin.files.mrc import write_stack, write_volume
from relion4plugin.files.particles import ParticleSet, write_particles
from relion4plugin.files.star import write_star
from relion4plugin.refinement import resolution
from relion4plugin.refinement.autosampling import SamplingState
from relion4plugin.refinement.images import ImageModel
from relion4plugin.refinement.model_tables import model_blocks, sampling_blocks
from relion4plugin.refinement.optimiser_star import optimiser_table
from relion4plugin.refinement.particles import SortedParticles
from relion4plugin.refinement.saved_state import remove_old_moments, save_moments, save_state
from relion4plugin.refinement.search import SearchPlan
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.state import Changes, Model, Poses
from relion4plugin.refinement.vdam import Replacement


@dataclass(frozen=True)
class RefinementResult:
    """Where a run stands and which files describe it.

    In 3D `maps` are the maps of all classes and `classes` is the first of them; auto-refinement also has two half maps, of
    which the first stands for the map until it has converged.
    """

    iteration: int
    finished: bool
    data_star: Path
    model_star: Path
    optimiser_star: Path
    classes: Path
    maps: tuple[Path, ...] = ()
    half_maps: tuple[Path, ...] = ()


def prefix(out_dir: Path, iteration: int) -> str:
    """Return the path prefix of an iteration's files."""
    return str(out_dir / f"run_it{iteration:03d}")


def final_prefix(out_dir: Path) -> str:
    """Return the path prefix of the files of a converged auto-refinement."""
    return str(out_dir / "run")


def model_stems(name: str, settings: RefinementSettings) -> list[str]:
    """Return the path prefixes of an iteration's models: one, or those of both halves."""
    return [f"{name}_half1", f"{name}_half2"] if settings.auto_refine else [name]


def map_names(stem: str, n_classes: int) -> list[str]:
    """Return the file names of the maps of a model."""
    return [f"{stem}_class{k:03d}.mrc" for k in range(1, n_classes + 1)]


def unfiltered_names(out_dir: Path) -> list[str]:
    """Return the file names of the two half maps of a converged auto-refinement."""
    return [f"{final_prefix(out_dir)}_half{half}_class001_unfil.mrc" for half in (1, 2)]


def result_files(
    out_dir: Path, iteration: int, finished: bool, settings: RefinementSettings | None = None, converged: bool = False
) -> RefinementResult:
    """Return the result of an iteration whose files are written.

    Parameters
    ----------
    settings : RefinementSettings, optional
        Of the run; needed in 3D.
    converged : bool
        Whether `write_final` wrote the files of a converged auto-refinement.
    """
    name = final_prefix(out_dir) if converged else prefix(out_dir, iteration)
    data, model, optimiser = (Path(f"{name}_{kind}.star") for kind in ("data", "model", "optimiser"))
    if settings is None or settings.dimension == 2:
        return RefinementResult(iteration, finished, data, model, optimiser, Path(f"{name}_classes.mrcs"))
    stems = [name] if converged else model_stems(name, settings)
    maps = [tuple(Path(path) for path in map_names(stem, settings.n_classes)) for stem in stems]
    halves: tuple[Path, ...] = ()
    if settings.auto_refine:
        halves = tuple(Path(path) for path in unfiltered_names(out_dir)) if converged else (maps[0][0], maps[1][0])
    return RefinementResult(iteration, finished, data, Path(f"{stems[0]}_model.star"), optimiser, maps[0][0], maps[0], halves)


def write_iteration(
    out_dir: Path,
    iteration: int,
    settings: RefinementSettings,
    particles: SortedParticles,
    models: Model | Sequence[Model],
    poses: Poses,
    images: ImageModel,
    sampling: SearchPlan | SamplingState | None,
    changes: Changes,
    *,
    directions: np.ndarray | None = None,
    half: np.ndarray | None = None,
) -> None:
    """Write everything another program, the report or a continued run needs; the optimiser file comes last.

    Parameters
    ----------
    models : Model or sequence of Model
        One, or in auto-refinement those of both halves.
    sampling : SearchPlan or SamplingState, optional
        How the iteration searched: in 2D its plan (None before the first), in 3D its state (also before the first).
    directions : float (D, 2), optional
        rot and tilt (deg) of the coarse grid of a 3D search, in the order of `Model.pdf_direction`.
    half : int8 (n,), optional
        Gold-standard half of each particle, 0 or 1.
    """
    name, pixel_size = prefix(out_dir, iteration), images.pixel_size
    models = [models] if isinstance(models, Model) else models
    stems = model_stems(name, settings)
    write_particles(f"{name}_data.star", _with_results(particles, poses, half))
    for number, (stem, model) in enumerate(zip(stems, models, strict=True)):
        references, moments = _write_images(stem, model, pixel_size)
        rows = None if half is None or len(models) == 1 else np.flatnonzero(half == number)
        blocks = model_blocks(references, moments, settings, particles, model, pixel_size, iteration, _volume(sampling), rows)
        write_star(f"{stem}_model.star", blocks)
    if settings.dimension == 3 and models[0].moment1 is not None:
        save_moments(Path(f"{name}_moments.npz"), models[0])
    save_state(Path(f"{name}_state.npz"), models, poses, _volume(sampling), changes, half)
    _write_sampling_and_optimiser(name, stems, out_dir, iteration, settings, models[0], changes, pixel_size, sampling, directions)
    remove_old_moments(out_dir, iteration)


def write_final(
    out_dir: Path,
    iteration: int,
    settings: RefinementSettings,
    particles: SortedParticles,
    model: Model,
    unfiltered: np.ndarray,
    poses: Poses,
    images: ImageModel,
    sampling: SamplingState,
    changes: Changes,
    *,
    directions: np.ndarray | None = None,
    half: np.ndarray | None = None,
) -> None:
    """Write the files of a converged auto-refinement, without iteration number; the optimiser file comes last.

    Parameters
    ----------
    model : Model
        Of all particles.
    unfiltered : float32 (2, N, N, N)
        Unregularised maps of the two halves.
    """
    name, pixel_size = final_prefix(out_dir), images.pixel_size
    write_particles(f"{name}_data.star", _with_results(particles, poses, half))
    for path, volume in zip(unfiltered_names(out_dir), unfiltered, strict=True):
        write_volume(path, volume, pixel_size)
    references, moments = _write_images(name, model, pixel_size)
    write_star(f"{name}_model.star", model_blocks(references, moments, settings, particles, model, pixel_size, iteration, sampling))
    _write_sampling_and_optimiser(
        name, [name], out_dir, iteration, settings, model, changes, pixel_size, sampling, directions, converged=True
    )


def _volume(sampling: SearchPlan | SamplingState | None) -> SamplingState | None:
    return sampling if isinstance(sampling, SamplingState) else None


def _write_images(stem: str, model: Model, pixel_size: float) -> tuple[list[str], tuple[list[str], list[str]] | None]:
    """Write references and, in 2D, moments as images; return their names for the model file."""
    numbers = range(1, model.n_classes + 1)
    if model.references.ndim == 4:
        names = map_names(stem, model.n_classes)
        for path, volume in zip(names, model.references, strict=True):
            write_volume(path, volume, pixel_size)
        return names, None
    write_stack(f"{stem}_classes.mrcs", model.references, pixel_size)
    names = [f"{k:06d}@{stem}_classes.mrcs" for k in numbers]
    if model.moment1 is None or model.moment2 is None:
        return names, None
    write_stack(f"{stem}_1moment.mrcs", _interleaved(model.moment1.reshape(-1, *model.moment1.shape[2:])), pixel_size)
    write_stack(f"{stem}_2moment.mrcs", _interleaved(model.moment2.astype(np.complex64)), pixel_size)
    return names, ([f"{k:06d}@{stem}_1moment.mrcs" for k in numbers], [f"{k:06d}@{stem}_2moment.mrcs" for k in numbers])


def _interleaved(values: np.ndarray) -> np.ndarray:
    """View complex images (n, M, M//2+1) as float32 (n, M, 2 (M//2+1)), real and imaginary parts in turn."""
    return np.ascontiguousarray(values).view(np.float32)


def _with_results(particles: SortedParticles, poses: Poses, half: np.ndarray | None) -> ParticleSet:
    columns: dict[str, Any] = {
        "rlnGroupNumber": particles.group.astype(np.int64) + 1,
        "rlnAngleRot": poses.angles[:, 0],
        "rlnAngleTilt": poses.angles[:, 1],
        "rlnAnglePsi": poses.angles[:, 2],
        "rlnOriginXAngst": poses.offset[:, 0],
        "rlnOriginYAngst": poses.offset[:, 1],
        "rlnClassNumber": poses.class_number.astype(np.int64),
        "rlnNormCorrection": poses.norm,
        "rlnLogLikeliContribution": poses.log_likelihood,
        "rlnMaxValueProbDistribution": poses.pmax,
        "rlnNrOfSignificantSamples": poses.n_significant.astype(np.int64),
    }
    if half is not None:
        columns["rlnRandomSubset"] = half.astype(np.int64) + 1
    return particles.table.with_columns(columns)


def _write_sampling_and_optimiser(
    name: str,
    stems: Sequence[str],
    out_dir: Path,
    iteration: int,
    settings: RefinementSettings,
    model: Model,
    changes: Changes,
    pixel_size: float,
    sampling: SearchPlan | SamplingState | None,
    directions: np.ndarray | None,
    converged: bool = False,
) -> None:
    searched = sampling if iteration > 0 else None
    if searched is not None:
        write_star(f"{name}_sampling.star", sampling_blocks(settings, searched, model.perturbation, directions, pixel_size))
    table = optimiser_table(
        out_dir, name, [f"{stem}_model.star" for stem in stems], iteration, settings, model, changes, pixel_size,
        sampled=searched is not None, sampling=_volume(sampling), converged=converged,
    )  # fmt: skip
    write_star(f"{name}_optimiser.star", {"optimiser_general": table}, comment="relion4plugin optimiser\n")


def record(
    iteration: int,
    models: Model | Sequence[Model],
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
    sampling: SamplingState | None = None,
    oversampling: int = 1,
    converged: bool = False,
) -> dict[str, Any]:
    """Return the line of ``run_iterations.jsonl``; the last three arguments only matter in 3D."""
    models = [models] if isinstance(models, Model) else models
    model = models[0]
    common = {
        "iteration": iteration,
        "algorithm": Algorithm.VDAM.value if model.moment1 is not None else Algorithm.EM.value,
        "stepsize": stepsize,
        "tau2_fudge": tau2_fudge,
        "subset_size": subset_size,
        "current_size": image_size,
        "resolution": resolution.resolution_of_shell(model.resolution_shell, model.box, pixel_size),
        "log_likelihood": sum(m.log_likelihood for m in models),
        "ave_pmax": sum(m.ave_pmax for m in models) / len(models),
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
    return common if sampling is None else common | _search_record(model, sampling, oversampling, pixel_size, converged)


def _search_record(model: Model, sampling: SamplingState, oversampling: int, pixel_size: float, converged: bool) -> dict[str, Any]:
    """Return what a 3D run records on top: steps of the fine grid in deg and A, accuracies, the FSC of half maps."""
    values: dict[str, Any] = {
        "healpix_order": sampling.healpix_order,
        "angular_step": sampling.angular_step(oversampling),
        "offset_step": sampling.offset_step * pixel_size / 2.0**oversampling,
        "offset_range": sampling.offset_range * pixel_size,
        "accuracy_rotation": float(model.accuracy_rotation.min()),
        "accuracy_translation": float(model.accuracy_translation.min()),
        "local": sampling.local,
        "converged": converged,
    }
    return values | {"fsc": [float(value) for value in model.fsc]} if len(model.fsc) else values
