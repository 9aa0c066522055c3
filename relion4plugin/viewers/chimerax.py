"""ChimeraX, where Scipion knows one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pwem.viewers.viewer_chimera import Chimera, ChimeraView


def chimerax_problem() -> str | None:
    """Say why ChimeraX cannot be opened; None if it can."""
    program = Chimera.getProgram()
    if program is not None and Path(program).is_file():
        return None
    return f"ChimeraX is not at {program}: install Scipion's ChimeraX plugin, or set CHIMERA_HOME."


def chimerax_views(maps: Iterable[Path]) -> list[Any]:
    """Return the view that opens maps together in ChimeraX."""
    return [ChimeraView([str(path.resolve()) for path in maps])]
