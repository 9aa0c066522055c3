"""A plan carried out in the background, and what can be looked at afterwards."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.acquisition.launch import Launched, launch
from relion4plugin.acquisition.plan import LaunchPlan
from relion4plugin.progress import Progress
from relion4plugin.web.mdcatch.tasks import Task


@dataclass(frozen=True)
class Started:
    """A launch that was done, and its plan."""

    plan: LaunchPlan
    launched: Launched

    @property
    def logs(self) -> Mapping[str, Path]:
        """Logs by name."""
        if self.plan.schemes is None:
            return {"launch": self.launched.project / "launch.log"}
        return {runner.scheme: runner.log for runner in self.launched.runners}


def begin_launch(plan: LaunchPlan, again: bool, accepted: Iterable[str]) -> Task[Started]:
    """Carry out a plan in the background."""

    def work(progress: Progress) -> Started:
        progress.start("writing and starting", 1)
        return Started(plan, launch(plan, again, accepted))

    return Task(work)
