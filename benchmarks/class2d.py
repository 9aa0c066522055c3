"""Our EM, our VDAM and RELION's EM side by side on one simulated stack: cost of the whole process and quality against the truth.

    python benchmarks/class2d.py --out out/bench --n 5000 --box 64 --k 25 --seed 1 --structures pseudo model.pdb

Writes OUT/class2d.json and, with --docs, the table in docs/benchmarks.md.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation import evaluate
from measure import Cost, markdown_table, publish, run_benchmark, write_json
from runs import Stack, Task, make_stack, relion_program, run_em, run_relion_em, run_vdam
from shared_options import add_docs, add_shared, add_structures, benchmark_parser

from relion4plugin.simulation.spec import SimulationSpec

Runner = Callable[[Stack, Task, Path], Cost]
COLUMNS = (
    ("CPU (s)", "cpu_seconds"),
    ("Wall (s)", "wall_seconds"),
    ("Memory (MiB)", "peak_rss_mib"),
    ("View purity", "view_purity"),
    ("True in majority", "majority_fraction"),
    ("Effective classes", "effective_classes"),
    ("Empty", "empty_classes"),
    ("FRC=0.5, ten largest (A)", "frc_resolution_ten"),
)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for stacks, runs and class2d.json")
    add_shared(parser, n=5000, box=64, pixel=4.0, k=25, seed=1, snr=0.3, junk=0.0, tau2_fudge=2.0, threads=2)
    add_shared(parser, em_iterations=25, mini_batches=200)
    add_structures(parser)
    parser.add_argument("--skip", nargs="*", default=[], choices=("vdam", "em", "relion"), help="runs to leave out")
    add_docs(parser)
    return parser.parse_args(words)


def runners(skip: list[str]) -> dict[str, Runner]:
    """Return the runs to make, by name; RELION's only where it is installed."""
    chosen: dict[str, Runner] = {}
    if "vdam" not in skip:
        chosen["VDAM, ours"] = run_vdam
    if "em" not in skip:
        chosen["EM, ours"] = run_em
    program = relion_program()
    if "relion" not in skip and program is not None:
        chosen["EM, RELION 3.1"] = lambda stack, task, out: run_relion_em(stack, task, out, program)
    return chosen


def compare(stack: Stack, task: Task, chosen: dict[str, Runner], folder: Path) -> dict[str, dict[str, Any]]:
    """Run and evaluate everything on one stack, one after the other."""
    figures = {}
    for name, runner in chosen.items():
        out = folder / name.replace(", ", "_").replace(" ", "_").lower()
        print(f"{name}: running in {out}", flush=True)
        cost = runner(stack, task, out)
        figures[name] = cost.as_dict() | evaluate(out, stack.truth)
        print("   " + ", ".join(f"{title} {figures[name][key]:.3g}" for title, key in COLUMNS), flush=True)
    return figures


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = arguments(words)
    task = Task(options.k, options.tau2_fudge, options.threads, options.seed, options.em_iterations, options.mini_batches)
    chosen = runners(options.skip)
    if "relion" not in options.skip and relion_program() is None:
        print("relion_refine is not on PATH: its run is left out", flush=True)
    figures: dict[str, Any] = {}
    for source in options.structures:
        name = Path(source).name.split(".")[0]
        spec = SimulationSpec(
            source=source, n_particles=options.n, box_size=options.box, pixel_size=options.pixel, snr=options.snr,
            junk_fraction=options.junk, seed=options.seed,
        )  # fmt: skip
        stack = make_stack(spec, options.out / name / "stack")
        figures[name] = compare(stack, task, chosen, options.out / name)
    write_json(options.out / "class2d.json", vars(options), figures)
    rows = [[source, run, *(one[key] for _, key in COLUMNS)] for source, runs in figures.items() for run, one in runs.items()]
    table = markdown_table(["Structure", "Run", *(title for title, _ in COLUMNS)], rows)
    (options.out / "class2d.md").write_text(table + "\n")
    publish(table, "benchmarks.md", "class2d", options.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
