"""Cost of a particle visit as the stack grows: VDAM and EM of ours on 5,000 to 100,000 particles.

    python benchmarks/scaling.py --out out/scaling --sizes 5000 20000 100000

Start-up (process start, reading the STAR file, noise estimate) is in the figures. The visits are those recorded in
run_iterations.jsonl. Writes OUT/scaling.json and, with --docs, the table in docs/benchmarks.md.
"""

import argparse
from pathlib import Path
from typing import Any

from measure import markdown_table, publish, run_benchmark, write_json
from runs import Task, make_stack, run_em, run_vdam
from shared_options import add_docs, add_shared, benchmark_parser

from relion4plugin.files.iterations import read_iterations
from relion4plugin.simulation.spec import SimulationSpec

HEADER = ["Particles", "Run", "Visits", "CPU (s)", "CPU per 1000 visits (s)", "Wall (s)", "Memory (MiB)"]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for stacks, runs and scaling.json")
    parser.add_argument("--sizes", nargs="+", type=int, default=[5000, 20000, 100000], help="particles (%(default)s)")
    add_shared(parser, box=64, k=25, threads=2, mini_batches=100)
    parser.add_argument("--em-iterations", type=int, default=0, help="EM iterations, 0 for none (%(default)s)")
    add_docs(parser)
    return parser.parse_args(words)


def visits(run_dir: Path) -> int:
    """Particles visited over all iterations of a run."""
    return sum(int(record["subset_size"]) for record in read_iterations(run_dir / "run_iterations.jsonl"))


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = arguments(words)
    task = Task(options.k, 2.0, options.threads, 1, options.em_iterations, options.mini_batches)
    runs = {"VDAM": run_vdam} | ({"EM": run_em} if options.em_iterations > 0 else {})
    figures: list[dict[str, Any]] = []
    for size in options.sizes:
        spec = SimulationSpec(n_particles=size, box_size=options.box, float16=True, seed=1)
        stack = make_stack(spec, options.out / f"n{size}" / "stack")
        for name, runner in runs.items():
            out = options.out / f"n{size}" / name.lower()
            cost = runner(stack, task, out)
            count = visits(out)
            per_thousand = {"cpu_seconds_per_1000_visits": 1000 * cost.cpu_seconds / count}
            figures.append({"particles": size, "run": name, "visits": count, **cost.as_dict(), **per_thousand})
            print(figures[-1], flush=True)
            write_json(options.out / "scaling.json", vars(options), figures)
    keys = ("particles", "run", "visits", "cpu_seconds", "cpu_seconds_per_1000_visits", "wall_seconds", "peak_rss_mib")
    table = markdown_table(HEADER, [[one[key] for key in keys] for one in figures])
    (options.out / "scaling.md").write_text(table + "\n")
    publish(table, "benchmarks.md", "scaling", options.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
