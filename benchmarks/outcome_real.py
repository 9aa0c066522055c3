"""From real data to maps without a hand: what comes out, beside what is known of them. Fills the same table as outcome.py.

    python benchmarks/outcome_real.py --data DATA --out out/outcome --docs

DATA has the folders named below. Beta-galactosidase (EMPIAR-10204): 2,374 particles, a good half of which match a particle of a
finished refinement; these count as good, all others as bad, and the truth is the reconstruction of the matched ones. The scheme `proc`
begins at its 2D classification, as if it had extracted them. Apoferritin (EMPIAR-10146): five averages of frames with picks by hand, from
import on; there is no true map. Options are the defaults, but for what a user must say, and for sizes at which 2D and 3D begin.
OUT/outcome.jsonl keeps finished sets, which are not run again.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import outcome_table as outcome
import pandas as pd
from class_picture import write_class_picture
from measure import REPOSITORY, run_benchmark, run_measured
from outcome_table import UNKNOWN
from shared_options import add_docs, add_sets, add_shared, benchmark_parser

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.schemes.control import Change, apply_change, edit_scheme, set_option
from relion4plugin.schemes.project import open_project
from relion4plugin.simulation.known_truth import KnownTruth

BGAL, BGAL_MAP = Path("particles/bgal_empiar10204"), Path("maps/bgal_empiar10204_reference_D2.mrc")
APOFERRITIN, APOFERRITIN_PIXEL = Path("micrographs/apoferritin_empiar10146"), 1.5
PICTURE = REPOSITORY / "docs" / "images" / "outcome_apoferritin.png"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for projects and outcome.jsonl")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    add_sets(parser, SETS)
    parser.add_argument("--min_parts_2d", type=int, default=300, help="particles from which on 2D begins (%(default)s)")
    parser.add_argument("--min_parts_3d", type=int, default=500, help="selected particles from which on a map is made (%(default)s)")
    add_shared(parser, threads=2)
    add_docs(parser, "", what="table and picture")
    return parser.parse_args(words)


def bgal(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run `proc` from its 2D classification on, on particles that are there."""
    source, project = args.data / BGAL, folder / "project"
    project.mkdir(parents=True)
    for path in sorted(source.resolve().iterdir()):
        (project / path.name).symlink_to(path)
    told = {"do_prep": "No", "ctffind_mics": "none.star", "angpix": 0.885, "dose_per_frame": 1, "particle_diameter": 182, "symmetry": "D2"}
    _plugin(["it", "--onlysave", *_options(args, project, told)], folder / "it.log")
    start_with_particles(project, "particles.star")
    wall = _plugin(["scheme", "run", "proc", "--project", str(project)], folder / "scheme.log")
    return judge_bgal(args.data, project) | {"wall_minutes": wall, "job_minutes": outcome.job_minutes(project)}


def judge_bgal(data: Path, project: Path) -> dict[str, Any]:
    """Compare the selected particles with those that have a known pose, and the map with their reconstruction."""
    given, good = (outcome.particles(data / BGAL / name)["rlnImageName"] for name in ("particles.star", "particles_reference_poses.star"))
    chosen = outcome.particles(outcome.newest_selection(project)).get("rlnImageName", pd.Series(dtype=str))
    found = {"micrographs": UNKNOWN, "picks": UNKNOWN, "recall": UNKNOWN, "particles": len(given)}
    found |= outcome.selection(len(chosen), int(chosen.isin(set(good)).sum()), len(good))
    return found | outcome.map_figures(project, [data / BGAL_MAP])


def start_with_particles(project: Path, star: str) -> None:
    """Let the scheme `proc` begin at its 2D classification, as if all particles of a file had been extracted and no more would come."""
    opened = open_project(project)
    set_option(opened, "proc", "class2d", "fn_img", star)
    changes = [Change("variable", name, star) for name in ("extracted_parts", "prep_end")]
    changes += [Change("variable", "nr_extracted", str(len(outcome.particles(project / star)))), Change("variable", "is_idle", "True")]
    edit_scheme(opened, "proc", lambda scheme: reduce(apply_change, [*changes, Change("node", "class2d")], scheme))


def apoferritin(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run `prep` and `proc` on micrographs, and compare picks and selected particles with picks by hand."""
    source, project = args.data / APOFERRITIN, folder / "project"
    project.mkdir(parents=True)
    told = {
        "movies": f"{source.resolve()}/*.mrc", "is_multiframe": "No", "angpix": APOFERRITIN_PIXEL, "Q0": 0.07, "particle_diameter": 130,
        "symmetry": "O",
    }  # fmt: skip
    wall = _plugin(["it", "--wait", *_options(args, project, told)], folder / "it.log")
    jobs = outcome.job_folders(project)
    selected = outcome.newest_selection(project)
    if args.docs and selected is not None:
        write_class_picture(PICTURE, jobs["class2d"], selected.parent)
    found = outcome.picked(project, hand_picks(source, APOFERRITIN_PIXEL), jobs) | outcome.map_figures(project, [])
    return found | {"wall_minutes": wall, "job_minutes": outcome.job_minutes(project)}


def hand_picks(folder: Path, pixel_size: float) -> KnownTruth:
    """Read picks by hand, NAME_manualpick.star beside each micrograph NAME, as the truth of a session."""
    tables = []
    for path in sorted(folder.glob("*_manualpick.star")):
        key = path.name.removesuffix("_manualpick.star")
        places = pd.DataFrame(read_star(path)[""])[["rlnCoordinateX", "rlnCoordinateY"]]
        tables.append(places.assign(key=key, rlnSimulatedIsParticle=1))
    if not tables:
        raise UserError(f"{folder}: no *_manualpick.star; give the folder of the micrographs with picks by hand")
    every = pd.concat(tables)
    return KnownTruth(folder, pd.DataFrame({"key": every["key"].unique()}), every, pixel_size)


def _options(args: argparse.Namespace, project: Path, told: Mapping[str, object]) -> list[str]:
    sizes = {"min_nr_parts_2d": args.min_parts_2d, "min_nr_parts_3d": args.min_parts_3d, "threads": args.threads}
    ending = {"wait_sec": 3, "max_idle_waits": 4, "end_when_idle": "Yes"}
    given = {"project": project, **told, **sizes, **ending}
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]


def _plugin(words: list[str], log: Path) -> float:
    """Run one of our commands; returns its wall time in minutes."""
    return run_measured([sys.executable, "-m", "relion4plugin.cli.main", *words], log).wall_seconds / 60


SETS: Mapping[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {"real_bgal": bgal, "real_apoferritin": apoferritin}


def main(words: list[str] | None = None) -> int:
    """Run what is missing and print the table."""
    args = arguments(words)
    args.out.mkdir(parents=True, exist_ok=True)
    done = {record["set"] for record in outcome.read_records(args.out)}
    for name in args.sets:
        if name not in done:
            outcome.keep_record(args.out, {"set": name, **SETS[name](args, args.out / name)})
    outcome.finish(args.out, args.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
