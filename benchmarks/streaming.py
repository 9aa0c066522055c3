"""2D classification of particles that arrive bit by bit, against an offline run of the same particles: quality and cost.

    python benchmarks/streaming.py --out out/streaming --n 8000 --first 1000 --rounds 8 --structures pseudo model.pdb

Particles arrive micrograph by micrograph; after each round every particle has a class, after the last one all are visited once more.
Writes OUT/streaming.json and, with --docs, the table in docs/streaming.md.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from evaluation import evaluate
from measure import markdown_table, publish, run_benchmark, write_json
from runs import Stack, make_stack
from shared_options import add_docs, add_shared, add_structures, benchmark_parser

from relion4plugin.files.particles import ParticleSet, read_particles
from relion4plugin.progress import Silent
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.schedules import subset_size
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.streaming import classify_stream, read_stream
from relion4plugin.simulation.spec import SimulationSpec

COLUMNS = (
    ("CPU (s)", "cpu_seconds"),
    ("Visits", "visits"),
    ("View purity", "view_purity"),
    ("True in majority", "majority_fraction"),
    ("Effective classes", "effective_classes"),
    ("Empty", "empty_classes"),
    ("FRC=0.5, ten largest (A)", "frc_resolution_ten"),
)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for stacks, runs and streaming.json")
    parser.add_argument("--n", type=int, default=8000, help="particles in the end (%(default)s)")
    parser.add_argument("--first", type=int, default=1000, help="particles with which the first round begins (%(default)s)")
    parser.add_argument("--rounds", type=int, default=8, help="rounds, evenly spaced in particles (%(default)s)")
    add_shared(parser, box=64, pixel=4.0, k=25, seed=1, snr=0.3, junk=0.1, threads=1)
    add_structures(parser)
    add_docs(parser, "streaming.md")
    return parser.parse_args(words)


def arrivals(particles: ParticleSet, first: int, rounds: int) -> list[ParticleSet]:
    """Return what is there in each round: whole micrographs, in the order of their names."""
    names = particles.table["rlnMicrographName"].astype(str).to_numpy()
    order = np.argsort(names, kind="stable")
    ends = np.flatnonzero(np.append(names[order][1:] != names[order][:-1], True)) + 1
    wanted = np.linspace(first, len(particles), rounds)
    return [particles.select(np.sort(order[: ends[np.searchsorted(ends, min(count, ends[-1]))]])) for count in wanted]


def offline(settings: RefinementSettings, particles: ParticleSet, out: Path) -> dict[str, Any]:
    """Classify all particles at once."""
    began = time.process_time()
    refine(settings, particles, out, Silent())
    visits = sum(subset_size(settings, i, len(particles)) for i in range(1, settings.n_iterations + 1))
    return {"cpu_seconds": time.process_time() - began, "visits": visits}


def stream(settings: RefinementSettings, rounds: list[ParticleSet], out: Path) -> dict[str, Any]:
    """Classify them as they arrive."""
    began, resume = time.process_time(), None
    for number, particles in enumerate(rounds, 1):
        resume = classify_stream(settings, particles, out, Silent(), resume=resume, last=number == len(rounds)).optimiser_star
    assert resume is not None
    return {"cpu_seconds": time.process_time() - began, "visits": read_stream(resume).n_visits}


def compare(stack: Stack, args: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """Do both and evaluate them."""
    settings = RefinementSettings(
        n_classes=args.k, particle_diameter=stack.truth.diameter, seed=args.seed, threads=args.threads, memory_limit=4.0
    )
    particles = read_particles(stack.particles)
    figures = {}
    for name, act, given in (("offline", offline, particles), ("stream", stream, arrivals(particles, args.first, args.rounds))):
        out = folder / name
        cost = act(settings, given, out)  # type: ignore[operator]
        figures[name] = cost | evaluate(out, stack.truth)
        print(f"   {name}: " + ", ".join(f"{title} {figures[name][key]:.4g}" for title, key in COLUMNS), flush=True)
    return figures


def main(words: list[str] | None = None) -> int:
    """Compare on each structure."""
    args = arguments(words)
    everything = {}
    for source in args.structures:
        name = Path(source).name.split(".")[0]
        spec = SimulationSpec(source=source, n_particles=args.n, box_size=args.box, pixel_size=args.pixel, snr=args.snr,
                              junk_fraction=args.junk, seed=args.seed)  # fmt: skip
        print(name, flush=True)
        everything[name] = compare(make_stack(spec, args.out / name / "stack"), args, args.out / name)
    definition = {key: value for key, value in vars(args).items() if key != "out"}
    write_json(args.out / "streaming.json", definition, everything)
    rows = [[name, run, *(f"{one[key]:.4g}" for _, key in COLUMNS)] for name, runs in everything.items() for run, one in runs.items()]
    table = markdown_table(["Structure", "Run", *(title for title, _ in COLUMNS)], rows)
    publish(table, "streaming.md", "streaming", args.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
