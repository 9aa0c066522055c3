"""The files and the scoring script by which RELION 4's class ranker and a network talk to each other.

RELION's program writes features.npy and images.npy into its job directory, runs ``python SCRIPT MODEL DIRECTORY`` and reads one
score per class from standard output. This module is such a script:

  python -m relion4plugin.ranker.exchange MODEL DIRECTORY
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path

_FEATURES, _IMAGES = "features.npy", "images.npy"


def write_exchange(directory: Path, images: np.ndarray, features: np.ndarray) -> None:
    """Write images (n, 64, 64) and normalised features (n, 24) as RELION's program does: float32, C order.

    Raises
    ------
    UserError
        If the directory cannot be written.
    """
    for name, values in ((_FEATURES, features), (_IMAGES, images)):
        with atomic_path(directory / name) as temporary, temporary.open("wb") as stream:
            np.save(stream, np.ascontiguousarray(values, np.float32), allow_pickle=False)


def read_exchange(directory: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read images (n, 64, 64) and features (n, 24) that RELION's program or `write_exchange` wrote.

    Raises
    ------
    UserError
        If a file is missing, is no such array, or both differ in their number of classes.
    """
    images, features = _read(directory / _IMAGES, (64, 64)), _read(directory / _FEATURES, (24,))
    if len(images) != len(features):
        raise UserError(f"{directory}: {len(images)} images but {len(features)} feature vectors; let the class ranker write both again")
    return images, features


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected the directory in which RELION's class ranker put it") from None
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error}); expected an array of numbers as RELION's class ranker writes it") from error
    if not isinstance(values, np.ndarray) or values.shape[1:] != shape or values.dtype.kind != "f":
        raise UserError(f"{path}: expected floats of shape (classes, {', '.join(map(str, shape))})")
    return values.astype(np.float32)


def scores_text(scores: np.ndarray) -> str:
    """Return the scores as RELION's program reads them: each followed by one blank, nothing else."""
    return "".join(f"{float(score):.9g} " for score in scores)


def main(words: Sequence[str] | None = None) -> int:
    """Score what lies in a directory; exit code 0, or 2 after a mistake."""
    words = list(sys.argv[1:] if words is None else words)
    if len(words) != 2:
        print("error: give two words, the weights file and the directory with features.npy and images.npy", file=sys.stderr)
        return 2
    from relion4plugin.ranker.weights import load_weights

    try:
        images, features = read_exchange(Path(words[1]))
        sys.stdout.write(scores_text(load_weights(words[0]).score(images, features)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
