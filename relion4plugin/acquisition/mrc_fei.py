"""The extended header that Thermo Fisher software writes into MRC files (types FEI1 and FEI2).

Only the main header and the record of the first image are read. Bit masks in the record say which fields are valid; a field whose
bit is clear is not used. The header knows neither the frames of the parent movie nor super-resolution.
"""

import math
import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.reading import Reading

_MAIN = 1024
_RECORD = 4096  # bytes read of the extended header: more than one record has
_TYPES = (b"FEI1", b"FEI2")
_DAY_ZERO = datetime(1899, 12, 30)

# name, offset in the record, format of struct, number of the bit mask (1-4), bit
_FIELDS: tuple[tuple[str, int, str, int, int], ...] = (
    ("timestamp", 12, "d", 1, 0),
    ("microscope", 20, "16s", 1, 1),
    ("d_number", 36, "16s", 1, 2),
    ("application", 52, "16s", 1, 3),
    ("application_version", 68, "16s", 1, 4),
    ("voltage", 84, "d", 1, 5),
    ("dose", 92, "d", 1, 6),
    ("alpha_tilt", 100, "d", 1, 7),
    ("beta_tilt", 108, "d", 1, 8),
    ("stage_x", 116, "d", 1, 9),
    ("stage_y", 124, "d", 1, 10),
    ("stage_z", 132, "d", 1, 11),
    ("tilt_axis", 140, "d", 1, 12),
    ("pixel_x", 156, "d", 1, 14),
    ("pixel_y", 164, "d", 1, 15),
    ("defocus", 220, "d", 1, 22),
    ("applied_defocus", 236, "d", 1, 24),
    ("probe", 284, "i", 1, 29),
    ("eftem", 288, "?", 1, 30),
    ("magnification", 289, "d", 1, 31),
    ("spot", 309, "i", 2, 1),
    ("slit_inserted", 354, "?", 2, 7),
    ("slit_width", 355, "d", 2, 8),
    ("image_shift_x", 387, "d", 2, 12),
    ("image_shift_y", 395, "d", 2, 13),
    ("beam_shift_x", 403, "d", 2, 14),
    ("beam_shift_y", 411, "d", 2, 15),
    ("exposure", 419, "d", 2, 16),
    ("binning_x", 427, "i", 2, 17),
    ("camera", 435, "16s", 2, 19),
    ("readout_left", 451, "i", 2, 20),
    ("readout_top", 455, "i", 2, 21),
    ("readout_right", 459, "i", 2, 22),
    ("readout_bottom", 463, "i", 2, 23),
    ("counting", 472, "?", 2, 26),
    ("phase_plate", 518, "?", 3, 6),
    ("is_fraction", 655, "?", 3, 27),
    ("fraction_number", 656, "i", 3, 28),
    ("start_frame", 660, "i", 3, 29),
    ("end_frame", 664, "i", 3, 30),
    ("detector_commercial", 804, "16s", 4, 7),
    ("objective_aperture", 872, "16s", 4, 16),
)
_MASKS = {1: 8, 2: 297, 3: 490, 4: 748}
KEYS: Mapping[str, str] = {
    "voltage_kV": "HT",
    "magnification": "magnification",
    "dose_total_eA2": "dose",
    "image_px_A": "pixel size X",
    "defocus_um": "defocus",
    "defocus_target_um": "applied defocus",
    "stage_um": "stage X, Y, Z",
    "tilt_deg": "alpha tilt",
    "scope_id": "D-Number",
    "software": "application",
    "software_version": "application version",
    "acquired": "time stamp",
    "detector": "camera name",
    "detector_model": "detector commercial name",
    "exposure_s": "integration time",
}


def read_fei_header(path: str | Path) -> Reading:
    """Return what main and extended header of an MRC file say; the role is 'header' for movies and images alike.

    `extra` has size, mode, extended header type and length, and the fields by their own names. A file without such a header gives a
    reading of format 'mrc' with the pixel size and labels of the main header.
    """
    name = str(path)
    try:
        with open(path, "rb") as stream:
            main = stream.read(_MAIN)
            record = stream.read(_RECORD)
    except OSError as error:
        return Reading(name, "mrc", problems=(f"{name} cannot be read: {(error.strerror or str(error)).lower()}",))
    if len(main) < _MAIN:
        return Reading(name, "mrc", problems=(f"{name} ends inside the MRC header: it is half-written or no MRC file",))
    order = _byte_order(main)
    if order is None:
        return Reading(name, "unknown", problems=(f"{name} is no MRC file: the numbers of its header make no sense",))
    extra, values = _main_header(main, order)
    if main[104:108] not in _TYPES or extra["nsymbt"] <= 0:
        return Reading(name, "mrc", "header", values, {"image_px_A": "cella / mx"}, {}, extra)
    return _extended(name, record, order, extra, values)


def _byte_order(main: bytes) -> str | None:
    for order in "<>":
        nx, ny, nz, mode = struct.unpack_from(f"{order}4i", main)
        if 0 < nx < 1 << 20 and 0 < ny < 1 << 20 and 0 < nz < 1 << 24 and 0 <= mode <= 200:
            return order
    return None


