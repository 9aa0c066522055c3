"""The runner: executes the nodes of a scheme one after the other; source: RELION-4.0 paper, section 3.3.

Before a job, a wait or an operator that changes files is executed, the scheme's file says so, with the values of all
variables; operators that only compute are saved a few times a second. After a crash they are computed once more from the
values that were saved, and a job that finished is not run again.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from relion4plugin.errors import UserError
from relion4plugin.jobs.markers import ABORT_NOW, ABORTED, FAILURE, SUCCESS
from relion4plugin.schemes.context import Context
from relion4plugin.schemes.control import apply_change, forget_changes, pending_changes
from relion4plugin.schemes.fallen import Abandonment
from relion4plugin.schemes.job_node import JobNodes
from relion4plugin.schemes.model import UNDEFINED, Operator, Scheme, next_node
from relion4plugin.schemes.operator_types import Exit
from relion4plugin.schemes.operators import evaluate
from relion4plugin.schemes.pipeline import Status
from relion4plugin.schemes.spinning import SpinGuard
from relion4plugin.schemes.store import save_scheme
from relion4plugin.schemes.variables import find_value

_POLL_PAUSE = 1.0
_SAVE_EVERY = 0.1  # seconds
# Operators that do more than compute. A dry run tells of them and leaves files, letter boxes and time alone.
_WITH_EFFECT = ("touch_file", "copy_file", "move_file", "delete_file", "email", "wait")


class Outcome(Enum):
    """How a run ended."""

    FINISHED = "finished"
    FAILED = "failed"
    ABORTED = "aborted"
    PAUSED = "paused"  # after the number of steps that was asked for


@dataclass(frozen=True)
class RunEnd:
    """The end of a run: at which node, and why."""

    outcome: Outcome
    node: str
    reason: str


class Runner:
    """Runs one scheme whose lock this process holds.

    Parameters
    ----------
    scheme : Scheme
        The scheme as loaded.
    context : Context
        Project, clock, mail, log and requests to abort.
    jobs : JobNodes
        Executes job nodes.
    event : callable
        Writes into the event log: (event, **fields).
    strict : bool
        RELION's behaviour also where it differs from what is documented.
    """

    def __init__(self, scheme: Scheme, context: Context, jobs: JobNodes, event: Callable[..., None], strict: bool = False) -> None:
        self.scheme, self.context, self.jobs, self.event, self.strict = scheme, context, jobs, event, strict
        self.guard = SpinGuard()
        self.abandonment = Abandonment(context.project, context.clock, context.report)
        self.saved_at = 0.0
        self.directory = context.project.scheme_directory(scheme.name)

    def run(self, max_steps: int | None = None) -> RunEnd:
        """Execute nodes until the scheme ends, a job fails, someone aborts, or `max_steps` nodes were executed.

        Raises
        ------
        UserError
            If a node cannot be executed; the scheme stands at that node then.
        """
        if self.scheme.current_node == UNDEFINED:
            raise UserError(f"{self.scheme.name} has no edges, so there is nothing to run; add them")
        for marker in (ABORT_NOW, SUCCESS, FAILURE, ABORTED):
            (self.directory / marker).unlink(missing_ok=True)
        try:
            end, steps = self._stopped(), 0
            while end is None and steps != max_steps:
                end = self._step()
                steps += 1
            end = end or RunEnd(Outcome.PAUSED, self.scheme.current_node, f"{steps} steps were executed")
            save_scheme(self.context.project, self.scheme)
        except (UserError, OSError):
            self._leave_failure()
            raise
        self._leave(end)
        return end

    def _step(self) -> RunEnd | None:
        """Execute the current node and go to the next; returns the end where there is one."""
        self._apply_changes()
        node = self.scheme.current_node
        operator = self.scheme.operators.get(node)
        self.event("node", node=node, kind="job" if operator is None else "operator")
        end = self._job(node) if operator is None else self._operator(operator)
        if end is not None:
            return end
        self._advance(node)
        if self.scheme.current_node == UNDEFINED:
            return RunEnd(Outcome.FINISHED, node, f"no edge leaves {node}")
        return self._stopped()

    def _operator(self, operator: Operator) -> RunEnd | None:
        if self.guard.pause_needed(self.scheme, operator.type):
            self.context.sleep(_POLL_PAUSE)
        if self.jobs.executor.simulates and operator.type in _WITH_EFFECT:
            self.context.report(f" + {operator.name}: {operator.type} is left out")
            return None
        if operator.type == "wait" and not self.strict:
            in_vain = self.abandonment.look(self.scheme)
            if in_vain:
                return RunEnd(Outcome.FAILED, operator.name, in_vain)
        result = evaluate(operator, self.scheme, self.context, self.strict)
        if isinstance(result, Exit):
            return RunEnd(Outcome.FINISHED, operator.name, result.reason)
        self.scheme = result
        value = None if operator.output == UNDEFINED else find_value(result, operator.output)
        self.event("operator", node=operator.name, type=operator.type, output=operator.output, value=value)
        return None

    def _job(self, node: str) -> RunEnd | None:
        self.guard.restart()
        self.scheme, end = self.jobs.execute(self.scheme, node)
        if end.status is Status.SUCCEEDED:
            return None
        outcome = Outcome.FAILED if end.status is Status.FAILED else Outcome.ABORTED
        what = f"job {self.scheme.jobs[node].name} of {node} {'failed' if outcome is Outcome.FAILED else 'was aborted'}"
        return RunEnd(outcome, node, f"{what}: {end.message}" if end.message else what)

    def _advance(self, node: str) -> None:
        """Go to the next node, and save that where it matters."""
        target = next_node(self.scheme, node)
        edge = next((edge for edge in reversed(self.scheme.edges) if edge.source == node), None)
        if edge is not None and edge.is_fork:
            self.event("fork", node=node, variable=edge.boolean, value=self.scheme.bools[edge.boolean].value, next=target)
        self.scheme = self.scheme.with_current_node(target)
        is_job = node not in self.scheme.operators
        if self._does_more_than_compute(node) or self._does_more_than_compute(target) or self._save_is_due():
            self.saved_at = time.monotonic()
            save_scheme(self.context.project, self.scheme, durable=is_job)

    def _does_more_than_compute(self, node: str) -> bool:
        operator = self.scheme.operators.get(node)
        return operator is None or operator.type in _WITH_EFFECT

    def _save_is_due(self) -> bool:
        return time.monotonic() - self.saved_at > _SAVE_EVERY

    def _apply_changes(self) -> None:
        """Make the changes that a person asked for since the last node."""
        changes = pending_changes(self.directory)
        for change in changes:
            try:
                self.scheme = apply_change(self.scheme, change)
                self.event("edit", change=change.what, name=change.name, value=change.value)
                self.context.report(f" + Changed: {change.what} {change.name} {change.value}".rstrip())
            except UserError as error:
                self.event("edit", change=change.what, name=change.name, value=change.value, error=str(error))
                self.context.report(f" + WARNING: a change was refused: {error}")
        if changes:
            save_scheme(self.context.project, self.scheme)
            forget_changes(self.directory)

    def _stopped(self) -> RunEnd | None:
        if not self.context.abort_requested():
            return None
        return RunEnd(Outcome.ABORTED, self.scheme.current_node, f"abort requested; the next node is {self.scheme.current_node}")

    def _leave_failure(self) -> None:
        """Leave state and marker of a run that ended with an error, as far as a full disk allows: the error itself is what is told."""
        if self.scheme.current_node in self.scheme.operators:  # a job has saved how far it came
            with suppress(UserError, OSError):
                save_scheme(self.context.project, self.scheme)
        with suppress(OSError):
            (self.directory / FAILURE).touch()

    def _leave(self, end: RunEnd) -> None:
        """Leave the marker of a run, tell the log, and write to the user."""
        marker = {Outcome.FINISHED: SUCCESS, Outcome.FAILED: FAILURE, Outcome.ABORTED: ABORTED}.get(end.outcome)
        if marker is not None:
            (self.directory / marker).touch()
        self.event("end", outcome=end.outcome.value, reason=end.reason, node=end.node)
        self.context.report(f" + Scheme {self.scheme.short_name} {end.outcome.value}: {end.reason}")
        address = self.scheme.strings.get("email")
        if address is not None and address.value not in ("", UNDEFINED) and end.outcome is not Outcome.PAUSED:
            self.event("mail", address=address.value, subject=f"Scheme: {self.scheme.short_name}")
            self.context.mail(address.value, f"Scheme: {self.scheme.short_name}", f"{end.outcome.value}: {end.reason}\n")


