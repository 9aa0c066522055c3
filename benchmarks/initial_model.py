"""Initial models from simulated stacks: how often a seed finds the structure, at what resolution and cost.

    python benchmarks/initial_model.py --models MODELS --out out/initial --stacks bgal_d2 gsec_belt --seeds 10 --docs

A seed has succeeded when its map, after alignment and of either hand, agrees with the known one (FSC above 0.5) to four pixels or
finer. Finished runs are kept in OUT/LABEL.jsonl: a benchmark that was stopped goes on, and other stacks or seeds may be added.
"""

import argparse
import json
import shlex
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from measure import markdown_table, plain, publish, run_benchmark, write_json
from runs3d import run_ours, summary_of
from shared_options import add_docs, add_shared, benchmark_parser
from stacks3d import DEFINITIONS, Stack3D, add_stack_options, chosen_stacks
from volume_metrics import KnownStructure, compare_map, map_figures, pose_figures

from relion4plugin.errors import UserError

TARGET_PIXELS = 4.0
DEFAULT = [name for name in DEFINITIONS if name != "junk"]
HEADER = (
    "Stack", "Symmetry", "Target (A)", "FSC=0.5 per seed (A)", "Successes", "Poses within 15 degrees",
    "True in class", "Judged reliable", "CPU (s)", "Memory (MiB)",
)  # fmt: skip


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for stacks, runs and results")
    add_stack_options(parser, DEFAULT)
    parser.add_argument("--seeds", type=int, default=10, help="seeds of the runs, counted from --first-seed (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first of them (%(default)s)")
    add_shared(parser, iter=200, threads=1)
    parser.add_argument("--restarts", type=int, default=1, help="starts of one run, of which it keeps the best (%(default)s)")
    parser.add_argument("--no-symmetry", action="store_true", help="do not tell the runs the point group")
    parser.add_argument("--options", default="", help="further options of `relion4plugin initialmodel`, in one string")
    parser.add_argument("--label", default="initial_model", help="name of this set of options in the files (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once (%(default)s)")
    parser.add_argument("--markdown", action="store_true", help="only print the table of the finished runs")
    add_docs(parser)
    return parser.parse_args(words)


def run_options(stack: Stack3D, seed: int, options: argparse.Namespace) -> list[str]:
    """Options of one run."""
    words = ["--i", str(stack.particles), "--particle_diameter", f"{stack.mask_diameter:g}", "--random_seed", str(seed)]
    words += ["--iter", str(options.iter), "--restarts", str(options.restarts), "--j", str(options.threads)]
    words += [] if options.no_symmetry or stack.symmetry == "C1" else ["--sym", stack.symmetry]
    return words + shlex.split(options.options)


def run_one(stack: Stack3D, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Make and judge one initial model."""
    out = options.out / options.label / f"{stack.name}_seed{seed:02d}"
    cost = run_ours("initialmodel", out, run_options(stack, seed, options))
    return {"stack": stack.name, "seed": seed} | cost.as_dict() | judge(stack, summary_of(out))


def judge(stack: Stack3D, outputs: dict[str, Any]) -> dict[str, Any]:
    """Compare the final map, and the chosen class before symmetry was applied, with the truth."""
    known = KnownStructure(stack.map, stack.symmetry)
    final = map_figures(compare_map(Path(outputs["map"]), known))
    number = int(outputs["class_number"])
    raw = compare_map(Path(outputs["maps"][number - 1]), known)
    figures = {name: outputs[name] for name in ("class_number", "symmetry", "reliable", "verdict")}
    figures |= {"target": TARGET_PIXELS * stack.pixel_size, "raw_resolution": raw.resolution}
    poses = pose_figures(Path(outputs["data_star"]), stack.truth, stack.symmetry, raw, number)
    return figures | final | poses


def finished(path: Path) -> list[dict[str, Any]]:
    """Read the records of finished runs; a line that was cut off by a kill is left out."""
    records = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def run_missing(stacks: list[Stack3D], options: argparse.Namespace, log: Path) -> None:
    """Run what the log lacks, seed by seed over all stacks; each record is appended when its run ends."""
    known = {(record["stack"], record["seed"]) for record in finished(log)}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    tasks = [(stack, seed) for seed in seeds for stack in stacks if (stack.name, seed) not in known]
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.is_file() and not log.read_text().endswith("\n"):
        with log.open("a") as stream:
            stream.write("\n")
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(run_one, stack, seed, options) for stack, seed in tasks]
        try:
            for future in as_completed(futures):
                record = future.result()
                with log.open("a") as stream:
                    stream.write(json.dumps(plain(record)) + "\n")
                name, seed, reached, cost = (record[key] for key in ("stack", "seed", "resolution", "cpu_seconds"))
                print(f"{name} seed {seed}: {reached:.1f} A, {cost:.0f} CPU s", flush=True)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def table(records: Iterable[dict[str, Any]]) -> str:
    """Lay out one line per stack."""
    by_stack: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_stack.setdefault(record["stack"], []).append(record)
    return markdown_table(HEADER, [_row(name, by_stack[name]) for name in DEFINITIONS if name in by_stack])


def _row(name: str, records: list[dict[str, Any]]) -> list[object]:
    records = sorted(records, key=lambda record: record["seed"])
    reached = [record["resolution"] for record in records]
    target = records[0]["target"]
    successes = sum(resolution <= target for resolution in reached)
    each = ", ".join(f"{resolution:.1f}" if resolution < 100 else "-" for resolution in reached)

    def median(key: str) -> float:
        return float(np.median([record.get(key, 0.0) for record in records]))

    return [
        name, DEFINITIONS[name].symmetry, f"{target:.1f}", each, f"{successes} of {len(records)}", median("pose_within_15"),
        median("true_in_class"), f"{sum(record['reliable'] for record in records)} of {len(records)}",
        float(np.mean([record["cpu_seconds"] for record in records])), median("peak_rss_mib"),
    ]  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = arguments(words)
    log = options.out / f"{options.label}.jsonl"
    if not options.markdown:
        run_missing(chosen_stacks(options), options, log)
    records = [record for record in finished(log) if record["stack"] in options.stacks]
    if not records:
        raise UserError(f"{log}: no finished runs of the stacks asked for; run the benchmark without --markdown first")
    text = table(records)
    if not options.markdown:
        write_json(log.with_suffix(".json"), vars(options), records)
    publish(text, "benchmarks.md", "initial_model", options.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
