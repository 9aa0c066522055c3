"""What a session left behind: each movie once in every table, each particle once, and the same rows as a session that nobody disturbed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import Block, read_star

_STEM = "stem"
_IMAGE, _MICROGRAPH, _X, _Y = "rlnImageName", "rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"
_PLACE = [_STEM, _X, _Y]


@dataclass(frozen=True)
class Left:
    """Tables of a project, each with a column `stem`: the name of the movie without folder and suffix."""

    root: Path
    motion: pd.DataFrame
    ctf: pd.DataFrame
    picks: pd.DataFrame
    particles: pd.DataFrame
    classified: pd.DataFrame
    n_selected: int


def read_left(root: Path) -> Left:
    """Read what a project holds."""

    def rows(pattern: str, table: str, name: str = _MICROGRAPH) -> pd.DataFrame:
        found = sorted(root.glob(pattern), key=lambda path: (len(path.name), path.name, path.parent.name))
        frame = _frame(read_star(found[-1])[table])
        return frame.assign(**{_STEM: [_stem(value) for value in frame[name]]})

    files = rows("AutoPick/job*/autopick.star", "coordinate_files")
    return Left(
        root=root,
        motion=rows("MotionCorr/job*/corrected_micrographs.star", "micrographs"),
        ctf=rows("CtfFind/job*/micrographs_ctf.star", "micrographs"),
        picks=pd.concat([_picks(root, row) for row in files.to_dict("records")], ignore_index=True),
        particles=rows("Extract/job*/particles.star", "particles"),
        classified=rows("Class2D/job*/run_it*_data.star", "particles"),
        n_selected=_n_selected(root),
    )


def _n_selected(root: Path) -> int:
    """Particles of the last selection of classes; a table without rows is none."""
    newest = max(root.glob("Select/job*/particles.star"), key=lambda path: path.parent.name)
    return len(read_star(newest).get("particles", ()))


def _frame(block: Block) -> pd.DataFrame:
    return block if isinstance(block, pd.DataFrame) else pd.DataFrame([block])


def _stem(name: str) -> str:
    return Path(str(name)).stem


def _picks(root: Path, row: dict[Any, Any]) -> pd.DataFrame:
    block = next(iter(read_star(root / row["rlnMicrographCoordinates"]).values()))
    return _frame(block).assign(**{_STEM: row[_STEM]}) if len(block) else pd.DataFrame({_STEM: []})


def completeness(left: Left, n_movies: int) -> dict[str, int]:
    """Count what is missing or there twice; all figures but the numbers of movies and particles should be 0.

    A process that is killed while it writes leaves a temporary file, which nobody reads.
    """
    wanted = {f"movie_{i + 1:05d}" for i in range(n_movies)}
    found: dict[str, int] = {"movies": n_movies, "particles": len(left.particles)}
    for name, table in (("corrected", left.motion), ("CTFs", left.ctf)):
        found[f"{name} missing"] = len(wanted - set(table[_STEM]))
        found[f"{name} twice"] = int(table[_STEM].duplicated().sum())
    found["particles twice"] = int(left.particles[_IMAGE].duplicated().sum() + left.particles.duplicated(_PLACE).sum())
    found["classified twice"] = int(left.classified.duplicated(_PLACE).sum())
    found["particles not classified"] = len(_places(left.particles) ^ _places(left.classified))
    found["temporary files"] = sum(1 for _ in left.root.rglob("*.tmp"))
    return found


def _places(rows: pd.DataFrame) -> set[tuple[Any, ...]]:
    return set(rows[_PLACE].itertuples(index=False, name=None))


def differences(left: Left, undisturbed: Left, n_originals: int) -> dict[str, int]:
    """Count the movies whose rows or images differ from those of the movie with the same content in an undisturbed session.

    Numbers must be the same to the last digit, images to the last bit.
    """
    pairs = {stem: _original(stem, n_originals) for stem in left.motion[_STEM]}
    found: dict[str, int] = {}
    for name in ("motion", "ctf", "picks", "particles"):
        ours, theirs = (_by_stem(getattr(one, name)) for one in (left, undisturbed))
        found[name] = sum(not _same(ours.get(stem), theirs.get(original)) for stem, original in pairs.items())
    found["micrograph pixels"] = _different_images(left.motion, _MICROGRAPH, left.root, undisturbed.motion, undisturbed.root, pairs)
    found["particle pixels"] = _different_images(left.particles, _IMAGE, left.root, undisturbed.particles, undisturbed.root, pairs)
    return found


def _original(stem: str, n_originals: int) -> str:
    return f"movie_{(int(stem.rpartition('_')[2]) - 1) % n_originals + 1:05d}"


def _by_stem(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the numbers of the rows of each movie."""
    numbers = rows.select_dtypes("number").columns
    return {str(stem): group[numbers].to_numpy() for stem, group in rows.groupby(_STEM)}


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool(np.array_equal(one, other))


def _different_images(ours: pd.DataFrame, label: str, our_root: Path, theirs: pd.DataFrame, their_root: Path, pairs: dict[str, str]) -> int:
    """Compare the image files that two tables name, movie by movie."""
    reader = _reader(their_root)
    kept: dict[str, np.ndarray] = {}
    originals = {stem: str(name).rpartition("@")[2] for stem, name in zip(theirs[_STEM], theirs[label], strict=True)}
    files = {stem: str(name).rpartition("@")[2] for stem, name in zip(ours[_STEM], ours[label], strict=True)}
    n_different = 0
    for stem, file in files.items():
        original = originals.get(pairs[stem], "")
        if original and original not in kept:
            kept[original] = reader(original)
        n_different += not original or not np.array_equal(_reader(our_root)(file), kept[original])
    return n_different


def _reader(root: Path) -> Callable[[str], np.ndarray]:
    return lambda name: np.array(read_mrc(root / name)[0])
