"""Quality of our VDAM (and of RELION's EM where it is installed) on stacks with junk: structures x seeds.

    python benchmarks/quality.py --out out/quality --structures pseudo 3wip.pdb 6cvm.pdb --seeds 1 2 3

Writes OUT/quality.json and, with --docs, the table in docs/benchmarks.md. Targets: at least 95 % of the true particles in classes in
which they are the majority, more than K/3 effective classes, FRC=0.5 of the ten largest no worse than RELION's.
"""

import argparse
from pathlib import Path
from typing import Any

from class2d import compare, runners
from measure import markdown_table, publish, run_benchmark, write_json
from runs import EM_ITERATIONS, VDAM_MINI_BATCHES, Task, make_stack
from shared_options import add_docs, add_shared, add_structures, benchmark_parser

from relion4plugin.simulation.spec import SimulationSpec

MAJORITY_TARGET = 0.95
HEADER = ["Structure", "Seed", "Run", "True in majority", "Effective classes", "Empty", "FRC=0.5, ten largest (A)", "Meets targets"]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for stacks, runs and quality.json")
    add_structures(parser)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="seeds of simulation and runs (%(default)s)")
    add_shared(parser, n=3000, box=64, pixel=4.0, k=25, snr=0.3, junk=0.2, tau2_fudge=2.0, threads=2)
    add_shared(parser, em_iterations=EM_ITERATIONS, mini_batches=VDAM_MINI_BATCHES)
    parser.add_argument("--skip", nargs="*", default=["em"], choices=("vdam", "em", "relion"), help="runs to leave out (%(default)s)")
    add_docs(parser)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = arguments(words)
    chosen = runners(options.skip)
    figures: dict[str, Any] = {}
    rows = []
    for source in options.structures:
        name = Path(source).name.split(".")[0]
        for seed in options.seeds:
            spec = SimulationSpec(
                source=source, n_particles=options.n, box_size=options.box, pixel_size=options.pixel, snr=options.snr,
                junk_fraction=options.junk, seed=seed,
            )  # fmt: skip
            folder = options.out / f"{name}_seed{seed}"
            task = Task(options.k, options.tau2_fudge, options.threads, seed, options.em_iterations, options.mini_batches)
            found = compare(make_stack(spec, folder / "stack"), task, chosen, folder)
            figures[folder.name] = found
            rows += [row(name, seed, run, one) for run, one in found.items()]
            write_json(options.out / "quality.json", vars(options), figures)  # after each stack: a long benchmark may be stopped
    table = markdown_table(HEADER, rows)
    (options.out / "quality.md").write_text(table + "\n")
    publish(table, "benchmarks.md", "quality", options.docs)
    return 0


def row(name: str, seed: int, run: str, one: dict[str, Any]) -> list[object]:
    """One line of the table."""
    good = one["majority_fraction"] >= MAJORITY_TARGET and one["effective_classes"] > one["classes"] / 3
    figures = [one[key] for key in ("majority_fraction", "effective_classes", "empty_classes", "frc_resolution_ten")]
    return [name, seed, run, *figures, "yes" if good else "no"]


if __name__ == "__main__":
    run_benchmark(main)
