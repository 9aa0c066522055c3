"""Fit the constants of the cost model to measured runs, and check it on runs that were left out.

    python benchmarks/cost_points.py --out out/cost --points n=1000 n=20000 n=200000,iterations=20 n=3000,box=128,k=100 run=em,iterations=10
    python benchmarks/cost_model.py --out out/cost --refinements REFINE3D_JOB ... --docs

Prints the constants for relion4plugin/jobs/cost.py, and a table of measured and predicted processor time and memory. A prediction uses
constants that were fitted without its run, and only what is known before a run: particles, box, classes, iterations, mask.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cost_points import read_points
from measure import markdown_table, publish, run_benchmark
from scipy.optimize import nnls
from shared_options import add_docs, benchmark_parser

from relion4plugin.errors import UserError
from relion4plugin.files.iterations import read_iterations
from relion4plugin.files.star import read_star
from relion4plugin.jobs.cost import FITTED, Constants, Task, estimate, padded_voxels, plane_terms, refined_pixels

HEADER = ["Run", "Particles", "Box", "K", "Iterations", "Load", "CPU (s)", "Predicted (s)", "Ratio", "Memory (MiB)", "Predicted (MiB)"]
BUSY = 5.0  # load average from which on a run is only compared: processor time is then much more than alone
PARTS = 20  # pieces into which the iterations of a run are summed for the fit
COARSEST = 2  # HEALPix order of the first stage of a refinement


@dataclass(frozen=True)
class Run:
    """A measured run: what was asked for, what it cost, and rows of the fit with their processor seconds.

    `whole` tells whether it went the usual way; a refinement that began in the middle helps to fit but is not predicted. `load` is
    that of the machine before it, NaN where nobody knows; from `BUSY` on the run is predicted but does not help to fit.
    """

    task: Task
    cpu_seconds: float
    memory: float  # MiB, NaN where it was not measured
    terms: np.ndarray
    seconds: np.ndarray
    whole: bool = True
    load: float = float("nan")


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder with cost_points.jsonl")
    parser.add_argument("--refinements", type=Path, nargs="*", default=[], help="folders of finished auto-refinements")
    add_docs(parser, "cost.md")
    return parser.parse_args(words)


def classification(point: dict[str, Any]) -> Run:
    """Read a point of cost_points.py."""
    job = "class2d-em" if point["run"] == "em" else "class2d"
    task = Task(job, point["n"], point["box"], point["k"], point["iterations"], point["threads"], point["diameter"])
    done = point["iterations_done"]
    rows = []
    for visits, size in zip(done["subset_size"], done["current_size"], strict=True):
        update, image, search = plane_terms(task, int(size))
        rows.append((update, visits * image, visits * search))
    found = _run(task, point["cpu_seconds"], _number(point["peak_rss_mib"]), rows, done["cpu_seconds"])
    return replace(found, load=_number(point["load"]))


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def refinement(folder: Path) -> Run:
    """Read the record of a finished auto-refinement."""
    records = read_iterations(folder / "run_iterations.jsonl")
    box = int(str(read_star(folder / "run_model.star")["model_general"]["rlnOriginalImageSize"]))
    task = Task("refine3d", int(records[0]["subset_size"]), box, n_iterations=len(records))
    rows = []
    for record in records:
        row = np.zeros(len(FITTED.stages) + 1)
        stage = min(max(int(record["healpix_order"]) - COARSEST, 0), len(FITTED.stages) - 1)
        row[stage] = record["subset_size"] * refined_pixels(int(record["current_size"]))
        row[-1] = padded_voxels(int(record["current_size"]))
        rows.append(row)
    seconds = [float(record["cpu_seconds"]) for record in records]
    return replace(_run(task, sum(seconds), float("nan"), rows, seconds), whole=int(records[0]["healpix_order"]) == COARSEST)


def _run(task: Task, cpu_seconds: float, memory: float, rows: Sequence[Any], seconds: Sequence[float]) -> Run:
    starts = np.arange(0, len(rows), max(1, len(rows) // PARTS))
    terms, spent = (np.add.reduceat(np.asarray(values, dtype=np.float64), starts, axis=0) for values in (rows, seconds))
    return Run(task, cpu_seconds, memory, terms, spent)


def fitted(runs: Sequence[Run]) -> np.ndarray:
    """Fit constants that are not negative, each run with the same weight, to relative errors; busy times are left out."""
    runs = [run for run in runs if not run.load >= BUSY]
    weights = [1.0 / (run.seconds * np.sqrt(len(run.seconds))) for run in runs]
    left = np.concatenate([run.terms * w[:, None] for run, w in zip(runs, weights, strict=True)])
    right = np.concatenate([run.seconds * w for run, w in zip(runs, weights, strict=True)])
    return np.asarray(nnls(left, right)[0])


def fit_classes(runs: Sequence[Run]) -> Constants:
    """Constants of 2D: those of VDAM, then the factor of EM."""
    update, image, search = fitted([run for run in runs if run.task.job == "class2d"])
    constants = replace(FITTED, update=update, image=image, search=search, em=1.0)
    ratios = [
        run.cpu_seconds / estimate(run.task, constants).cpu_seconds for run in runs if run.task.job == "class2d-em" and not run.load >= BUSY
    ]
    return replace(constants, em=float(np.exp(np.mean(np.log(ratios)))) if ratios else FITTED.em)


def fit_refinements(runs: Sequence[Run]) -> Constants:
    """Constants of refinements; the common factor makes the predictions right on average, whose iterations are assumed ones."""
    *stages, padded = fitted(runs)
    constants = replace(FITTED, stages=tuple(stages), padded=padded)
    ratios = [run.cpu_seconds / estimate(run.task, constants).cpu_seconds for run in runs if run.whole]
    factor = float(np.exp(np.mean(np.log(ratios))))
    return replace(constants, stages=tuple(factor * rate for rate in stages), padded=factor * padded)


def check(runs: Sequence[Run], fit: Callable[[Sequence[Run]], Constants]) -> list[list[object]]:
    """Predict each run with constants from the others; rows of the table."""
    rows: list[list[object]] = []
    for run in filter(lambda run: run.whole, runs):
        cost = estimate(run.task, fit([other for other in runs if other is not run]))
        task, ratio = run.task, cost.cpu_seconds / run.cpu_seconds
        counts = (f"{task.n_particles:,}", task.box, task.n_classes, task.n_iterations, run.load)
        rows.append([task.job, *counts, run.cpu_seconds, cost.cpu_seconds, ratio, run.memory, 1024 * cost.memory])
    return rows


def main(words: list[str] | None = None) -> int:
    """Fit, check, print."""
    args = arguments(words)
    classes = [classification(point) for point in read_points(args.out)]
    refinements = [refinement(folder) for folder in args.refinements]
    if len(classes) < 2 or len(refinements) == 1:
        raise UserError(f"{args.out}: two points are the least to fit and check, and none or two refinements; measure more")
    rows = check(classes, fit_classes)
    print(fit_classes(classes))
    if refinements:
        rows += check(refinements, fit_refinements)
        print(fit_refinements(refinements))
    order = sorted(rows, key=lambda row: (str(row[0]), int(str(row[1]).replace(",", ""))))
    text = markdown_table(HEADER, order)
    publish(text, "cost.md", "cost", args.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
