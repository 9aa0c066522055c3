"""A long session of small movies whose processes are killed again and again: nothing may be lost, nothing done twice.

    python benchmarks/soak.py --out out/soak --movies 2000 --kills 50 --docs

`--originals` movies are simulated; all others are copies of them under names of their own, so that what comes out of each is known from an
undisturbed session of `--undisturbed` movies. They arrive one by one, half written first, while `relion4plugin it` works. A process of the
project, drawn at random, gets SIGKILL at a random moment; a runner that is gone is started again by `relion4plugin scheme run`, as a
service manager does it. At the end every table is compared with that of the undisturbed session. OUT/soak.json has all figures; exit code
1 if anything was lost, doubled or changed.
"""

import argparse
import random
import shutil
import time
from pathlib import Path
from typing import Any

from measure import markdown_table, publish, run_benchmark, write_json
from shared_options import add_docs, add_shared, benchmark_parser
from soak_compare import Left, completeness, differences, read_left
from soak_kill import Killer
from soak_session import Feeder, Session, simulate_originals, watch

from relion4plugin.cli.progress import terminal_progress

COUNTS = ("movies", "particles", "temporary files")
SIMILAR = 0.25  # difference of the selected share that two classifications of the same particles may have


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for movies, projects and soak.json; sessions in it are made anew")
    parser.add_argument("--movies", type=int, default=2000, help="of the session with kills (%(default)s)")
    parser.add_argument("--originals", type=int, default=20, help="distinct movies (%(default)s)")
    parser.add_argument("--undisturbed", type=int, default=0, help="movies of the undisturbed session (as many as of the other)")
    parser.add_argument("--kills", type=int, default=50, help="processes killed (%(default)s)")
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between two movies (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="particles with which the classification begins (a quarter of the movies)")
    parser.add_argument("--at_most", type=int, default=50, help="movies corrected in one pass (%(default)s)")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds from one pass of a scheme to the next (%(default)s)")
    add_shared(parser, threads=1)
    parser.add_argument("--seed", type=int, default=1, help="of the moments and victims (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep an undisturbed session that is there")
    add_docs(parser, "robustness.md")
    return parser.parse_args(words)


def run_session(name: str, n_movies: int, n_kills: int, originals: tuple[list[Path], Path], args: argparse.Namespace) -> dict[str, Any]:
    """Run one session to its end; returns what happened."""
    folder = args.out / name
    shutil.rmtree(folder, ignore_errors=True)
    session = Session(folder, n_movies, args.first or max(30, n_movies // 4), args.interval, args.at_most, args.pause, args.threads)
    movies, gain = originals
    session.start(gain)
    feeder, chance = Feeder(session, movies), random.Random(args.seed)
    killer = Killer(session.project.root, n_movies, n_kills, chance, folder / "kills.jsonl")
    print(f"{name}: {n_movies} movies, {n_kills} kills", flush=True)
    feeder.start()
    watched = watch(session, feeder, killer.look, chance)
    happened = {"seconds": round(watched.seconds, 1), "killed": dict(killer.killed), "restarts": dict(watched.restarts)}
    print(f"{name}: ended after {watched.seconds:.0f} s; killed {happened['killed']}, started again {happened['restarts']}", flush=True)
    return {**happened, "reasons": watched.reasons}


def judge(left: Left, undisturbed: Left, args: argparse.Namespace) -> dict[str, Any]:
    """Compare both sessions."""
    shares = [one.n_selected / max(1, len(one.particles)) for one in (left, undisturbed)]
    complete, different = completeness(left, args.movies), differences(left, undisturbed, args.originals)
    wrong = {name: count for name, count in complete.items() if count and name not in COUNTS}
    wrong |= {name: count for name, count in different.items() if count}
    similar = abs(shares[0] - shares[1]) <= SIMILAR
    return {"complete": complete, "different": different, "selected_share": shares, "wrong": wrong, "passed": not wrong and similar}


def tables(figures: dict[str, Any]) -> str:
    """Lay out the figures as Markdown."""
    session, judged = figures["killed"], figures["judged"]
    complete, different = judged["complete"], judged["different"]
    restarts = ", ".join(f"{name} {count}" for name, count in session["restarts"].items()) or "none"
    rows: list[tuple[object, object]] = [
        ("Movies", complete["movies"]),
        ("Kills", sum(session["killed"].values())),
        ("Runners started again", restarts),
        ("Time (min)", f"{session['seconds'] / 60:.1f}"),
        *((name[0].upper() + name[1:], count) for name, count in complete.items() if name != "movies"),
        *((f"Movies with other {name}", count) for name, count in different.items()),
        ("Share of particles selected, and undisturbed", ", ".join(f"{share:.2f}" for share in judged["selected_share"])),
    ]
    killed = sorted(session["killed"].items(), key=lambda item: -item[1])
    return f"{markdown_table(('What', 'Figure'), rows)}\n\n{markdown_table(('Killed', 'Times'), killed)}"


def main() -> int:
    """Run both sessions, compare, print and store."""
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    originals = simulate_originals(args.out / "originals", args.originals, terminal_progress())
    figures: dict[str, Any] = {}
    quiet = args.out / "undisturbed/project"
    if args.keep and quiet.is_dir():
        figures["undisturbed"] = {"seconds": 0.0}
    else:
        figures["undisturbed"] = run_session("undisturbed", args.undisturbed or args.movies, 0, originals, args)
    figures["killed"] = run_session("killed", args.movies, args.kills, originals, args)
    figures["judged"] = judge(read_left(args.out / "killed/project"), read_left(quiet), args)
    definition = {name: value for name, value in vars(args).items() if name != "out"}
    write_json(args.out / "soak.json", definition, {**figures, "seconds": round(time.monotonic() - begin, 1)})
    text = tables(figures)
    publish(text, "robustness.md", "soak", args.docs)
    wrong = figures["judged"]["wrong"]
    print("nothing lost, nothing twice, nothing changed" if figures["judged"]["passed"] else f"WRONG: {wrong}")
    return 0 if figures["judged"]["passed"] else 1


if __name__ == "__main__":
    run_benchmark(main)
