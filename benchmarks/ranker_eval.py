"""The class ranker on classes of known truth: errors job by job, ablation, simple rules beside it, pictures.

    python benchmarks/ranker_eval.py --picture docs/images/ranker_test.png --docs
    python benchmarks/ranker_eval.py --others "both inputs=both.safetensors" "images only=images.safetensors"
    python benchmarks/ranker_eval.py --set set --tune

--set is the folder of `ranker_set.py --collect`; without it the kept parts of the set are taken. --tune looks for the rule of the
calibrated threshold on the training and validation jobs and prints the best few; the test jobs are not touched.
"""

import argparse
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import publish, run_benchmark
from ranker_jobs import BELTED, FACILITY, KEPT, SOLUBILISED

from relion4plugin.ranker.calibrated import CalibrationSettings, calibrated_threshold
from relion4plugin.ranker.evaluation import DEFAULT_THRESHOLD, good_classes, particle_numbers
from relion4plugin.ranker.job_stage import OddsThreshold, judged_in_jobs
from relion4plugin.ranker.metrics import Rates, roc_auc, selection_rates, spearman, supervised_threshold
from relion4plugin.ranker.samples import Samples, concatenate, read_samples
from relion4plugin.ranker.standing import job_rows
from relion4plugin.ranker.weights import Ranker, load_weights

LEAST_CLASSES = 8  # of a job, for a rank correlation
LARGE = 0.25  # an error that should not happen
RICH = 1 / 3  # share of good particles from which on a job is like those of Table 4; FPR has no upper limit where few are good
ONLY_JUNK = 0.02  # share of true particles, below which a job has none
SETS = {
    f"jobs 0 to {FACILITY - 1}": range(FACILITY),
    f"jobs of a facility, {FACILITY} to {SOLUBILISED - 1}": range(FACILITY, SOLUBILISED),
    f"jobs of a facility, {SOLUBILISED} to {BELTED - 1}": range(SOLUBILISED, BELTED),
    f"jobs full of detergent, from {BELTED} on": range(BELTED, 1000),
}
RULE_WORDS = {
    "default": "score from 0.15",
    "scores": "threshold made from the scores alone",
    "calibrated": "calibrated (default)",
    "best_of_scores": "each job's best cut of the score",
    "best": "each job's best cut of the score in the job",
}
RULES = {
    "top_share": (0.01, 0.03),
    "fraction": (0.2, 0.3, 0.4, 0.5),
    "low": (0.1, 0.15, 0.2, 0.3),
    "high": (0.3, 0.4, 0.5, 0.6),
    "floor": (0.03, 0.05, 0.07),
    "ceiling": (0.3, 0.4, 0.5),
    "junk": (0.05, 0.08, 0.12),
}


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=KEPT, help="folder of set_train.npz, set_validation.npz and set_test.npz")
    parser.add_argument("--weights", type=Path, help="weights (default: those of the package)")
    parser.add_argument("--others", nargs="*", default=[], metavar="NAME=FILE", help="further weights, such as those of an ablation")
    parser.add_argument("--picture", type=Path, help="picture of the largest errors and the best classes")
    parser.add_argument("--tune", action="store_true", help="look for the rule of the calibrated threshold")
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/ranker_model.md")
    return parser.parse_args(words)


@dataclass(frozen=True, eq=False)
class Judged:
    """Classes as a ranker sees and scores them, in the order of the samples.

    Attributes
    ----------
    samples
        The classes.
    network, scores
        float64 (n,): of the network alone, and what the ranker says in the end.
    in_job
        float64 (n,): scores in the job; None for weights without a job stage.
    threshold
        The rule for the threshold on them.
    """

    samples: Samples
    network: np.ndarray
    scores: np.ndarray
    in_job: np.ndarray | None = None
    threshold: OddsThreshold | None = None

    def select(self, rows: np.ndarray) -> "Judged":
        """Some of the classes, int (m,)."""
        in_job = None if self.in_job is None else self.in_job[rows]
        return Judged(self.samples.select(rows), self.network[rows], self.scores[rows], in_job, self.threshold)

    @property
    def error(self) -> float:
        """Mean square error of the scores."""
        return float(np.mean((self.scores - self.samples.score) ** 2))


def judged(ranker: Ranker, samples: Samples) -> Judged:
    """Score the classes of a set as the ranker does in use."""
    stage, network = ranker.job_stage, ranker.score(samples.images, samples.features)
    if stage is None:
        return Judged(samples, network, network)
    return Judged(samples, network, *judged_in_jobs(stage, samples, network), stage.threshold)


