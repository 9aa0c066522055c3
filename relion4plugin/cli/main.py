"""Entry point of the command line: finds the command, imports only that, turns mistakes into exit codes."""

import argparse
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import relion4plugin
from relion4plugin.errors import UserError
from relion4plugin.files.disk_errors import file_error, is_disk_error
from relion4plugin.parallel.launched import launched

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

# command -> (module with add_args(parser) and main(args) -> exit code, one line of help)
COMMANDS = {
    "demo": ("demo", "simulate a session of movies and process it to a refined map, with a report"),
    "doctor": ("doctor", "check this installation: versions, GPU, Scipion, RELION"),
    "cost": ("cost", "estimate hours and memory of a job from particles, box and classes"),
    "simulate particles": ("simulate_particles", "make particle stacks with known truth"),
    "simulate movies": ("simulate_movies", "make movies of a session with known truth"),
    "import": ("import_", "list movies, micrographs, coordinates or other files for the jobs that follow"),
    "motioncorr": ("motioncorr", "correct beam-induced motion in movies"),
    "ctf": ("ctf", "estimate defocus and astigmatism of micrographs"),
    "select": ("select", "select micrographs or particles by values, statistics, subsets or distance"),
    "pick": ("pick", "find particles by a Laplacian of Gaussian, Topaz or class averages"),
    "cryolo": ("cryolo", "find particles by crYOLO, also as an external job of RELION"),
    "extract": ("extract", "cut particles out of micrographs"),
    "class2d": ("class2d", "2D classification by VDAM or EM"),
    "rank": ("rank", "score 2D classes and select the good ones"),
    "initialmodel": ("initialmodel", "initial 3D model from particles alone, by VDAM"),
    "class3d": ("class3d", "3D classification by EM or VDAM"),
    "refine3d": ("refine3d", "auto-refinement of a 3D map from two independent halves"),
    "mask": ("mask", "soft solvent mask from a map"),
    "postprocess": ("postprocess", "resolution and sharpened map from two half maps"),
    "localres": ("localres", "local resolution and locally filtered map"),
    "symmetry": ("symmetry", "align a map to its symmetry axes, or find its point group"),
    "train-ranker": ("train_ranker", "train the class ranker on labelled 2D classifications"),
    "run-job": ("run_job", "run the job of a RELION job directory"),
    "it": ("it", "on-the-fly processing: fill and run the schemes prep and proc"),
    "report": ("report", "one HTML file about a 2D or 3D run, a post-processing or a whole session"),
    "scheme": ("scheme", "run, check, show and change schemes"),
    "scheme graph": ("scheme_graph", "draw a scheme"),
    "mdcatch scan": ("mdcatch_scan", "list the microscope sessions below a folder"),
    "mdcatch show": ("mdcatch_show", "show what is known of a session, and from where"),
    "mdcatch groups": ("mdcatch_groups", "sort the movies of a session into optics groups"),
    "mdcatch check": ("mdcatch_check", "look for contradictions and gaps in a session"),
    "mdcatch fill": ("mdcatch_fill", "fill schemes or a Scipion workflow from a session"),
    "mdcatch launch": ("mdcatch_launch", "start on-the-fly processing of a session"),
    "mdcatch watch": ("mdcatch_watch", "start it for each new session by itself"),
    "mdcatch gui": ("mdcatch_gui", "find, check and launch a session in the browser"),
    "monitor": ("monitor", "show a project at work in the browser"),
    "reference": ("reference", "write the reference pages of all options"),
}


class CommandParser(argparse.ArgumentParser):
    """A parser whose mistakes are the same one line as all others."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise UserError(f"{message}; see '{self.prog} --help'")


def usage() -> str:
    """Return the list of commands."""
    lines = ["usage: relion4plugin COMMAND [options]", "", "commands:"]
    lines += [f"  {name:<20}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join([*lines, "", "relion4plugin COMMAND --help shows the options of a command; --version the version"])


def command_parser(name: str) -> tuple[CommandParser, object]:
    """Import one command and return its parser and module."""
    module = importlib.import_module(f"relion4plugin.cli.{COMMANDS[name][0]}")
    parser = CommandParser(
        prog=f"relion4plugin {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    module.add_args(parser)
    return parser, module


def _find_command(words: Sequence[str]) -> tuple[str, list[str]]:
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return name, list(words[length:])
    longer = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if longer:
        raise UserError(f"'{words[0]}' needs one more word: {', '.join(longer)}")
    raise UserError(f"no command '{words[0]}'; there are {', '.join(COMMANDS)}")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 1 failed, 2 user's mistake, 130 interrupted."""
    words = list(sys.argv[1:] if words is None else words)
    if launched()[0] == 1:
        return _run(words)
    from relion4plugin.cli.together import run_together

    return run_together(words, _run)


def _run(words: Sequence[str]) -> int:
    """Run one command in this process."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return OK if words else USAGE
    if words[0] == "--version":
        print(relion4plugin.__version__)
        return OK
    try:
        name, rest = _find_command(words)
        parser, module = command_parser(name)
        args = parser.parse_args(rest)
        with _files_told(getattr(args, "o", None) or "."):
            return int(module.main(args))  # type: ignore[attr-defined]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt as interrupt:
        print(f"interrupted{f': {interrupt}' if str(interrupt) else ''}; files written so far are kept", file=sys.stderr)
        return INTERRUPTED


@contextmanager
def _files_told(output: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of the system that name a file, or are about the disk, into a line for the user."""
    try:
        yield
    except OSError as error:
        told = None if isinstance(error, BrokenPipeError) else file_error(error, output)
        if told is None:
            raise
        raise told from error


def run() -> NoReturn:
    """Exit with the code of `main` (console script)."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has gone: no error, and nothing more to say at exit
        _forget_output()
        code = OK
    except OSError as error:
        if not is_disk_error(error):
            raise
        _forget_output()
        reason = (error.strerror or str(error)).lower()
        print(f"error: cannot write standard output: {reason}; make room there, or send it to another file", file=sys.stderr)
        code = USAGE
    sys.exit(code)


def _forget_output() -> None:
    """Let what is left of standard output go nowhere, also at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run()
