"""Test vectors whose features were computed by RELION 4.0.2, as a run on disk."""

from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import write_star

BOX, PIXEL, DIAMETER, TOTAL = 70, 3.1, 150.0, 20000
PDF = np.array([0.4, 0.3, 0.15, 0.1496, 0.0004])


def images() -> np.ndarray:
    """Class averages float32 (5, 70, 70)."""
    x = (np.arange(BOX) - BOX // 2)[None, :].astype(float)
    y = x.T
    r = np.hypot(x, y)

    def blob(a, b, s):
        return np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * s**2))

    stack = [
        3 * blob(4, -3, 6) + 1.5 * blob(-8, 5, 4) - 0.4 * blob(0, 0, 20),
        1.2 * np.cos(2 * np.pi * x / 13) * np.sin(2 * np.pi * y / 17 + 0.5),
        2 * blob(18, 0, 6) + 0.6 * blob(-2, 0, 5) + 0.2 * np.cos(2 * np.pi * (x + 2 * y) / 9),
        0.05 * np.sin(2 * np.pi * r**2 / 300),
        np.zeros((BOX, BOX)),
    ]
    edge = np.clip((24.193548 + 5 - r) / 5, 0, 1)
    return (np.stack(stack) * (0.5 - 0.5 * np.cos(np.pi * edge))).astype(np.float32)


def write_run(folder: Path, stack: np.ndarray | None = None, *, accuracies: bool = True, **changes) -> Path:
    """Write the run and return its optimiser file; `changes` overwrite single values or columns by their label."""
    stack = images() if stack is None else stack
    box, k = stack.shape[-1], len(stack)
    optimiser = {"rlnParticleDiameter": DIAMETER, "rlnDoCorrectCtf": 1, "rlnDoIgnoreCtfUntilFirstPeak": 0}
    general = {"rlnReferenceDimensionality": 2, "rlnPixelSize": PIXEL, "rlnCurrentImageSize": 50, "rlnNrClasses": k}
    classes = {
        "rlnReferenceImage": [f"{i + 1:06d}@Class2D/job001/run_it025_classes.mrcs" for i in range(k)],
        "rlnClassDistribution": PDF[:k] / (1 if k == len(PDF) else PDF[:k].sum()),
        "rlnAccuracyRotations": np.array([2.1, 4.3, 3.05, 6.2, 9.0][:k]) if accuracies else np.full(k, 999.0),
        "rlnAccuracyTranslationsAngst": np.array([3.3, 5.0, 4.4, 7.7, 9.0][:k]) if accuracies else np.full(k, 999.0),
        "rlnEstimatedResolution": np.array([9.0, 14.2, 11.1, 27.5, 40.0][:k]),
    }
    shells = np.arange(box // 2 + 1)
    noise = {"rlnSpectralIndex": shells, "rlnSigma2Noise": np.full(len(shells), 1e-3)}
    optics = {
        "rlnOpticsGroup": [1],
        "rlnVoltage": [300.0],
        "rlnSphericalAberration": [2.7],
        "rlnAmplitudeContrast": [0.1],
        "rlnImagePixelSize": [PIXEL],
        "rlnImageSize": [box],
    }
    total = int(changes.pop("total", TOTAL))
    particles = {
        "rlnImageName": [f"{i + 1:06d}@particles.mrcs" for i in range(total)],
        "rlnOpticsGroup": np.ones(total, int),
        "rlnClassNumber": np.arange(total) % k + 1,
        "rlnAnglePsi": np.zeros(total),
        "rlnOriginXAngst": np.zeros(total),
        "rlnOriginYAngst": np.zeros(total),
        "rlnDefocusU": np.full(total, 15000.0),
        "rlnDefocusV": np.full(total, 14800.0),
        "rlnDefocusAngle": np.full(total, 10.0),
    }
    for table in (optimiser, general, classes, noise, optics, particles):
        table.update({label: changes.pop(label) for label in list(changes) if label in table})
    if changes:
        raise ValueError(f"no such labels: {sorted(changes)}")

    def kept(table):
        return {label: values for label, values in table.items() if values is not None}

    name = folder / "run_it025"
    write_star(f"{name}_optimiser.star", {"optimiser_general": kept(optimiser)})
    model = {
        "model_general": kept(general),
        "model_classes": pd.DataFrame(kept(classes)),
        "model_optics_group_1": pd.DataFrame(kept(noise)),
    }
    write_star(f"{name}_model.star", model)
    write_star(f"{name}_data.star", {"optics": pd.DataFrame(kept(optics)), "particles": pd.DataFrame(kept(particles))})
    write_stack(f"{name}_classes.mrcs", stack, PIXEL)
    return Path(f"{name}_optimiser.star")
