"""From simulated movies to maps without a hand: what comes out, beside the truth, as in Table 2 of the RELION-4.0 paper.

    python benchmarks/outcome.py --models MODELS --out out/outcome --sets bgal proteasome spike_phase_plate --docs

MODELS is a folder of PDB or mmCIF files. Each set is a session that `relion4plugin it` processes with its default options; pixel size,
dose, gain, diameter and point group are given, as by a user. OUT/outcome.jsonl keeps finished sets, which are not run again.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import REPOSITORY, markdown_table, replace_section, run_measured

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.progress import Silent
from relion4plugin.schemes.project import open_project
from relion4plugin.schemes.status import project_status
from relion4plugin.simulation.compare_map import map_truth
from relion4plugin.simulation.compare_picks import PickTruth, pick_truth
from relion4plugin.simulation.known_truth import KnownTruth, read_truth
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import simulate_movies

RIGHT = 4.0  # px of the particles: FSC 0.5 with the truth, at which a map counts as right


@dataclass(frozen=True)
class Set:
    """One data set: what is in the movies, and what a user says about it."""

    source: str
    diameter: float  # A
    symmetry: str
    changes: tuple[tuple[str, Any], ...] = ()


SETS = {
    "bgal": Set("6cvm_beta_galactosidase.pdb.gz", 182, "D2"),
    "proteasome": Set("3c91_20S_proteasome.pdb.gz", 182, "D7"),
    "groel": Set("1aon_GroEL_GroES.pdb.gz", 231, "C7"),
    "ribosome": Set("ribosome70S_state0.pdb.gz", 291, "C1"),
    "spike_phase_plate": Set(
        "6vxx_spike_closed.pdb.gz", 184, "C3", (("phase_shift", 80.0), ("defocus_min", 5000.0), ("defocus_max", 10000.0))
    ),
    "pol2": Set("1y1v_RNA_polymerase_II.pdb.gz", 202, "C1"),
    "proteasome_dense": Set("3c91_20S_proteasome.pdb.gz", 182, "D7", (("spacing", 0.9), ("n_particles", 0))),
    "bgal_junk": Set("6cvm_beta_galactosidase.pdb.gz", 182, "D2", (("junk_fraction", 0.4),)),
}
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


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder of the structures")
    parser.add_argument("--out", type=Path, required=True, help="folder for sessions, projects and outcome.jsonl")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS, help="data sets (all)")
    parser.add_argument("--movies", type=int, default=60, help="of each set (%(default)s)")
    parser.add_argument("--edge", type=int, default=1024, help="of the frames, px (%(default)s)")
    parser.add_argument("--pixel", type=float, default=1.5, help="pixel size in A (%(default)s)")
    parser.add_argument("--min_parts_3d", type=int, default=1000, help="selected particles from which a map is made (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of each job (%(default)s)")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/benchmarks.md")
    return parser.parse_args(words)


def process(one: Set, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Simulate a session, process it, and judge what came out."""
    session, project = folder / "session", folder / "project"
    spec = MovieSpec(sources=((str(args.models / one.source), 1.0),), n_movies=args.movies, width=args.edge, height=args.edge,
                     pixel_size=args.pixel, seed=7, **dict(one.changes))  # fmt: skip
    simulate_movies(spec, session, Silent())
    project.mkdir(parents=True)
    told = {
        "movies": f"{session.resolve()}/Movies/*.tiff", "angpix": args.pixel, "dose_per_frame": spec.dose_per_frame,
        "fn_gain_ref": (session / "gain.mrc").resolve(), "particle_diameter": one.diameter, "symmetry": one.symmetry,
        "phase_plate": "Yes" if spec.phase_shift else "No",
    }  # fmt: skip
    unattended = {"min_nr_parts_3d": args.min_parts_3d, "wait_sec": 3, "max_idle_waits": 4, "end_when_idle": "Yes", "threads": args.threads}
    options = [word for name, value in {**told, **unattended}.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "relion4plugin.cli.main", "it", "--project", str(project), *options, "--wait"]
    cost = run_measured(command, folder / "it.log")
    return judge(project, session) | {"wall_minutes": cost.wall_seconds / 60, "job_minutes": job_minutes(project)}


def job_minutes(project: Path) -> float:
    """Return the wall time that jobs took, in minutes; those of prep and proc run side by side."""
    jobs = project_status(open_project(project)).jobs
    return sum((job.ended or job.started or 0) - (job.started or 0) for job in jobs) / 60


