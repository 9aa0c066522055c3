"""Selection of rows of a STAR file as a job: by values, image statistics, subsets or distance; order of rows is kept."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import StackReader, read_mrc
from relion4plugin.jobs.map_jobs import prepare_map_output
from relion4plugin.jobs.output_nodes import OUTPUT_NODES, write_output_nodes
from relion4plugin.jobs.parameters import check, from_job_options
from relion4plugin.jobs.selectvalues_parameters import SelectValuesParameters
from relion4plugin.jobs.star_rows import RowFile, read_rows
from relion4plugin.progress import Progress

__all__ = ["SelectValuesParameters", "Selected", "from_options", "run", "validate"]

KINDS = {"micrographs": "MicrographsData.star.relion", "particles": "ParticlesData.star.relion"}
_TASKS = ("do_select_values", "do_discard", "do_split", "do_remove_duplicates")
_BLOCK = 64  # images read at a time
_SEED = 0


@dataclass(frozen=True)
class Selected:
    """Files written with their numbers of rows, and what may surprise."""

    counts: Mapping[Path, int]
    remarks: tuple[str, ...]


def from_options(options: Mapping[str, str], where: str = "job.star") -> SelectValuesParameters:
    """Build the parameters from job.star options.

    Raises
    ------
    UserError
        If a value has the wrong type.
    """
    return from_job_options(SelectValuesParameters, options, where)


def validate(parameters: SelectValuesParameters) -> tuple[str, ...]:
    """Check what can be known without reading the rows.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    chosen = [name for name in _TASKS if getattr(p, name)]
    if len(chosen) != 1:
        raise UserError(f"exactly one of {', '.join(_TASKS)} must be Yes, not {len(chosen)}")
    if not p.fn_mic and not p.fn_data:
        raise UserError("nothing to select from: give a STAR file with fn_mic or fn_data")
    if p.do_remove_duplicates and not p.fn_data:
        raise UserError("duplicates are removed from particles only: give their STAR file with fn_data")
    if p.do_select_values and p.select_minval > p.select_maxval:
        raise UserError(f"select_minval {p.select_minval:g} is above select_maxval {p.select_maxval:g}: exchange them")
    if p.do_split and p.nr_split <= 0 and p.split_size <= 0:
        raise UserError("nr_split and split_size are both 0 or less: give one of them a value above 0")
    return ()


def output_name(parameters: SelectValuesParameters) -> str:
    """Return the name of the file that is written: micrographs come first, as in RELION."""
    from_micrographs = parameters.fn_mic and not parameters.do_remove_duplicates
    return "micrographs" if from_micrographs else "particles"


def run(parameters: SelectValuesParameters, out_dir: Path, progress: Progress, overwrite: bool = False) -> Selected:
    """Select rows.

    Parameters
    ----------
    parameters
        What to do.
    out_dir
        Job directory; made if it does not exist.
    progress
        Told how far the run is.
    overwrite
        Remove the results of an earlier run in `out_dir` instead of refusing.

    Raises
    ------
    UserError
        If anything is wrong with the options, the rows or the disk.
    """
    p = parameters
    validate(p)
    name = output_name(p)
    source = read_rows(p.fn_mic, "micrographs", "fn_mic") if name == "micrographs" else read_rows(p.fn_data, "particles", "fn_data")
    subsets = _subsets(p, source, name, progress)
    progress.start("Select", 1)
    earlier = [path.name for path in out_dir.glob(f"{name}_split*.star")] if p.do_split else []
    prepare_map_output(out_dir, [*subsets, *earlier, OUTPUT_NODES], 2 * source.path.stat().st_size, overwrite)
    for file_name, rows in subsets.items():
        source.write(out_dir / file_name, rows)
    if p.do_split:
        write_output_nodes(out_dir, {(out_dir / file_name).as_posix(): KINDS[name] for file_name in subsets})
    progress.advance(1, f"{sum(map(len, subsets.values()))} of {len(source.rows)} rows in {len(subsets)} files")
    progress.finish()
    counts = {out_dir / file_name: len(rows) for file_name, rows in subsets.items()}
    return Selected(counts, () if any(counts.values()) else ("no row was selected",))


def _subsets(p: SelectValuesParameters, source: RowFile, name: str, progress: Progress) -> dict[str, pd.DataFrame]:
    if p.do_split:
        parts = split_rows(len(source.rows), p.nr_split, p.split_size, _SEED if p.do_random else None)
        return {f"{name}_split{i + 1}.star": source.rows.iloc[part] for i, part in enumerate(parts)}
    if p.do_select_values:
        values = source.numbers(p.select_label)
        kept = (values >= p.select_minval) & (values <= p.select_maxval)
    elif p.do_discard:
        kept = usual(*image_statistics(source, p.discard_label, progress), p.discard_sigma)
    else:
        kept = ~too_close(source, p.duplicate_threshold, p.image_angpix)
    return {f"{name}.star": source.rows[kept]}


