"""Show the whole way: a simulated microscope session goes from movies to a refined map by itself, and into a report.

Movies of a built-in protein with junk are written as a microscope writes them, with EPU's metadata. The session is found and launched as
`mdcatch launch` does it; the schemes prep and proc run to their end; the report compares every stage with the truth.

For example:

  relion4plugin demo --o demo
  relion4plugin demo --o demo --quick
"""

import argparse
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.acquisition.launch import launch
from relion4plugin.acquisition.plan import LaunchPlan, make_launch_plan
from relion4plugin.acquisition.preset import NO_PRESET
from relion4plugin.acquisition.session_reading import facts_of, read_session
from relion4plugin.acquisition.target import target_for
from relion4plugin.acquisition.user_values import user_values
from relion4plugin.cli.following import wait_for
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.errors import UserError
from relion4plugin.progress import Progress
from relion4plugin.schemes.project import open_project
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import simulate_movies

_SESSION, _PROJECT, _MARK = "session", "project", ".relion4plugin-demo"
_DIAMETER, _SYMMETRY = 120, "D5"  # of the built-in protein


@dataclass(frozen=True)
class _Size:
    """How much is simulated, from how many particles on classes and maps are made, and by how many mini-batches."""

    n_movies: int
    edge: int  # px
    n_classes: int
    first_2d: int
    first_3d: int
    mini_batches: int
    n_models: int


FULL = _Size(48, 1024, 16, 500, 1400, 200, 2)
QUICK = _Size(16, 1024, 8, 200, 420, 100, 1)


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--o", metavar="DIR", type=Path, default=Path("demo"), help="directory for everything, made anew (default demo)")
    parser.add_argument("--quick", action="store_true", help="a smaller session: a few minutes, and a coarser map")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def main(args: argparse.Namespace) -> int:
    """Simulate, launch, wait, report."""
    out, begin = args.o.resolve(), time.monotonic()
    _make_anew(out)
    progress, size = terminal_progress(args.quiet), QUICK if args.quick else FULL
    simulated = simulate_movies(
        MovieSpec(n_movies=size.n_movies, width=size.edge, height=size.edge, layout="epu", seed=4), out / _SESSION, progress
    )
    plan = _plan(out, size, progress)
    launched = launch(plan)
    project = open_project(launched.project)
    print(f"watch it in a browser: relion4plugin monitor {launched.project}")
    _, code = wait_for(project, [runner.scheme for runner in launched.runners], args.quiet)
    report = _report(launched.project, simulated.truth_star.parent, out / "report.html")
    print(f"{size.n_movies} movies in {time.monotonic() - begin:.0f} s\nproject: {launched.project}\nopen in a browser: {report}")
    return code


def _make_anew(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"output {out} is a file: give a directory with --o")
    if out.is_dir() and any(out.iterdir()):
        if not (out / _MARK).is_file():
            raise UserError(f"{out} is not empty and not an earlier demo: give another directory with --o")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).touch()


def _plan(out: Path, size: _Size, progress: Progress) -> LaunchPlan:
    """Plan the launch of the session, with everything that its files do not tell."""
    words = {
        "particle_diameter": _DIAMETER,
        "symmetry": _SYMMETRY,
        "nr_classes": size.n_classes,
        "min_nr_parts_2d": size.first_2d,
        "min_nr_parts_3d": size.first_3d,
        "threads": os.cpu_count() or 1,
        "do_at_most": 10,
        "wait_sec": 3,
        "max_idle_waits": 4,
        "end_when_idle": "Yes",
        "prep__importmovies__settle_seconds": 0,  # nothing is being written any more
        "proc__class2d__nr_iter_grad": size.mini_batches,
        "proc__inimodel3d__nr_iter": size.mini_batches,
        "proc__inimodel3d__nr_classes": size.n_models,
    }
    user = user_values([f"{name}={value}" for name, value in words.items()])
    session, preset = read_session(out / _SESSION, [NO_PRESET], None, None, progress)
    facts = facts_of(session)
    return make_launch_plan(facts, preset, user, target_for(facts, out, project=out / _PROJECT), "")


def _report(project: Path, truth: Path, path: Path) -> Path:
    from relion4plugin.web.session_report import write_report

    return write_report(project, path, truth)
