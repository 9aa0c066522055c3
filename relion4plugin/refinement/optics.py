"""Per-optics-group corrections of the images: aberrations, detector MTF, premultiplied CTF."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.particles import OpticsGroup, ParticleSet
from relion4plugin.files.star import read_star
from relion4plugin.imaging.aberrations import antisymmetric_phase, demodulate, mtf_at, symmetric_phase
from relion4plugin.refinement.pixels import PixelList

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpticsModel:
    """Factors by optics group; `modulation` multiplies the transform of an image."""

    index: np.ndarray  # int32 (n_particles,), group of each particle
    premultiplied: np.ndarray  # bool (n_groups,)
    modulation: np.ndarray | None  # complex64 (n_groups, P); None where no group has any
    extra_phase: np.ndarray  # float64 (n_groups, P), rad added to the CTF's phase
    has_extra_phase: bool

    @classmethod
    def of(cls, particles: ParticleSet, pixels: PixelList) -> "OpticsModel":
        """Collect the optics of a particle set.

        Raises
        ------
        UserError
            If groups differ in box or pixel size, or carry an anisotropic magnification.
        """
        first = particles.optics[0]
        for group in particles.optics[1:]:
            if group.image_size != first.image_size or abs(group.pixel_size - first.pixel_size) > 1e-4 * first.pixel_size:
                raise UserError(
                    f"{particles.source}: optics group {group.number} has {group.image_size} px of {group.pixel_size:g} A, group "
                    f"{first.number} has {first.image_size} px of {first.pixel_size:g} A; 2D classification needs one box and "
                    "pixel size: re-extract or rescale the particles to the same"
                )
        for group in particles.optics:
            if np.abs(np.asarray(group.mag_matrix) - (1, 0, 0, 1)).max() > 1e-6:
                raise UserError(
                    f"{particles.source}: optics group {group.number} has an anisotropic magnification matrix, which 2D "
                    "classification does not apply; remove the rlnMagMat columns if it is negligible, or re-extract corrected particles"
                )
        modulation = np.stack([_modulation(g, particles.source, pixels) for g in particles.optics])
        extra = np.stack([_symmetric_phase(g, pixels) for g in particles.optics])
        trivial = bool(np.allclose(modulation, 1.0, atol=1e-7))
        return cls(
            np.asarray(particles.optics_index, np.int32),
            np.array([g.ctf_premultiplied for g in particles.optics]),
            None if trivial else modulation.astype(np.complex64),
            extra,
            bool(np.any(extra)),
        )


def _frequencies(group: OpticsGroup, pixels: PixelList) -> tuple[np.ndarray, np.ndarray]:
    scale = 1.0 / (pixels.box * group.pixel_size)
    return pixels.kx.astype(np.float64) * scale, pixels.ky.astype(np.float64) * scale


def _symmetric_phase(group: OpticsGroup, pixels: PixelList) -> np.ndarray:
    if not any(group.even_zernike):
        return np.zeros(len(pixels.flat))
    return np.asarray(symmetric_phase(*_frequencies(group, pixels), group.even_zernike), np.float64)


def _modulation(group: OpticsGroup, source: Path, pixels: PixelList) -> np.ndarray:
    """Undo the antisymmetric aberrations' phase and the detector's MTF (where its curve is at hand)."""
    fx, fy = _frequencies(group, pixels)
    phase = antisymmetric_phase(
        fx,
        fy,
        beam_tilt_mrad=(group.beam_tilt_x, group.beam_tilt_y),
        odd_zernike=group.odd_zernike,
        voltage=group.voltage,
        spherical_aberration=group.spherical_aberration,
    )
    factor = demodulate(np.ones(len(fx), np.complex64), phase)
    if not group.mtf_file:
        return factor
    path = next((p for p in (Path(group.mtf_file), source.parent / group.mtf_file) if p.is_file()), None)
    if path is None:
        _log.warning(
            "%s: %s of optics group %d is not there; images are not corrected for the detector", source, group.mtf_file, group.number
        )
        return factor
    return factor / mtf_at(fx, fy, _read_mtf(path), group.original_pixel_size or group.pixel_size)


def _read_mtf(path: Path) -> np.ndarray:
    """Read a detector curve as (frequency in 1/px of the detector, MTF), float64 (m, 2)."""
    wanted = ["rlnResolutionInversePixel", "rlnMtfValue"]
    for block in read_star(path).values():
        if not isinstance(block, dict) and set(wanted) <= set(block.columns):
            return block[wanted].to_numpy(float)
    raise UserError(f"{path}: expected columns rlnResolutionInversePixel and rlnMtfValue of a detector MTF; correct rlnMtfFileName")
