"""Alignment of a map to its symmetry axes as a job: input map or class, run, files and RELION's command line."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.mrc import read_mrc, write_volume
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.jobs.alignsymmetry_parameters import AlignSymmetryParameters
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.jobdir import JobDirectory
from relion4plugin.jobs.map_jobs import prepare_map_output, recorded_command, require_file
from relion4plugin.jobs.parameters import check, format_value, from_job_options, to_job_options
from relion4plugin.progress import Progress

if TYPE_CHECKING:
    from relion4plugin.postprocessing.align_symmetry import SymmetryAlignment
    from relion4plugin.postprocessing.find_symmetry import FoundSymmetry

__all__ = ["JOB_TYPE", "AlignSymmetryOutputs", "AlignSymmetryParameters", "from_options", "relion_command", "run", "validate"]

JOB_TYPE = "relion.alignsymmetry"
MAP_NAME, SUMMARY_NAME = "aligned.mrc", "symmetry.json"


@dataclass(frozen=True)
class AlignSymmetryOutputs:
    """The aligned map and what was found; `summary` is the JSON file of a job directory.

    `score` is the evidence for the symmetry (0 to 1, clear from 0.5), `class_number` the class taken from a model file (from 1,
    0 for a map), `ranking` the groups tried with their scores, best first, where the group was looked for.
    """

    map: Path
    symmetry: str
    score: float
    cost: float
    class_number: int
    rotation: tuple[tuple[float, ...], ...]
    shift: tuple[float, ...]
    ranking: tuple[tuple[str, float], ...]
    remarks: tuple[str, ...]
    summary: Path | None = None


def from_options(options: Mapping[str, str], where: str = "job.star") -> AlignSymmetryParameters:
    """Build the parameters from job.star options.

    Raises
    ------
    UserError
        If a value has the wrong type.
    """
    return from_job_options(AlignSymmetryParameters, options, where)


def validate(parameters: AlignSymmetryParameters) -> tuple[str, ...]:
    """Check what can be known without reading the map.

    Returns
    -------
    tuple of str
        Remarks on choices that work but may surprise.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    require_file(p.fn_in, "input map", "--i")
    if not p.sym_name and not p.find:
        raise UserError("no point group: give one with --sym (such as D2), or --find to look for it")
    if p.sym_name:
        point_group(p.sym_name)
    for name in _candidates(p):
        point_group(name)
    if p.select_largest_class and p.select_best_class:
        raise UserError("select_largest_class and select_best_class are both switched on: choose one")
    remarks = []
    if p.candidates and not p.find:
        remarks.append("candidates has no effect without --find")
    if p.find and p.sym_name:
        remarks.append(f"sym_name {p.sym_name} is compared with what is found; it is not applied unless it is the same")
    return tuple(remarks)


def _candidates(parameters: AlignSymmetryParameters) -> tuple[str, ...]:
    return tuple(name.strip() for name in parameters.candidates.split(",") if name.strip())


def relion_command(parameters: AlignSymmetryParameters, out: Path) -> list[str]:
    """Return the words of RELION's own command for the same job; it cannot look for the group."""
    p = parameters
    if p.find and not p.sym_name:
        raise UserError("RELION cannot find a point group: give it with --sym")
    path = out if out.suffix == ".mrc" else out / MAP_NAME
    words = ["relion_align_symmetry", "--i", p.fn_in, "--o", path.as_posix(), "--sym", p.sym_name]
    for name in ("angpix", "maxres"):
        words += [f"--{name}", format_value(getattr(p, name))] if getattr(p, name) > 0 else []
    return words + [f"--{name}" for name in ("apply_sym", "select_largest_class", "keep_centre") if getattr(p, name)]


@dataclass(frozen=True, eq=False)
class _Input:
    """A map to try; class_number 0 where it was given as a file."""

    volume: np.ndarray
    pixel_size: float
    class_number: int
    path: Path


def run(
    parameters: AlignSymmetryParameters, out: Path, progress: Progress, job_star: bool = True, overwrite: bool = False
) -> AlignSymmetryOutputs:
    """Align, leaving a RELION job directory, or only the map where `out` ends with .mrc.

    Raises
    ------
    UserError
        If anything is wrong with the map, the options or the disk.
    """
    remarks = list(validate(parameters))
    inputs = _read(parameters)
    if out.suffix == ".mrc":
        if out.exists() and not overwrite:
            raise UserError(f"{out} exists: give another --o, or --overwrite it")
        if not out.parent.is_dir():
            raise UserError(f"{out}: there is no folder {out.parent}; make it or give another --o")
        return _align(parameters, inputs, out, None, progress, remarks)
    path, summary = out / MAP_NAME, out / SUMMARY_NAME
    prepare_map_output(out, [path.name, summary.name], inputs[0].volume.nbytes, overwrite)
    with JobDirectory(
        out,
        JobStar(JOB_TYPE, options=to_job_options(parameters)),
        command=recorded_command("symmetry", parameters, out),
        inputs={parameters.fn_in: "ProcessData.star.relion" if inputs[0].class_number else "DensityMap.mrc"},
        outputs={path: "DensityMap.mrc.relion"},
        progress=progress,
        enabled=job_star,
    ) as job:
        return _align(parameters, inputs, path, summary, job.progress, remarks)


