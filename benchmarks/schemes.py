"""Overhead of Schemes: operator steps of the runner, and a project with many jobs.

For example:

    python benchmarks/schemes.py --out out/schemes --steps 10000 --jobs 5000
"""

import argparse
import itertools
import json
import time
from pathlib import Path

from measure import run_benchmark

from relion4plugin.schemes.model import Edge, Operator, Scheme, Variable
from relion4plugin.schemes.pipeline import Node, Pipeline, Process, Status
from relion4plugin.schemes.pipeline_star import read_pipeline, write_pipeline
from relion4plugin.schemes.project import open_project
from relion4plugin.schemes.session import RunOptions, run_scheme
from relion4plugin.schemes.status import project_status
from relion4plugin.schemes.store import save_scheme


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the projects; made if need be")
    parser.add_argument("--steps", type=int, default=10000, help="operator steps (%(default)s)")
    parser.add_argument("--jobs", type=int, default=5000, help="jobs in the pipeline (%(default)s)")
    return parser.parse_args(words)


def counting_scheme(steps: int) -> Scheme:
    """A scheme that counts in a circle of two operators until `steps` have been executed."""
    return Scheme(
        "Schemes/count/",
        floats={name: Variable(value, value) for name, value in (("n", 0.0), ("one", 1.0), ("last", steps / 2))},
        bools={"more": Variable(True, True)},
        operators={
            "ADD": Operator("ADD", "float=plus", "n", "n", "one"),
            "MORE": Operator("MORE", "bool=lt", "more", "n", "last"),
            "EXIT": Operator("EXIT", "exit"),
        },
        edges=(Edge("ADD", "MORE"), Edge("MORE", "EXIT", True, "ADD", "more")),
    )


def seconds_of_steps(folder: Path, steps: int) -> float:
    """Run the counting scheme once."""
    (folder / "Schemes/count").mkdir(parents=True, exist_ok=True)
    project = open_project(folder, create=True)
    save_scheme(project, counting_scheme(steps).with_current_node("ADD"))
    begin = time.perf_counter()
    run_scheme(project, "count", "native", RunOptions(verbosity=0))
    return time.perf_counter() - begin


def many_jobs(n_jobs: int) -> Pipeline:
    """A pipeline in which every job takes the output of the one before."""
    names = [f"Select/job{number:03d}/" for number in range(1, n_jobs + 1)]
    return Pipeline(
        counter=n_jobs + 1,
        processes={name: Process(name, "relion.select.onvalue", Status.SUCCEEDED) for name in names},
        nodes={f"{name}particles.star": Node(f"{name}particles.star", "ParticlesData.star.relion") for name in names},
        inputs=tuple((f"{before}particles.star", name) for before, name in itertools.pairwise(names)),
        outputs=tuple((name, f"{name}particles.star") for name in names),
    )


def main() -> int:
    """Measure, print and store the figures."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    figures = {"steps": options.steps, "seconds_of_steps": round(seconds_of_steps(options.out / "steps", options.steps), 3)}
    folder = options.out / "jobs"
    folder.mkdir(exist_ok=True)
    project = open_project(folder, create=True)
    path = folder / "default_pipeline.star"
    begin = time.perf_counter()
    write_pipeline(path, many_jobs(options.jobs))
    written = time.perf_counter()
    read_pipeline(path)
    read = time.perf_counter()
    project_status(project)
    shown = time.perf_counter()
    spans = {"write": written - begin, "read": read - written, "status": shown - read}
    figures |= {"jobs": options.jobs, **{name: round(span, 3) for name, span in spans.items()}}
    print(json.dumps(figures))
    (options.out / "schemes.json").write_text(json.dumps(figures))
    return 0


if __name__ == "__main__":
    run_benchmark(main)
