"""Where a session is launched to, and whether it may be."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path

from relion4plugin.acquisition.launches import Launch, State, find_launch, read_launches
from relion4plugin.acquisition.session_facts import SessionFacts
from relion4plugin.errors import UserError


class AlreadyLaunched(UserError):
    """The session runs or ran already."""


@dataclass(frozen=True)
class Target:
    """Folder of the projects, directory of this session's project, and the launch that was cut off there, if any."""

    root: Path
    project: Path
    unfinished: Launch | None = None


def target_for(facts: SessionFacts, root: Path, again: bool = False, project: Path | None = None) -> Target:
    """Return where a session goes.

    Parameters
    ----------
    facts : SessionFacts
        The session.
    root : Path
        Folder of the projects.
    again : bool
        Launch it into a new project although it was launched before.
    project : Path
        Project directory; named after the session if not given.

    Raises
    ------
    AlreadyLaunched
        If it was launched before.
    UserError
        If an earlier launch is in doubt, or the project directory belongs to something else.
    """
    earlier = find_launch(read_launches(root), facts.fingerprint, facts.path)
    if earlier is not None and not again:
        if earlier.state == State.STARTED.value:
            return Target(root, Path(earlier.project), earlier)
        if earlier.state == State.SCHEDULING.value:
            raise AlreadyLaunched(
                f"a launch of session {facts.name} was cut off while Scipion scheduled {earlier.project}; look there, and give --again if "
                "nothing runs"
            )
        raise AlreadyLaunched(
            f"session {facts.name} was launched on {earlier.time} into {earlier.project}; --again launches it into a new project"
        )
    folder = project or root / facts.project_name
    if project is None and again:
        folder = next(path for number in count(1) if not (path := root / _numbered(facts.project_name, number)).exists())
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not empty; give another --project")
    return Target(root, folder)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"
