"""The state of a project as text for people and as JSON for programs."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from relion4plugin.schemes.results import Quantity
from relion4plugin.schemes.status import ProjectStatus, SchemeStatus


def status_json(status: ProjectStatus) -> dict[str, Any]:
    """Return the state as values that JSON knows, without the graph of files."""
    return {
        "root": status.root,
        "error": status.error,
        "schemes": [_scheme_json(one) for one in status.schemes],
        "jobs": [asdict(job) for job in status.jobs],
        "job_counts": status.job_counts(),
        "quantities": {one.key: _quantity_json(one) for one in status.quantities},
    }


def _scheme_json(one: SchemeStatus) -> dict[str, Any]:
    history = one.history
    return {
        "name": one.name,
        "state": one.state,
        "summary": one.summary,
        "owner": one.owner,
        "current_node": one.current_node,
        "error": one.error,
        "outcome": history.outcome,
        "reason": history.reason,
        "nodes": [asdict(node) for node in one.nodes],
        "variables": {variable.name: variable.value for variable in one.variables},
        "recent": [asdict(line) for line in history.recent],
    }


def _quantity_json(one: Quantity) -> Mapping[str, Any]:
    return {"title": one.title, "value": one.value, "source": one.source, "points": one.points}


def status_text(status: ProjectStatus, n_jobs: int = 12) -> str:
    """Return the state as text for a terminal; of the jobs the newest `n_jobs`."""
    lines = [f"project {status.root}", *([f"  {status.error}"] if status.error else [])]
    for one in status.schemes:
        lines.append(f"scheme {one.name}: {one.summary}")
        lines += [f"  {_clock(line.time)}  {line.node + ': ' if line.node else ''}{line.text}" for line in one.history.recent[-5:]]
    figures = [
        f"{one.title.lower()} {one.value:.2f} A" if one.is_resolution else f"{one.title.lower()} {one.value:.0f}"
        for one in status.quantities
        if one.value is not None
    ]
    lines.append("results: " + (", ".join(figures) or "none yet"))
    counts = ", ".join(f"{n} {name.lower()}" for name, n in status.job_counts().items() if n)
    lines.append(f"jobs: {counts or 'none'}")
    lines += [f"  {job.name:<24}{job.status:<11}{job.node or job.alias}".rstrip() for job in status.jobs[-n_jobs:]]
    return "\n".join(lines)


def _clock(moment: float) -> str:
    return time.strftime("%d %b %H:%M:%S", time.localtime(moment))
