"""Micrographs of a project to be picked from."""

from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import write_star
from relion4plugin.preprocessing.picking.picks import make_picks, write_picks
from tests.preprocessing.picking.fields import PIXEL, field

NAMES = tuple(f"MotionCorr/job002/Movies/m{number}.mrc" for number in range(1, 4))


def make_micrographs(root: Path, count: int = 40, pixel_size: float | None = PIXEL) -> None:
    """Write three micrographs, ``mics.star``, and ``known.star`` with their particles."""
    rng = np.random.default_rng(3)
    (root / "MotionCorr/job002/Movies").mkdir(parents=True)
    (root / "Known").mkdir()
    files = []
    for name in NAMES:
        image, truth = field(rng, count, shape=(480, 512))
        write_stack(root / name, image[None], PIXEL)
        files.append(f"Known/{Path(name).stem}.star")
        write_picks(root / files[-1], make_picks(truth[:, 0], truth[:, 1], np.zeros(len(truth))))
    optics = {"rlnOpticsGroupName": ["opticsGroup1"], "rlnOpticsGroup": [1], "rlnVoltage": [300.0]}
    optics |= {} if pixel_size is None else {"rlnMicrographPixelSize": [pixel_size]}
    table = pd.DataFrame({"rlnMicrographName": NAMES, "rlnOpticsGroup": 1})
    write_star(root / "mics.star", {"optics": pd.DataFrame(optics), "micrographs": table})
    known = pd.DataFrame({"rlnMicrographName": NAMES, "rlnMicrographCoordinates": files})
    write_star(root / "known.star", {"coordinate_files": known})