def _main_header(main: bytes, order: str) -> tuple[dict[str, Any], dict[str, Any]]:
    nx, ny, nz, mode = struct.unpack_from(f"{order}4i", main)
    (mx,), (cell,) = struct.unpack_from(f"{order}i", main, 28), struct.unpack_from(f"{order}f", main, 40)
    (nsymbt,), (count,) = struct.unpack_from(f"{order}i", main, 92), struct.unpack_from(f"{order}i", main, 220)
    labels = [_text(main[224 + 80 * i : 304 + 80 * i]) for i in range(min(max(count, 0), 10))]
    extra = {"size": (nx, ny, nz), "mode": mode, "nsymbt": nsymbt, "exttyp": _text(main[104:108]), "labels": tuple(filter(None, labels))}
    values = {"image_px_A": cell / mx} if mx > 0 and math.isfinite(cell) and cell > 0 else {}
    return extra, values


def _text(data: bytes) -> str:
    return data.split(b"\x00")[0].decode("latin-1").strip()


def _extended(name: str, record: bytes, order: str, extra: dict[str, Any], values: dict[str, Any]) -> Reading:
    if len(record) < 12:
        return Reading(name, "mrc_fei", "header", values, {}, {}, extra, (f"{name} ends inside the extended header: it is half-written",))
    size, version = struct.unpack_from(f"{order}2i", record)
    if not 12 <= size <= _RECORD or size > len(record):
        text = f"{name} has an extended header of type {extra['exttyp']} with a record of {size} bytes, which is not there or cut off"
        return Reading(name, "mrc_fei", "header", values, {}, {}, extra, (text,))
    fields = _valid_fields(record[:size], order)
    extra = {**extra, "metadata_size": size, "metadata_version": version, **fields}
    known = {key: value for key, value in {**values, **_values(fields)}.items() if value is not None}
    return Reading(name, "mrc_fei", "header", known, KEYS, {}, extra)


def _valid_fields(record: bytes, order: str) -> dict[str, Any]:
    masks = {
        number: struct.unpack_from(f"{order}I", record, offset)[0] if offset + 4 <= len(record) else 0 for number, offset in _MASKS.items()
    }
    found: dict[str, Any] = {}
    for name, offset, kind, mask, bit in _FIELDS:
        if not masks[mask] >> bit & 1 or offset + struct.calcsize(kind) > len(record):
            continue
        (value,) = struct.unpack_from(order + kind, record, offset)
        value = _text(value) if isinstance(value, bytes) else value
        if value != "" and (not isinstance(value, float) or math.isfinite(value)):
            found[name] = value
    return found


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _pair(fields: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    first, second = fields.get(f"{name}_x"), fields.get(f"{name}_y")
    return None if first is None or second is None else (first, second)


def _values(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return record values; a dose, pixel, exposure or binning of 0 is unknown."""
    stage = tuple(_scaled(fields.get(f"stage_{axis}"), 1e6) for axis in "xyz")
    left, top, right, bottom = (int(fields.get(f"readout_{edge}", 0)) for edge in ("left", "top", "right", "bottom"))
    slit = fields.get("slit_width") if fields.get("slit_inserted") else None
    magnification = fields.get("magnification")
    return {
        "acquired": _time(fields.get("timestamp")),
        "scope_id": fields.get("d_number"),
        "scope_model": fields.get("microscope"),
        "software": fields.get("application"),
        "software_version": fields.get("application_version"),
        "voltage_kV": _scaled(fields.get("voltage"), 1e-3) or None,
        "dose_total_eA2": _scaled(fields.get("dose"), 1e-20) or None,
        "tilt_deg": fields.get("alpha_tilt"),
        "stage_um": None if None in stage else stage,
        "image_px_A": _scaled(fields.get("pixel_x"), 1e10) or None,
        "defocus_um": _scaled(fields.get("defocus"), 1e6),
        "defocus_target_um": _scaled(fields.get("applied_defocus"), 1e6),
        "magnification": round(magnification) if magnification else None,
        "spot": fields.get("spot"),
        "slit_eV": slit,
        "image_shift": _pair(fields, "image_shift"),
        "beam_shift": _pair(fields, "beam_shift"),
        "exposure_s": fields.get("exposure") or None,
        "binning": fields.get("binning_x") if (fields.get("binning_x") or 0) > 0 else None,
        "detector": fields.get("camera"),
        "detector_model": fields.get("detector_commercial"),
        "readout_px": (right - left, bottom - top) if right > left and bottom > top else None,
        "counting": fields.get("counting"),
        "phase_plate": fields.get("phase_plate"),
        "obj_aperture": fields.get("objective_aperture"),
    }


def _time(days: float | None) -> str | None:
    if not days or not 1 < days < 1e6:
        return None
    return (_DAY_ZERO + timedelta(days=days)).isoformat(timespec="seconds")