def rates_of(samples: Samples, scores: np.ndarray, threshold: float) -> Rates:
    """Errors of a threshold on the classes of one job."""
    return selection_rates(good_classes(samples), scores, particle_numbers(samples), threshold)


def judge_job(samples: Samples, scores: np.ndarray, settings: CalibrationSettings, in_job: np.ndarray | None, cut: float) -> dict[str, Any]:
    """Everything about one job.

    Of the scores in this job those from `cut` on are selected; for weights without them the scores and their threshold stand in.
    """
    good, particles = good_classes(samples), particle_numbers(samples)
    own = calibrated_threshold(scores, particles, settings)
    if in_job is None:
        in_job, cut = scores, own
    chosen = {
        "default": rates_of(samples, scores, DEFAULT_THRESHOLD),
        "scores": rates_of(samples, scores, own),
        "calibrated": rates_of(samples, in_job, cut),
        "best_of_scores": supervised_threshold(good, scores, particles),
        "best": supervised_threshold(good, in_job, particles),
    }
    return {
        "job": str(samples.job[0]),
        "structure": str(samples.structure[0]),
        "classes": len(samples),
        "good": float(particles[good].sum() / particles.sum()),
        "mse": float(np.mean((scores - samples.score) ** 2)),
        "spearman_of_scores": rank_correlation(samples, scores),
        "spearman": rank_correlation(samples, in_job),
        "selected": float(particles[in_job >= cut].sum() / particles.sum()),
        **particle_shares(samples, in_job >= cut),
        **{f"{name}_{kind}": getattr(rate, kind) for name, rate in chosen.items() for kind in ("false_positive", "false_negative")},
        "best_threshold": chosen["best"].threshold,
    }


def particle_shares(samples: Samples, selected: np.ndarray) -> dict[str, float]:
    """What a selection of classes means for the particles: the share of true ones before and after, and how many of them it keeps.

    Particles are true that show the protein of their class; NaN where that is not known.
    """
    particles = particle_numbers(samples)
    true = particles * np.asarray(samples.extra.get("purity", np.full(len(samples), np.nan)), np.float64)
    kept = float(true[selected].sum())
    pure = kept / float(particles[selected].sum()) if selected.any() else math.nan
    all_true = float(true.sum())
    return {"true_before": all_true / particles.sum(), "true_after": pure, "true_kept": kept / all_true if all_true else math.nan}


def rank_correlation(samples: Samples, scores: np.ndarray) -> float:
    """Spearman's correlation with quality; NaN for small jobs.

    Scores are shown with two digits, and below 0 they say the same as 0: classes without any protein tie, as their quality does.
    """
    return spearman(samples.extra["q"], np.round(np.clip(scores, 0, 1), 2)) if len(samples) >= LEAST_CLASSES else float("nan")


def judge(known: Judged, settings: CalibrationSettings) -> list[dict[str, Any]]:
    """Everything about each job."""
    found = []
    for rows in job_rows(known.samples):
        part = known.select(rows)
        cut = part.threshold.of(part.in_job, particle_numbers(part.samples)) if part.threshold and part.in_job is not None else math.nan
        found.append(judge_job(part.samples, part.scores, settings, part.in_job, cut))
    return found


def mean(jobs: list[dict[str, Any]], key: str) -> float:
    """Mean over the jobs where the value is defined."""
    values = np.array([job[key] for job in jobs])
    return float(values[np.isfinite(values)].mean())


def _median(jobs: list[dict[str, Any]], key: str) -> float:
    values = [job[key] for job in jobs if np.isfinite(job[key])]
    return float(np.median(values)) if values else math.nan


def rows_of_rules(known: Judged) -> list[str]:
    """The ranker beside rules that need no network, by how well they part good classes from the rest."""
    samples = known.samples
    good, particles = good_classes(samples), particle_numbers(samples)
    rules = {
        **({} if known.in_job is None else {"score in the job": known.in_job}),
        "score": known.scores,
        "score of the network": known.network,
        "estimated resolution": -samples.extra["resolution"],
        "share / resolution": samples.extra["pdf"] / samples.extra["resolution"],
        "particles": particles,
    }
    lines = ["| Rule | AUC | AUC, classes by their particles | Mean of the larger error at each job's best cut |", "|---|---|---|---|"]
    for name, values in rules.items():
        errors = []
        for rows in job_rows(samples):
            best = supervised_threshold(good[rows], values[rows], particles[rows])
            errors.append(max(best.false_positive, best.false_negative))
        error = float(np.nanmean(errors))
        lines.append(f"| {name} | {roc_auc(good, values):.3f} | {roc_auc(good, values, particles):.3f} | {error:.3f} |")
    return lines


