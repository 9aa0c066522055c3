"""The pixels of a half transform as one list sorted by shell: every smaller image size is a prefix of it."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.imaging.fourier import centre_sign, half_frequencies, half_shells, half_unique


@dataclass(frozen=True)
class PixelList:
    """Unique half-transform pixels of an N x N image up to shell N/2, in ascending shell order."""

    box: int
    flat: np.ndarray  # int64 (P,), index into the flattened (N, N//2+1) half transform
    ky: np.ndarray  # float32 (P,)
    kx: np.ndarray  # float32 (P,)
    shell: np.ndarray  # int32 (P,)
    starts: np.ndarray  # int64 (N//2+2,), first pixel of each shell, then P
    scale: np.ndarray  # float32 (P,), turns values of a plain transform into the centred layout

    @classmethod
    def of(cls, box: int) -> "PixelList":
        """List the pixels of a box (px)."""
        ky, kx = half_frequencies(box)
        shells = half_shells(box)
        keep = np.flatnonzero((half_unique(box) & (shells <= box // 2)).ravel())
        shell = shells.ravel()[keep]
        order = np.argsort(shell, kind="stable")
        flat, shell = keep[order], shell[order]
        ky, kx = np.broadcast_to(ky, shells.shape).ravel()[flat], np.broadcast_to(kx, shells.shape).ravel()[flat]
        starts = np.searchsorted(shell, np.arange(box // 2 + 2))
        scale = centre_sign(box).ravel()[flat] / np.float32(box * box)
        return cls(box, flat, ky.astype(np.float32), kx.astype(np.float32), shell.astype(np.int32), starts, scale)

    def count(self, size: int) -> int:
        """Return the number of pixels with shell <= size / 2."""
        return int(self.starts[min(size // 2, self.box // 2) + 1])

    @property
    def per_shell(self) -> np.ndarray:
        """Number of unique pixels in each shell, int64 (N//2+1,)."""
        return np.diff(self.starts)


def shell_sums(values: np.ndarray, pixels: PixelList) -> np.ndarray:
    """Sum values (..., P) of pixels over shells to (..., N//2+1), float64."""
    if values.shape[-1] != len(pixels.flat):
        raise ValueError(f"expected {len(pixels.flat)} pixels, got {values.shape[-1]}")
    return np.add.reduceat(values, pixels.starts[:-1], axis=-1, dtype=np.float64)
