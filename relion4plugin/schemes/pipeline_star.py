"""default_pipeline.star and job_pipeline.star, in the dialects of RELION 3.1, 4 and 5; the dialect of a file is kept."""

from collections.abc import Callable, Mapping
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.star_text import RELION4, RELION5, TextTable, list_block, loop, read_tables, tables_text
from relion4plugin.jobs.job_star import LEGACY_TYPES
from relion4plugin.schemes.labels import NODE_NUMBERS, node_number, process_number
from relion4plugin.schemes.pipeline import NO_ALIAS, Dialect, Node, Pipeline, Process, Status

_GENERAL, _PROCESSES, _NODES = "pipeline_general", "pipeline_processes", "pipeline_nodes"
_INPUTS, _OUTPUTS = "pipeline_input_edges", "pipeline_output_edges"
_COUNTER = "rlnPipeLineJobCounter"
_PROCESS, _ALIAS, _NODE, _DEPTH = ("rlnPipeLine" + name for name in ("ProcessName", "ProcessAlias", "NodeName", "NodeTypeLabelDepth"))
_TYPE_LABEL, _TYPE = "rlnPipeLineProcessTypeLabel", "rlnPipeLineProcessType"
_STATUS_LABEL, _STATUS = "rlnPipeLineProcessStatusLabel", "rlnPipeLineProcessStatus"
_NODE_LABEL, _NODE_TYPE = "rlnPipeLineNodeTypeLabel", "rlnPipeLineNodeType"
_INPUT_EDGE = ("rlnPipeLineEdgeFromNode", "rlnPipeLineEdgeProcess")
_OUTPUT_EDGE = ("rlnPipeLineEdgeProcess", "rlnPipeLineEdgeToNode")
# RELION 3.1's numbers of states, in order.
_STATES = (Status.RUNNING, Status.SCHEDULED, Status.SUCCEEDED, Status.FAILED, Status.ABORTED)

Report = Callable[[str], None]


def read_pipeline(path: Path, report: Report = lambda line: None) -> Pipeline:
    """Read a pipeline file.

    Parameters
    ----------
    path : Path
        The file.
    report : callable
        Receives one line for each row that cannot be used (an edge to nowhere).

    Raises
    ------
    UserError
        If the file is missing, is no pipeline, or has a job with an unknown state.
    """
    tables = read_tables(path)
    if _GENERAL not in tables:
        raise UserError(f"{path} has no block data_{_GENERAL}: expected a pipeline of RELION")
    counter = tables[_GENERAL].value(_COUNTER)
    if not counter.isdecimal():
        raise UserError(f"{path}, line {tables[_GENERAL].line(_COUNTER)}: the job counter is '{counter}'; expected a whole number")
    dialect = _dialect(tables)
    processes = _processes(tables.get(_PROCESSES), path, dialect)
    nodes = _nodes(tables.get(_NODES), path, dialect)
    known = {_GENERAL, _PROCESSES, _NODES, _INPUTS, _OUTPUTS}
    return Pipeline(
        int(counter),
        processes,
        nodes,
        _edges(tables.get(_INPUTS), _INPUT_EDGE, (nodes, processes), path, report),
        _edges(tables.get(_OUTPUTS), _OUTPUT_EDGE, (processes, nodes), path, report),
        dialect,
        tuple(table for name, table in tables.items() if name not in known),
    )


def _dialect(tables: Mapping[str, TextTable]) -> Dialect:
    if tables[_GENERAL].version >= RELION5:
        return Dialect.RELION5
    empty = TextTable("", (), ())
    labels = {*tables.get(_PROCESSES, empty).labels, *tables.get(_NODES, empty).labels}
    return Dialect.RELION31 if labels & {_TYPE, _NODE_TYPE} and not labels & {_TYPE_LABEL, _NODE_LABEL} else Dialect.RELION4


def _number(text: str, path: Path, line: int) -> int:
    if not text.isdecimal():
        raise UserError(f"{path}, line {line}: '{text}' where a whole number is expected")
    return int(text)


