"""Measured points for the cost model: runs of many sizes, as a user starts them, and what they cost.

    python benchmarks/cost_points.py --out out/cost --points "n=1000" "n=5000,k=100" "n=5000,box=128,run=em,iterations=10"

A point is simulated, run and deleted again. OUT/cost_points.jsonl gets one line each: the point, CPU seconds and peak memory of the whole
process, and, for each iteration, particles, image size and CPU seconds. Points that are there already are not run again. With --stack,
points of its box are not simulated: they take its first particles, from the beginning again where it has fewer.
"""

import argparse
import json
import shutil
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evaluation import Truth
from measure import machine, plain, run_benchmark
from runs import Stack, Task, make_stack, run_em, run_vdam
from shared_options import benchmark_parser

from relion4plugin.errors import UserError
from relion4plugin.files.iterations import read_iterations
from relion4plugin.files.star import read_star, write_star
from relion4plugin.simulation.spec import SimulationSpec

LOG = "cost_points.jsonl"
OF_ITERATIONS = ("subset_size", "current_size", "cpu_seconds")


@dataclass(frozen=True)
class Point:
    """One run of 2D classification."""

    n: int = 5000
    box: int = 64
    k: int = 25
    run: str = "vdam"  # or em
    iterations: int = 200
    threads: int = 2

    @classmethod
    def of(cls, text: str) -> "Point":
        """Read ``n=1000,k=100``; what is not named keeps its default.

        Raises
        ------
        UserError
            If a name is unknown or a value is no number.
        """
        given = dict(word.partition("=")[::2] for word in text.split(","))
        names = {one.name for one in fields(cls)}
        numbers: dict[str, Any] = {name: int(value) for name, value in given.items() if value.isdigit()}
        run = given.get("run", cls.run)
        if not set(given) <= names or set(given) - {"run"} - set(numbers) or run not in ("vdam", "em"):
            raise UserError(f"--points {text}: no point; expected for example n=1000,box=64,k=25,run=em")
        return replace(cls(run=run), **numbers)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, f"folder for stacks, runs and {LOG}")
    parser.add_argument("--points", nargs="+", required=True, help="points, each with commas; others have n=5000,box=64,k=25,run=vdam")
    parser.add_argument("--stack", type=Path, help="folder of a simulated stack, with particles.star")
    parser.add_argument("--diameter", type=float, default=190.0, help="mask diameter for --stack, A (%(default)s)")
    return parser.parse_args(words)


def part_of(stack: Path, n: int, folder: Path, diameter: float) -> tuple[Stack, int, float]:
    """List `n` particles of a stack; returns the list, the box and its width in A."""
    blocks = read_star(stack / "particles.star")
    rows, optics = (pd.DataFrame(blocks[name]) for name in ("particles", "optics"))
    folder.mkdir(parents=True)
    (folder / "Particles").symlink_to((stack / "Particles").resolve())
    star = folder / "particles.star"
    write_star(star, {**blocks, "particles": rows.iloc[np.arange(n) % len(rows)].reset_index(drop=True)})
    box = int(optics["rlnImageSize"].iloc[0])
    return Stack(star.resolve(), Truth(star, None, diameter)), box, box * float(optics["rlnImagePixelSize"].iloc[0])


def make(point: Point, folder: Path, args: argparse.Namespace) -> tuple[Stack, float]:
    """Simulate the particles of a point, or list those of a stack; returns them and the width of the box in A."""
    if args.stack is not None:
        stack, box, width = part_of(args.stack, point.n, folder, args.diameter)
        if box == point.box:
            return stack, width
        shutil.rmtree(folder)
    spec = SimulationSpec(n_particles=point.n, box_size=point.box, pixel_size=4.0 * 64 / point.box, float16=True, seed=1)
    return make_stack(spec, folder), spec.box_angst


def measure(point: Point, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Run one point; its files are deleted."""
    try:
        stack, width = make(point, folder / "stack", args)
        task = Task(point.k, 2.0, point.threads, 1, em_iterations=point.iterations, mini_batches=point.iterations)
        cost = (run_em if point.run == "em" else run_vdam)(stack, task, folder / "run")
        records = read_iterations(folder / "run" / "run_iterations.jsonl")
        return {
            **asdict(point), **cost.as_dict(), "diameter": stack.truth.diameter / width,
            "iterations_done": {name: [record[name] for record in records] for name in OF_ITERATIONS},
        }  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_points(out: Path) -> list[dict[str, Any]]:
    """Read the points that were measured before."""
    log = out / LOG
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def main(words: list[str] | None = None) -> int:
    """Measure what is missing."""
    args = arguments(words)
    args.out.mkdir(parents=True, exist_ok=True)
    known = [{name: one[name] for name in asdict(Point())} for one in read_points(args.out)]
    for point in map(Point.of, args.points):
        if asdict(point) in known:
            continue
        found = measure(point, args.out / "point", args) | {"load": machine()["load_before"]}
        with open(args.out / LOG, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(plain(found)) + "\n")
        print({name: found[name] for name in ("n", "box", "k", "run", "cpu_seconds", "wall_seconds", "peak_rss_mib")}, flush=True)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
