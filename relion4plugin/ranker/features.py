"""Features of class averages: what the ranker knows about a class besides its image (RELION-4.0 paper, section 3.2)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.ranker.accuracy import complete_accuracies
from relion4plugin.ranker.class_run import ClassRun
from relion4plugin.ranker.first_peak import restore_first_peak
from relion4plugin.ranker.granulometry import RADII, granulometry
from relion4plugin.ranker.masks import class_masks, lowpass
from relion4plugin.ranker.moments import Moments, moments
from relion4plugin.ranker.resize import UNIFORM_PIXEL, fourier_resize, network_images, uniform_size

FEWEST_PARTICLES = 10.0  # classes up to this size have no features
SMALLEST_UNIFORM = 12  # px at 4 A/px
EQUAL = 1e-10  # standard deviation below which all classes of a job count as equal


class Slot(NamedTuple):
    """One feature and its normalisation: mean and standard deviation, None where those of the job are taken."""

    name: str
    mean: float | None
    stddev: float | None


# Mean and standard deviation over the class averages that RELION's ranker was trained on, published with its code.
SLOTS = (
    Slot("accuracy_rotation", 4.352, 4.759),
    Slot("accuracy_translation", 3.871, 3.019),
    Slot("weighted_resolution", 0.001, 0.002),
    Slot("relative_resolution", 0.061, 0.088),
    Slot("ring_mean", -0.199, 0.283),
    Slot("ring_stddev", 0.424, 0.629),
    Slot("protein_stddev", 0.744, 0.585),
    Slot("solvent_mean", -0.380, 0.378),
    Slot("solvent_stddev", 0.292, 0.485),
    Slot("scattered_signal", 0.024, 0.075),
    Slot("edge_signal", 0.047, 0.075),
    Slot("lowpass_mean", 0.116, 0.182),
    Slot("lowpass_stddev", 0.638, 0.429),
    Slot("lowpass_min", -1.112, 1.087),
    Slot("lowpass_max", 2.990, 1.758),
    Slot("granulometry_1", 837.576, 1958.823),
    Slot("granulometry_2", 726.097, 2845.330),
    Slot("granulometry_3", 602.175, 3605.858),
    Slot("granulometry_4", 483.469, 4001.972),
    Slot("granulometry_5", 328.014, 4399.578),
    Slot("granulometry_6", 196.059, 4709.751),
    Slot("protein_sum", None, None),
    Slot("solvent_sum", None, None),
    Slot("relative_signal_intensity", None, None),
)
FEATURE_NAMES = tuple(slot.name for slot in SLOTS)
# Left out in training: the network gets zeros, and so does `ClassFeatures` unless they are asked for.
MASKED_SLOTS = tuple(i for i, slot in enumerate(SLOTS) if slot.name.startswith("granulometry"))


@dataclass(frozen=True, eq=False)
class ClassFeatures:
    """Features and images of the n classes of a job that have more than ten particles.

    Attributes
    ----------
    classes : int64 (n,)
        0-based numbers of the classes.
    raw : float64 (n, 24)
        Features in the order of `FEATURE_NAMES`.
    normalised : float32 (n, 24)
        ``(raw - mean) / sd``, not limited; the granulometry is 0 in both unless it was asked for.
    images : float32 (n, 64, 64)
        The network's images.
    particles : float64 (n,)
        Sum of the posterior weights of the particles.
    accuracy_rotation : float64 (n,)
        deg
    accuracy_translation : float64 (n,)
        A; px where the run did not estimate it.
    resolution : float64 (n,)
        A
    weighted_resolution : float64 (n,)
        1 / (resolution^2 ln particles), 1/A^2.
    relative_resolution : float64 (n,)
        Resolution in units of the box.
    table : dict
        Columns (n,) of a feature table under RELION's labels; rlnGranulo is (n, 6).
    """

    classes: np.ndarray
    raw: np.ndarray
    normalised: np.ndarray
    images: np.ndarray
    particles: np.ndarray
    accuracy_rotation: np.ndarray
    accuracy_translation: np.ndarray
    resolution: np.ndarray
    weighted_resolution: np.ndarray
    relative_resolution: np.ndarray
    table: dict[str, np.ndarray]

    def __len__(self) -> int:
        """Return the number of classes with features."""
        return len(self.classes)


def compute_features(run: ClassRun, granularity: bool = False) -> ClassFeatures:
    """Compute features and network images of the classes of a run.

    Parameters
    ----------
    run : ClassRun
    granularity : bool
        Also fill the slots of the granulometry.

    Returns
    -------
    ClassFeatures
        Without the classes of ten particles or fewer; empty where all are.

    Raises
    ------
    UserError
        If the class averages are smaller than 48 A, or the CTF is needed and a particle has none.
    """
    box = run.classes.shape[-1]
    if uniform_size(box, run.pixel_size) < SMALLEST_UNIFORM:
        raise UserError(
            f"{run.model_path}: class averages of {box} px of {run.pixel_size:g} A span {box * run.pixel_size:.0f} A, "
            f"expected at least {SMALLEST_UNIFORM * UNIFORM_PIXEL:.0f} A; check rlnPixelSize"
        )
    chosen = np.flatnonzero(run.particles > FEWEST_PARTICLES)
    rotation, translation = complete_accuracies(run, chosen)
    averages = run.classes[chosen].astype(np.float64)
    if run.ctf_until_first_peak:
        averages = restore_first_peak(averages, run)
    particles, resolution = run.particles[chosen], run.resolution[chosen]
    from_run = {
        "accuracy_rotation": rotation,
        "accuracy_translation": translation,
        "weighted_resolution": 1 / (resolution**2 * np.log(particles)),
        "relative_resolution": resolution / (box * run.pixel_size),
    }
    from_image, table = _image_features(averages, run, granularity)
    values = from_run | from_image
    raw = np.zeros((len(chosen), len(SLOTS)))
    for i, name in enumerate(FEATURE_NAMES):
        raw[:, i] = values.get(name, 0.0)
    return ClassFeatures(
        classes=chosen,
        raw=raw,
        normalised=normalise(raw, granularity),
        images=network_images(averages, run.particle_diameter, run.pixel_size),
        particles=particles,
        resolution=resolution,
        table=_run_columns(run, chosen, from_run) | table,
        **from_run,
    )


def normalise(raw: np.ndarray, granularity: bool = False) -> np.ndarray:
    """Normalise features: most with fixed constants, the sums of grey values over the job.

    Parameters
    ----------
    raw : float64 (n, 24)
        All classes of one job.
    granularity : bool
        Whether the granulometry was computed; its slots are 0 if not.

    Returns
    -------
    float32 (n, 24)
        Slots that are equal in all classes of the job are 0.
    """
    out = np.zeros(raw.shape)
    for i, slot in enumerate(SLOTS):
        if not len(raw) or (i in MASKED_SLOTS and not granularity):
            continue
        column = raw[:, i]
        if slot.mean is not None and slot.stddev is not None:
            out[:, i] = (column - slot.mean) / slot.stddev
        elif (spread := column.std()) >= EQUAL:
            out[:, i] = (column - column.mean()) / spread
    return out.astype(np.float32)


def _image_features(averages: np.ndarray, run: ClassRun, granularity: bool) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Features measured on the class averages at 4 A/px, by slot and as columns of the feature table."""
    images = fourier_resize(averages, uniform_size(averages.shape[-1], run.pixel_size))
    smooth = lowpass(images)
    masks = class_masks(smooth, run.particle_diameter)
    ring, protein, solvent = (moments(images, region) for region in (masks.ring, masks.protein, masks.solvent))
    slots = {
        "ring_mean": ring.mean,
        "ring_stddev": ring.stddev,
        "protein_stddev": protein.stddev,
        "solvent_mean": solvent.mean,
        "solvent_stddev": solvent.stddev,
        "scattered_signal": masks.scattered_signal,
        "edge_signal": masks.edge_signal,
        "lowpass_mean": smooth.mean(axis=(1, 2)),
        "lowpass_stddev": smooth.std(axis=(1, 2)),
        "lowpass_min": smooth.min(axis=(1, 2)),
        "lowpass_max": smooth.max(axis=(1, 2)),
        "protein_sum": protein.sum,
        "solvent_sum": solvent.sum,
        "relative_signal_intensity": protein.sum - solvent.mean * masks.protein_area,
    }
    table = {
        **_moment_columns("Ring", ring),
        "rlnProteinArea": (masks.protein_area > 1).astype(np.int64),
        "rlnProteinSum": protein.sum,
        **_moment_columns("Protein", protein),
        "rlnSolventArea": masks.has_solvent.astype(np.int64),
        "rlnSolventSum": solvent.sum,
        **_moment_columns("Solvent", solvent),
        "rlnRelativeSignalIntensity": slots["relative_signal_intensity"],
        "rlnScatteredSignal": slots["scattered_signal"],
        "rlnEdgeSignal": slots["edge_signal"],
        "rlnProteinCAR": masks.contour_ratio,
        **{f"rlnLowpassFilteredImage{name.capitalize()}": slots[f"lowpass_{name}"] for name in ("mean", "stddev", "min", "max")},
    }
    if granularity:
        opened = granulometry(images)
        slots |= {f"granulometry_{radius}": opened[:, i] for i, radius in enumerate(RADII)}
        table["rlnGranulo"] = opened
    return slots, table


def _moment_columns(region: str, values: Moments) -> dict[str, np.ndarray]:
    return {f"rln{region}{name.capitalize()}": getattr(values, name) for name in ("mean", "stddev", "skew", "kurt")}


def _run_columns(run: ClassRun, chosen: np.ndarray, from_run: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "rlnReferenceImage": run.reference_names[chosen],
        "rlnClassIndex": chosen + 1,
        "rlnClassDistribution": run.pdf[chosen],
        "rlnAccuracyRotations": from_run["accuracy_rotation"],
        "rlnAccuracyTranslations": from_run["accuracy_translation"],
        "rlnEstimatedResolution": run.resolution[chosen],
        "rlnWeightedResolution": from_run["weighted_resolution"],
        "rlnRelativeResolution": from_run["relative_resolution"],
        "rlnParticleNr": run.particles[chosen],
    }
