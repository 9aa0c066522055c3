"""Values for Scipion workflows by alias, and which parameters of which protocols take them.

Texts are texts, numbers are numbers, switches are switches: Scipion's parameters are typed.
"""

import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from relion4plugin.acquisition.record import AcquisitionRecord
from relion4plugin.acquisition.settings import Settings
from relion4plugin.errors import UserError
from relion4plugin.schemes.it.values import micrograph_angpix, sizes_of

_FORBIDDEN = "*?#:%"  # in real paths, by Scipion's import
_WILDCARDS = "*?["
_MOTION = "prep__motioncorr__"

_COUNTS = {"patch_x": "patch_x", "patch_y": "patch_y", "group_frames": "group_frames", "last_frame": "last_frame_sum"}
_DEFECT = f"{_MOTION}fn_defect"

_NATIVE_RUN = {"numberOfThreads": "threads", "useGpu": "use_gpu", "gpuList": "gpus"}
_RELION_RUN = {"numberOfThreads": "threads", "doGpu": "use_gpu", "gpusToUse": "gpus"}
PARAMETERS: Mapping[str, Mapping[str, str]] = {
    "ProtImportMovies": {
        "filesPath": "movies_path", "filesPattern": "movies_pattern", "voltage": "voltage", "sphericalAberration": "cs",
        "amplitudeContrast": "q0", "magnification": "magnification", "samplingRate": "pixel", "doseInitial": "pre_dose",
        "dosePerFrame": "dose", "gainFile": "gain",
    },
    "ProtR4pMotionCorrection": {
        "bin_factor": "bin_factor", "patch_x": "patch_x", "patch_y": "patch_y", "group_frames": "group_frames",
        "eer_grouping": "eer_grouping", "last_frame_sum": "last_frame", "gain_rot": "gain_rot", "gain_flip": "gain_flip",
        "fn_defect": "defects", "numberOfThreads": "threads",
    },
    "ProtRelionMotioncor": {
        "binFactor": "bin_factor", "patchX": "patch_x", "patchY": "patch_y", "groupFrames": "group_frames", "eerGroup": "eer_grouping",
        "sumFrameN": "last_frame", "gainRot": "gain_rot", "gainFlip": "gain_flip", "defectFile": "defects", "numberOfThreads": "threads",
    },
    "ProtMotionCorr": {
        "binFactor": "bin_factor", "patchX": "patch_x", "patchY": "patch_y", "eerGroup": "eer_grouping", "gainRot": "gain_rot",
        "gainFlip": "gain_flip",
    },
    "ProtR4pCtfEstimation": {"do_phaseshift": "phase_plate", "numberOfThreads": "threads"},
    "CistemProtCTFFind": {"findPhaseShift": "phase_plate"},
    "ProtR4pPickLog": {"log_diam_min": "log_min", "log_diam_max": "diameter", "log_adjust_thr": "log_threshold"},
    "ProtR4pPickTopaz": {"topaz_particle_diameter": "diameter", "topaz_model": "topaz_model"},
    "ProtRelionAutopickLoG": {
        "boxSize": "box", "minDiameter": "log_min_whole", "maxDiameter": "diameter_whole", "threshold": "log_threshold",
    },
    "SphireProtCRYOLOPicking": {"boxSize": "box"},
    "ProtR4pExtractParticles": {"extract_size": "box", "bg_diameter": "bg_diameter", "rescale": "small_box"},
    "ProtRelionExtractParticles": {"boxSize": "box", "rescaledSize": "small_box", "backDiameter": "bg_diameter_whole"},
    "ProtR4pStreamClassify2D": {"nr_classes": "classes2d", "particle_diameter": "mask", **_NATIVE_RUN},
    "ProtR4pInitialModel": {"particle_diameter": "mask", "sym_name": "symmetry", **_NATIVE_RUN},
    "ProtR4pRefine3D": {"particle_diameter": "mask", "sym_name": "symmetry", **_NATIVE_RUN},
    "ProtRelionClassify2D": {"numberOfClasses": "classes2d", "maskDiameterA": "mask_whole", **_RELION_RUN},
    "ProtRelionSelectClasses2D": {"minThreshold": "rank_threshold"},
    "ProtRelionInitialModel": {"maskDiameterA": "mask_whole", "symmetryGroup": "symmetry", **_RELION_RUN},
    "ProtRelionRefine3D": {"maskDiameterA": "mask_whole", "symmetryGroup": "symmetry", **_RELION_RUN},
}  # fmt: skip

