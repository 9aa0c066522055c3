"""What a type of job is: its options, its files, RELION's commands for it, and what runs it here."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path

from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import fields_of, format_value
from relion4plugin.progress import Progress

Commands = tuple[list[str], ...]
# Options whose default RELION takes from the environment.
_ENVIRONMENT = {
    "queuename": "RELION_QUEUE_NAME",
    "qsub": "RELION_QSUB_COMMAND",
    "qsubscript": "RELION_QSUB_TEMPLATE",
    "min_dedicated": "RELION_MINIMUM_DEDICATED",
    "nr_mpi": "RELION_QSUB_NRMPI",
    "nr_threads": "RELION_QSUB_NRTHREADS",
    "scratch_dir": "RELION_SCRATCH_DIR",
    "fn_ctffind_exe": "RELION_CTFFIND_EXECUTABLE",
    "fn_gctf_exe": "RELION_GCTF_EXECUTABLE",
    "fn_motioncor2_exe": "RELION_MOTIONCOR2_EXECUTABLE",
    "fn_topaz_exec": "RELION_TOPAZ_EXECUTABLE",
    "python_exe": "RELION_PYTHON_EXECUTABLE",
}
_QUEUE_EXTRA = re.compile(r"qsub_extra\d+")


def is_queue_extra(option: str) -> bool:
    """Tell whether an option, such as ``qsub_extra1``, fills a variable of a site's own submission script; every job may have it."""
    return _QUEUE_EXTRA.fullmatch(option) is not None


class ContinueKind(Enum):
    """What a job does when it is run again in its own directory."""

    INCREMENTAL = "does what is new or unfinished and keeps the rest"
    RESUMABLE = "goes on from the last iteration"
    RESTART = "does everything again"


@dataclass(frozen=True)
class Execution:
    """One execution of a job in its directory.

    `options` are those of job.star, with RELION's defaults for those that it leaves out. `is_continue` says that the directory
    was used before.
    """

    options: Mapping[str, str]
    out_dir: Path
    is_continue: bool
    progress: Progress


# Runs the job in this process; returns lines to log. Exit markers and logs are the caller's.
NativeRunner = Callable[[Execution], tuple[str, ...]]


def _as_given(options: Mapping[str, str]) -> Mapping[str, str]:
    return options


def _no_suffix(options: OptionText) -> str:
    return ""


def _no_nodes(options: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class JobType:
    """A type of job.

    Parameters
    ----------
    label
        Base label: ``relion.select``.
    folder
        Folder of its jobs in a project: ``Select``.
    title
        What it does, for people.
    parameters
        Declaration of its options (see `relion4plugin.jobs.parameters`); defaults are RELION's.
    commands
        (options, directory with trailing slash, is_continue) -> RELION's commands, without ``--pipeline_control``.
    inputs
        (options) -> input files and their kinds.
    outputs
        (options, directory with trailing slash, is_continue) -> declared output files and their kinds.
    continues
        What running it again means.
    suffix
        (options) -> what is appended to the label: ``.class2dauto``.
    native
        (options) -> what runs it in this program, None where only RELION's program can.
    missing
        Which part this program lacks for the options that `native` does not cover.
    upgrade
        Fills in what the job.star of an older or newer RELION leaves out and RELION 4 has another default for.
    shares_work
        Several processes of this program can run the job together.
    free_text
        Options that are declared as numbers but that RELION takes as free text, so that string variables may stand there.
    """

    label: str
    folder: str
    title: str
    parameters: type
    commands: Callable[[OptionText, str, bool], Commands]
    inputs: Callable[[OptionText], Mapping[str, str]]
    outputs: Callable[[OptionText, str, bool], Mapping[str, str]] = _no_nodes
    continues: ContinueKind = ContinueKind.RESTART
    suffix: Callable[[OptionText], str] = _no_suffix
    native: Callable[[OptionText], NativeRunner | None] = lambda options: None
    missing: str = ""
    upgrade: Callable[[Mapping[str, str]], Mapping[str, str]] = _as_given
    free_text: frozenset[str] = field(default=frozenset())
    shares_work: bool = False

    def full_label(self, options: Mapping[str, str]) -> str:
        """Return the label with its suffix, as job directories and pipelines carry it."""
        return self.label + self.suffix(self.text(options))

    def default_options(self) -> dict[str, str]:
        """Return every option of RELION's job with its default, as text; some defaults come from the environment."""
        values = _defaults(self.parameters)
        return {name: os.environ.get(_ENVIRONMENT.get(name, ""), value) for name, value in values.items()}

    def option_names(self) -> frozenset[str]:
        """Return the names of all options: those of RELION's job and those that only this program has."""
        return frozenset(f.name for f in fields_of(self.parameters))

    def knows(self, option: str) -> bool:
        """Tell whether a job.star may have an option, those of RELION's own queueing scripts included."""
        return option in self.option_names() or is_queue_extra(option)

    def text(self, options: Mapping[str, str]) -> OptionText:
        """Return the options with defaults for those that are not given."""
        return OptionText({**self.default_options(), **self.upgrade(options)})

    def nodes_in(self, options: Mapping[str, str]) -> dict[str, str]:
        """Return the input files with their kinds in RELION 4's words."""
        return dict(self.inputs(self.text(options)))

    def nodes_out(self, options: Mapping[str, str], out_dir: Path, is_continue: bool) -> dict[str, str]:
        """Return the declared output files with their kinds in RELION 4's words.

        Jobs that know their files only at the end write RELION_OUTPUT_NODES.star instead.
        """
        return dict(self.outputs(self.text(options), f"{out_dir.as_posix()}/", is_continue))

    def relion_command(self, options: Mapping[str, str], out_dir: Path, is_continue: bool) -> Commands:
        """Return RELION's commands for the job, to be run one after the other, each a list of words.

        `mpirun` is left to the caller: see `processes`. Words may hold environment variables (``$NAME``) that a shell
        would fill in.

        Raises
        ------
        UserError
            If no command can be made of the options.
        """
        place = f"{out_dir.as_posix()}/"
        commands = self.commands(self.text(options), place, is_continue)
        return tuple([*words, "--pipeline_control", place] if _watched(words) else words for words in commands)

    def processes(self, options: Mapping[str, str]) -> int:
        """Return the number of MPI processes that the commands want; more than one only for programs ending in ``_mpi``."""
        return self.text(options).whole("nr_mpi", 1)

    def runner(self, options: Mapping[str, str]) -> NativeRunner | None:
        """Return what runs the job in this program, None where it cannot: `missing` says why."""
        return self.native(self.text(options))


@cache
def _defaults(parameters: type) -> Mapping[str, str]:
    return {f.name: format_value(f.default) for f in fields_of(parameters) if f.relion}


def _watched(words: list[str]) -> bool:
    """Whether a command is one of RELION's, which look for an abort request and leave an exit marker."""
    return any("relion_" in word for word in words)


def nodes(*pairs: tuple[str, str]) -> dict[str, str]:
    """Return files and kinds without those that are not given."""
    return {path: kind for path, kind in pairs if path}