def rows_of_jobs(jobs: list[dict[str, Any]]) -> list[str]:
    """Table of the jobs; errors are fractions of the particles that should be selected."""
    head = "| Job | Structure | Classes | Good particles | MSE | Spearman | FPR, FNR at 0.15 | from scores alone | calibrated | Best cut |"
    lines = [head, "|---" * 10 + "|"]
    for job in jobs:
        pairs = [_pair(job, name) for name in ("default", "scores", "calibrated")]
        best = "" if not np.isfinite(job["best_false_positive"]) else f"{job['best_threshold']:.2f}: {_pair(job, 'best')}"
        rank = f"{job['spearman']:.2f}" if np.isfinite(job["spearman"]) else ""
        lines.append(
            f"| {job['job']} | {job['structure']} | {job['classes']} | {job['good']:.2f} | {job['mse']:.4f} | {rank} | {pairs[0]} | "
            f"{pairs[1]} | {pairs[2]} | {best} |"
        )
    return lines


def _pair(job: dict[str, Any], name: str) -> str:
    values = job[f"{name}_false_positive"], job[f"{name}_false_negative"]
    return "{:.2f}, {:.2f}".format(*values) if np.isfinite(values[0]) else "none good"


def summary(name: str, known: Judged, jobs: list[dict[str, Any]]) -> list[str]:
    """Figures over all jobs of a set."""
    samples = known.samples
    ranks = [_median(jobs, key) for key in ("spearman_of_scores", "spearman")]
    lines = [
        f"{name}: {len(samples)} classes of {len(jobs)} jobs and {len(np.unique(samples.structure))} structures. Mean square error "
        f"{known.error:.4f} (network alone {np.mean((known.network - samples.score) ** 2):.4f}, mean score {np.var(samples.score):.4f}). "
        f"Median Spearman of score and quality within jobs {ranks[0]:.2f}, of the score in the job {ranks[1]:.2f}.",
        "",
        *(f"- {words}: {errors_of(jobs, rule, worst=True)}." for rule, words in RULE_WORDS.items()),
    ]
    rich = [job for job in jobs if job["good"] >= RICH]
    if rich:
        lines.append(f"- calibrated, where at least a third of the particles are good: {errors_of(rich, 'calibrated')}.")
    nothing = [job for job in jobs if not np.isfinite(job["default_false_positive"])]
    for words, found in (
        ("hold nothing but junk", [job for job in nothing if job["true_before"] < ONLY_JUNK]),
        ("hold particles but show none", [job for job in nothing if job["true_before"] >= ONLY_JUNK]),
    ):
        if found:
            lines.append(f"- {len(found)} jobs {words}; of their particles {mean(found, 'selected'):.2f} are selected.")
    good = [job for job in jobs if np.isfinite(job["default_false_positive"])]
    before, after, kept = (mean(good, key) for key in ("true_before", "true_after", "true_kept"))
    lines.append(
        f"- particles, in jobs with good classes: {before:.2f} of all show the protein of their class, {after:.2f} of those selected by "
        f"default; these are {kept:.2f} of all that do."
    )
    return lines


def errors_of(jobs: list[dict[str, Any]], rule: str, worst: bool = False) -> str:
    """Mean FPR and FNR of a rule over jobs, and how many have a large one; the largest on request."""
    positive, negative = f"{rule}_false_positive", f"{rule}_false_negative"
    errors = np.array([max(job[positive], job[negative]) for job in jobs])
    largest = f", largest of all {np.nanmax(errors):.2f}" if worst else ""
    large = f"{np.sum(errors > LARGE)} of {np.isfinite(errors).sum()} jobs above {LARGE}"
    return f"mean FPR {mean(jobs, positive):.3f}, mean FNR {mean(jobs, negative):.3f}{largest}; {large}"


def of_set(known: Judged, numbers: range) -> Judged:
    """The classes of the jobs with some numbers (`ranker_jobs`)."""
    return known.select(np.flatnonzero([_number(job) in numbers for job in known.samples.job]))


