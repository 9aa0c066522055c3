"""The main ways in which particles of known pose differ from one map: principal components without a matrix.

With whitened images ``y_i``, the map ``m`` and ``A_i`` the projection of a map at pose i times CTF over noise, residuals are
``r_i = Q_i (y_i - A_i m)``. ``Q_i`` takes out what a small change of the particle's pose or grey scale would explain: without it,
errors of the poses are the largest differences of all. A mode ``v`` is found by repeating

    s_i = <r_i, Q_i A_i v> / |Q_i A_i v|^2,    t_i = tanh(s_i / rms(s)),    v = sum_i t_i A_i^T r_i / sum_i t_i^2 A_i^T A_i,

which is the power method for the largest principal component, with bounded weights, so that no odd particle makes a mode of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from relion4plugin.refinement import symmetrise
from relion4plugin.refinement.orientations import rotation_vectors_to_matrices
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.volume_slices import central_slices, insert_slices

ROUNDS = 20  # of the power method
TILT = 3.0  # deg, of the finite differences by which a change of pose is known
RIDGE = 1e-2  # of the largest weight: keeps voxels that few images reach small


@dataclass(frozen=True)
class Views:
    """Low-resolution pixels of n particles with their poses; the mean pixel has no weight."""

    whitened: np.ndarray  # complex64 (n, P), images over the noise's standard deviation
    factor: np.ndarray  # float32 (n, P), CTF over the noise's standard deviation
    matrices: np.ndarray  # float64 (n, 3, 3)
    kx: np.ndarray  # float32 (P,)
    ky: np.ndarray

    def project(self, volume: np.ndarray, radius: int, turn: np.ndarray | None = None) -> np.ndarray:
        """A_i of a transform (M, M, M//2+1), complex64 (n, P); `turn` (3, 3) is added to all poses."""
        matrices = self.matrices if turn is None else turn @ self.matrices
        return self.factor * central_slices(volume, matrices, self.kx, self.ky, 1, radius)


@dataclass(frozen=True)
class DifferenceModes:
    """A map and the modes of difference from it, transforms of `grid` up to `radius` px."""

    grid: PaddedGrid
    radius: int
    operators: np.ndarray  # (m, 3, 3), of the point group
    mean: np.ndarray  # complex64 (M, M, M//2+1)
    modes: tuple[np.ndarray, ...] = ()  # as `mean`

    @classmethod
    def fit(cls, views: Views, radius: int, operators: np.ndarray, n_modes: int, seed: int) -> "DifferenceModes":
        """Find the mean map of some views and their `n_modes` main differences, the largest first.

        Parameters
        ----------
        radius : int
            Pixels of the images that count, at least those listed in the views.
        operators : float (m, 3, 3)
            Elements of the point group; modes share it.
        seed : int
            Draws the scores to start from.
        """
        grid = PaddedGrid(2 * (radius + 1), 1, 3)
        found = cls(grid, radius, operators, np.zeros(grid.shape, np.complex64))
        mean = found._average(views, views.whitened, np.ones(len(views.whitened)))
        found = cls(grid, radius, operators, mean)
        rng = np.random.default_rng((seed, 10))
        for _ in range(n_modes):
            residual, known = found._residuals(views)
            weight = rng.standard_normal(len(residual))
            for _ in range(ROUNDS):
                mode = found._average(views, residual, weight - weight.mean())
                score = _scores(residual, _without(known, views.project(mode, radius)))
                weight = np.tanh(score / max(float(np.sqrt(np.mean(score**2))), 1e-30))
            found = cls(grid, radius, operators, mean, (*found.modes, mode))
        return found

    def scores(self, views: Views) -> np.ndarray:
        """Return how much of each mode the views hold, float64 (n, modes)."""
        residual, known = self._residuals(views, modes=0)
        out = np.empty((len(residual), len(self.modes)))
        for j, mode in enumerate(self.modes):
            image = _without(known, views.project(mode, self.radius))
            out[:, j] = _scores(residual, image)
            known.append(_unit(image))
        return out

    def _residuals(self, views: Views, modes: int | None = None) -> tuple[np.ndarray, list[np.ndarray]]:
        """Residuals (n, P), and the orthonormal images per particle that were taken out: changes of pose, scale, and known modes."""
        known: list[np.ndarray] = []
        mean = views.project(self.mean, self.radius)
        images = [*self._changes(views, mean), mean, *(views.project(mode, self.radius) for mode in self.modes[:modes])]
        for image in images:
            known.append(_unit(_without(known, image)))
        return _without(known, views.whitened), known

    def _changes(self, views: Views, mean: np.ndarray) -> Iterator[np.ndarray]:
        """Yield how projections of the mean change with the three angles and both shifts."""
        for vector in TILT * np.eye(3):
            there, back = rotation_vectors_to_matrices(np.stack([vector, -vector]))
            yield views.project(self.mean, self.radius, there) - views.project(self.mean, self.radius, back)
        for frequency in (views.kx, views.ky):
            yield (1j * frequency).astype(np.complex64) * mean

    def _average(self, views: Views, images: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Average images into a map: sum of t A^T x over that of t^2 A^T A."""
        data, total = np.zeros(self.grid.shape, np.complex64), np.zeros(self.grid.shape, np.float32)
        t = weight.astype(np.float32)[:, None]
        insert_slices(
            data, total, t * views.factor * images, (t * views.factor) ** 2, views.matrices, views.kx, views.ky, 1, self.radius
        )
        symmetrise.make_hermitian(data)
        symmetrise.make_hermitian(total)
        symmetrise.symmetrise(data, total, self.grid, self.radius, self.operators)
        return data / (total + np.float32(RIDGE) * total.max())


def deal(scores: np.ndarray, n_classes: int) -> np.ndarray:
    """Deal particles to classes of equal size: halved along the first mode, each part along the next.

    Parameters
    ----------
    scores : float (n, modes)
        At least log2(K) modes.

    Returns
    -------
    int64 (n,), classes from 0
    """
    dealt = np.zeros(len(scores), np.int64)
    if n_classes == 1:
        return dealt
    first = n_classes // 2
    order = np.argsort(scores[:, 0], kind="stable")
    cut = round(len(scores) * first / n_classes)
    low, high = order[:cut], order[cut:]
    dealt[low] = deal(scores[low, 1:], first)
    dealt[high] = first + deal(scores[high, 1:], n_classes - first)
    return dealt


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sum(a.real * b.real + a.imag * b.imag, axis=1, dtype=np.float64)


def _unit(images: np.ndarray) -> np.ndarray:
    length = np.sqrt(_dot(images, images)).astype(np.float32)[:, None]
    return images / np.maximum(length, 1e-12)


def _without(known: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """Take orthonormal images out of others, particle by particle."""
    for image in known:
        images = images - image * _dot(image, images).astype(np.float32)[:, None]
    return images


def _scores(residual: np.ndarray, images: np.ndarray) -> np.ndarray:
    return _dot(images, residual) / np.maximum(_dot(images, images), 1e-30)
