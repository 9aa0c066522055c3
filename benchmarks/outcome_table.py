"""What all data sets of the outcome table have in common: the jobs of a project, its particles and map against a truth, and the records.

Used by outcome.py (simulated movies) and outcome_real.py (real data), which keep their records in one file and print one table.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import markdown_table, plain, publish

from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.schemes.project import open_project
from relion4plugin.schemes.status import project_status
from relion4plugin.simulation.compare_map import map_truth
from relion4plugin.simulation.compare_picks import PickTruth, pick_truth
from relion4plugin.simulation.known_truth import KnownTruth

RIGHT = 4.0  # px of the particles: FSC 0.5 with the truth, at which a map counts as right
LOG = "outcome.jsonl"
COLUMNS = (
    ("Micrographs", "micrographs"),
    ("Picks", "picks"),
    ("Recall", "recall"),
    ("Particles", "particles"),
    ("Selected", "selected"),
    ("FPR", "fpr"),
    ("FNR", "fnr"),
    ("Half maps, 0.143 (A)", "resolution"),
    ("Truth, 0.5 (A)", "truth_resolution"),
    ("Right map", "right"),
    ("Jobs (min)", "job_minutes"),
)
UNKNOWN = float("nan")


def job_minutes(project: Path) -> float:
    """Return the wall time that jobs took, in minutes; those of prep and proc run side by side."""
    jobs = project_status(open_project(project)).jobs
    return sum((job.ended or job.started or 0) - (job.started or 0) for job in jobs) / 60


def job_folders(project: Path) -> dict[str, Path]:
    """Kind of job -> directory of its newest one."""
    return {job.type_label.split(".")[1]: project / job.name for job in project_status(open_project(project)).jobs}


def job_option(job: Path, name: str) -> str:
    """Return what an option of a finished job was."""
    return str(read_star(job / "job.star")["joboptions_values"].set_index("rlnJobOptionVariable").loc[name].iloc[0])


def picked(project: Path, truth: KnownTruth, jobs: dict[str, Path]) -> dict[str, Any]:
    """Judge micrographs, picks and selected particles of a project by where particles are."""
    micrographs = read_star(next(project.glob("CtfFind/job*/micrographs_ctf.star")))["micrographs"]
    rows = read_star(jobs["autopick"] / "autopick.star")["coordinate_files"].to_dict("records")
    tables = [(str(row["rlnMicrographName"]), read_star(project / str(row["rlnMicrographCoordinates"]))[""]) for row in rows]
    distance = 0.5 * float(job_option(jobs["autopick"], "log_diam_max"))
    found = pick_truth(truth, [(name, _places(one)) for name, one in tables if isinstance(one, pd.DataFrame)], truth.pixel_size, distance)
    extracted, selected = (particles(path) for path in (jobs["extract"] / "particles.star", newest_selection(project)))
    good, chosen = (int(_of(truth, one, distance).is_true.sum()) for one in (extracted, selected))
    return {
        "micrographs": len(micrographs), "picks": found.agreement.n_picks, "recall": found.agreement.recall,
        "precision": found.agreement.precision, "particles": len(extracted), **selection(len(selected), chosen, good),
    }  # fmt: skip


def selection(n_selected: int, n_right: int, n_good: int) -> dict[str, Any]:
    """Rates of a selection, in parts of all good particles: bad ones that were selected, good ones that were not."""
    return {"selected": n_selected, "fpr": (n_selected - n_right) / max(n_good, 1), "fnr": 1 - n_right / max(n_good, 1)}


def map_figures(project: Path, densities: list[Path]) -> dict[str, Any]:
    """Resolution of the newest refined map, and whether it is right; densities are tried in turn, without any nobody knows."""
    maps = sorted(project.glob("Refine3D/job*/run_class001.mrc"))
    if not maps:
        return {"resolution": UNKNOWN, "truth_resolution": UNKNOWN, "right": "no map"}
    volume, pixel_size = read_mrc(maps[-1])
    resolution = float(read_star(maps[-1].with_name("run_model.star"))["model_general"]["rlnCurrentResolution"])
    if not densities:
        return {"resolution": resolution, "truth_resolution": UNKNOWN, "right": "not known"}
    against = map_truth(volume, pixel_size, densities, job_option(maps[-1].parent, "sym_name"))
    right = "yes" if against.resolution <= RIGHT * pixel_size else "no"
    return {"resolution": resolution, "truth_resolution": against.resolution, "right": right}


def particles(path: Path | None) -> pd.DataFrame:
    """Read the particles of a STAR file; none where there is no file."""
    rows = None if path is None else read_star(path).get("particles")
    return rows if isinstance(rows, pd.DataFrame) else pd.DataFrame()


def newest_selection(project: Path) -> Path | None:
    """Return the particles that were selected last."""
    found = sorted(project.glob("Select/job*/particles.star"))
    return found[-1] if found else None


def true_rows(truth: KnownTruth, rows: pd.DataFrame, distance: float) -> np.ndarray:
    """Tell for each row of a particle table whether it is a particle, at most `distance` A from the true one; bool (n,)."""
    true = np.zeros(len(rows), bool)
    order = np.concatenate([some.to_numpy() for some in rows.reset_index().groupby("rlnMicrographName").groups.values()])
    true[order] = _of(truth, rows, distance).is_true
    return true


def _places(rows: pd.DataFrame) -> np.ndarray:
    return rows[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy(dtype=np.float64)


def _of(truth: KnownTruth, rows: pd.DataFrame, distance: float) -> PickTruth:
    def groups() -> Iterator[tuple[str, np.ndarray]]:
        if len(rows):
            yield from ((str(name), _places(some)) for name, some in rows.groupby("rlnMicrographName"))

    return pick_truth(truth, groups(), truth.pixel_size, distance)


def read_records(out: Path) -> list[dict[str, Any]]:
    """Read what is known of data sets that were run before."""
    log = out / LOG
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def keep_record(out: Path, record: dict[str, Any]) -> None:
    """Add the figures of one data set and print them."""
    with open(out / LOG, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(plain(record)) + "\n")
    print(table([record]), flush=True)


def table(records: list[dict[str, Any]]) -> str:
    """Return the table of data sets."""
    return markdown_table(
        ["Data set", *(title for title, _ in COLUMNS)], [[r["set"], *(_cell(r.get(key)) for _, key in COLUMNS)] for r in records]
    )


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "-" if value is None or value != value else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def finish(out: Path, docs: bool) -> None:
    """Print the table of all data sets so far, and put it into docs/benchmarks.md where asked to."""
    text = table(read_records(out))
    publish(text, "benchmarks.md", "outcome", docs)
