"""How large the particle of a job stands in the network's images, and images in which it stands no larger than in most jobs.

The images are windows of the mask's diameter, which people choose. In a mask of 1.1 diameters a round particle fills the image, and to
networks it looks like ice or carbon cut off by the mask. Shrunk images show the same particle in a wider mask.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from relion4plugin.ranker.augment import moved_images
from relion4plugin.ranker.evaluation import particle_numbers
from relion4plugin.ranker.samples import Samples
from relion4plugin.ranker.shapes import polar
from relion4plugin.ranker.standing import job_rows

_LEAST_SCORE = 0.01  # as which lower ones count
_LEAST_BEST = 0.08  # of the scores in a job: what stands large in a job of lower ones is ice, carbon or noise


def particle_radii(images: np.ndarray) -> np.ndarray:
    """Return the root mean square radius of what is bright in each image, float64 (n,), px; 0 where nothing is.

    Parameters
    ----------
    images
        float (n, 64, 64), centred; the mean over circles counts, where it is above 0.
    """
    rings, radii = polar(images)
    mass = np.maximum(rings.mean(axis=2), 0) * radii
    total = mass.sum(axis=1)
    return np.asarray(np.sqrt(mass @ radii**2 / np.where(total > 0, total, 1)))


def fitted_images(images: np.ndarray, scores: np.ndarray, particles: np.ndarray, largest: float) -> np.ndarray:
    """Shrink the images of a job about their middle until its particle is not too large.

    All images of a job are shrunk alike: its particle is as large as its classes are on average, by their particles and scores. What
    comes into view around them is 0, as outside the mask.

    Parameters
    ----------
    images
        float32 (n, 64, 64).
    scores, particles
        float (n,): of the network for the images as they are, and number of particles.
    largest
        Radius of the particle from which on images are shrunk, px.

    Returns
    -------
    numpy.ndarray
        float32 (n, 64, 64); the images themselves where the particle is not larger, or no class looks like one.
    """
    if not len(images) or scores.max() < _LEAST_BEST:
        return images
    radius = float(np.average(particle_radii(images), weights=particles * np.clip(scores, _LEAST_SCORE, 1)))
    if radius <= largest:
        return images
    shrink = np.zeros((len(images), 2, 3))
    shrink[:, 0, 0] = shrink[:, 1, 1] = radius / largest
    moved: np.ndarray = moved_images(torch.from_numpy(np.ascontiguousarray(images, np.float32))[:, None], shrink)[:, 0].numpy()
    return moved


def fitted_samples(samples: Samples, score: Callable[[np.ndarray, np.ndarray], np.ndarray], largest: float) -> Samples:
    """Return samples of many jobs with `fitted_images`; `score` takes images and features of n classes and returns their scores."""
    scores, particles, images = score(samples.images, samples.features), particle_numbers(samples), samples.images.copy()
    for rows in job_rows(samples):
        images[rows] = fitted_images(samples.images[rows], scores[rows], particles[rows], largest)
    return dataclasses.replace(samples, images=images)
