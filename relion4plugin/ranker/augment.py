"""Random changes of training samples that do not change what a class is worth."""

from dataclasses import dataclass

import numpy as np
import torch

from relion4plugin.ranker.features import SLOTS

# Features that move with an offset of the grey values, and those that only scale with them.
_SHIFTED = ("ring_mean", "solvent_mean", "lowpass_mean", "lowpass_min", "lowpass_max")
_SCALED = ("ring_stddev", "protein_stddev", "solvent_stddev", "lowpass_stddev")


@dataclass(frozen=True)
class Augmentation:
    """Which random changes are made, each drawn anew for every sample.

    Attributes
    ----------
    rotate
        Turn the image by any angle, and mirror it half of the time.
    shift
        Largest displacement along x and y, px of the 64 px image.
    gain
        Largest factor g of the grey values, drawn between 1/g and g; 1 for none.
    offset
        Standard deviation of what is added to the grey values within the particle's disc.
    feature_dropout
        Probability that all features of a sample are zero, so that images count even where features mislead.
    zoom
        Largest factor z of the size of the particle in its mask, drawn between 1/z and z; 1 for none. Masks are chosen by people.
    """

    rotate: bool = True
    shift: float = 0.0
    gain: float = 1.0
    offset: float = 0.0
    feature_dropout: float = 0.0
    zoom: float = 1.0


def augment(
    images: np.ndarray, features: np.ndarray, random: np.random.Generator, settings: Augmentation
) -> tuple[torch.Tensor, np.ndarray]:
    """Change samples at random.

    Parameters
    ----------
    images
        float32 ``(n, 64, 64)``.
    features
        float32 ``(n, 24)``, normalised.
    random
        Source of random numbers.
    settings
        What to change.

    Returns
    -------
    tuple
        Images ``(n, 1, 64, 64)`` as a tensor, and features.
    """
    n = len(images)
    gain = np.exp(random.uniform(-1, 1, n) * np.log(settings.gain)).astype(np.float32)
    offset = (random.standard_normal(n) * settings.offset).astype(np.float32)
    dropped = random.random(n) < settings.feature_dropout
    moved = torch.from_numpy(images)[:, None]
    if settings.rotate or settings.shift > 0 or settings.zoom != 1:
        moved = moved_images(moved, _random_transforms(n, images.shape[-1], random, settings))
    if settings.zoom != 1:
        moved = moved * _disc(images.shape[-1])  # enlarged particles are cut off by their mask
    if settings.gain != 1 or settings.offset > 0:
        factor, added = (torch.from_numpy(values)[:, None, None, None] for values in (gain, offset))
        moved = moved * factor + added * _disc(images.shape[-1])
        features = scaled_features(features, gain, offset)
    return moved, np.where(dropped[:, None], np.float32(0), features)


def _random_transforms(n: int, size: int, random: np.random.Generator, settings: Augmentation) -> np.ndarray:
    angle = random.uniform(0, 2 * np.pi, n) if settings.rotate else np.zeros(n)
    mirror = np.where(random.random(n) < 0.5, -1.0, 1.0) if settings.rotate else np.ones(n)
    shift = random.uniform(-1, 1, (n, 2)) * settings.shift * 2 / size  # the grid runs from -1 to 1
    cos, sin = np.cos(angle), np.sin(angle)
    transforms = np.stack([np.stack([mirror * cos, -mirror * sin, shift[:, 0]], 1), np.stack([sin, cos, shift[:, 1]], 1)], 1)
    if settings.zoom != 1:
        transforms[:, :, :2] *= np.exp(random.uniform(-1, 1, (n, 1, 1)) * np.log(settings.zoom))
    return transforms


def moved_images(images: torch.Tensor, transforms: np.ndarray) -> torch.Tensor:
    """Resample images ``(n, 1, N, N)`` bilinearly under affine maps ``(n, 2, 3)`` from output to input, zeros outside.

    Coordinates (x, y) run from -1 to 1 between the outer edges of the image.
    """
    grid = torch.nn.functional.affine_grid(torch.from_numpy(transforms.astype(np.float32)), list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def scaled_features(features: np.ndarray, gain: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return normalised features ``(n, 24)`` as they are after grey values v became ``gain v + offset``.

    Features that are normalised within a job stay: the gain is that of the whole job.
    """
    changed = features.copy()
    for i, slot in enumerate(SLOTS):
        if slot.name in _SHIFTED + _SCALED and slot.mean is not None and slot.stddev is not None:
            moved = gain * (features[:, i] * slot.stddev + slot.mean) + (offset if slot.name in _SHIFTED else 0)
            changed[:, i] = (moved - slot.mean) / slot.stddev
    return changed


def _disc(size: int) -> torch.Tensor:
    axis = np.arange(size) - (size - 1) / 2
    return torch.from_numpy((axis[:, None] ** 2 + axis**2 <= (size / 2 - 1) ** 2).astype(np.float32))
