"""An initial model from the particles alone: random starts, VDAM, a check by independent halves, symmetry, and a verdict."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from relion4plugin.files.atomic import atomic_path
from relion4plugin.files.iterations import append_iteration, truncate_iterations
from relion4plugin.files.mrc import read_mrc, write_volume
from relion4plugin.files.particles import ParticleSet
from relion4plugin.postprocessing.align_maps import agreement
from relion4plugin.postprocessing.align_symmetry import align_symmetry
from relion4plugin.postprocessing.find_symmetry import find_symmetry as search_symmetry
from relion4plugin.progress import Progress, Silent
from relion4plugin.refinement.contest import SEED_STEP, Start, hold_contest
from relion4plugin.refinement.engine import Refinement, refine
from relion4plugin.refinement.initial_halves import REFINE_FOLDER, parting_resolution, refine_by_halves
from relion4plugin.refinement.initial_verdict import Evidence, judge
from relion4plugin.refinement.output import RefinementResult
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.start import MIN_PER_HALF

MAP_NAME, VERDICT_NAME, STARTS_NAME = "initial_model.mrc", "initial_model.json", "initial_model_starts.json"
QUALITY_SHARE = 0.5  # of an even share of the particles: a class with less is not chosen for its quality


@dataclass(frozen=True)
class InitialModel:
    """What a run made and what it thinks of it.

    Attributes
    ----------
    map : Path
        The chosen class, refined by independent halves, with its symmetry axes in place where a point group was asked for.
    class_number : int
        From 1.
    data_star, model_star, optimiser_star : Path
        Of the last VDAM iteration.
    maps : tuple of Path
        All classes of the last VDAM iteration.
    agreement : dict or None
        Resolution (A, FSC 0.5) to which each other start agrees with the map, by seed; None for a single start.
    symmetry : str
        Point group applied, or found where that was asked for.
    verdict : str
    reliable : bool
        Whether the evidence speaks for a structure.
    """

    map: Path
    class_number: int
    data_star: Path
    model_star: Path
    optimiser_star: Path
    maps: tuple[Path, ...]
    agreement: dict[str, Any] | None
    symmetry: str
    verdict: str
    reliable: bool


def make_initial_model(
    settings: RefinementSettings,
    particles: ParticleSet,
    out_dir: str | Path,
    progress: Progress | None = None,
    *,
    symmetry: str = "C1",
    restarts: int = 6,
    rounds: int = 2,
    select: str = "quality",
    find_symmetry: bool = False,
    refine_iterations: int = 4,
    resume: str | Path | None = None,
) -> InitialModel:
    """Make an initial model and tell how far it can be trusted.

    Parameters
    ----------
    settings : RefinementSettings
        Of the VDAM run.
    particles : ParticleSet
    out_dir : path
        Folder for all files; made if absent.
    progress : Progress, optional
    symmetry : str
        Point group whose axes are brought into place, and which is applied, after the run.
    restarts : int
        Random starts (`contest.hold_contest`).
    rounds : int
        Where no structure is found, as many other starts are tried, until there were so many rounds. A single start is tried once.
    select : str
        ``quality``: the class with most signal per particle; ``largest``: the one with most particles.
    find_symmetry : bool
        Report the point group that the map has.
    refine_iterations : int
        EM iterations of two independent halves that refine the chosen class, and up to three times as many while an unsettled map
        improves (`initial_halves.refine_by_halves`); 0, or fewer than 20 particles: none, and no check.
    resume : path, optional
        Optimiser file to continue from.

    Raises
    ------
    UserError
        If the particles cannot be used with these settings.
    """
    folder, told = Path(out_dir), progress or Silent()
    state, round_number = Path(resume) if resume else None, 1
    while True:
        result, starts = _run(settings, particles, folder, told, restarts, state, round_number)
        class_number = choose_class(result, select)
        volume, evidence = _weigh(settings, particles, result, class_number, starts, folder, refine_iterations, told)
        if evidence.round >= rounds or len(starts) == 1 or judge(evidence).reliable:
            break
        state, round_number = None, evidence.round + 1
    pixel_size = particles.pixel_size
    found, score = "C1", None
    detail = evidence.half_resolution or parting_resolution(settings.particle_diameter)
    if symmetry.upper() != "C1":
        aligned = align_symmetry(volume, pixel_size, symmetry, resolution=detail)
        volume, found, score = aligned.symmetrised, symmetry.upper(), float(aligned.evidence.score)
    elif find_symmetry:
        search = search_symmetry(volume, pixel_size, resolution=detail)
        found = search.symmetry
        evidence = replace(evidence, possible_symmetry=search.possible or "")
    write_volume(folder / MAP_NAME, volume, pixel_size)
    verdict = judge(replace(evidence, symmetry=found, symmetry_score=score))
    _write_json(folder / VERDICT_NAME, verdict.as_json(class_number))
    return InitialModel(
        folder / MAP_NAME, class_number, result.data_star, result.model_star, result.optimiser_star, result.maps,
        verdict.agreement, found, verdict.text, verdict.reliable,
    )  # fmt: skip


def _weigh(
    settings: RefinementSettings, particles: ParticleSet, result: RefinementResult, class_number: int, starts: list[dict[str, Any]],
    folder: Path, refine_iterations: int, progress: Progress,
) -> tuple[np.ndarray, Evidence]:
    """Refine the chosen class by halves where that is asked for; return the map and what speaks for it."""
    evidence = Evidence(starts=starts, particle_diameter=settings.particle_diameter, round=starts[0].get("round", 1))
    if refine_iterations > 0 and len(particles) >= 2 * MIN_PER_HALF:
        halves = refine_by_halves(settings, particles, result, class_number, folder, refine_iterations, progress)
        volume = halves.map
        evidence = replace(evidence, half_fsc=halves.fsc, half_resolution=halves.resolution, lowpass=halves.lowpass)
    else:
        volume, _ = read_mrc(result.maps[class_number - 1])
    return volume, replace(evidence, **_compare_starts(folder, starts, volume, particles.pixel_size))


def _run(
    settings: RefinementSettings, particles: ParticleSet, folder: Path, progress: Progress, restarts: int, resume: Path | None,
    round_number: int,
) -> tuple[RefinementResult, list[dict[str, Any]]]:
    """Do the VDAM run; the winner of the starts, others in each round, is run to the end."""
    known = folder / STARTS_NAME
    if resume is not None:
        starts = json.loads(known.read_text()) if known.is_file() else [{"seed": settings.seed, "log_likelihood": None}]
        return refine(replace(settings, seed=int(starts[0]["seed"] or 0)), particles, folder, progress, resume=resume), starts
    if restarts <= 1:
        return refine(settings, particles, folder, progress), [{"seed": settings.seed, "log_likelihood": None}]
    first = settings.seed + SEED_STEP * restarts * (round_number - 1)
    winner, all_starts = hold_contest(replace(settings, seed=first), particles, folder, restarts, progress)
    folder.mkdir(parents=True, exist_ok=True)
    if round_number > 1:
        _remove_round(folder)
    starts = [_describe(folder, start, place, particles.pixel_size) | {"round": round_number} for place, start in enumerate(all_starts)]
    _write_json(known, starts)
    del all_starts
    return _go_on(replace(settings, seed=winner.seed), particles, folder, winner, progress), starts


def _remove_round(folder: Path) -> None:
    """Remove the run of an earlier round, which a run that is killed in this one would otherwise go on from."""
    for path in folder.glob("run_it[0-9]*"):
        path.unlink()
    shutil.rmtree(folder / REFINE_FOLDER, ignore_errors=True)


def _describe(folder: Path, start: Start, number: int, pixel_size: float) -> dict[str, Any]:
    """Write the largest class of a start, and return what is kept of it."""
    path = folder / f"initial_model_start{number + 1:02d}.mrc"
    model = start.state.model
    write_volume(path, model.references[int(model.pdf_class.argmax())], pixel_size)
    resolved = start.records[-1]["resolution"] if start.records else None
    return {"seed": start.seed, "log_likelihood": start.log_likelihood, "resolution": resolved, "map": path.name}


def _go_on(settings: RefinementSettings, particles: ParticleSet, folder: Path, winner: Start, progress: Progress) -> RefinementResult:
    """Run the winner to the last iteration, with its earlier records in front."""
    log = folder / "run_iterations.jsonl"
    truncate_iterations(log, 0)
    for record in winner.records:
        append_iteration(log, record)
    run = Refinement(settings, particles, folder, progress)
    try:
        return run.proceed(winner.state, None)
    finally:
        run.close()


def choose_class(result: RefinementResult, select: str) -> int:
    """Return the number (from 1) of the class that becomes the initial model."""
    from relion4plugin.files.model3d_star import read_3d_results

    classes = read_3d_results(result.optimiser_star).classes
    share = classes["distribution"].to_numpy()
    if select == "largest" or len(share) == 1:
        return int(share.argmax()) + 1
    quality = np.where(share >= QUALITY_SHARE / len(share), 1.0 / classes["resolution"].to_numpy(), -np.inf)
    best = np.flatnonzero(quality >= quality.max() - 1e-12)
    return int(best[share[best].argmax()]) + 1


def _compare_starts(folder: Path, starts: list[dict[str, Any]], volume: np.ndarray, pixel_size: float) -> dict[str, Any]:
    """Align the maps of the other starts onto the result and tell to which resolution each agrees."""
    found: dict[int, float] = {}
    best: np.ndarray | None = None
    for start in starts[1:]:
        other, _ = read_mrc(folder / start["map"])
        if not other.any():
            continue
        seen = agreement(other, volume, pixel_size, mirror=True)
        found[start["seed"]] = float(seen.resolution)
        if best is None or seen.resolution <= min(found.values()):
            best = seen.fsc
    return {"agreement": found, "agreement_fsc": () if best is None else tuple(float(v) for v in best)}


def _write_json(path: Path, values: Any) -> None:
    with atomic_path(path) as temporary:
        Path(temporary).write_text(json.dumps(values, indent=1, allow_nan=False))
