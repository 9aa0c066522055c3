"""Movies and micrographs of a Scipion set as the STAR file that a job reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relion4plugin.scipion.links import Links
from relion4plugin.scipion.optics import OpticsValues, optics_groups, optics_values

# Images that a motion correction made beside the micrograph.
COMPANIONS = ("rlnCtfPowerSpectrum", "rlnMicrographNameNoDW")
_GROUP = "_rlnOpticsGroup"


@dataclass(frozen=True)
class InputKind:
    """Table of a STAR file, and the labels of the file and of the pixel size."""

    table: str
    name: str
    pixel_size: str


MOVIES = InputKind("movies", "rlnMicrographMovieName", "rlnMicrographOriginalPixelSize")
MICROGRAPHS = InputKind("micrographs", "rlnMicrographName", "rlnMicrographPixelSize")


def items_of(images: Any, wanted: Iterable[int]) -> list[Any]:
    """Return items of a set by their ids, in this order; what is not there is left out."""
    chosen = sorted(set(wanted))
    if not chosen:
        return []
    ids = set(chosen)
    found = [item.clone() for item in images.iterItems(where=f"id>={chosen[0]} AND id<={chosen[-1]}") if item.getObjId() in ids]
    images.close()
    return found


def write_input(
    star: Path,
    kind: InputKind,
    items: Sequence[Any],
    optics: OpticsValues,
    links: Links,
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Write the STAR file of a job's movies or micrographs.

    Parameters
    ----------
    star : Path
        File to write; paths in it are relative to the current directory, as Scipion runs in the project folder.
    kind : InputKind
    items : sequence of Movie or Micrograph
        At least one.
    optics : OpticsValues
        Of their set.
    links : Links
        Receives the files.
    columns : mapping, optional
        Further labels to one value per item.

    Returns
    -------
    dict
        Name in the file -> item.

    Raises
    ------
    UserError
        If the acquisition is incomplete.
    """
    import pandas as pd

    from relion4plugin.files.star import write_star

    groups = [int(getattr(item, _GROUP).get()) if hasattr(item, _GROUP) else 1 for item in items]
    if kind is MICROGRAPHS:
        names = [links.to_image(item.getFileName(), float(optics.pixel_size or 1.0)) for item in items]
    else:
        names = [links.to(item.getFileName()) for item in items]
    table = {kind.name: names, "rlnOpticsGroup": groups, **_companions(items, links), **(columns or {})}
    blocks = {
        "optics": optics_groups(optics, groups).assign(**{kind.pixel_size: optics.pixel_size}),
        kind.table: pd.DataFrame(table),
    }
    write_star(star, blocks)
    return dict(zip(names, items, strict=True))


def _companions(items: Sequence[Any], links: Links) -> dict[str, list[str]]:
    """Return the columns of files that all items have."""
    found = {}
    for label in COMPANIONS:
        files = [str(getattr(item, f"_{label}")) if hasattr(item, f"_{label}") else "" for item in items]
        if all(Path(file).is_file() for file in files):
            found[label] = [links.to(file) for file in files]
    return found


def write_micrographs(micrographs: Any, ids: Iterable[int], star: Path, links: Links) -> dict[str, Any]:
    """Write the STAR file of some micrographs of a set; return name in the file -> micrograph, nothing where there are none.

    Raises
    ------
    UserError
        If the acquisition is incomplete, or an image of a foreign format cannot be read.
    """
    items = items_of(micrographs, ids)
    return write_input(star, MICROGRAPHS, items, optics_values(micrographs), links) if items else {}
