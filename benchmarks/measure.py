"""Run a command as a whole process and measure it; describe the machine; write the results."""

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("numpy", "scipy", "numba", "pandas", "starfile", "mrcfile", "cupy-cuda12x", "relion4plugin")
RSS_UNIT = 1.0 if sys.platform == "darwin" else 1024.0  # ru_maxrss is in bytes there, in KiB elsewhere


@dataclass(frozen=True)
class Cost:
    """What one process, its own children included, used."""

    wall_seconds: float
    cpu_seconds: float  # user + system
    peak_rss_mib: float  # of the largest process

    def as_dict(self) -> dict[str, float]:
        """Figures rounded to what the measurement can tell."""
        return {
            "wall_seconds": round(self.wall_seconds, 2),
            "cpu_seconds": round(self.cpu_seconds, 2),
            "peak_rss_mib": round(self.peak_rss_mib, 1),
        }


def run_measured(command: Sequence[str], log: Path, cwd: Path | None = None) -> Cost:
    """Run a command to its end and measure it with ``wait4``.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    log : Path
        Receives the output and errors of the command.
    cwd : Path, optional
        Working directory of the command.

    Returns
    -------
    Cost

    Raises
    ------
    UserError
        If the command fails; the line ends with the last line of its output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(list(command), stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)  # reaped here, so Popen must not wait again
    if process.returncode != 0:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise UserError(
            f"{command[0]} ended with code {process.returncode}; its output is in {log} and ends with: {lines[-1] if lines else 'nothing'}"
        )
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT / 2**20)


def class2d_command(*options: str) -> list[str]:
    """Our 2D classification as a user calls it, by this interpreter."""
    return [sys.executable, "-m", "relion4plugin.cli.main", "class2d", *options]


def machine() -> dict[str, Any]:
    """Processor, cores, system and package versions."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": packages,
        "load_before": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def write_json(path: Path, definition: dict[str, Any], figures: Any) -> None:
    """Write definition, machine and figures of one benchmark (infinite and undefined figures become null)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"definition": definition, "command": shlex.join(sys.argv), "machine": machine(), "figures": figures}
    atomic_write_text(path, json.dumps(plain(content), indent=2, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Return a value as JSON has it: lists for arrays, null for figures that are infinite or undefined."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return str(value) if isinstance(value, Path) else value


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out a table; floats get three significant figures, infinite ones a dash."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        if not abs(value) < float("inf"):
            return "-"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def publish(text: str, page: str, name: str, docs: bool) -> None:
    """Print a table; if `docs`, put it into a page of docs/ as well (see `replace_section`)."""
    print(text)
    if docs:
        replace_section(REPOSITORY / "docs" / page, name, text)


def run_benchmark(main: Callable[[], int]) -> NoReturn:
    """Run a benchmark as a program: a user's mistake is one line and exit code 2."""
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def replace_section(path: Path, name: str, text: str) -> None:
    """Replace what is between ``<!-- NAME begin -->`` and ``<!-- NAME end -->`` in a document.

    Raises
    ------
    UserError
        If the document or its markers are missing.
    """
    begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
    if not path.is_file():
        raise UserError(f"{path} does not exist; a document with the lines {begin} and {end} was expected")
    before, found_begin, rest = path.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise UserError(f"{path} lacks the lines {begin} and {end}; put them where the table belongs")
    atomic_write_text(path, f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")
