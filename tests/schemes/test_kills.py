"""A runner killed at any moment goes on where it was: same final state, no finished job run twice, no damaged file."""

import subprocess
import sys
from pathlib import Path

import pytest

from relion4plugin.schemes.events import read_events
from relion4plugin.schemes.model import Edge, Operator, Scheme, SchemeJob
from relion4plugin.schemes.pipeline_star import pipeline_text, read_pipeline
from relion4plugin.schemes.scheme_star import scheme_text
from tests.schemes.shipped_schemes import same
from tests.schemes.stubs import make_project, run_stubs, state

pytestmark = pytest.mark.usefixtures("no_fsync")
TOP = Path(__file__).resolve().parents[2]
_JOBS = ("relion.import", "relion.motioncorr", "relion.ctffind", "relion.select", "relion.autopick")


def thirty_nodes(rounds):
    """A loop of 10 jobs and 18 operators, a fork at its end, and an exit."""
    names, operators, jobs, templates = [], {}, {}, {}
    for i in range(10):
        adding, flipping = f"ADD{i}", f"FLIP{i}"
        operators[adding] = Operator(adding, "float=plus", "total", "total", "one")
        operators[flipping] = Operator(flipping, "bool=not", "flag", "flag")
        jobs[f"job{i}"] = SchemeJob(f"job{i}", f"job{i}", "continue" if i % 2 else "new")
        templates[f"job{i}"] = (_JOBS[i % 5], {"number": str(i)})
        names += [adding, f"job{i}"] if i % 5 == 4 else [adding, f"job{i}", flipping]
    del operators["FLIP4"], operators["FLIP9"]
    operators["COUNT"] = Operator("COUNT", "bool=lt", "again", "total", "limit")
    operators["EXIT"] = Operator("EXIT", "exit")
    edges = [Edge(a, b) for a, b in zip(names, [*names[1:], "COUNT"], strict=True)]
    edges.append(Edge("COUNT", "EXIT", True, names[0], "again"))
    floats, bools = same(total=0.0, one=1.0, limit=10.0 * rounds), same(flag=False, again=False)
    scheme = Scheme("Schemes/toy/", floats=floats, bools=bools, operators=operators, jobs=jobs, edges=tuple(edges))
    assert len(operators) + len(jobs) == 30
    return scheme, templates


def final_state(project):
    """What must not depend on kills: scheme, pipeline, and how often each job directory finished."""
    pipeline = read_pipeline(project.pipeline_path)
    finished = {name: len(list((project.root / name).glob("done_*"))) for name in pipeline.processes}
    folders = sorted(path.parent.relative_to(project.root) for path in project.root.glob("*/job*/job.star"))
    return scheme_text(state(project, "toy")), pipeline_text(pipeline), finished, folders


def killed(project, seed, kills, longest):
    command = [sys.executable, "-m", "tests.schemes.kill_runner", str(project.root), str(seed), str(kills), str(longest)]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize(("rounds", "kills"), [(4, 40), pytest.param(20, 200, marks=pytest.mark.slow)])
def test_kills_at_random_points(tmp_path, rounds, kills):
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    project = make_project(tmp_path / "killed", [thirty_nodes(rounds)])
    assert killed(project, 7, kills, 1200) == kills
    whole = make_project(tmp_path / "whole", [thirty_nodes(rounds)])
    run_stubs(whole, "toy")
    assert final_state(project) == final_state(whole)
    assert not (project.root / "stubs/twice").exists()
    assert sum(final_state(project)[2].values()) == 10 * rounds
    log = project.scheme_directory("toy") / "events.jsonl"
    launches = [event["launch"] for _, event in read_events(log) if event["event"] == "ended" and event["status"] == "Succeeded"]
    assert len(launches) >= 10 * rounds - kills
    assert not project.scheme_lock("toy").exists() and not project.pipeline_lock.exists()
