"""From simulated movies to maps without a hand: what comes out, beside the truth, as in Table 2 of the RELION-4.0 paper.

    python benchmarks/outcome.py --models MODELS --out out/outcome --sets bgal proteasome spike_phase_plate --docs

MODELS is a folder of PDB or mmCIF files. Each set is a session that `relion4plugin it` processes with its default options; pixel size,
dose, gain, diameter and point group are given, as by a user. OUT/outcome.jsonl keeps finished sets, which are not run again; the table
holds all of them, those of outcome_real.py included.
"""

import argparse
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import run_benchmark, run_measured
from outcome_table import finish, job_folders, job_minutes, keep_record, map_figures, picked, read_records
from shared_options import add_docs, add_sets, add_shared, benchmark_parser

from relion4plugin.errors import UserError
from relion4plugin.progress import Silent
from relion4plugin.simulation.known_truth import FILE, read_truth
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import simulate_movies


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
    "ribosome": Set("ribosome70S_state0.pdb.gz", 291, "C1", (("n_movies", 120),)),  # few fit into a frame
    "spike_phase_plate": Set(
        "6vxx_spike_closed.pdb.gz", 184, "C3", (("phase_shift", 80.0), ("defocus_min", 5000.0), ("defocus_max", 10000.0))
    ),
    "pol2": Set("1y1v_RNA_polymerase_II.pdb.gz", 202, "C1"),
    "proteasome_dense": Set("3c91_20S_proteasome.pdb.gz", 182, "D7", (("spacing", 0.9), ("n_particles", 0))),
    "bgal_junk": Set("6cvm_beta_galactosidase.pdb.gz", 182, "D2", (("junk_fraction", 0.4), ("n_movies", 100))),
}


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for sessions, projects and outcome.jsonl")
    parser.add_argument("--models", type=Path, required=True, help="folder of the structures")
    add_sets(parser, SETS)
    parser.add_argument("--movies", type=int, default=40, help="of each set but those that say otherwise (%(default)s)")
    parser.add_argument("--edge", type=int, default=1536, help="of the frames, px (%(default)s)")
    add_shared(parser, pixel=1.5, threads=2)
    add_docs(parser)
    return parser.parse_args(words)


def process(one: Set, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Simulate a session, process it, and judge what came out."""
    session, project = folder / "session", folder / "project"
    spec = MovieSpec(sources=((str(args.models / one.source), 1.0),), width=args.edge, height=args.edge, pixel_size=args.pixel,
                     **{"n_movies": args.movies, "n_particles": 110, "seed": 7, **dict(one.changes)})  # fmt: skip
    if not (session / FILE).is_file():
        simulate_movies(spec, session, Silent())
    shutil.rmtree(project, ignore_errors=True)  # of a call that was stopped
    project.mkdir(parents=True)
    told = {
        "movies": f"{session.resolve()}/Movies/*.tiff", "angpix": args.pixel, "dose_per_frame": spec.dose_per_frame,
        "fn_gain_ref": (session / "gain.mrc").resolve(), "particle_diameter": one.diameter, "symmetry": one.symmetry,
        "phase_plate": "Yes" if spec.phase_shift else "No",
    }  # fmt: skip
    unattended = {"wait_sec": 10, "max_idle_waits": 6, "end_when_idle": "Yes", "threads": args.threads}
    options = [word for name, value in {**told, **unattended}.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "relion4plugin.cli.main", "it", "--project", str(project), *options, "--wait"]
    cost = run_measured(command, folder / "it.log")
    return judge(project, session) | {"wall_minutes": cost.wall_seconds / 60, "job_minutes": job_minutes(project)}


def judge(project: Path, session: Path) -> dict[str, Any]:
    """Compare a project with its truth."""
    truth = read_truth(session)
    return picked(project, truth, job_folders(project)) | map_figures(project, truth.maps[:1])


def main(words: list[str] | None = None) -> int:
    """Run what is missing and print the table."""
    args = arguments(words)
    args.out.mkdir(parents=True, exist_ok=True)
    done = {record["set"] for record in read_records(args.out)}
    for name in args.sets:
        if name in done:
            continue
        try:
            keep_record(args.out, {"set": name, **process(SETS[name], args.out / name, args)})
        except UserError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 2
    finish(args.out, args.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
