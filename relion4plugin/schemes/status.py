"""The state of a project: its schemes, jobs and figures, read again and again at little cost."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.file_cache import FileCache
from relion4plugin.schemes.events import FILE_NAME
from relion4plugin.schemes.history import History, HistoryReader
from relion4plugin.schemes.locks import running_owner
from relion4plugin.schemes.model import UNDEFINED, Scheme
from relion4plugin.schemes.pipeline import NO_ALIAS, Pipeline, Process, Status
from relion4plugin.schemes.pipeline_star import read_pipeline
from relion4plugin.schemes.pipeline_status import marked_status
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.results import Quantity, ResultsReader
from relion4plugin.schemes.scheme_star import read_scheme_star
from relion4plugin.schemes.variables import value_text

RUNNING, FOREIGN, STALE, STOPPED = "running", "running in another program", "stopped, lock left behind", "stopped"


@dataclass(frozen=True)
class NodeStatus:
    """A node of a scheme.

    `state` is idle, done, current (next to be executed), running, or the way in which its job ended: failed, aborted. `job` is the job
    directory, empty for operators and before the first execution; `came_from` the node before its last execution.
    """

    name: str
    state: str = "idle"
    visits: int = 0
    job: str = ""
    came_from: str = ""


@dataclass(frozen=True)
class VariableStatus:
    """A variable with its value and reset value as texts."""

    name: str
    kind: str
    value: str
    reset: str


@dataclass(frozen=True)
class SchemeStatus:
    """A scheme; `error` says why its file cannot be read, and then nothing else is known."""

    name: str
    state: str = STOPPED
    owner: str = ""
    current_node: str = UNDEFINED
    nodes: tuple[NodeStatus, ...] = ()
    variables: tuple[VariableStatus, ...] = ()
    history: History = field(default_factory=History)
    scheme: Scheme | None = None
    error: str = ""

    @property
    def is_locked(self) -> bool:
        """Whether a program holds the scheme."""
        return self.state in (RUNNING, FOREIGN)

    @property
    def summary(self) -> str:
        """One line: state, and how the last run ended."""
        if self.error:
            return self.error
        text = self.state
        if not self.is_locked and self.history.outcome:
            text = f"{self.history.outcome}" + (f": {self.history.reason}" if self.history.reason else "")
            text += f" ({self.state})" if self.state == STALE else ""
        waiting = f", waits for {self.history.waiting_for}" if self.is_locked and self.history.waiting_for else ""
        return f"{text}, at {self.current_node}{waiting}"


@dataclass(frozen=True)
class JobStatus:
    """A job of the pipeline; times in seconds since 1970, None where not known; `node` is SCHEME/NODE of the scheme that made it."""

    name: str
    type_label: str
    status: str
    alias: str = ""
    node: str = ""
    started: float | None = None
    ended: float | None = None


@dataclass(frozen=True)
class ProjectStatus:
    """Everything that is known of a project; `jobs` are the newest last."""

    root: str
    schemes: tuple[SchemeStatus, ...] = ()
    jobs: tuple[JobStatus, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    pipeline: Pipeline = field(default_factory=Pipeline)
    error: str = ""

    def scheme(self, name: str) -> SchemeStatus:
        """Return a scheme by its name.

        Raises
        ------
        UserError
            If there is none.
        """
        for one in self.schemes:
            if one.name == name:
                return one
        raise UserError(f"no scheme {name} in {self.root}; schemes here: {', '.join(s.name for s in self.schemes) or 'none'}")

    def job(self, name: str) -> JobStatus:
        """Return a job by its directory.

        Raises
        ------
        UserError
            If there is none.
        """
        key = name.rstrip("/") + "/"
        for one in self.jobs:
            if one.name == key:
                return one
        raise UserError(f"no job {name} in the pipeline of {self.root}")

    def job_counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        counts = dict.fromkeys((status.value for status in Status), 0)
        for job in self.jobs:
            counts[job.status] += 1
        return counts


class ProjectReader:
    """Reads the state of a project again and again; what has not changed is not read twice."""

    def __init__(self, project: Project) -> None:
        self.project, self.cache = project, FileCache()
        self._results = ResultsReader(project.root, self.cache)
        self._histories: dict[str, HistoryReader] = {}
        self._times: dict[tuple[str, str], tuple[float | None, float | None]] = {}

    def read(self) -> ProjectStatus:
        """Return the state now; damaged files are told in `error`, not raised."""
        error, pipeline = "", Pipeline()
        try:
            pipeline = self.cache.get(self.project.pipeline_path, read_pipeline) or pipeline
        except UserError as problem:
            error = str(problem)
        schemes = tuple(self._scheme(name, pipeline) for name in self.project.scheme_names())
        nodes = {node.job: f"{one.name}/{node.name}" for one in schemes for node in one.nodes if node.job}
        runs = {job: (one.name, run) for one in schemes for job, run in one.history.runs.items()}
        nodes |= {job: f"{scheme}/{run.node}" for job, (scheme, run) in runs.items()}
        jobs = tuple(self._job(process, nodes.get(process.name, "")) for process in pipeline.processes.values())
        timed = tuple(
            replace(job, started=runs[job.name][1].started, ended=runs[job.name][1].ended) if job.name in runs else job for job in jobs
        )
        return ProjectStatus(str(self.project.root), schemes, timed, self._results.read(pipeline), pipeline, error)

    def _scheme(self, name: str, pipeline: Pipeline) -> SchemeStatus:
        try:
            scheme = self.cache.get(self.project.scheme_file(name), read_scheme_star)
        except UserError as problem:
            return SchemeStatus(name, error=str(problem))
        if scheme is None:
            return SchemeStatus(name, error=f"{self.project.scheme_file(name)} has gone")
        reader = self._histories.setdefault(name, HistoryReader(self.project.scheme_directory(name) / FILE_NAME))
        history = reader.read()
        held, owner = running_owner(self.project, name)
        if held:
            state = RUNNING if owner is not None else FOREIGN
        else:
            state = STALE if self.project.scheme_lock(name).is_dir() else STOPPED
        current = scheme.current_node if scheme.current_node != UNDEFINED else scheme.start_node
        states = {node: process.status for node, job in scheme.jobs.items() if (process := pipeline.processes.get(job.name))}
        nodes = tuple(
            _node(scheme, node, history, states.get(node), held and node == current) for node in (*scheme.operators, *scheme.jobs)
        )
        return SchemeStatus(name, state, str(owner or ""), current, nodes, _variables(scheme), history, scheme)

    def _job(self, process: Process, node: str) -> JobStatus:
        directory = self.project.root / process.name
        status = process.status
        if status is Status.RUNNING:  # the pipeline is only brought up to date when some program looks
            status = marked_status(directory) or status
        key = process.name, status.value
        if key not in self._times or status in (Status.RUNNING, Status.SCHEDULED):
            self._times[key] = _times(directory, status)
        alias = "" if process.alias == NO_ALIAS else process.alias
        return JobStatus(process.name, process.type_label, status.value, alias, node, *self._times[key])


def project_status(project: Project) -> ProjectStatus:
    """Return the state of a project now."""
    return ProjectReader(project).read()


def _node(scheme: Scheme, name: str, history: History, job_state: Status | None, is_running: bool) -> NodeStatus:
    job = scheme.jobs.get(name)
    directory = job.name if job is not None and job.has_directory else ""
    visits = history.visits.get(name, 0)
    if is_running:
        state = "running"
    elif job_state in (Status.FAILED, Status.ABORTED):
        state = job_state.value.lower()
    elif name == (scheme.current_node if scheme.current_node != UNDEFINED else scheme.start_node):
        state = "current"
    else:
        state = "done" if visits or (job is not None and job.has_started) else "idle"
    return NodeStatus(name, state, visits, directory, history.came_from.get(name, ""))


def _variables(scheme: Scheme) -> tuple[VariableStatus, ...]:
    kinds = (("number", scheme.floats), ("boolean", scheme.bools), ("text", scheme.strings))
    found = [
        VariableStatus(name, kind, value_text(variable.value), value_text(variable.reset))
        for kind, variables in kinds
        for name, variable in variables.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.kind, one.name)))


def _times(directory: Path, status: Status) -> tuple[float | None, float | None]:
    """Judge by the job's files: job.star is written at the start, the marker at the end."""
    started = _changed(directory / "job.star") if status is not Status.SCHEDULED else None
    if status in (Status.RUNNING, Status.SCHEDULED):
        return started, None
    markers = (_changed(directory / f"RELION_JOB_EXIT_{ending}") for ending in ("SUCCESS", "FAILURE", "ABORTED"))
    return started, next((moment for moment in markers if moment is not None), None)


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
