"""Picking with Topaz: micrographs prepared, the program called, its picks read.

Bepler et al. (2019) Nature Methods 16, 1153-1160.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.preprocessing.picking.micrograph import ScaledMicrograph, check_pixels, scaled, without_outliers
from relion4plugin.preprocessing.picking.picks import Picks, make_picks
from relion4plugin.preprocessing.picking.topaz_program import run_topaz

_FIELD = 71.0  # px that a pixel of the output of the small network sees: two diameters of a particle fit in
_COLUMNS = ("image_name", "x_coord", "y_coord", "score")


@dataclass(frozen=True)
class TopazSettings:
    """How Topaz is called.

    `program` starts it; `diameter` of the particles in A; `model` is a file or empty for the network that comes with Topaz; `factor` is
    the down-scaling, 0 for the one that suits the diameter; `device` is the number of a GPU, -1 for the processor; `extra` are more
    words for its command that picks, and win over ours.
    """

    program: tuple[str, ...]
    diameter: float
    model: str = ""
    threshold: float = -6.0
    factor: float = 0.0
    device: int = -1
    threads: int = 1
    extra: tuple[str, ...] = ()


def downscaling(diameter: float, pixel_size: float) -> float:
    """Return by how much to scale down so that two particles side by side fit the field of view of the network; at least 1.

    Parameters
    ----------
    diameter, pixel_size : float
        A.
    """
    return max(1.0, 2 * diameter / pixel_size / _FIELD)


def prepare(image: np.ndarray, pixel_size: float, settings: TopazSettings, name: str) -> ScaledMicrograph:
    """Return a micrograph as Topaz gets it: without hot pixels and down-scaled.

    Raises
    ------
    UserError
        If the pixel size is unknown, the particle does not fit, or pixels are not numbers.
    """
    if not pixel_size > 0:
        raise UserError(f"{name}: the pixel size is not known; give it with --angpix, or in the STAR file of micrographs")
    extent = min(image.shape) * pixel_size
    if settings.diameter > extent / 2:
        raise UserError(
            f"{name}: particles of {settings.diameter:g} A are more than half of this micrograph of {extent:.0f} A: "
            "lower --particle_diameter, or correct the pixel size"
        )
    check_pixels(image, name)
    factor = settings.factor if settings.factor > 0 else downscaling(settings.diameter, pixel_size)
    return scaled(without_outliers(image), pixel_size, factor * pixel_size)


def pick_with_topaz(micrographs: Sequence[ScaledMicrograph], settings: TopazSettings) -> list[Picks]:
    """Pick in several micrographs by one call of Topaz.

    Grey values are normalised by Topaz's own command, as for the training of its network.

    Parameters
    ----------
    micrographs : sequence of ScaledMicrograph
        Of one pixel size, from `prepare`.
    settings : TopazSettings
        How Topaz is called.

    Returns
    -------
    list of Picks
        One per micrograph; the score is Topaz's log-likelihood ratio.

    Raises
    ------
    UserError
        If Topaz cannot be started, fails, or writes something else than picks.
    """
    radius = max(1, round(settings.diameter / 2 / micrographs[0].pixel_size))
    with tempfile.TemporaryDirectory(prefix="relion4plugin-topaz-") as folder:
        place = Path(folder)
        names = [f"{number:06d}" for number in range(len(micrographs))]
        for name, micrograph in zip(names, micrographs, strict=True):
            write_stack(place / f"{name}.mrc", micrograph.image[None], micrograph.pixel_size)
        inputs = [str(place / f"{name}.mrc") for name in names]
        device = ["--device", str(settings.device)]
        run_topaz(settings.program, ["normalize", *device, "--destdir", str(place / "even"), *inputs], settings.threads)
        words = ["extract", *device, "--radius", str(radius), "--threshold", f"{settings.threshold:g}"]
        words += ["--num-threads", str(settings.threads), "--output", str(place / "picks.txt")]
        words += [*(["--model", settings.model] if settings.model else []), *settings.extra]
        run_topaz(settings.program, [*words, *(str(place / "even" / f"{name}.mrc") for name in names)], settings.threads)
        found = read_coordinates(place / "picks.txt", settings.diameter)
    return [_in_micrograph(found.get(name), micrograph) for name, micrograph in zip(names, micrographs, strict=True)]


def read_coordinates(path: Path, diameter: float) -> dict[str, Picks]:
    """Read a table of picks as Topaz writes it: image -> picks in px of the images that it was given.

    Raises
    ------
    UserError
        If there is no such table.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t", dtype={_COLUMNS[0]: str})
        values = {label: table[label].to_numpy(dtype=np.float64) for label in _COLUMNS[1:]}
        images = table[_COLUMNS[0]].to_numpy(dtype=str)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"Topaz wrote no picks that can be read ({error}): expected the columns {', '.join(_COLUMNS)}") from error
    x, y, score = (values[label] for label in _COLUMNS[1:])
    rows = {str(image): images == image for image in np.unique(images)}
    return {image: make_picks(x[which], y[which], score[which], diameter) for image, which in rows.items()}


def _in_micrograph(picks: Picks | None, micrograph: ScaledMicrograph) -> Picks:
    if picks is None:
        return make_picks(np.empty(0), np.empty(0), np.empty(0))
    y, x = micrograph.to_micrograph(picks.y, picks.x)
    return Picks(x, y, picks.score, picks.diameter)
