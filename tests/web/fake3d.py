"""Run folders of 3D jobs as the engine leaves them, made of a small map and invented figures."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.files.iterations import append_iteration
from relion4plugin.files.mrc import write_volume
from relion4plugin.files.star import write_star
from relion4plugin.geometry.healpix import directions

BOX, PIXEL = 32, 4.0


def toy_map(box: int = BOX, seed: int = 0) -> np.ndarray:
    """A few blobs, float32 (box, box, box)."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:box, :box, :box] - box // 2
    volume = np.zeros((box, box, box))
    for centre in rng.normal(0, box / 8, (8, 3)):
        volume += np.exp(-((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) / (2 * (box / 16) ** 2))
    return volume.astype(np.float32)


def fsc_curve(box: int, resolved: float) -> np.ndarray:
    """A falling curve that crosses 0.143 near shell `resolved`."""
    shells = np.arange(box // 2 + 1)
    return 1.0 / (1.0 + np.exp((shells - resolved) / 1.2 + 1.8))


def _spectra(box: int, pixel: float, resolved: float, gold: bool) -> pd.DataFrame:
    shells, fsc = np.arange(box // 2 + 1), fsc_curve(box, resolved)
    lengths = np.where(shells > 0, box * pixel / np.maximum(shells, 1), 999.0)
    return pd.DataFrame({"rlnSpectralIndex": shells, "rlnResolution": shells / (box * pixel), "rlnAngstromResolution": lengths,
                         "rlnSsnrMap": fsc / (1 - fsc + 1e-3), "rlnGoldStandardFsc": fsc if gold else 0 * fsc,
                         "rlnFourierCompleteness": 1.0, "rlnReferenceSigma2": 1e-4, "rlnReferenceTau2": 1e-4 * fsc})  # fmt: skip


def _model(path: Path, names: list[str], box: int, pixel: float, resolved: list[float], gold: bool, order: int) -> None:
    n = len(names)
    share = np.arange(n, 0, -1) / np.arange(n, 0, -1).sum()
    lengths = [box * pixel / r for r in resolved]
    general = {"rlnReferenceDimensionality": 3, "rlnDataDimensionality": 2, "rlnOriginalImageSize": box, "rlnPixelSize": pixel,
               "rlnCurrentResolution": min(lengths), "rlnNrClasses": n, "rlnTau2FudgeFactor": 1.0 if gold else 4.0}  # fmt: skip
    classes = pd.DataFrame({"rlnReferenceImage": names, "rlnClassDistribution": share, "rlnAccuracyRotations": 3.5,
                            "rlnAccuracyTranslationsAngst": 1.2, "rlnEstimatedResolution": lengths,
                            "rlnOverallFourierCompleteness": 1.0})  # fmt: skip
    count = 12 * 4**order
    prior = pd.DataFrame({"rlnOrientationDistribution": np.full(count, 1.0 / count)})
    priors = {f"model_pdf_orient_class_{k + 1}": prior for k in range(n)}
    spectra = {f"model_class_{k + 1}": _spectra(box, pixel, resolved[k], gold) for k in range(n)}
    write_star(path, {"model_general": general, "model_classes": classes, **spectra, **priors})


def particle_table(n: int, n_classes: int, seed: int = 1) -> pd.DataFrame:
    """Particles with poses; more of them look along the z axis than across."""
    rng = np.random.default_rng(seed)
    tilt = np.rad2deg(np.arccos(1 - 2 * rng.uniform(size=n) ** 1.5))
    return pd.DataFrame({"rlnImageName": [f"{i + 1:06d}@a.mrcs" for i in range(n)], "rlnMicrographName": [f"m{i % 3}" for i in range(n)],
                         "rlnOpticsGroup": 1, "rlnGroupNumber": 1, "rlnClassNumber": 1 + np.arange(n) % n_classes,
                         "rlnAngleRot": rng.uniform(-180, 180, n), "rlnAngleTilt": tilt,
                         "rlnAnglePsi": rng.uniform(-180, 180, n), "rlnOriginXAngst": rng.normal(0, 3, n),
                         "rlnOriginYAngst": rng.normal(0, 3, n), "rlnRandomSubset": 1 + np.arange(n) % 2,
                         "rlnImageId": np.arange(1, n + 1)})  # fmt: skip


def _data(path: Path, n: int, n_classes: int, box: int, pixel: float) -> None:
    optics = pd.DataFrame({"rlnOpticsGroup": [1], "rlnOpticsGroupName": ["optics1"], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7],
                           "rlnAmplitudeContrast": [0.1], "rlnImagePixelSize": [pixel], "rlnImageSize": [box]})  # fmt: skip
    write_star(path, {"optics": optics, "particles": particle_table(n, n_classes)})


def _others(folder: Path, root: str, iteration: int, n_iterations: int, vdam: bool, order: int, symmetry: str) -> None:
    optimiser = {"rlnCurrentIteration": iteration, "rlnNumberOfIterations": n_iterations, "rlnDoGradientRefine": int(vdam),
                 "rlnAdaptiveOversampleOrder": 1, "rlnParticleDiameter": 100.0, "rlnDoCorrectCtf": 1}  # fmt: skip
    write_star(folder / f"{root}_optimiser.star", {"optimiser_general": optimiser})
    rot, tilt = directions(order)
    general = {"rlnHealpixOrder": order, "rlnSymmetryGroup": symmetry, "rlnPsiStep": 60.0 / 2**order, "rlnOffsetRange": 10.0,
               "rlnOffsetStep": 2.0}  # fmt: skip
    write_star(
        folder / f"{root}_sampling.star",
        {"sampling_general": general, "sampling_directions": pd.DataFrame({"rlnAngleRot": rot, "rlnAngleTilt": tilt})},
    )


def record(i: int, n_classes: int = 1, vdam: bool = True, box: int = BOX, pixel: float = PIXEL) -> dict:
    """The record of an iteration."""
    resolved, order = 3 + i / 3, 1 + i // 8
    line = {"iteration": i, "tau2_fudge": 1.0, "stepsize": 0.5 if vdam else None, "subset_size": 100, "current_size": 10 + i,
            "resolution": box * pixel / resolved, "log_likelihood": 40.0 * i, "ave_pmax": 0.5, "sigma_offset": 5.0,
            "changed_classes": 0.2, "changed_orientations": 3.0, "changed_offsets": 1.0,
            "class_distribution": [1.0 / n_classes] * n_classes, "seconds": 2.0, "cpu_seconds": 3.5, "healpix_order": order,
            "angular_step": 60.0 / 2 ** (order + 1), "offset_step": 2.0, "offset_range": 10.0, "accuracy_rotation": 10.0 / i,
            "accuracy_translation": 3.0 / i, "local": order >= 2, "converged": False}  # fmt: skip
    return line if vdam else line | {"fsc": fsc_curve(box, resolved).tolist()}


def make_class3d(
    folder: Path, iteration: int = 10, n_iterations: int = 10, n_classes: int = 2, n: int = 90, vdam: bool = True,
    volume: np.ndarray | None = None, pixel: float = PIXEL, symmetry: str = "C1",
) -> Path:  # fmt: skip
    """An initial model (VDAM) or 3D classification (EM) at an iteration."""
    folder.mkdir(parents=True, exist_ok=True)
    root, box = f"run_it{iteration:03d}", BOX if volume is None else len(volume)
    names = [f"{root}_class{k + 1:03d}.mrc" for k in range(n_classes)]
    for k, name in enumerate(names):
        write_volume(folder / name, toy_map(box, k) if volume is None else volume * (1 - 0.2 * k), pixel)
    _model(folder / f"{root}_model.star", names, box, pixel, [box / 4 - k for k in range(n_classes)], False, 1)
    _data(folder / f"{root}_data.star", n, n_classes, box, pixel)
    for i in range(1, iteration + 1):
        append_iteration(folder / "run_iterations.jsonl", record(i, n_classes, True, box, pixel))
    _others(folder, root, iteration, n_iterations, vdam, 1, symmetry)
    return folder


def add_verdict(folder: Path, reliable: bool = True, box: int = BOX, volume: np.ndarray | None = None, pixel: float = PIXEL) -> None:
    """The aligned map of an initial model and the verdict on it."""
    write_volume(folder / "initial_model.mrc", toy_map(box) if volume is None else volume, pixel)
    restarts = [{"seed": seed, "log_likelihood": 1000.0 - seed, "resolution": 15.0 + seed, "agreement_resolution": 16.5 if seed else None}
                for seed in range(3)]  # fmt: skip
    verdict = {"verdict": "Three restarts agree to 16.5 Å." if reliable else "No structure was found.", "reliable": reliable,
               "symmetry": "D2", "symmetry_score": 0.93, "selected_class": 1, "restarts": restarts,
               "agreement_fsc": fsc_curve(box, box / 4).tolist(),
               "evidence": {"restarts that agree": 3, "share of particles": 0.71}}  # fmt: skip
    (folder / "initial_model.json").write_text(json.dumps(verdict))


def make_refine3d(
    folder: Path, iterations: int = 12, final: bool = True, n: int = 90, volume: np.ndarray | None = None, noise: float = 0.05,
    pixel: float = PIXEL, symmetry: str = "C1",
) -> Path:  # fmt: skip
    """An auto-refinement with the files of every iteration and, if asked, the final ones."""
    folder.mkdir(parents=True, exist_ok=True)
    volume = toy_map() if volume is None else volume
    box, rng = len(volume), np.random.default_rng(5)
    halves = [volume + noise * volume.std() * rng.normal(size=volume.shape).astype(np.float32) for _ in range(2)]
    for i in range(1, iterations + 1):
        root = f"run_it{i:03d}"
        for half in (1, 2):
            name = f"{root}_half{half}_class001.mrc"
            write_volume(folder / name, halves[half - 1], pixel)
            _model(folder / f"{root}_half{half}_model.star", [name], box, pixel, [box / 8 + box / 4 * i / iterations], True, 1)
        _data(folder / f"{root}_data.star", n, 1, box, pixel)
        append_iteration(folder / "run_iterations.jsonl", record(i, 1, False, box, pixel) | {"converged": final and i == iterations})
        _others(folder, root, i, 999, False, 1, symmetry)
    if final:
        write_volume(folder / "run_class001.mrc", (halves[0] + halves[1]) / 2, pixel)
        for half in (1, 2):
            write_volume(folder / f"run_half{half}_class001_unfil.mrc", halves[half - 1], pixel)
        _model(folder / "run_model.star", ["run_class001.mrc"], box, pixel, [box / 2.6], True, 1)
        _data(folder / "run_data.star", n, 1, box, pixel)
        _others(folder, "run", iterations + 1, 999, False, 1, symmetry)
    return folder
