"""What the image of a class looks like whichever way it is turned: its extent, and its energy by angular order, radius and frequency."""

import numpy as np
import scipy.fft

ANGLES = 64
_BANDS = (0.0, 2.5, 5.0, 8.0, 12.0, 20.0, 33.0)  # borders of the frequency bands, periods per image
_OUTER = 26  # px, where the outermost rings begin
_TOP = 0.98  # quantile of the grey values that stands for the brightest part
_TINY = 1e-12


def shapes(images: np.ndarray) -> dict[str, np.ndarray]:
    """Describe images by numbers that do not change when an image is turned, or (but for ``log_spread``) scaled in grey value.

    Parameters
    ----------
    images
        float (n, 64, 64), centred.

    Returns
    -------
    dict
        float64 (n,) by name. ``order_m`` and ``zone_i`` are shares of the variance: by angular order (0 is round, 2 two-fold or
        a rod) and by distance from the centre in steps of 8 px.
    """
    rings, radii = polar(images)
    weight = radii / radii.sum()
    mean = np.einsum("nra,r->n", rings, weight) / ANGLES
    energy = np.abs(scipy.fft.rfft(rings - mean[:, None, None], axis=2) / ANGLES) ** 2 * weight[:, None]
    energy[:, :, 1:] *= 2
    total = energy.sum(axis=(1, 2)) + _TINY
    share = energy / total[:, None, None]
    order, zone = share.sum(axis=1), share.sum(axis=2)
    top, spread = np.maximum(rings.max(axis=(1, 2)), 1e-6), np.sqrt(total)
    outer = rings[:, radii > _OUTER]
    profile = rings.mean(axis=2)
    return {
        **{f"order_{m}": order[:, m] for m in range(5)},
        "high_orders": order[:, 5:12].sum(axis=1),
        **{f"zone_{i}": zone[:, 8 * i : 8 * i + 8].sum(axis=1) for i in range(4)},
        "outer_maximum": outer.max(axis=(1, 2)) / top,
        "outer_spread": outer.std(axis=(1, 2)) / np.maximum(rings.std(axis=(1, 2)), 1e-6),
        "peak": top / spread,
        "log_spread": np.log(spread),
        "depth": -rings.min(axis=(1, 2)) / top,
        # a particle fades outwards; beads of gold and ice crystals have bright rings
        "rings": np.maximum(0, np.diff(profile, axis=1)) @ weight[1:] / spread,
        **_bands(images),
    }


def extents(images: np.ndarray) -> dict[str, np.ndarray]:
    """Tell how far the density of images reaches from their centre.

    Parameters
    ----------
    images
        float (n, 64, 64), centred; what is darker than 0 is not counted.

    Returns
    -------
    dict
        float64 (n,) by name, all logarithms: radius of gyration, radii (px) that enclose half and nine tenths of the density, and the
        area that is at least half as bright as the brightest part. They do not change when an image is turned or scaled in grey value.
    """
    rings, radii = polar(images)
    density = np.maximum(rings.mean(axis=2), 0.0)
    gyration = np.sqrt((density @ radii**3) / (density @ radii + _TINY))
    inside = np.cumsum(np.maximum(rings, 0.0).mean(axis=2) * radii, axis=1)
    inside /= inside[:, -1:] + _TINY
    bright = rings > np.quantile(rings, _TOP, axis=(1, 2))[:, None, None] / 2
    return {
        "log_gyration": np.log(gyration + 0.5),
        "log_radius_50": np.log(_enclosing(inside, radii, 0.5)),
        "log_radius_90": np.log(_enclosing(inside, radii, 0.9)),
        "log_area": np.log(bright.sum(axis=2) @ radii + 1.0),
    }


def _enclosing(inside: np.ndarray, radii: np.ndarray, share: float) -> np.ndarray:
    """Radius, float64 (n,), that encloses a share, from the shares (n, radii) inside the outer edge of each ring; at most the last edge."""
    edges = np.concatenate([[0.0], radii + 0.5])
    inside = np.pad(inside, ((0, 0), (1, 0)))
    after = np.clip((inside < share).sum(axis=1), 1, len(radii))
    rows = np.arange(len(inside))
    low, high = inside[rows, after - 1], inside[rows, after]
    part = np.clip((share - low) / np.maximum(high - low, _TINY), 0.0, 1.0)
    return edges[after - 1] + part * (edges[after] - edges[after - 1])


def polar(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sample images bilinearly on circles about their centre.

    Returns
    -------
    tuple
        float64 (n, radii, 64 angles), and the radii in px: 0.5, 1.5, ... up to the edge.
    """
    size = images.shape[-1]
    radii = np.arange(0.5, size // 2 - 1)
    angles = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    y, x = size // 2 + radii[:, None] * np.sin(angles), size // 2 + radii[:, None] * np.cos(angles)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, across = y - top, x - left
    values = np.asarray(images, np.float64)
    upper = values[:, top, left] * (1 - across) + values[:, top, left + 1] * across
    lower = values[:, top + 1, left] * (1 - across) + values[:, top + 1, left + 1] * across
    return upper * (1 - down) + lower * down, radii


def _bands(images: np.ndarray) -> dict[str, np.ndarray]:
    """Logarithm of the share of each frequency band but the lowest."""
    size = images.shape[-1]
    power = np.abs(scipy.fft.fft2(np.asarray(images, np.float64))) ** 2
    power[:, 0, 0] = 0
    frequency = size * np.hypot(*np.meshgrid(*2 * (scipy.fft.fftfreq(size),), indexing="ij"))
    which = np.digitize(frequency, _BANDS) - 1
    held = np.stack([power[:, which == band].sum(axis=1) for band in range(len(_BANDS) - 1)])
    held /= held.sum(axis=0) + _TINY
    return {f"band_{i}": np.log(held[i] + 1e-6) for i in range(1, len(held))}