def _processes(table: TextTable | None, path: Path, dialect: Dialect) -> dict[str, Process]:
    if table is None:
        return {}
    processes = {}
    states = {status.value: status for status in Status}
    legacy = dialect is Dialect.RELION31
    labels = (_PROCESS, _ALIAS, _TYPE, _STATUS) if legacy else (_PROCESS, _ALIAS, _TYPE_LABEL, _STATUS_LABEL)
    for line, (name, alias, kind, state) in zip(table.lines, table.columns(*labels), strict=True):
        if legacy:
            kind = LEGACY_TYPES.get(_number(kind, path, line), f"relion.legacy{kind}")
            number = _number(state, path, line)
            status = _STATES[number] if number < len(_STATES) else None
        else:
            status = states.get(state)
        if status is None:
            raise UserError(f"{path}, line {line}: job {name} has the state '{state}'; expected one of {', '.join(states)}")
        processes[name] = Process(name, kind, status, alias or NO_ALIAS)
    return processes


def _nodes(table: TextTable | None, path: Path, dialect: Dialect) -> dict[str, Node]:
    if table is None:
        return {}
    nodes: dict[str, Node] = {}
    if dialect is Dialect.RELION31:
        for line, (name, kind) in zip(table.lines, table.columns(_NODE, _NODE_TYPE), strict=True):
            nodes.setdefault(name, Node(name, NODE_NUMBERS.get(_number(kind, path, line), f"legacy{kind}")))
    else:
        for line, (name, label, depth) in zip(table.lines, table.columns(_NODE, _NODE_LABEL, _DEPTH), strict=True):
            nodes.setdefault(name, Node(name, label, _number(depth, path, line) if depth else 1))
    return nodes


def _edges(
    table: TextTable | None, labels: tuple[str, str], ends: tuple[Mapping[str, object], Mapping[str, object]], path: Path, report: Report
) -> tuple[tuple[str, str], ...]:
    if table is None:
        return ()
    edges = []
    for line, (source, target) in zip(table.lines, table.columns(*labels), strict=True):
        if source in ends[0] and target in ends[1]:
            edges.append((source, target))
        else:
            missing = target if source in ends[0] else source
            report(f"{path}, line {line}: edge of '{missing}', which is not in the pipeline, is left out")
    return tuple(edges)


def _legacy_number(label: str, prefix: str, number: Callable[[str], int]) -> str:
    return label[len(prefix) :] if label.startswith(prefix) else str(number(label))


def _process_table(pipeline: Pipeline, version: int) -> TextTable:
    jobs = pipeline.processes.values()
    if pipeline.dialect is Dialect.RELION31:
        labels = (_PROCESS, _ALIAS, _TYPE, _STATUS)
        kinds = [_legacy_number(p.type_label, "relion.legacy", process_number) for p in jobs]
        rows = [(p.name, p.alias, kind, str(_STATES.index(p.status))) for p, kind in zip(jobs, kinds, strict=True)]
        return loop(_PROCESSES, labels, rows, version, (_TYPE, _STATUS))
    labels = (_PROCESS, _ALIAS, _TYPE_LABEL, _STATUS_LABEL)
    return loop(_PROCESSES, labels, [(p.name, p.alias, p.type_label, p.status.value) for p in jobs], version)


def _node_table(pipeline: Pipeline, version: int) -> TextTable:
    files = pipeline.nodes.values()
    if pipeline.dialect is Dialect.RELION31:
        numbers = [(node.name, _legacy_number(node.type_label, "legacy", node_number)) for node in files]
        return loop(_NODES, (_NODE, _NODE_TYPE), numbers, version, (_NODE_TYPE,))
    if pipeline.dialect is Dialect.RELION5:
        deep = [(node.name, node.type_label, str(node.depth)) for node in files]
        return loop(_NODES, (_NODE, _NODE_LABEL, _DEPTH), deep, version, (_DEPTH,))
    return loop(_NODES, (_NODE, _NODE_LABEL), [(node.name, node.type_label) for node in files], version)


def pipeline_text(pipeline: Pipeline) -> str:
    """Return the text of a pipeline file in the pipeline's dialect.

    Raises
    ------
    UserError
        If RELION 3.1's dialect cannot express it.
    """
    version = RELION5 if pipeline.dialect is Dialect.RELION5 else RELION4
    tables = (
        list_block(_GENERAL, {_COUNTER: str(pipeline.counter)}, version, (_COUNTER,)),
        _process_table(pipeline, version),
        _node_table(pipeline, version),
        loop(_INPUTS, _INPUT_EDGE, pipeline.inputs, version),
        loop(_OUTPUTS, _OUTPUT_EDGE, pipeline.outputs, version),
        *pipeline.unknown,
    )
    return tables_text(tables)


def write_pipeline(path: Path, pipeline: Pipeline) -> None:
    """Write a pipeline file; readers see the old or the new one.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    atomic_write_text(path, pipeline_text(pipeline))
