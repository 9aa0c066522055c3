"""Programs that jobs name: on PATH, in the project, or this program itself."""

import os
import shutil
import sys
from pathlib import Path

OWN = "relion4plugin"


def program_words(name: str, root: Path = Path()) -> tuple[str, ...]:
    """Return the words that start a program, nothing where it is not there.

    ``relion4plugin`` is this program, run by the same Python; it need not be on PATH.

    Parameters
    ----------
    name
        Name or path.
    root
        Project directory, in which programs are found without a path.
    """
    if name == OWN:
        return (sys.executable, "-m", "relion4plugin.cli.main")
    beside = root / name
    found = shutil.which(name) or (str(beside.absolute()) if beside.is_file() and os.access(beside, os.X_OK) else None)
    return (found,) if found else ()
