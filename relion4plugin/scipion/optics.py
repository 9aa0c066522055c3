"""The optics table of a set: from its acquisition, or from the optics groups that an importer kept there as STAR text."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from relion4plugin.errors import UserError
from relion4plugin.scipion.sets import SetColumns

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class OpticsValues:
    """Acquisition of a set: voltage in kV, aberration in mm, pixel size in A, groups as STAR text or empty, size of particles in px."""

    voltage: float | None
    spherical_aberration: float | None
    amplitude_contrast: float | None
    pixel_size: float | None
    groups: str = ""
    image_size: int = 0


def optics_values(images: Any, image_size: int = 0) -> OpticsValues:
    """Return the acquisition of a set of movies, micrographs or particles."""
    acquisition = images.getAcquisition()
    return OpticsValues(
        voltage=acquisition.getVoltage(),
        spherical_aberration=acquisition.getSphericalAberration(),
        amplitude_contrast=acquisition.getAmplitudeContrast(),
        pixel_size=images.getSamplingRate(),
        groups=acquisition.opticsGroupInfo.get() or "",
        image_size=image_size,
    )


def carry_groups(target: Any, source: Any) -> None:
    """Bring the table of optics groups of a growing set up to that of the set which it is made from: groups join as movies do."""
    groups = source.getAcquisition().opticsGroupInfo.get()
    if groups:
        target.getAcquisition().opticsGroupInfo.set(groups)


def optics_table(optics: OpticsValues, items: SetColumns) -> "DataFrame":
    """One row per optics group of particles.

    Pixel and image size are always the set's: it may have been downsampled or cropped since the groups were imported.

    Raises
    ------
    UserError
        The acquisition is incomplete or an item names a group that is not described.
    """
    table = optics_groups(optics, items.get("_rlnOpticsGroup", 1))
    return table.assign(rlnImagePixelSize=float(optics.pixel_size or 0), rlnImageSize=int(optics.image_size), rlnImageDimensionality=2)


def optics_groups(optics: OpticsValues, numbers: ArrayLike) -> "DataFrame":
    """One row per optics group, with the numbers of the groups that items use; pixel sizes are what an importer left there.

    Raises
    ------
    UserError
        The acquisition is incomplete or an item names a group that is not described.
    """
    import pandas as pd

    _check(optics)
    used = np.unique(np.asarray(numbers, dtype=int))
    if optics.groups:
        table = _imported_groups(optics.groups)
        unknown = sorted(set(used) - set(table["rlnOpticsGroup"].astype(int)))
        if unknown:
            raise UserError(f"optics group {unknown[0]} of the particles is not among the set's optics groups; assign optics groups again")
    else:
        table = pd.DataFrame(
            {
                "rlnOpticsGroup": [1],
                "rlnOpticsGroupName": ["opticsGroup1"],
                "rlnVoltage": [optics.voltage],
                "rlnSphericalAberration": [optics.spherical_aberration],
                "rlnAmplitudeContrast": [optics.amplitude_contrast],
            }
        )
        if len(used) > 1 or used[0] != 1:
            table = pd.concat([table.assign(rlnOpticsGroup=n, rlnOpticsGroupName=f"opticsGroup{n}") for n in used], ignore_index=True)
    return table


def _check(optics: OpticsValues) -> None:
    wanted = {
        "pixel size": optics.pixel_size,
        "voltage": optics.voltage,
        "spherical aberration": optics.spherical_aberration,
        "amplitude contrast": optics.amplitude_contrast,
    }
    missing = [name for name, value in wanted.items() if value is None]
    if missing:
        raise UserError(f"the input set has no {missing[0]}; import the particles again with their acquisition values")
    if not optics.pixel_size or optics.pixel_size <= 0:
        raise UserError(f"the input set's pixel size is {optics.pixel_size} A, expected a positive one; import the particles again")


def _imported_groups(text: str) -> "DataFrame":
    import pandas as pd

    from relion4plugin.files.star import read_star

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optics.star"
        path.write_text(text)
        table = read_star(path).get("optics")
    if table is None:
        raise UserError("the input set's optics groups are not a STAR table named data_optics; assign optics groups again")
    return table if isinstance(table, pd.DataFrame) else pd.DataFrame([table])
