"""One job node of a scheme, from the arrival of the runner to the end of the job.

What happened before is always on disk: the launch is noted in scheme.star before a number is taken, and its directory before
the job is started. So a runner that was killed at any moment goes on where it was: a job that has finished or still runs is
not started again.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import JobStar, read_job_star
from relion4plugin.jobs.job_type import JobType
from relion4plugin.schemes.context import Context
from relion4plugin.schemes.executors.base import Executor, Handle, JobEnd, JobRun
from relion4plugin.schemes.executors.queue import shell_text
from relion4plugin.schemes.job_launch import job_inputs, keep_digest, last_digest, note_start, prepare_job, set_status
from relion4plugin.schemes.job_wait import JobLimits, JobWait
from relion4plugin.schemes.labels import job_folder
from relion4plugin.schemes.launches import Launch, launch_of, new_launch, template_digest, with_launch, without_launch
from relion4plugin.schemes.model import CONTINUE, NEW, Scheme, SchemeJob
from relion4plugin.schemes.pipeline import Status
from relion4plugin.schemes.store import save_scheme
from relion4plugin.schemes.substitution import option_kinds, substitute_job

_INPUT_TRIES, _INPUT_PAUSE = 5, 10.0  # RELION waits as long for an input file


@dataclass
class JobNodes:
    """Executes job nodes.

    `types` finds a job type by its label; `event` writes into the event log; `limits` is what a job may take.
    """

    context: Context
    executor: Executor
    types: Callable[[str], JobType]
    event: Callable[..., None]
    limits: JobLimits = field(default_factory=JobLimits)
    strict: bool = False

    def execute(self, scheme: Scheme, node: str) -> tuple[Scheme, JobEnd]:
        """Run the job of a node to its end; an input that does not come ends it as aborted.

        Raises
        ------
        UserError
            If the job cannot be started.
        """
        template = self._template(scheme, node)
        launch, handle = self._under_way(scheme, node, template)
        if launch is None:
            launch = self._new_launch(scheme.jobs[node], template)
            scheme = with_launch(scheme, launch)
            save_scheme(self.context.project, scheme)
        run = self._run(launch, self.types(template.type_label))
        if handle is None:
            scheme, run = self._prepared(scheme, launch, template)
            missing = self._missing_input(run, node)
            if missing:
                return scheme, JobEnd(Status.ABORTED, missing)
            scheme, handle = self._started(scheme, run, node)
        began = time.monotonic()
        end = JobWait(self.context, self.event, self.limits).until_end(handle, run)
        if not self.executor.simulates:
            set_status(self.context.project, run.directory, end.status)
        self.event(
            "ended",
            node=node,
            job=run.directory,
            launch=run.launch,
            status=end.status.value,
            seconds=round(time.monotonic() - began, 3),
            message=end.message,
        )
        return without_launch(scheme), end

    def _template(self, scheme: Scheme, node: str) -> JobStar:
        job = scheme.jobs.get(node)
        if job is None:
            raise UserError(f"{scheme.name}: {node} is neither an operator nor a job; add it, or correct the edge")
        if job.mode not in (NEW, CONTINUE):
            raise UserError(f"{scheme.name}: job {node} has mode '{job.mode}'; expected {NEW} or {CONTINUE}")
        return read_job_star(self.context.project.template(scheme.name, node))

    def _under_way(self, scheme: Scheme, node: str, template: JobStar) -> tuple[Launch | None, Handle | None]:
        """Find a launch that a killed runner left, and its job where that was started; nothing where it has to be done again."""
        launch = launch_of(scheme, node)
        if launch is None or not launch.directory:
            return launch, None
        if not launch.directory.startswith(f"{job_folder(template.type_label)}/"):
            return None, None  # the template was exchanged for one of another type
        handle = self.executor.attach(self._run(launch, self.types(template.type_label)))
        if handle is None:
            return launch, None
        end = handle.poll()
        if end is None or end.status is Status.SUCCEEDED:
            self.context.report(f" + Found {launch.directory} of {node}, which was started before")
            return launch, handle
        self.context.report(f" + {launch.directory} ended as {end.status.value} while no runner was there; {node} is executed again")
        set_status(self.context.project, launch.directory, end.status)
        return None, None

    def _new_launch(self, job: SchemeJob, template: JobStar) -> Launch:
        goes_on = job.mode == CONTINUE and job.has_started and job.has_directory
        if goes_on:
            known = last_digest(self.context.project, job.name)
            if known and known != template_digest(template):
                self.context.report(f" + {job.original} was edited since {job.name} was made; it starts afresh")
                goes_on = False
        return new_launch(job.original, job.name if goes_on else "", goes_on)

    def _run(self, launch: Launch, kind: JobType, options: Mapping[str, str] = MappingProxyType({})) -> JobRun:
        return JobRun(self.context.project.root, launch.directory, launch.name, kind, options, launch.is_continue)

    def _prepared(self, scheme: Scheme, launch: Launch, template: JobStar) -> tuple[Scheme, JobRun]:
        """Fill in the options and give the job its directory."""
        project, node = self.context.project, launch.node
        kind = self.types(template.type_label)
        kinds = {name: value for name, value in option_kinds(kind.parameters).items() if name not in kind.free_text}
        options = {**kind.default_options(), **substitute_job(scheme, template.options, self.context, kinds, self.strict)}
        job = JobStar(template.type_label, launch.is_continue, template.is_tomo, options)
        launch = replace(launch, directory=prepare_job(project, launch, job, kind))
        keep_digest(project, launch.directory, template_digest(template))
        scheme = with_launch(scheme, launch).with_job(replace(scheme.jobs[node], name=launch.directory))
        save_scheme(project, scheme)
        label = kind.full_label(options)
        place, name = launch.directory, launch.name
        self.event("launch", node=node, job=place, launch=name, label=label, is_continue=launch.is_continue, options=options)
        return scheme, self._run(launch, kind, options)

    def _started(self, scheme: Scheme, run: JobRun, node: str) -> tuple[Scheme, Handle]:
        """Start a job whose inputs are there."""
        project = self.context.project
        try:
            commands = [shell_text(command) for command in self.executor.commands(run)]
        except UserError:
            set_status(project, run.directory, Status.FAILED)
            raise
        set_status(project, run.directory, Status.RUNNING)
        scheme = scheme.with_job(replace(scheme.jobs[node], has_started=True))
        save_scheme(project, scheme)
        note_start(project, run.directory, commands)
        handle = self.executor.start(run)
        self.context.report(f" + {'Continuing' if run.is_continue else 'Executing'} {node} in {run.directory}")
        self.event("started", node=node, job=run.directory, launch=run.launch)
        return scheme, handle

    def _missing_input(self, run: JobRun, node: str) -> str:
        """Wait until all inputs exist; says which one does not come, empty when all are there."""
        root, context = self.context.project.root, self.context
        inputs = [] if self.executor.simulates else job_inputs(context.project, run.directory)
        for attempt in range(_INPUT_TRIES + 1):
            missing = next((name for name in inputs if not (root / name).exists()), None)
            if missing is None:
                return ""
            if attempt == _INPUT_TRIES:
                break
            self.event("waiting", node=node, job=run.directory, file=missing)
            context.report(f" + Waiting for {missing}, an input of {node} ...")
            end = context.clock() + _INPUT_PAUSE
            while (left := end - context.clock()) > 0:
                if context.abort_requested():
                    return f"aborted while waiting for {missing}"
                context.sleep(min(1.0, left))
        return f"{missing}, an input of {node}, does not exist"
