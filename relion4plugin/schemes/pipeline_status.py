"""What job directories say about their jobs, and the mirror of files that RELION's window browses."""

from collections.abc import Callable
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.star_text import read_tables
from relion4plugin.jobs.markers import ABORTED, FAILURE, SUCCESS
from relion4plugin.jobs.output_nodes import OUTPUT_NODES
from relion4plugin.schemes.pipeline import NO_ALIAS, Pipeline, Process, Status

# The first marker that is found counts.
_MARKERS = ((SUCCESS, Status.SUCCEEDED), (FAILURE, Status.FAILED), (ABORTED, Status.ABORTED))


def marked_status(directory: Path) -> Status | None:
    """Return how a job ended by the marker in its directory; None while there is none."""
    return next((status for marker, status in _MARKERS if (directory / marker).exists()), None)


def declared_outputs(directory: Path) -> dict[str, str]:
    """Return the further files (name -> kind) that a job says it made; empty where it says nothing.

    Raises
    ------
    UserError
        If its list is damaged.
    """
    path = directory / OUTPUT_NODES
    if not path.exists():
        return {}
    table = read_tables(path).get("output_nodes")
    if table is None:
        raise UserError(f"{path} has no block data_output_nodes: expected the list of files of a job")
    return {name: label for name, label in table.columns("rlnPipeLineNodeName", "rlnPipeLineNodeTypeLabel")}  # noqa: C416


def refreshed(pipeline: Pipeline, root: Path, may_finish: Callable[[Process], bool] = lambda process: True) -> Pipeline:
    """Return the pipeline with running jobs that have ended marked so, and the files that they declare added.

    Parameters
    ----------
    pipeline : Pipeline
        The pipeline.
    root : Path
        The project directory.
    may_finish : callable
        Says whether a job's marker may be believed: a job of several commands can show one before its last command.

    Raises
    ------
    UserError
        If the list of files of a finished job is damaged.
    """
    for process in list(pipeline.processes.values()):
        if process.status is not Status.RUNNING:
            continue
        status = marked_status(root / process.name)
        if status is None or not may_finish(process):
            continue
        pipeline = pipeline.with_status(process.name, status)
        if status is Status.SUCCEEDED:
            pipeline = pipeline.with_outputs(process.name, declared_outputs(root / process.name))
    return pipeline


def mirror_path(pipeline: Pipeline, node: str) -> str:
    """Return where a file is mirrored: ``.Nodes/<kind>/<file>``, with the alias of its job where it has one."""
    path = node
    process = pipeline.processes.get(pipeline.producer(node) or "")
    if process is not None and process.alias != NO_ALIAS and node.startswith(process.name):
        path = process.alias + node[len(process.name) :]
    return f".Nodes/{pipeline.nodes[node].type_label.split('.', 1)[0]}/{path}"


def touch_nodes(pipeline: Pipeline, process: str, root: Path) -> None:
    """Mirror the files of a job: inputs that exist, outputs that exist or are to come.

    Raises
    ------
    UserError
        If the mirror cannot be written.
    """
    job = pipeline.process(process)
    outputs = pipeline.outputs_of(job.name)
    present = [node for node in outputs if job.status is Status.SCHEDULED or (root / node).exists()]
    present += [node for node in pipeline.inputs_of(job.name) if (root / node).exists()]
    for node in present:
        path = root / mirror_path(pipeline, node)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise UserError(f"cannot write {path}: {(error.strerror or str(error)).lower()}; make the project writable") from error