def judge(project: Path, session: Path) -> dict[str, Any]:
    """Compare a project with its truth."""
    truth, jobs = (
        read_truth(session),
        {job.type_label.split(".")[1]: project / job.name for job in project_status(open_project(project)).jobs},
    )
    micrographs = read_star(next(project.glob("CtfFind/job*/micrographs_ctf.star")))["micrographs"]
    coordinates = jobs["autopick"] / "autopick.star"
    picked = read_star(coordinates)["coordinate_files"]
    tables = [
        (str(row["rlnMicrographName"]), read_star(project / str(row["rlnMicrographCoordinates"]))[""]) for row in picked.to_dict("records")
    ]
    distance = 0.5 * float(
        read_star(jobs["autopick"] / "job.star")["joboptions_values"].set_index("rlnJobOptionVariable").loc["log_diam_max"].iloc[0]
    )
    picks = pick_truth(
        truth, [(name, _places(rows)) for name, rows in tables if isinstance(rows, pd.DataFrame)], truth.pixel_size, distance
    )
    extracted, selected = (
        _particles(path) for path in (jobs["extract"] / "particles.star", _newest(project, "Select/job*/particles.star"))
    )
    good, chosen = (_of(truth, rows, distance) for rows in (extracted, selected))
    n_good, n_chosen = int(good.is_true.sum()), int(chosen.is_true.sum())
    found: dict[str, Any] = {
        "micrographs": len(micrographs), "picks": picks.agreement.n_picks, "recall": picks.agreement.recall, "particles": len(extracted),
        "selected": len(selected), "fpr": (len(selected) - n_chosen) / max(n_good, 1), "fnr": 1 - n_chosen / max(n_good, 1),
    }  # fmt: skip
    return found | _map_figures(project, truth)


def _map_figures(project: Path, truth: KnownTruth) -> dict[str, Any]:
    maps = sorted(project.glob("Refine3D/job*/run_class001.mrc"))
    if not maps:
        return {"resolution": float("nan"), "truth_resolution": float("nan"), "right": "no map"}
    volume, pixel_size = read_mrc(maps[-1])
    model = read_star(maps[-1].with_name("run_model.star"))["model_general"]
    symmetry = str(read_star(maps[-1].with_name("job.star"))["joboptions_values"].set_index("rlnJobOptionVariable").loc["sym_name"].iloc[0])
    against = map_truth(volume, pixel_size, truth.maps[:1], symmetry)
    right = "yes" if against.resolution <= RIGHT * pixel_size else "no"
    return {"resolution": float(model["rlnCurrentResolution"]), "truth_resolution": against.resolution, "right": right}


def _particles(path: Path | None) -> pd.DataFrame:
    rows = None if path is None else read_star(path).get("particles")
    return rows if isinstance(rows, pd.DataFrame) else pd.DataFrame()


def _newest(project: Path, pattern: str) -> Path | None:
    found = sorted(project.glob(pattern))
    return found[-1] if found else None


def _places(rows: pd.DataFrame) -> np.ndarray:
    return rows[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy(dtype=np.float64)


def _of(truth: KnownTruth, rows: pd.DataFrame, distance: float) -> PickTruth:
    def groups() -> Iterator[tuple[str, np.ndarray]]:
        if len(rows):
            yield from ((str(name), _places(some)) for name, some in rows.groupby("rlnMicrographName"))

    return pick_truth(truth, groups(), truth.pixel_size, distance)


def table(records: list[dict[str, Any]]) -> str:
    """Return the table of all sets."""
    cells = [[r["set"], *(r[key] if isinstance(r[key], str) else f"{r[key]:.3g}" for _, key in COLUMNS)] for r in records]
    return markdown_table(["Data set", *(title for title, _ in COLUMNS)], cells)


def main(words: list[str] | None = None) -> int:
    """Run what is missing and print the table."""
    args = arguments(words)
    args.out.mkdir(parents=True, exist_ok=True)
    log = args.out / "outcome.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    for name in args.sets:
        if any(record["set"] == name for record in records):
            continue
        try:
            records.append({"set": name, **process(SETS[name], args.out / name, args)})
        except UserError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 2
        with open(log, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(records[-1]) + "\n")
        print(table(records[-1:]), flush=True)
    text = table([record for name in args.sets for record in records if record["set"] == name])
    print(text)
    if args.docs:
        replace_section(REPOSITORY / "docs" / "benchmarks.md", "outcome", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