def _number(job: str) -> int:
    """Return the number of a simulated job, -1 for another."""
    digits = job.removeprefix("job").partition("_")[0]
    return int(digits) if job.startswith("job") and digits.isdecimal() else -1


def tune(samples: Samples, scores: np.ndarray) -> list[tuple[float, CalibrationSettings]]:
    """Try all rules of `RULES` on some jobs; the best first, by mean error and the share of large ones.

    Where nothing is good, a third of what is selected counts: keeping what is useless costs less than losing what is good.
    """
    parts = [(samples.select(rows), scores[rows]) for rows in job_rows(samples)]
    found = []
    for values in itertools.product(*RULES.values()):
        settings = CalibrationSettings(**dict(zip(RULES, values, strict=True)))
        if settings.low >= settings.high:
            continue
        errors = []
        for part, part_scores in parts:
            cut = calibrated_threshold(part_scores, particle_numbers(part), settings)
            rate = rates_of(part, part_scores, cut)
            if np.isfinite(rate.false_positive):
                # what is lost counts twice as much as what is kept too many, as in the aims of 0.05 and 0.10
                errors.append(min(1.0, max(0.5 * rate.false_positive, rate.false_negative)))
            else:
                errors.append(0.3 * float(particle_numbers(part)[part_scores >= cut].sum() / particle_numbers(part).sum()))
        found.append((float(np.mean(errors) + 0.5 * np.mean(np.array(errors) > 0.25)), settings))
    return sorted(found, key=lambda item: item[0])


def draw(samples: Samples, scores: np.ndarray, path: Path) -> None:
    """Draw the best classes, a spread over all scores, the classes most overrated and most underrated; score and target below each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    error = scores - samples.score
    order = np.argsort(-scores)
    groups = {
        "highest scores": order[:12],
        "over the whole range": order[np.linspace(0, len(order) - 1, 12).astype(int)],
        "most overrated": np.argsort(-error)[:12],
        "most underrated": np.argsort(error)[:12],
    }
    figure, axes = plt.subplots(len(groups), 12, figsize=(15, 6.2))
    for row, (title, chosen) in zip(axes, groups.items(), strict=True):
        for axis, i in zip(row, chosen, strict=True):
            low, high = np.percentile(samples.images[i], (1, 99.5))
            axis.imshow(samples.images[i], cmap="gray", vmin=low, vmax=high)
            axis.set_title(f"{scores[i]:.2f} ({samples.score[i]:.2f})", fontsize=8)
            axis.axis("off")
        row[0].text(-0.1, 0.5, title, transform=row[0].transAxes, rotation=90, va="center", ha="right", fontsize=8)
    figure.savefig(path, dpi=80, bbox_inches="tight")


def main() -> int:
    """Judge, print, and write what was asked for."""
    options = arguments()
    ranker = load_weights(options.weights)
    validation, test = (read_samples(options.set / f"set_{split}.npz") for split in ("validation", "test"))
    if options.tune:
        known = judged(ranker, concatenate([read_samples(options.set / "set_train.npz"), validation]))
        for value, settings in tune(known.samples, known.scores)[:8]:
            print(f"{value:.4f} {settings}")
        return 0
    settings = CalibrationSettings()
    lines: list[str] = []
    for name, given in (("Validation", validation), ("Test", test)):
        known = judged(ranker, given)
        for words, numbers in SETS.items():
            part = of_set(known, numbers)
            if len(part.samples):
                lines += [*summary(f"{name}, {words}", part, judge(part, settings)), ""]
    jobs = judge(known, settings)
    lines += [*rows_of_jobs(jobs), "", *rows_of_rules(known), ""]
    if options.others:
        lines += ["| Weights | MSE, validation | MSE, test | Mean FPR, FNR at each job's best cut |", "|---|---|---|---|"]
        for name, path in (word.split("=", 1) for word in options.others):
            other = load_weights(Path(path))
            errors = [np.mean((other.score(part.images, part.features) - part.score) ** 2) for part in (validation, test)]
            found = judge(Judged(test, *2 * (other.score(test.images, test.features),)), settings)
            rates = [mean(found, f"best_of_scores_{kind}") for kind in ("false_positive", "false_negative")]
            lines.append(f"| {name} | {errors[0]:.4f} | {errors[1]:.4f} | {rates[0]:.3f}, {rates[1]:.3f} |")
        lines.append("")
    publish("\n".join(lines), "ranker_model.md", "ranker", options.docs)
    if options.picture:
        draw(known.samples, known.scores, options.picture)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
