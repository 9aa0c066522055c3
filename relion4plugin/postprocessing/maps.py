"""Input maps of post-processing: read, and refused in one line where they cannot be used."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError

_PIXEL_TOLERANCE = 1e-3  # relative; header pixel sizes are rounded float32


@dataclass(frozen=True)
class HalfMaps:
    """Two independent unfiltered reconstructions, float32 (N, N, N), of one pixel size in A."""

    first: np.ndarray
    second: np.ndarray
    pixel_size: float
    first_path: Path
    second_path: Path
    remarks: tuple[str, ...] = ()

    @property
    def box(self) -> int:
        """Box size in pixels."""
        return int(self.first.shape[0])

    def average(self) -> np.ndarray:
        """Mean of both maps, float32."""
        return (self.first + self.second) * np.float32(0.5)


def other_half(path: str | os.PathLike[str]) -> Path:
    """Name the second half map: the same file name with half2 for half1 (or the other way round).

    Raises
    ------
    UserError
        If the name has neither.
    """
    path = Path(path)
    for here, there in (("half1", "half2"), ("half2", "half1")):
        if here in path.name:
            return path.with_name(path.name.replace(here, there))
    raise UserError(f"{path}: the name has neither half1 nor half2, so the other half map is not known; name it with --fn_in2")


def read_map(path: str | os.PathLike[str], what: str) -> tuple[np.ndarray, float]:
    """Read a map and check that it is a cube of even size with finite values that are not all the same.

    Returns
    -------
    map : float32 (N, N, N)
    pixel_size : float
        A; 0 if the header has none.

    Raises
    ------
    UserError
        Naming `what` and the file.
    """
    from relion4plugin.files.mrc import read_mrc

    if not Path(path).is_file():
        raise UserError(f"{what} {path}: no such file; give an existing .mrc map")
    volume, pixel_size = read_mrc(path)
    nz, ny, nx = volume.shape
    if not nz == ny == nx or nx % 2:
        raise UserError(f"{what} {path}: {nx} x {ny} x {nz} px, expected a cube of even size; give a map of a refinement")
    if not np.isfinite(volume).all():
        raise UserError(f"{what} {path}: has values that are not numbers (NaN or infinite); make the map again")
    if volume.min() == volume.max():
        value = "zero" if volume.flat[0] == 0 else f"{volume.flat[0]:g}"
        raise UserError(f"{what} {path}: every voxel is {value}; give a map with density")
    return volume, pixel_size


def read_half_maps(first: str | os.PathLike[str], second: str | os.PathLike[str] = "", pixel_size: float = -1.0) -> HalfMaps:
    """Read two half maps.

    Parameters
    ----------
    first
        One of the two files.
    second
        The other one; found from the name of the first if empty.
    pixel_size
        Calibrated pixel size in A; taken from the header if not positive.

    Raises
    ------
    UserError
        If a map is missing or unusable, the boxes differ, both are the same, or no pixel size is known.
    """
    paths = (Path(first), Path(second) if os.fspath(second) else other_half(first))
    (a, size_a), (b, size_b) = (read_map(path, "half map") for path in paths)
    if a.shape != b.shape:
        raise UserError(
            f"half maps {paths[0]} ({a.shape[0]} px) and {paths[1]} ({b.shape[0]} px) have different boxes; give two of one run"
        )
    if np.array_equal(a, b):
        raise UserError(f"half maps {paths[0]} and {paths[1]} are the same map; give two independent reconstructions")
    remarks = []
    if size_a > 0 and size_b > 0 and differs(size_a, size_b):
        remarks.append(f"pixel sizes differ: {size_a:g} A in {paths[0]}, {size_b:g} A in {paths[1]}")
    chosen = pixel_size if pixel_size > 0 else size_a
    if chosen <= 0:
        raise UserError(f"{paths[0]}: the header has no pixel size; give it with --angpix")
    if pixel_size > 0 and size_a > 0 and differs(pixel_size, size_a):
        remarks.append(f"pixel size {pixel_size:g} A is used instead of {size_a:g} A in the header of {paths[0]}")
    return HalfMaps(a, b, chosen, *paths, remarks=tuple(remarks))


def differs(one: float, other: float) -> bool:
    """Tell whether two pixel sizes differ by more than the rounding of headers."""
    return abs(one - other) > _PIXEL_TOLERANCE * other


def read_mask(path: str | os.PathLike[str], box: int, pixel_size: float) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a solvent mask for maps of a given box.

    Returns
    -------
    mask : float32 (N, N, N)
        Values in [0, 1].
    remarks : tuple of str
        What may surprise: another pixel size, or a mask that reaches the edge of the box.

    Raises
    ------
    UserError
        If the mask is unusable, has another box, or values outside [0, 1].
    """
    mask, size = read_map(path, "mask")
    if mask.shape[0] != box:
        raise UserError(f"mask {path}: {mask.shape[0]} px but the maps have {box} px; make the mask from a map of this run")
    low, high = float(mask.min()), float(mask.max())
    if low < -1e-3 or high > 1 + 1e-3:
        raise UserError(f"mask {path}: values from {low:g} to {high:g}, expected 0 to 1; make it with 'relion4plugin mask'")
    remarks = []
    if size > 0 and differs(pixel_size, size):
        remarks.append(f"pixel size of mask {path} is {size:g} A, that of the maps {pixel_size:g} A; the mask is used as it is")
    mask = np.clip(mask, 0, 1)
    if touches_edge(mask):
        remarks.append(f"mask {path} reaches the edge of the box: the soft edge is cut; use a larger box or a tighter mask")
    return mask, tuple(remarks)


def touches_edge(mask: np.ndarray) -> bool:
    """Tell whether a mask is above zero anywhere on the six faces of its box."""
    return any(bool((np.take(mask, (0, -1), axis=axis) > 1e-3).any()) for axis in range(3))


def read_mtf(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a detector's modulation transfer function from a STAR file.

    Returns
    -------
    float64 (m, 2)
        Rising frequencies in 1/(detector pixel) and the MTF there.

    Raises
    ------
    UserError
        If the file has no such table or its values make no sense.
    """
    import pandas as pd

    from relion4plugin.files.star import read_star

    columns = ["rlnResolutionInversePixel", "rlnMtfValue"]
    if not Path(path).is_file():
        raise UserError(f"MTF {path}: no such file; give a STAR file with {' and '.join(columns)}")
    tables = [t for t in read_star(path).values() if isinstance(t, pd.DataFrame) and set(columns) <= set(t.columns)]
    if not tables:
        raise UserError(f"MTF {path}: no table with {' and '.join(columns)}; give the MTF curve of the detector")
    table = tables[0][columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(table).all() or (np.diff(table[:, 0]) <= 0).any() or (table[:, 1] <= 0).any():
        raise UserError(f"MTF {path}: expected rising frequencies and values above zero; correct the table")
    return table
