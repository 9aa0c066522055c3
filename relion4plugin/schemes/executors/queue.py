"""Jobs handed to the queue of a cluster: a script from the user's template, with RELION's XXX...XXX tokens."""

import math
import shlex
from collections.abc import Mapping
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.jobs.job_type import is_queue_extra
from relion4plugin.jobs.markers import FAILURE, SUCCESS
from relion4plugin.schemes.executors.base import JobRun
from relion4plugin.schemes.executors.plan import Command, Plan

SCRIPT = "run_submit.script"
_COMMAND = "XXXcommandXXX"


def queue_plan(run: JobRun, inner: Plan) -> Plan:
    """Write the script of a job and plan its submission.

    Parameters
    ----------
    run : JobRun
        The job; the options queuename, qsub, qsubscript, min_dedicated and qsub_extraN are used.
    inner : Plan
        What the job executes.

    Raises
    ------
    UserError
        If there is no template or it has no line for the command.
    """
    name = run.options.get("qsubscript", "")
    template = run.root / name
    if not name or not template.is_file():
        raise UserError(f"{run.directory}: the submission script '{name}' does not exist; give a template in the option qsubscript")
    text = submission_script(template.read_text(encoding="utf-8"), template, run, inner)
    script = f"{run.directory}{SCRIPT}"
    atomic_write_text(run.root / script, text)
    return Plan(((*shlex.split(run.options.get("qsub", "") or "qsub"), script),), queued=True)


def submission_script(template: str, path: Path, run: JobRun, inner: Plan) -> str:
    """Fill in a template.

    The line with the command is repeated for each command that runs in parallel, or for each of the job's main commands
    where none does; the others stand on lines of their own.

    Raises
    ------
    UserError
        If no line holds the command.
    """
    if not any(_COMMAND in line for line in template.splitlines()):
        raise UserError(f"{path} has no line with {_COMMAND}; the script would run nothing")
    values = _values(run)
    processes = run.kind.processes(run.options)
    lines: list[str] = []
    for line in template.splitlines():
        for token, value in values.items():
            line = line.replace(f"XXX{token}XXX", value)
        if _COMMAND not in line:
            lines.append(line)
            continue
        for command in inner.commands:
            words = shell_text(command)
            if inner.exit_code_counts:
                words += f" && touch {run.directory}{SUCCESS} || touch {run.directory}{FAILURE}"
            lines.append(line.replace(_COMMAND, words) if _is_main(command, processes, inner) else words)
    return "\n".join(lines) + "\n"


def _is_main(command: Command, processes: int, inner: Plan) -> bool:
    if len(inner.commands) == 1:
        return True
    return any("relion_" in word and (processes == 1 or "_mpi" in word) for word in command)


def _values(run: JobRun) -> Mapping[str, str]:
    def number(option: str) -> int:
        text = run.options.get(option, "").strip()
        return max(1, int(text)) if text.isdecimal() else 1

    processes, threads, dedicated = run.kind.processes(run.options), number("nr_threads"), number("min_dedicated")
    cores = processes * threads
    extra = {name.removeprefix("qsub_"): value for name, value in run.options.items() if is_queue_extra(name)}
    return {
        "mpinodes": str(processes),
        "threads": str(threads),
        "cores": str(cores),
        "dedicated": str(dedicated),
        "nodes": str(math.ceil(cores / dedicated)),
        "name": run.directory,
        "errfile": f"{run.directory}run.err",
        "outfile": f"{run.directory}run.out",
        "queue": run.options.get("queuename", ""),
        **extra,
    }


def shell_text(command: Command) -> str:
    """Return a command for a shell script; ``$NAME`` stays open to the shell.

    >>> print(shell_text(("program", "--o", "two words", "$HOME/x y")))
    program --o 'two words' "$HOME/x y"
    """
    return " ".join(_quoted(word) for word in command)


def _quoted(word: str) -> str:
    if "$" not in word:
        return shlex.quote(word)
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`") + '"'
