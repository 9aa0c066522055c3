"""The motion of one movie in RELION's STAR file: shifts of frames, the model of local motion, hot pixels, shifts of patches."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.star import Block, read_star, write_star

_UNUSED = -9999.0  # what RELION writes as the shift of frames that are not part of the sum
_N_COEFFICIENTS = 36


@dataclass(frozen=True)
class PatchShifts:
    """Measured shifts of patches beyond those of whole frames.

    Parameters
    ----------
    frames : int (n,)
        Frame of the movie, counted from 1; the middle one of a group.
    centres, shifts : float (n, 2)
        px of the movie, x first.
    """

    frames: np.ndarray
    centres: np.ndarray
    shifts: np.ndarray


@dataclass(frozen=True)
class MotionRecord:
    """What is known of the motion in a movie; all lengths in px of the movie, x first.

    A frame is brought onto the first one of the sum by moving it by its shift, and locally by the model on top.

    Parameters
    ----------
    movie, gain, defects
        Files; empty where there is none.
    shape
        (ny, nx) of a frame.
    pixel_size, voltage
        A, kV.
    binning
        px of the movie per px of the sum.
    dose_rate, pre_exposure
        e/A^2 of a frame, and before the first one.
    first_frame
        First frame of the sum, counted from 1.
    shifts : float (frames, 2)
        Of all frames of the movie; NaN for those that are not part of the sum.
    coefficients : float (36,) or None
        Model of local motion: for x, then y, for the terms 1, u, u^2, v, v^2, uv (u = x / width - 1/2, v likewise) those of
        t, t^2, t^3 (t frames since the first one of the sum).
    patches
        What the model was fitted to.
    hot_pixels : int (n, 2)
        x and y, counted from 0.
    eer_grouping, eer_upsampling
        Of EER movies; 0 for others.
    """

    movie: str
    shape: tuple[int, int]
    pixel_size: float
    voltage: float
    shifts: np.ndarray
    gain: str = ""
    defects: str = ""
    binning: float = 1.0
    dose_rate: float = 0.0
    pre_exposure: float = 0.0
    first_frame: int = 1
    coefficients: np.ndarray | None = None
    patches: PatchShifts | None = None
    hot_pixels: np.ndarray | None = None
    eer_grouping: int = 0
    eer_upsampling: int = 0


def accumulated_motion(record: MotionRecord, exposure: float = 4.0) -> tuple[float, float, float]:
    """Return the length of the path of whole frames: all of it, up to an exposure (e/A^2), and beyond.

    Lengths are in px of the movie, as RELION counts them.
    """
    used = np.isfinite(record.shifts[:, 0])
    steps = np.hypot(*np.diff(record.shifts[used], axis=0).T)
    ends = np.flatnonzero(used)[1:] + 1  # number of the frame in which a step ends
    last = np.floor((exposure - record.pre_exposure) / record.dose_rate) if record.dose_rate > 0 else 0
    early = float(steps[ends <= last].sum())
    total = float(steps.sum())
    return total, early, total - early


def write_motion(path: str | os.PathLike[str], record: MotionRecord) -> None:
    """Write the file that RELION's own motion correction would leave.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    r = record
    frames = np.arange(1, len(r.shifts) + 1)
    shifts = np.where(np.isfinite(r.shifts), r.shifts, _UNUSED)
    blocks: dict[str, Block] = {"general": _general(r), "global_shift": _shift_table(frames, shifts)}
    if r.coefficients is not None:
        blocks["local_motion_model"] = pd.DataFrame(
            {"rlnMotionModelCoeffsIdx": np.arange(_N_COEFFICIENTS), "rlnMotionModelCoeff": r.coefficients}
        )
    if r.hot_pixels is not None and len(r.hot_pixels):
        places = np.asarray(r.hot_pixels, dtype=np.float64)
        blocks["hot_pixels"] = pd.DataFrame({"rlnCoordinateX": places[:, 0], "rlnCoordinateY": places[:, 1]})
    if r.patches is not None:
        blocks["local_shift"] = _shift_table(r.patches.frames, r.patches.shifts, r.patches.centres)
    write_star(path, blocks)