def _read(parameters: AlignSymmetryParameters) -> list[_Input]:
    """Read the map, or the selected class or all classes of a model file."""
    p = parameters
    if not p.fn_in.endswith((".star", ".star.gz")):
        if p.select_largest_class or p.select_best_class:
            raise UserError(f"{p.fn_in} is one map, there is no class to select: give a model.star with --i or leave the selection out")
        return [_read_map(Path(p.fn_in), p.angpix, 0)]
    from relion4plugin.files.model_maps import read_model_maps

    classes = read_model_maps(Path(p.fn_in))
    if p.select_largest_class:
        classes = [max(classes, key=lambda c: c.distribution)]
    elif p.select_best_class:
        classes = [min(classes, key=lambda c: c.resolution)]
    elif len(classes) > 1 and not p.find and len(point_group(p.sym_name)) == 1:
        raise UserError(f"{p.fn_in} has {len(classes)} classes, C1 cannot choose: give --select_largest_class or --select_best_class")
    return [_read_map(c.path, p.angpix if p.angpix > 0 else c.pixel_size, c.number) for c in classes]


def _read_map(path: Path, pixel_size: float, class_number: int) -> _Input:
    from relion4plugin.postprocessing.align_symmetry import check_map

    volume, of_header = read_mrc(path)
    check_map(volume, str(path))
    size = pixel_size if pixel_size > 0 else of_header
    if size <= 0:
        raise UserError(f"{path}: the header has no pixel size; give it with --angpix")
    return _Input(volume, size, class_number, path)


def _align(
    parameters: AlignSymmetryParameters, inputs: list[_Input], path: Path, summary: Path | None, progress: Progress, remarks: list[str]
) -> AlignSymmetryOutputs:
    from relion4plugin.postprocessing.align_symmetry import align_symmetry

    p = parameters
    limit = max(p.maxres, 0.0)
    progress.start("Symmetry", len(inputs))
    best: tuple[_Input, SymmetryAlignment, FoundSymmetry | None] | None = None
    for one in inputs:
        found = _find(p, one, limit)
        symmetry = found.symmetry if found is not None else p.sym_name
        aligned = align_symmetry(one.volume, one.pixel_size, symmetry, keep_centre=p.keep_centre, resolution=limit)
        if best is None or _merit(aligned) > _merit(best[1]):
            best = (one, aligned, found)
        progress.advance(1, f"{one.path.name}: {symmetry}, score {aligned.evidence.score:.2f}")
    progress.finish()
    if best is None:
        raise UserError(f"{p.fn_in}: no map in it; give a map or a model.star with classes")
    one, aligned, found = best
    remarks += _findings(p, aligned, found)
    write_volume(path, aligned.symmetrised if p.apply_sym else aligned.volume, one.pixel_size)
    ranking = tuple((group.symmetry, round(group.evidence.score, 4)) for group in found.ranking) if found is not None else ()
    outputs = AlignSymmetryOutputs(
        map=path,
        symmetry=aligned.symmetry,
        score=aligned.evidence.score,
        cost=aligned.cost,
        class_number=one.class_number,
        rotation=tuple(tuple(float(x) for x in row) for row in aligned.rotation),
        shift=tuple(float(x) for x in aligned.shift),
        ranking=ranking,
        remarks=tuple(remarks),
        summary=summary,
    )
    if summary is not None:
        import json

        atomic_write_text(summary, json.dumps(asdict(outputs), default=str, indent=1) + "\n")
    return outputs


def _merit(aligned: "SymmetryAlignment") -> tuple[bool, float]:
    """A symmetric class beats one without any; then the evidence counts."""
    return aligned.symmetry != "C1", aligned.evidence.score


def _find(parameters: AlignSymmetryParameters, one: _Input, limit: float) -> "FoundSymmetry | None":
    if not parameters.find:
        return None
    from relion4plugin.postprocessing.find_symmetry import CANDIDATES, find_symmetry

    candidates = _candidates(parameters) or CANDIDATES
    return find_symmetry(one.volume, one.pixel_size, candidates, keep_centre=parameters.keep_centre, resolution=limit)


def _findings(parameters: AlignSymmetryParameters, aligned: "SymmetryAlignment", found: "FoundSymmetry | None") -> list[str]:
    from relion4plugin.postprocessing.find_symmetry import CLEAR_SCORE

    remarks = []
    if found is not None and found.possible is not None:
        score = next(group.evidence.score for group in found.ranking if group.symmetry == found.possible)
        remarks.append(f"{found.possible} is possible too, but not clear: score {score:.2f}")
    if found is not None and parameters.sym_name and parameters.sym_name.strip().upper() != found.symmetry:
        remarks.append(f"found {found.symmetry}, not {parameters.sym_name}")
    if found is None and aligned.evidence.score < CLEAR_SCORE:
        remarks.append(
            f"{aligned.symmetry} is doubtful: score {aligned.evidence.score:.2f}, clear from {CLEAR_SCORE:g}; --find ranks the point groups"
        )
    return remarks