# The option or key of the schemes from which the value of an alias comes.
OPTION_OF_ALIAS: Mapping[str, str] = {
    "movies_path": "fn_in_raw", "movies_pattern": "fn_in_raw", "voltage": "kV", "cs": "Cs", "q0": "Q0", "pixel": "angpix",
    "dose": "dose_per_frame", "gain": "fn_gain_ref", "diameter": "particle_diameter", "diameter_whole": "particle_diameter",
    "log_min": "proc__autopick__log_diam_min", "log_min_whole": "proc__autopick__log_diam_min", "log_threshold": "log_adjust_thr",
    "classes2d": "nr_classes", "use_gpu": "gpus", "bg_diameter": "mask_diameter",
    "bg_diameter_whole": "mask_diameter", "box": "box_size", "small_box": "small_box",
    "mask": "mask_diameter", "mask_whole": "mask_diameter",
    "bin_factor": f"{_MOTION}bin_factor", "pre_dose": f"{_MOTION}pre_exposure", "defects": _DEFECT,
    **{alias: _MOTION + option for alias, option in (*_COUNTS.items(), ("gain_rot", "gain_rot"), ("gain_flip", "gain_flip"))},
}  # fmt: skip


def workflow_values(settings: Settings, record: AcquisitionRecord, folder: str, settle: float) -> dict[str, Any]:
    """Return values by alias; what is not known or keeps its default is left out.

    Parameters
    ----------
    settings : Settings
        The filled options.
    record : AcquisitionRecord
        The merged record.
    folder : str
        Folder to which copied files go: gain reference and defects.
    settle : float
        Seconds after which an unchanged movie counts as finished.

    Raises
    ------
    UserError
        If the path of the movies has a sign that Scipion does not take.
    """
    options, keys = settings.choices.options, settings.choices.overrides
    path, pattern = _movies(options.fn_in_raw)
    values: dict[str, Any] = {
        "movies_path": path,
        "movies_pattern": pattern,
        "voltage": options.kV,
        "cs": options.Cs,
        "q0": options.Q0,
        "magnification": record.get("magnification"),
        "pixel": options.angpix,
        "dose": options.dose_per_frame,
        "pre_dose": float(keys.get(f"{_MOTION}pre_exposure", 0.0)),
        "settle": f"{settle:g}",
        "gain": f"{folder}/{options.fn_gain_ref}" if options.fn_gain_ref else "",
        "defects": f"{folder}/{keys[_DEFECT]}" if keys.get(_DEFECT) else "",
        "bin_factor": 2.0 if options.super_resolution else 1.0,
        "eer_grouping": options.eer_grouping,
        "phase_plate": options.phase_plate,
        "diameter": options.particle_diameter,
        "diameter_whole": round(options.particle_diameter),
        "log_min": options.log_diam_ratio * options.particle_diameter,
        "log_min_whole": int(options.log_diam_ratio * options.particle_diameter),
        "log_threshold": options.log_adjust_thr,
        "topaz_model": options.topaz_model,
        "symmetry": options.symmetry,
        "classes2d": options.nr_classes,
        "rank_threshold": options.rank_threshold,
        "use_gpu": bool(options.gpus),
        "gpus": options.gpus.replace(" ", "") or None,
        "threads": options.threads or len(os.sched_getaffinity(0)),
    }
    for alias, option in _COUNTS.items():
        values[alias] = int(keys[_MOTION + option]) if _MOTION + option in keys else None
    values |= {option: _turns(keys.get(_MOTION + option, "")) for option in ("gain_rot", "gain_flip")} | _sizes(settings)
    return {alias: value for alias, value in values.items() if value is not None}


def _movies(pattern: str) -> tuple[str, str]:
    """Split a pattern into the folder before the first wildcard and the rest."""
    parts = PurePosixPath(pattern).parts
    first = next((i for i, part in enumerate(parts) if any(sign in part for sign in _WILDCARDS)), len(parts) - 1)
    folder = str(PurePosixPath(*parts[:first])) if first else "."
    wrong = next((sign for sign in folder if sign in _FORBIDDEN), None)
    if wrong:
        raise UserError(f"Scipion cannot import from {folder}: it takes no '{wrong}' in paths; link the folder under another name")
    return folder, str(PurePosixPath(*parts[first:]))


def _turns(entry: str) -> int:
    """Return the number in the entry of a menu: 1 for ``90 degrees (1)``."""
    return int(entry.rpartition("(")[2].rstrip(")")) if entry else 0


def _sizes(settings: Settings) -> dict[str, Any]:
    sizes = sizes_of(settings.choices.options)
    if sizes is None:
        return {}
    background = sizes.mask_diameter / micrograph_angpix(settings.choices.options)
    return {
        "box": sizes.box,
        "small_box": sizes.small_box,
        "mask": float(sizes.mask_diameter),
        "mask_whole": round(sizes.mask_diameter),
        "bg_diameter": background,
        "bg_diameter_whole": round(background),
    }
