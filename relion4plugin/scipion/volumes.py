"""Maps between Scipion's Volume objects and MRC files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relion4plugin.errors import UserError

MRC_SUFFIXES = (".mrc", ".map")
PIXEL_TOLERANCE = 1e-4  # relative difference of pixel sizes that are taken as equal


def volume_file(volume: Any) -> Path:
    """File of a Volume, without Xmipp's ``:mrc`` ending."""
    name, _, ending = str(volume.getFileName()).rpartition(":")
    return Path(name if ending in {"mrc", "mrcs"} else str(volume.getFileName()))


def write_map(volume: Any, path: Path) -> None:
    """Write a Volume of any format that the host reads as an MRC map whose header has the Volume's pixel size.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    from relion4plugin.files.mrc import write_volume

    write_volume(path, _read(volume), volume.getSamplingRate() or 1.0)


def map_path(volume: Any, copy: Path) -> Path:
    """An MRC map with the Volume's pixel size in its header: its own file where that is one, else a copy.

    Parameters
    ----------
    volume : Volume
    copy : Path
        Where a map is written if one is needed.

    Raises
    ------
    UserError
        If the map cannot be read.
    """
    from relion4plugin.files.mrc import read_header

    path, wanted = volume_file(volume), volume.getSamplingRate()
    if path.suffix.lower() in MRC_SUFFIXES and path.is_file():
        header = read_header(path)
        known = header.pixel_size > 0 and (not wanted or abs(header.pixel_size / wanted - 1) < PIXEL_TOLERANCE)
        if known and header.nz > 1:
            return path
    write_map(volume, copy)
    return copy


def _read(volume: Any) -> np.ndarray:
    """Voxels of a Volume, float32 (nz, ny, nx)."""
    path = volume_file(volume)
    if path.suffix.lower() in MRC_SUFFIXES:
        from relion4plugin.files.mrc import read_mrc

        return read_mrc(path)[0]
    if not path.is_file():
        raise UserError(f"{path}: the file of a map does not exist; repeat the run that made it")
    from pwem.emlib.image import ImageHandler

    # The host's readers raise plain exceptions of several kinds for damaged files.
    try:
        data = ImageHandler().read(volume).getData()
    except Exception as error:
        raise UserError(f"{path}: cannot read this map ({error}); import it again") from error
    return np.asarray(data, dtype=np.float32)


def write_references(volumes: Any, star: Path) -> None:
    """Write a SetOfVolumes as maps beside a STAR file that names them in rlnReferenceImage, in the order of ids.

    Raises
    ------
    UserError
        If a map cannot be read.
    """
    import pandas as pd

    from relion4plugin.files.star import write_star

    names = []
    for number, volume in enumerate(volumes.iterItems(), start=1):
        path = star.with_name(f"reference_{number:03d}.mrc")
        write_map(volume, path)
        names.append(path.name)
    write_star(star, {"references": pd.DataFrame({"rlnReferenceImage": names})})


def make_volume(path: Path, pixel_size: float, half_maps: Sequence[Path] = (), label: str = "") -> Any:
    """Describe a map as a Volume.

    Parameters
    ----------
    path : Path
        MRC map, relative to the project folder as Scipion wants it.
    pixel_size : float
        A.
    half_maps : sequence of Path
        Unfiltered maps of the two halves, if there are any.
    label : str
        Shown in Scipion's lists.

    Returns
    -------
    Volume
    """
    from pwem.objects import Volume

    volume = Volume(location=str(path), objLabel=label)
    volume.setSamplingRate(pixel_size)
    if half_maps:
        volume.setHalfMaps([str(half) for half in half_maps])
    return volume
