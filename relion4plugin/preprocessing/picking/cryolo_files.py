"""Coordinates that crYOLO writes: boxes with confidences (CBOX), RELION's STAR files, or EMAN's boxes."""

from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.coordinates import X, Y, read_coordinates
from relion4plugin.files.star import read_star
from relion4plugin.preprocessing.picking.picks import Picks, make_picks, read_picks

_UNKNOWN = -999.0  # scores and angles that a program does not know are written as -9999
_CBOX = ("CoordinateX", "CoordinateY", "Width", "Height", "Confidence")


def read_cryolo_picks(output: Path, name: str, threshold: float, pixel_size: float = 0.0) -> Picks | None:
    """Read the picks of one micrograph from crYOLO's output folder.

    Parameters
    ----------
    output
        Folder with the folders CBOX, STAR and EMAN; the first that has a file of this micrograph counts.
    name
        Of the micrograph, without suffix.
    threshold
        Least confidence. CBOX files hold all detections, also worse ones.
    pixel_size
        A, for diameters; 0 where it is not known.

    Returns
    -------
    Picks or None
        Centres; the score is crYOLO's confidence, 0 where the file does not tell. None where there is no file.

    Raises
    ------
    UserError
        If a file is damaged.
    """
    cbox, star, boxes = output / "CBOX" / f"{name}.cbox", output / "STAR" / f"{name}.star", output / "EMAN" / f"{name}.box"
    if cbox.is_file():
        return _read_cbox(cbox, threshold, pixel_size)
    if star.is_file():
        picks = read_picks(star)
        return make_picks(picks.x, picks.y, np.where(picks.score > _UNKNOWN, picks.score, 0.0))
    if boxes.is_file():
        table = read_coordinates(boxes)
        return make_picks(table[X].to_numpy(), table[Y].to_numpy(), np.zeros(len(table)))
    return None


def _read_cbox(path: Path, threshold: float, pixel_size: float) -> Picks:
    """Read boxes: corners and sizes in px, counted from the first pixel of the file."""
    import pandas as pd

    if not path.read_text(encoding="utf-8", errors="replace").strip():
        return make_picks(np.empty(0), np.empty(0), np.empty(0))
    table = read_star(path).get("cryolo")
    if isinstance(table, dict):
        table = pd.DataFrame([table])
    if table is None or not set(_CBOX) <= set(table.columns):
        raise UserError(f"{path}: expected a table data_cryolo with the columns {', '.join(_CBOX)}, as crYOLO writes it")
    try:
        x, y, width, height, score = (table[label].to_numpy(dtype=np.float64) for label in _CBOX)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: boxes are not numbers ({error}); pick this micrograph again") from error
    sizes = [pd.to_numeric(table[label], errors="coerce") for label in ("EstWidth", "EstHeight") if label in table.columns]
    diameter = np.nan_to_num(np.mean(sizes, axis=0)) * pixel_size if sizes else np.zeros(len(x))
    keep = score >= threshold
    return make_picks((x + width / 2)[keep], (y + height / 2)[keep], score[keep], diameter[keep])
