"""Training set of the class ranker: simulate stacks, classify them, and score every class by what is known about its particles.

    python benchmarks/ranker_set.py --models models --maps maps --out set --jobs 0-109
    python benchmarks/ranker_set.py --real data --out set
    python benchmarks/ranker_set.py --out set --collect

A job leaves `jobNNN.npz` (and `jobNNN_short.npz`, a poorer run of the same particles) with a JSON file of how it was made; stacks
and runs are deleted. Jobs that are there are not made again. --collect joins them to `set_train.npz`, `set_validation.npz` and
`set_test.npz`, and compares their features with those of real class averages.
"""

import argparse
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from evaluation import particle_table
from measure import run_benchmark
from ranker_jobs import SHORT, TEST, TRAIN, VALIDATION, SimulatedJob, draw_job, proteins, split_of
from ranker_label import label_run, relabel
from ranker_real import REAL_JOBS, make_real_job

from relion4plugin.cli.progress import BarProgress, LineProgress
from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.particles import read_particles
from relion4plugin.progress import Silent
from relion4plugin.ranker.domain import domain_table
from relion4plugin.ranker.samples import Samples, concatenate, read_samples, write_samples
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.simulation.mixture import simulate_mixture

MASK_EDGE = 5  # px, of the soft mask on the class averages
FAILURES = "failures.log"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of atomic models")
    parser.add_argument("--maps", type=Path, help="folder of maps")
    parser.add_argument("--real", type=Path, help="folder of real data: make the jobs of real images instead")
    parser.add_argument("--out", type=Path, required=True, help="folder of the training set")
    parser.add_argument("--jobs", default="0-109", help="numbers, as 0-9,12 (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="jobs at a time (%(default)s)")
    parser.add_argument("--split", choices=(TRAIN, VALIDATION, TEST), help="only the jobs of one split")
    parser.add_argument("--keep", action="store_true", help="keep stacks and runs in OUT/work")
    parser.add_argument("--collect", action="store_true", help="join the finished jobs")
    parser.add_argument("--compact", action="store_true", help="with --collect: 8 bits per pixel and no second runs (jobNNN_short)")
    options = parser.parse_args(words)
    if not options.collect and options.real is None and (options.models is None or options.maps is None):
        parser.error("--models and --maps are needed to simulate; or give --real or --collect")
    return options


def numbers(text: str) -> list[int]:
    """Numbers of a list such as ``0-9,12``.

    Raises
    ------
    UserError
        If it is none.
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise UserError(f"--jobs {text}: '{part}' is not a number or a range; give, for example, 0-9,12")
        found += range(int(first), int(last or first) + 1)
    return found


def make_job(job: SimulatedJob, out: Path, keep: bool = False) -> int:
    """Simulate, classify and label one job; returns the number of labelled classes."""
    name = f"job{job.number:03d}"
    work = out / "work" / name
    try:
        begin = time.process_time()
        stack = simulate_mixture(job.spec, work / "particles", Silent())
        particles = read_particles(stack.particles_star)
        truth = particle_table(stack.truth_star)
        maps, of_each = [read_mrc(path)[0] for path in stack.map_paths], proteins(source for source, _ in job.spec.sources)
        # room for the soft edge of the mask
        mask = min(stack.diameters[0] * job.mask_ratio, job.spec.box_angst - 2 * MASK_EDGE * job.spec.pixel_size)
        total = 0
        for suffix, settings in job.runs:
            label = f"{name}_{suffix}" if suffix else name
            chosen = replace(settings, particle_diameter=float(mask))
            result = refine(chosen, particles, work / (suffix or "main"))
            samples, figures = label_run(result.optimiser_star, truth, maps, label, job.structure, proteins=of_each)
            record = {"split": job.split, "structure": job.structure, "classes": len(samples), **figures}
            record |= {"cpu_seconds": time.process_time() - begin, "spec": asdict(job.spec), "settings": _plain(chosen)}
            save(out, label, samples, record)
            total += len(samples)
    finally:
        if not keep:
            shutil.rmtree(work, ignore_errors=True)
    return total


def save(out: Path, label: str, samples: Samples, record: dict[str, Any]) -> None:
    """Write the samples of a run and how they were made; the JSON file is written last and marks the run as done."""
    write_samples(out / f"{label}.npz", samples)
    atomic_write_text(out / f"{label}.json", json.dumps(record, indent=1, default=str))


def _plain(settings: RefinementSettings) -> dict[str, Any]:
    return {name: getattr(value, "value", value) for name, value in asdict(settings).items()}


def one_job(number: int, models: Path, maps: Path, out: Path, keep: bool) -> int:
    """Draw and make the job of a number."""
    return make_job(draw_job(number, models, maps), out, keep)


def run_all(tasks: dict[str, Callable[[], int]], out: Path, workers: int) -> int:
    """Run the tasks that are not done; a task that fails is logged and counted, and the others go on.

    Returns
    -------
    int
        Number of failures.
    """
    waiting = {name: task for name, task in tasks.items() if not (out / f"{name}.json").exists()}
    progress = (BarProgress if sys.stderr.isatty() else LineProgress)(sys.stderr)
    progress.start("labelled runs", len(waiting))
    failed = 0
    for name, outcome in _outcomes(waiting, workers):
        if isinstance(outcome, Exception):
            failed += 1
            with (out / FAILURES).open("a", encoding="utf-8") as log:
                log.write(f"{name}: {outcome}\n{''.join(traceback.format_exception(outcome))}\n")
            progress.advance(1, f"{name} failed: {outcome}")
        else:
            progress.advance(1, f"{name}: {outcome} classes")
    progress.finish()
    return failed


def _outcomes(tasks: dict[str, Callable[[], int]], workers: int) -> Iterator[tuple[str, int | Exception]]:
    """Yield name and either the number of classes or the error of each task, as they end."""
    if workers == 1:
        for name, task in tasks.items():
            yield name, _attempt(task)
        return
    with ProcessPoolExecutor(workers) as pool:
        running = {pool.submit(_attempt, task): name for name, task in tasks.items()}
        for future in as_completed(running):
            yield running[future], future.result()


def _attempt(task: Callable[[], int]) -> int | Exception:
    # whatever goes wrong in one job is reported with its name; hours of other jobs must not be lost to it
    try:
        return task()
    except Exception as error:
        return error


def collect(out: Path, compact: bool = False) -> str:
    """Join the finished jobs by split, labelled by the present rules; returns a report.

    A compact set leaves out the second, poorer runs of the same particles: it is kept in the repository.

    Raises
    ------
    UserError
        If there is none.
    """
    parts: dict[str, list[Samples]] = {TRAIN: [], VALIDATION: [], TEST: []}
    for path in sorted(out.glob("*.json")):
        if compact and path.stem.endswith(f"_{SHORT}"):
            continue
        samples = read_samples(path.with_suffix(".npz"))
        if len(samples):
            record = json.loads(path.read_text(encoding="utf-8"))
            sources = [source for source, _ in record.get("spec", {}).get("sources", [])]
            parts[record["split"]].append(relabel(samples, proteins=proteins(sources)))
    lines = []
    for split, found in parts.items():
        if not found:
            lines.append(f"{split}: no job")
            continue
        joined = concatenate(found)
        # train-ranker keeps to this column
        name = "valid" if split == VALIDATION else split
        joined = replace(joined, extra={**joined.extra, "split": np.full(len(joined), name)})
        write_samples(out / f"set_{split}.npz", joined, compact)
        jobs, structures = len(np.unique(joined.job)), len(np.unique(joined.structure))
        lines.append(
            f"{split}: {len(joined)} classes of {jobs} jobs and {structures} structures; target mean {joined.score.mean():.3f}, "
            f"sd {joined.score.std():.3f}, zero {(joined.score == 0).mean():.0%}; categories "
            + ", ".join(f"{c}: {(joined.extra['category'] == c).sum()}" for c in (1, 5, 2, 3, 0))
        )
    everything = [samples for found in parts.values() for samples in found]
    if not everything:
        raise UserError(f"{out}: no finished job in it; make some first")
    return "\n".join([*lines, domain_table(concatenate(everything).features)])


def main(words: list[str] | None = None) -> int:
    """Make or join the set."""
    options = arguments(words)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.collect:
        print(collect(options.out, options.compact))
        return 0
    tasks: dict[str, Callable[[], int]]
    if options.real is not None:
        tasks = {name: partial(make_real_job, name, options.real.resolve(), options.out, options.keep, save) for name in REAL_JOBS}
    else:
        chosen = [n for n in numbers(options.jobs) if options.split in (None, split_of(n))]
        places = (options.models.resolve(), options.maps.resolve(), options.out.resolve(), options.keep)
        tasks = {f"job{n:03d}": partial(one_job, n, *places) for n in chosen}
    failed = run_all(tasks, options.out, options.workers)
    if failed:
        print(f"{failed} of {len(tasks)} jobs failed; reasons in {options.out / FAILURES}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    run_benchmark(main)