def _general(r: MotionRecord) -> dict[str, Any]:
    values: dict[str, Any] = {
        "rlnImageSizeX": r.shape[1],
        "rlnImageSizeY": r.shape[0],
        "rlnImageSizeZ": len(r.shifts),
        "rlnMicrographMovieName": r.movie,
    }
    if r.gain:
        values["rlnMicrographGainName"] = r.gain
    if r.defects:
        values["rlnMicrographDefectFile"] = r.defects
    values |= {"rlnMicrographBinning": float(r.binning), "rlnMicrographOriginalPixelSize": float(r.pixel_size)}
    if r.dose_rate > 0:
        values |= {"rlnMicrographDoseRate": float(r.dose_rate), "rlnMicrographPreExposure": float(r.pre_exposure)}
    values |= {"rlnVoltage": float(r.voltage), "rlnMicrographStartFrame": r.first_frame}
    if r.eer_upsampling:
        values |= {"rlnEERUpsampling": r.eer_upsampling, "rlnEERGrouping": r.eer_grouping}
    return {**values, "rlnMotionModelVersion": int(r.coefficients is not None)}


def _shift_table(frames: np.ndarray, shifts: np.ndarray, centres: np.ndarray | None = None) -> pd.DataFrame:
    columns: dict[str, np.ndarray] = {"rlnMicrographFrameNumber": np.asarray(frames, dtype=np.int64)}
    if centres is not None:
        columns |= {"rlnCoordinateX": centres[:, 0], "rlnCoordinateY": centres[:, 1]}
    return pd.DataFrame({**columns, "rlnMicrographShiftX": shifts[:, 0], "rlnMicrographShiftY": shifts[:, 1]})


def read_motion(path: str | os.PathLike[str]) -> MotionRecord:
    """Read the motion of a movie, written here or by RELION.

    Raises
    ------
    UserError
        If the file is missing, or is not complete.
    """
    blocks = read_star(path)
    general = blocks.get("general")
    try:
        if not isinstance(general, dict):
            raise KeyError("data_general")
        n_frames = int(general["rlnImageSizeZ"])
        shifts = np.full((n_frames, 2), np.nan)
        table = _table(blocks, "global_shift")
        shifts[table["rlnMicrographFrameNumber"].to_numpy(dtype=np.int64) - 1] = _pairs(table, "rlnMicrographShift")
        shifts[shifts[:, 0] <= _UNUSED] = np.nan
        return MotionRecord(
            movie=str(general["rlnMicrographMovieName"]),
            shape=(int(general["rlnImageSizeY"]), int(general["rlnImageSizeX"])),
            pixel_size=float(general["rlnMicrographOriginalPixelSize"]),
            voltage=float(general.get("rlnVoltage", 0.0)),
            shifts=shifts,
            gain=str(general.get("rlnMicrographGainName", "")),
            defects=str(general.get("rlnMicrographDefectFile", "")),
            binning=float(general.get("rlnMicrographBinning", 1.0)),
            dose_rate=float(general.get("rlnMicrographDoseRate", 0.0)),
            pre_exposure=float(general.get("rlnMicrographPreExposure", 0.0)),
            first_frame=int(general.get("rlnMicrographStartFrame", 1)),
            coefficients=_coefficients(blocks) if int(general.get("rlnMotionModelVersion", 0)) == 1 else None,
            patches=_patches(blocks),
            hot_pixels=_pairs(_table(blocks, "hot_pixels"), "rlnCoordinate").astype(np.int64) if "hot_pixels" in blocks else None,
            eer_grouping=int(general.get("rlnEERGrouping", 0)),
            eer_upsampling=int(general.get("rlnEERUpsampling", 0)),
        )
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{path}: not the motion of a movie, or not complete ({error}); correct the motion of this movie again") from error


def _table(blocks: dict[str, Block], name: str) -> pd.DataFrame:
    block = blocks.get(name)
    if not isinstance(block, pd.DataFrame):
        raise KeyError(f"data_{name}")
    return block


def _pairs(table: pd.DataFrame, stem: str) -> np.ndarray:
    return table[[f"{stem}X", f"{stem}Y"]].to_numpy(dtype=np.float64)


def _coefficients(blocks: dict[str, Block]) -> np.ndarray:
    table = _table(blocks, "local_motion_model")
    coefficients = np.zeros(_N_COEFFICIENTS)
    coefficients[table["rlnMotionModelCoeffsIdx"].to_numpy(dtype=np.int64)] = table["rlnMotionModelCoeff"].to_numpy(dtype=np.float64)
    return coefficients


def _patches(blocks: dict[str, Block]) -> PatchShifts | None:
    if "local_shift" not in blocks:
        return None
    table = _table(blocks, "local_shift")
    frames = table["rlnMicrographFrameNumber"].to_numpy(dtype=np.int64)
    return PatchShifts(frames, _pairs(table, "rlnCoordinate"), _pairs(table, "rlnMicrographShift"))
