"""A long run cut into resumable blocks, and the check that what lies on disk belongs to the present input and parameters.

Scipion keeps a finished step when its arguments are unchanged and judges every step alone. So each step gets a digest of all that
determines the result, and the files carry the digest of the run that wrote them.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relion4plugin.files.atomic import atomic_write_text

BLOCKS = 20
_MARK = "run_digest.txt"
_RECORDS = "run_iterations.jsonl"
_RESULTS = ("run_*", "initial_model*", "converted_*.mrcs")
_OPTIMISER = re.compile(r"^run_it(\d+)_optimiser\.star$")


def block_ends(iterations: int, first: int = 0, blocks: int = BLOCKS) -> list[int]:
    """Iterations after which a block stops: at most `blocks` of equal length, the last at `iterations`.

    >>> block_ends(200)[:3], block_ends(25)[-3:], block_ends(10, first=8)
    ([10, 20, 30], [22, 24, 25], [9, 10])
    """
    length = -(-iterations // blocks)
    ends = [stop for stop in range(length, iterations, length) if stop > first]
    return [*ends, iterations]


def digest_of(values: Mapping[str, Any], *files: Path) -> str:
    """Short digest of values and of the contents of files."""
    state = hashlib.blake2b(json.dumps(dict(values), sort_keys=True, default=str).encode(), digest_size=12)
    for path in files:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                state.update(chunk)
    return state.hexdigest()


def last_state(folder: Path, at_most: int | None = None) -> tuple[int, Path] | None:
    """Newest iteration (not above `at_most`) whose optimiser file is there, and that file."""
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _OPTIMISER.match(path.name))] if folder.is_dir() else []
    return max((state for state in found if at_most is None or state[0] <= at_most), default=None)


def copy_records(source: Path, folder: Path) -> None:
    """Take over the records of the run that is continued, so that the curves begin where it began."""
    records = source / _RECORDS
    if records.is_file():
        atomic_write_text(folder / _RECORDS, records.read_text())


def claim_folder(folder: Path, digest: str) -> None:
    """Make a folder the present run's: files that another input or other parameters left are removed."""
    mark = folder / _MARK
    if mark.is_file() and mark.read_text().strip() == digest:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():  # of independent starts
            shutil.rmtree(path)
        elif any(path.match(pattern) for pattern in _RESULTS):
            path.unlink()
    atomic_write_text(mark, digest + "\n")
