"""One process against several that share the particles: the same classes, and what it costs.

    python benchmarks/mpi.py --out out/mpi --n 8000 --processes 1 2 4 --mini-batches 100

Each run has one thread per process. Figures of several processes on one machine say what sharing costs; on a busy machine compare CPU
times, not wall times. Writes OUT/mpi.json and, with --docs, the table in docs/parallel.md.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from measure import class2d_command, markdown_table, publish, run_benchmark, run_measured, write_json
from runs import Stack, Task, log_of, make_stack, our_options
from shared_options import add_docs, add_shared, benchmark_parser

from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.particles import read_particles
from relion4plugin.parallel.mpirun import DEFAULT_LAUNCHER
from relion4plugin.simulation.spec import SimulationSpec

COLUMNS = (
    ("Run", "run"),
    ("Processes", "processes"),
    ("Wall (s)", "wall_seconds"),
    ("CPU of all (s)", "cpu_seconds"),
    ("Memory of the largest (MiB)", "peak_rss_mib"),
    ("Particles in another class", "in_another_class"),
    ("Largest difference of averages (sd)", "largest_difference"),
)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for stack, runs and mpi.json")
    add_shared(parser, n=8000, box=64, k=25)
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="numbers of processes (%(default)s)")
    parser.add_argument("--mini-batches", type=int, default=100, help="of VDAM, 0 for none (%(default)s)")
    parser.add_argument("--em-iterations", type=int, default=0, help="of EM, 0 for none (%(default)s)")
    add_docs(parser, "parallel.md")
    return parser.parse_args(words)


def run_shared(stack: Stack, task: Task, out: Path, algorithm: str, processes: int) -> dict[str, Any]:
    """Classify with so many processes; what it cost."""
    iterations = task.mini_batches if algorithm == "--grad" else task.em_iterations
    words = class2d_command(*our_options(stack, task, out, algorithm, iterations))
    launcher = [*DEFAULT_LAUNCHER.split(), "-n", str(processes)] if processes > 1 else []
    cost = run_measured([*launcher, *words], log_of(out), cwd=stack.particles.parent)
    return {"run": "VDAM" if algorithm == "--grad" else "EM", "processes": processes, **cost.as_dict()}


def compare(one: Path, other: Path, iterations: int) -> dict[str, float]:
    """How far two runs agree: in classes and averages."""
    name = f"run_it{iterations:03d}"
    classes = [read_particles(run / f"{name}_data.star").column("rlnClassNumber") for run in (one, other)]
    averages = [read_mrc(run / f"{name}_classes.mrcs")[0] for run in (one, other)]
    difference = np.abs(averages[0] - averages[1]).max() / averages[0].std()
    return {"in_another_class": int((classes[0] != classes[1]).sum()), "largest_difference": float(difference)}


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = arguments(words)
    task = Task(options.k, 2.0, 1, 1, options.em_iterations, options.mini_batches)
    spec = SimulationSpec(n_particles=options.n, box_size=options.box, float16=True, seed=1)
    stack = make_stack(spec, options.out / "stack")
    figures: list[dict[str, Any]] = []
    for algorithm, iterations in (("--grad", options.mini_batches), ("--em", options.em_iterations)):
        for processes in options.processes if iterations else ():
            out = options.out / f"{algorithm[2:]}{processes}"
            figure = run_shared(stack, task, out, algorithm, processes)
            figures.append(figure | compare(options.out / f"{algorithm[2:]}{options.processes[0]}", out, iterations))
            print(figures[-1], flush=True)
            write_json(options.out / "mpi.json", vars(options), figures)
    table = markdown_table([title for title, _ in COLUMNS], [[figure[key] for _, key in COLUMNS] for figure in figures])
    publish(table, "parallel.md", "mpi", options.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
