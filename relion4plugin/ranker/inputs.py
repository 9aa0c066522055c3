"""What of images and features reaches the network."""

import numpy as np

from relion4plugin.ranker.features import MASKED_SLOTS

INPUTS = ("both", "images", "features")


def network_features(features: np.ndarray, clip: float | None) -> np.ndarray:
    """Return features as the network takes them: the slots that its training left out are zero, the others limited.

    Parameters
    ----------
    features
        Normalised features ``(n, 24)``.
    clip
        Largest magnitude, None for no limit. A class without any signal beyond the first shell lies 35 standard deviations
        from the mean in its relative resolution; unlimited, that one number decides its score.

    Returns
    -------
    numpy.ndarray
        float32 ``(n, 24)``, a new array.
    """
    prepared = np.array(features, np.float32)
    if clip is not None:
        np.clip(prepared, -clip, clip, out=prepared)
    prepared[:, list(MASKED_SLOTS)] = 0.0
    return prepared


def without(images: np.ndarray, features: np.ndarray, inputs: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images and features with zeros in place of what a network was trained without.

    Parameters
    ----------
    images, features
        As the network takes them.
    inputs
        "both", "images" or "features": what it was trained with.
    """
    if inputs not in INPUTS:
        raise ValueError(f"inputs {inputs!r} must be one of {INPUTS}")
    shown = np.zeros_like(images) if inputs == "features" else images
    return shown, np.zeros_like(features) if inputs == "images" else features
