"""Where crYOLO is, and its commands: it runs as a program of its own, in its own Python environment.

Wagner et al. (2019) Communications Biology 2, 218.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError

ENVIRONMENT, GENERAL_MODEL = "CRYOLO_ENV", "CRYOLO_GENERIC_MODEL"  # environment variables
_PREDICT = "cryolo_predict.py"
_INPUT_SIZE = 1024  # px of the short side of a micrograph as the network sees it
_MOST_BOXES = 700  # only reserves memory
_CUTOFF = 0.1  # of the low-pass filter, in cycles per px
_NUMBERS = re.compile(r"[,: ]+")


@dataclass(frozen=True)
class CryoloSettings:
    """How crYOLO is called.

    `program` picks; `model` is its trained network; `box` in px, 0 for the size that the network learnt; picks below `threshold` (0 to
    1) are left out; `gpus` are numbers of graphics cards, empty for crYOLO's own choice; `processes` filter micrographs.
    """

    program: Path
    model: Path
    box: int = 0
    threshold: float = 0.3
    gpus: tuple[str, ...] = ("0",)
    processes: int = 1


def find_cryolo(given: str = "") -> Path:
    """Return crYOLO's program that picks.

    Parameters
    ----------
    given
        Folder of crYOLO's Python environment, or the program itself; empty looks at the variable CRYOLO_ENV, then on PATH.

    Raises
    ------
    UserError
        If it is not there.
    """
    place = os.path.expandvars(given or os.environ.get(ENVIRONMENT, ""))
    if place:
        root = Path(place).expanduser().absolute()
        found = [path for path in (root, root / "bin" / _PREDICT, root / _PREDICT) if path.is_file() and os.access(path, os.X_OK)]
        if not found:
            name = "--cryolo_env" if given else ENVIRONMENT
            raise UserError(f"{name} is {place}, but there is no program {_PREDICT}: give the folder of crYOLO's Python environment")
        return found[0]
    on_path = shutil.which(_PREDICT)
    if on_path is None:
        raise UserError(
            f"crYOLO is not installed: there is no {_PREDICT} on PATH; install it, and give the folder of its Python environment "
            f"with --cryolo_env or in the variable {ENVIRONMENT}"
        )
    return Path(on_path).absolute()


def find_model(given: str = "") -> Path:
    """Return the file of a trained network.

    Parameters
    ----------
    given
        A file; empty or ``None`` for the general network, which the variable CRYOLO_GENERIC_MODEL names.

    Raises
    ------
    UserError
        If there is none.
    """
    own = given not in ("", "None")
    name = os.path.expandvars(given if own else os.environ.get(GENERAL_MODEL, ""))
    if not name:
        raise UserError(f"no crYOLO network: give a .h5 file with --model, or name crYOLO's general one in the variable {GENERAL_MODEL}")
    if not Path(name).is_file():
        raise UserError(f"crYOLO network {name}: no such file; correct {'--model' if own else GENERAL_MODEL}")
    return Path(name).absolute()


def gpu_numbers(text: str) -> tuple[str, ...]:
    """Split a list of graphics cards, with commas, colons or spaces.

    Raises
    ------
    UserError
        If it is no list of numbers.
    """
    numbers = tuple(word for word in _NUMBERS.split(text.strip().strip('"')) if word)
    if not all(number.isdigit() for number in numbers):
        raise UserError(f"gpu is '{text}' but must be numbers of graphics cards, counted from 0: give --gpu 0")
    return numbers


def configuration(settings: CryoloSettings, filtered: Path, logs: Path) -> str:
    """Return crYOLO's configuration as JSON: network, box, and a low-pass filter whose images go to the folder `filtered`."""
    model = {
        "architecture": "PhosaurusNet",
        "input_size": _INPUT_SIZE,
        "max_box_per_image": _MOST_BOXES,
        "filter": [_CUTOFF, f"{filtered.absolute()}/"],
        **({"anchors": [settings.box, settings.box]} if settings.box else {}),
    }
    return json.dumps({"model": model, "other": {"log_path": f"{logs.absolute()}/"}}, indent=2) + "\n"


def picking_words(settings: CryoloSettings, config: Path, micrographs: Path, output: Path) -> list[str]:
    """Return the command that picks in all micrographs of a folder; images without particles get empty files."""
    words = [str(settings.program), "-c", str(config.absolute()), "-w", str(settings.model), "-i", f"{micrographs.absolute()}/"]
    words += ["-o", f"{output.absolute()}/", "-t", f"{settings.threshold:g}", "-nc", str(settings.processes), "--write_empty"]
    return [*words, *(["-g", *settings.gpus] if settings.gpus else [])]


def environment(settings: CryoloSettings) -> Mapping[str, str]:
    """Return the environment in which crYOLO finds the other programs of its Python environment, also if that is not active."""
    place = settings.program.parent
    search = os.pathsep.join([str(place), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": search, "CONDA_PREFIX": str(place.parent)}
