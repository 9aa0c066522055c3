"""2D classes of particles picked without a hand, with noise that junk raises (the mean, as RELION) and noise that it does not.

    python benchmarks/junk_noise.py --outcome out/outcome --out out/junk_noise --docs

--outcome is the folder that outcome.py left: its sessions have a known truth, and its projects extracted particles. The particles of each
set are classified with `--robust_noise No` and `Yes`, all else alike, and classes are selected by the ranker's default rule.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from measure import class2d_command, markdown_table, publish, run_benchmark, run_measured, write_json
from outcome import SETS
from outcome_table import job_folders, job_option, particles, true_rows
from shared_options import add_docs, add_sets, add_shared, benchmark_parser

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.simulation.known_truth import KnownTruth, read_truth

NOISE = {"No": "mean", "Yes": "robust"}
ALIGNING = 20.0  # A, coarser than which noise is averaged


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for the runs")
    parser.add_argument("--outcome", type=Path, required=True, help="folder of outcome.py")
    add_sets(parser, SETS)
    parser.add_argument("--per-class", type=int, default=50, help="particles per class (%(default)s)")
    add_shared(parser, iter=100, threads=2, seed=1)
    add_docs(parser)
    return parser.parse_args(words)


def classified(project: Path, jobs: dict[str, Path], out: Path, robust: str, args: argparse.Namespace) -> Path:
    """Classify the extracted particles of a project and select; returns the folder."""
    source, run = jobs["extract"] / "particles.star", out.resolve() / NOISE[robust]
    if not (run / "rank" / "particles.star").is_file():
        diameter = job_option(jobs["class2d"], "particle_diameter")
        command = class2d_command(
            "--i", str(source.resolve()), "--o", str(run), "--K", "100", "--parts_per_class", str(args.per_class), "--iter", str(args.iter),
            "--particle_diameter", diameter, "--j", str(args.threads), "--random_seed", str(args.seed), "--robust_noise", robust,
            "--no_report", "--quiet", "--overwrite",
        )  # fmt: skip
        run_measured(command, run.with_suffix(".log"), cwd=project)
        last = sorted(run.glob("run_it*_optimiser.star"))[-1]
        rank = [*command[:3], "rank", "--i", str(last), "--o", str(run / "rank"), "--quiet", "--overwrite"]
        run_measured(rank, run.with_suffix(".rank.log"), cwd=project)
    return run


def judge(run: Path, truth: KnownTruth, distance: float) -> dict[str, Any]:
    """What the classes are good for: rates of the selection, the best that any choice of classes could do, and the noise."""
    rows = particles(sorted(run.glob("run_it*_data.star"))[-1])
    true = true_rows(truth, rows, distance)
    number = rows["rlnClassNumber"].to_numpy(int) - 1
    model = read_star(sorted(run.glob("run_it*_model.star"))[-1])
    n_classes = len(model["model_classes"])
    size, good = np.bincount(number, minlength=n_classes), np.bincount(number, true, minlength=n_classes)
    backup = read_star(run / "rank" / "backup_selection.star")
    chosen = backup[next(iter(backup))]["rlnSelected"].to_numpy(int) > 0
    total = good.sum()
    order = np.argsort(-good / np.maximum(size, 1))
    best = 2 * np.cumsum(good[order]) / (np.cumsum(size[order]) + total)
    spectrum = model["model_optics_group_1"]
    aligning = spectrum["rlnResolution"].to_numpy(float) < 1 / ALIGNING
    return {
        "classes": n_classes, "selected": int(size[chosen].sum()), "fpr": float((size - good)[chosen].sum() / total),
        "fnr": float(1 - good[chosen].sum() / total), "best_f1": float(best.max()),
        "noise": float(spectrum["rlnSigma2Noise"].to_numpy(float)[aligning][1:].mean()),
    }  # fmt: skip


def row(name: str, n: int, good: int, found: dict[str, dict[str, Any]]) -> list[str]:
    """One line of the table: both kinds of noise in every cell."""
    mean, robust = found["mean"], found["robust"]
    pairs = [f"{mean[key]:.2f}, {robust[key]:.2f}" for key in ("fpr", "fnr", "best_f1")]
    noise, selected = f"{mean['noise'] / robust['noise']:.1f}", f"{mean['selected']:,}, {robust['selected']:,}"
    return [name, f"{n:,}", f"{good / n:.2f}", noise, selected, *pairs]


def main(words: list[str] | None = None) -> int:
    """Classify, judge, print, and write what was asked for."""
    args = arguments(words)
    lines, records = [], {}
    for name in args.sets:
        project, session = args.outcome / name / "project", args.outcome / name / "session"
        if not project.is_dir():
            raise UserError(f"{project}: no such folder; run outcome.py for this set first, or leave it out with --sets")
        truth, jobs = read_truth(session), job_folders(project)
        distance = 0.5 * float(job_option(jobs["autopick"], "log_diam_max"))
        found = {word: judge(classified(project, jobs, args.out / name, robust, args), truth, distance) for robust, word in NOISE.items()}
        rows = particles(jobs["extract"] / "particles.star")
        lines.append(row(name, len(rows), int(true_rows(truth, rows, distance).sum()), found))
        records[name] = found
        print(lines[-1], flush=True)
    head = ["Data set", "Particles", "True", "Noise, mean / robust", "Selected", "FPR", "FNR", "Best F1"]
    text = markdown_table(head, lines)
    write_json(args.out / "junk_noise.json", vars(args), records)
    publish(text, "benchmarks.md", "junk_noise", args.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