def split_rows(n_rows: int, n_subsets: int, size: int, seed: int | None) -> list[np.ndarray]:
    """Return the rows of each subset.

    Parameters
    ----------
    n_rows
        Number of rows.
    n_subsets, size
        Number of subsets and rows of each; 0 or less follows from the other. With both given, rows beyond are left out.
    seed
        Seed of a shuffle before; None keeps the order.
    """
    order = np.arange(n_rows) if seed is None else np.random.default_rng(seed).permutation(n_rows)
    if size <= 0:
        size = -(-n_rows // n_subsets)
    if n_subsets <= 0:
        n_subsets = -(-n_rows // size)
    parts = (order[i * size : (i + 1) * size] for i in range(n_subsets))
    return [part for part in parts if len(part)]


def usual(means: np.ndarray, deviations: np.ndarray, sigma: float) -> np.ndarray:
    """Tell which images have a mean and a standard deviation within `sigma` standard deviations of the average image."""
    kept = np.ones(len(means), dtype=bool)
    for values in (means, deviations):
        kept &= np.abs(values - values.mean()) <= sigma * values.std()
    return kept


def image_statistics(source: RowFile, label: str, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the image of each row, both of shape (rows,).

    Raises
    ------
    UserError
        If an image cannot be read.
    """
    names = [str(name) for name in source.column(label)]
    means, deviations = np.empty(len(names)), np.empty(len(names))
    progress.start("Image statistics", len(names))
    in_stacks = any("@" in name for name in names)
    read = _slice_reader(names, source) if in_stacks else _file_reader(names)
    block = _BLOCK if in_stacks else 1
    for start in range(0, len(names), block):
        rows = np.arange(start, min(start + block, len(names)))
        for row, image in zip(rows, read(rows), strict=True):
            means[row], deviations[row] = image.mean(dtype=np.float64), image.std(dtype=np.float64)
        progress.advance(len(rows))
    progress.finish()
    return means, deviations


def _file_reader(names: list[str]) -> Callable[[np.ndarray], Iterable[np.ndarray]]:
    """Return a reader of files of one image each, by row."""
    return lambda rows: [read_mrc(names[row])[0] for row in rows]


def _slice_reader(names: list[str], source: RowFile) -> Callable[[np.ndarray], Iterable[np.ndarray]]:
    """Return a reader of images named like ``000001@stack.mrcs``, by row."""
    parts = [name.rpartition("@") for name in names]
    wrong = next((name for name, part in zip(names, parts, strict=True) if not part[0].isdecimal()), None)
    if wrong is not None:
        raise UserError(f"{source.path}: there is an image '{wrong}', expected names like 000001@stack.mrcs; correct it")
    codes, stacks = pd.factorize(np.array([part[2] for part in parts], dtype=object))
    slices = np.array([int(part[0]) for part in parts]) - 1
    reader = StackReader([str(stack) for stack in stacks])
    return lambda rows: reader.read(codes[rows], slices[rows])


def too_close(source: RowFile, threshold: float, pixel_size: float) -> np.ndarray:
    """Tell which particles have a later one of the same micrograph nearer than `threshold` (A), as RELION decides it.

    Positions are coordinates of picking minus refined offsets. `pixel_size` (A) is that of the micrographs; 0 or less takes
    it from the optics table.
    """
    from scipy.spatial import cKDTree

    pixel = pixel_size if pixel_size > 0 else _pixel_size(source)
    positions = np.stack([source.numbers(f"rlnCoordinate{axis}") * pixel for axis in "XY"], axis=1)
    for i, axis in enumerate("XY"):
        if f"rlnOrigin{axis}Angst" in source.rows.columns:
            positions[:, i] -= source.numbers(f"rlnOrigin{axis}Angst")
    micrograph = pd.factorize(source.column("rlnMicrographName"))[0]
    # Micrographs lie so far apart in a third dimension that only particles of one can be neighbours.
    points = np.column_stack([positions, micrograph * (2.0 * threshold + 1.0)])
    pairs = cKDTree(points).query_pairs(threshold, output_type="ndarray")
    near = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) < threshold
    removed = np.zeros(len(points), dtype=bool)
    removed[pairs[near].min(axis=1)] = True
    return removed


def _pixel_size(source: RowFile) -> float:
    """Return the pixel size of the micrographs, which is that of unscaled particles."""
    optics = source.others.get("optics")
    for label in ("rlnMicrographPixelSize", "rlnImagePixelSize", "rlnMicrographOriginalPixelSize"):
        if isinstance(optics, pd.DataFrame) and label in optics.columns:
            sizes = np.asarray(optics[label], dtype=np.float64)
            if np.ptp(sizes) > 1e-4 * sizes[0]:
                raise UserError(f"{source.path}: optics groups have different values of {label}: give image_angpix")
            return float(sizes[0])
    raise UserError(f"{source.path}: there is no pixel size in the optics table: give image_angpix")
