"""Checks of the graph of a scheme: edges, reachable nodes, loops without an end."""

from collections.abc import Iterator, Mapping

from relion4plugin.schemes.findings import Finding, Severity
from relion4plugin.schemes.model import UNDEFINED, Edge, Scheme
from relion4plugin.schemes.scheme_star import SchemeDocument

_STOPS = ("exit", "exit_maxtime")


def graph_findings(document: SchemeDocument) -> Iterator[Finding]:
    """Check edges and nodes.

    Parameters
    ----------
    document : SchemeDocument
        The scheme with its line numbers.

    Yields
    ------
    Finding
        Without order.
    """
    scheme, path = document.scheme, document.path
    if not scheme.edges:
        yield Finding(Severity.ERROR, path, 0, "the scheme has no edges, so nothing would run; add edges")
        return
    yield from _edge_findings(document)
    yield from _node_findings(document)
    yield from _loop_findings(document)


def _edge_findings(document: SchemeDocument) -> Iterator[Finding]:
    scheme, path = document.scheme, document.path
    seen: set[str] = set()
    for i, edge in enumerate(scheme.edges):
        line = document.lines["scheme_edges", str(i)]
        if edge.source in seen:
            yield Finding(Severity.WARNING, path, line, f"a second edge leaves {edge.source}; only the last one counts")
        seen.add(edge.source)
        for node in dict.fromkeys((edge.source, *_targets(edge))):
            if node not in scheme.operators and node not in scheme.jobs:
                yield Finding(Severity.ERROR, path, line, f"edge with {node}, which is neither an operator nor a job of the scheme")
            elif node in scheme.jobs and not scheme.jobs[node].mode:
                yield Finding(Severity.ERROR, path, line, f"edge with job {node}, which has no mode; set it to new or continue")
        if edge.is_fork and edge.boolean not in scheme.bools:
            text = f"the fork at {edge.source} depends on '{edge.boolean}', which is no boolean variable"
            yield Finding(Severity.ERROR, path, line, text)


def _targets(edge: Edge) -> tuple[str, ...]:
    targets = (edge.target, edge.target_if_true) if edge.is_fork else (edge.target,)
    return tuple(target for target in targets if target != UNDEFINED)


def _successors(scheme: Scheme) -> dict[str, tuple[str, ...]]:
    return {edge.source: _targets(edge) for edge in scheme.edges}


def _reachable(start: str, successors: Mapping[str, tuple[str, ...]]) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        new = [node for node in successors.get(waiting.pop(), ()) if node not in found]
        found.update(new)
        waiting.extend(new)
    return found


def _node_findings(document: SchemeDocument) -> Iterator[Finding]:
    scheme, path, lines = document.scheme, document.path, document.lines
    successors = _successors(scheme)
    reachable = _reachable(scheme.start_node, successors)
    nodes = {name: ("scheme_operators", name) for name in scheme.operators}
    nodes |= {name: ("scheme_jobs", name) for name, job in scheme.jobs.items() if job.mode}
    for name, key in nodes.items():
        if name not in reachable:
            text = f"{name} cannot be reached from the start node {scheme.start_node}"
            yield Finding(Severity.WARNING, path, lines[key], text)
        elif name not in successors and not (name in scheme.operators and scheme.operators[name].type == "exit"):
            yield Finding(Severity.WARNING, path, lines[key], f"no edge leaves {name}, so the scheme ends there; add an exit operator")
    current = scheme.current_node
    if current != UNDEFINED and current not in nodes:
        line = lines["scheme_general", "rlnSchemeCurrentNodeName"]
        yield Finding(Severity.ERROR, path, line, f"the current node {current} is neither an operator nor a job of the scheme")


def _loop_findings(document: SchemeDocument) -> Iterator[Finding]:
    """Find loops that are never left: of operators alone (they spin), or without anything that ends or slows them."""
    scheme, path = document.scheme, document.path
    successors = _successors(scheme)
    reachable = _reachable(scheme.start_node, successors)
    types = {name: operator.type for name, operator in scheme.operators.items()}
    lines = {edge.source: document.lines["scheme_edges", str(i)] for i, edge in enumerate(scheme.edges)}
    for group in _loops(reachable, successors):
        line = min(lines[node] for node in group)
        kinds = {types.get(node, "job") for node in group}
        if kinds.intersection(_STOPS) or any(target not in group for node in group for target in successors[node]):
            continue
        names = ", ".join(sorted(group))
        if "job" in kinds or "wait" in kinds:
            text = f"the loop {names} has no way out; it ends only by an abort, add an exit or exit_maxtime operator"
            yield Finding(Severity.WARNING if "wait" in kinds else Severity.ERROR, path, line, text)
        else:
            yield Finding(Severity.ERROR, path, line, f"the loop {names} runs for ever without waiting; add a wait, a job or a way out")
    fast = {node for node in reachable if types.get(node, "job") not in ("job", "wait", *_STOPS)}
    for group in _loops(fast, successors):
        changing = {types[node] for node in group if not types[node].endswith("=set")}
        if not changing and any(target not in group for node in group for target in successors[node]):
            names = ", ".join(sorted(group))
            text = f"the loop {names} only copies variables, so its way out never opens; add a wait, or something that counts"
            yield Finding(Severity.ERROR, path, min(lines[node] for node in group), text)


def _loops(nodes: set[str], successors: Mapping[str, tuple[str, ...]]) -> list[set[str]]:
    """Return the groups of nodes from each of which all others of the group can be reached, within `nodes`."""
    inner = {node: tuple(target for target in successors.get(node, ()) if target in nodes) for node in nodes}
    beyond = {node: set().union(*(_reachable(target, inner) for target in inner[node])) for node in nodes}
    groups: list[set[str]] = []
    for node in sorted(nodes):
        if node in beyond[node] and not any(node in group for group in groups):
            groups.append({other for other in beyond[node] if node in beyond[other]})
    return groups
