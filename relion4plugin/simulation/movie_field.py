"""The specimen of a movie as the microscope would show it without noise, motion or damage."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft

from relion4plugin.imaging.ctf import CtfParameters, evaluate_ctf, wavelength
from relion4plugin.imaging.fourier import half_to_image, pad_half
from relion4plugin.simulation.contaminants import place_phases
from relion4plugin.simulation.mixture_maps import MixtureMaps
from relion4plugin.simulation.movie_background import CARBON_STEP, draw_contaminants, make_film, structure_power
from relion4plugin.simulation.movie_plan import MoviePlan, stream
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.projector import Projector

PATCHES_AT_ONCE = 64
ROWS_AT_ONCE = 128  # of a transform, for its CTF
REST_ENERGY = 510.99895  # keV, of an electron: fast ones scatter more by their total energy over it
CALIBRATION_VIEWS = 16
STRUCTURE, DRAWINGS = 10, 11  # random streams of a movie


@dataclass(frozen=True)
class Field:
    """Contrast of the specimen in a field that is larger than the frame by `margin` on each side."""

    fragile: np.ndarray  # complex64 (H, W//2+1), scipy's half transform: what radiation destroys
    lasting: np.ndarray  # complex64, the same: film and contaminants
    transmission: np.ndarray  # float32 (H, W)
    margin: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in px."""
        height, width = self.transmission.shape
        return height, width


@dataclass(frozen=True)
class Molecules3D:
    """Projectors of all densities of a session, with what junk is scaled by."""

    projectors: tuple[Projector, ...]
    upsampling: int
    contrast: float  # standard deviation of a particle's projection inside its disc, A per physical pixel
    mass: float  # its sum, A

    @property
    def box(self) -> int:
        """Edge of a patch in px of the file."""
        return self.projectors[0].box_size * self.upsampling

    def patches(self, volume: int, matrices: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        """Project one density.

        Parameters
        ----------
        volume : int
            Position in the maps.
        matrices : numpy.ndarray
            float (m, 3, 3).
        fractions : numpy.ndarray
            float (m, 2): x, y of the particle from the centre of its patch, px of the file.

        Returns
        -------
        numpy.ndarray
            float32 (m, B, B): scattering length in A per pixel of the file.
        """
        half = self.projectors[volume](matrices)
        if self.upsampling > 1:
            half = pad_half(half, self.box) / np.float32(self.upsampling**2)
        half *= place_phases(fractions, self.box)
        return np.asarray(half_to_image(half, self.box))


def prepare_molecules(spec: MovieSpec, maps: MixtureMaps) -> Molecules3D:
    """Prepare the projections of all densities."""
    projectors = tuple(Projector(volume) for volume in maps.volumes)
    n = projectors[0].box_size
    axis = np.arange(n) - n // 2
    disc = axis[:, None] ** 2 + axis**2 <= (maps.diameters[0] / spec.pixel_size / 2) ** 2
    turns = stream(spec, 0, 99).normal(size=(CALIBRATION_VIEWS, 3, 3))
    views = half_to_image(projectors[0](np.linalg.qr(turns)[0]), n)
    contrast = float(views[:, disc].std(axis=1).mean()) / (1 if not spec.super_resolution else 4)
    return Molecules3D(projectors, spec.upsampling, contrast, float(maps.volumes[0].sum(dtype=np.float64)))


def make_field(spec: MovieSpec, plan: MoviePlan, molecules: Molecules3D) -> Field:
    """Make the contrast of a specimen, by the weak-phase approximation.

    Scattering length s per area gives a phase ``gamma lambda s`` and, seen through the CTF, a contrast of twice that; protein
    is dark in underfocus. The specimen is cut into layers of equal defocus, each with its own CTF.

    Parameters
    ----------
    spec : MovieSpec
        A valid spec.
    plan : MoviePlan
        Truth of the movie.
    molecules : Molecules3D
        Of the session.

    Returns
    -------
    Field
    """
    shape = tuple(scipy.fft.next_fast_len(n + 2 * plan.margin, real=True) for n in (spec.height, spec.width))
    height, width = (n + n % 2 for n in shape)
    film = make_film(spec, plan, (height, width))
    strength = phase_per_length(spec)
    noise = stream(spec, plan.index, STRUCTURE).standard_normal((height, width), dtype=np.float32)
    noise *= film.roughness
    frequencies = _frequencies((height, width), spec.file_pixel_size)
    tint = _tint(spec, frequencies)
    drawn, absorbed = _drawings(spec, plan, molecules, (height, width))
    fragile = np.zeros((height, width // 2 + 1), np.complex64)
    lasting = np.zeros_like(fragile)
    for layer, share in _film_layers(plan, (height, width)):
        part = scipy.fft.rfft2(noise if share is None else noise * share)
        part *= tint
        if film.carbon is not None:
            step = np.float32(CARBON_STEP / strength) * film.carbon
            part += scipy.fft.rfft2(step if share is None else step * share)
        _add_layer(lasting, part, plan.ctf_of_layers(np.array([layer])), frequencies)
    for layer in np.unique(plan.layers[plan.molecules.owner]):
        projected = _projected_layer(plan, molecules, int(layer), (height, width))
        _add_layer(fragile, scipy.fft.rfft2(projected), plan.ctf_of_layers(np.array([layer])), frequencies)
    if drawn is not None:
        _add_layer(lasting, scipy.fft.rfft2(drawn), plan.ctf_of_layers(np.zeros(1)), frequencies)
        lasting += scipy.fft.rfft2(absorbed)
    for part in (fragile, lasting):
        part *= np.float32(-2.0 * strength)
    return Field(fragile, lasting, film.transmission, plan.margin)


def phase_per_length(spec: MovieSpec) -> float:
    """Phase in rad that one A of scattering length in one pixel of the file gives."""
    gamma = 1.0 + spec.voltage / REST_ENERGY
    return float(gamma * wavelength(spec.voltage) / spec.file_pixel_size**2)


def _frequencies(shape: tuple[int, int], pixel: float) -> tuple[np.ndarray, np.ndarray]:
    return scipy.fft.fftfreq(shape[0], pixel), scipy.fft.rfftfreq(shape[1], pixel)


def _tint(spec: MovieSpec, frequencies: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Amplitude of the structure of the film for white noise of unit variance: A per pixel of the file; float32."""
    fy, fx = frequencies
    power = structure_power((fy[:, None] ** 2 + fx**2).astype(np.float32), spec)
    return np.sqrt(power, dtype=np.float32) * np.float32(spec.file_pixel_size)


def _add_layer(total: np.ndarray, part: np.ndarray, ctf: CtfParameters, frequencies: tuple[np.ndarray, np.ndarray]) -> None:
    """Add one layer, seen through its CTF, to a transform."""
    fy, fx = frequencies
    for start in range(0, len(fy), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        y, x = np.broadcast_arrays(fy[rows, None], fx)
        total[rows] += part[rows] * evaluate_ctf(x.ravel(), y.ravel(), ctf).reshape(x.shape)


def _film_layers(plan: MoviePlan, shape: tuple[int, int]) -> Iterator[tuple[int, np.ndarray | None]]:
    """Layers of the film and the share (H, W) of each in every place; None: all of it."""
    if not plan.slope.any():
        yield 0, None
        return
    y, x = (np.arange(n) - plan.margin for n in shape)
    centre = np.array([plan.motion.width, plan.motion.height]) / 2
    height = (plan.slope[0] * (x - centre[0]) + plan.slope[1] * (y[:, None] - centre[1])).astype(np.float32)
    for layer in range(int(np.floor(height.min())), int(np.ceil(height.max())) + 1):
        yield layer, np.maximum(1.0 - np.abs(height - np.float32(layer)), 0.0)


def _projected_layer(plan: MoviePlan, molecules: Molecules3D, layer: int, shape: tuple[int, int]) -> np.ndarray:
    """Scattering length of the molecules of one layer, A per px; float32 (H, W)."""
    projected = np.zeros(shape, np.float32)
    shown = plan.molecules
    here = np.flatnonzero(plan.layers[shown.owner] == layer)
    places = plan.places[shown.owner[here]] + shown.places[here] + plan.margin
    corners = np.rint(places).astype(np.int64)
    for volume in np.unique(shown.volume[here]):
        chosen = np.flatnonzero(shown.volume[here] == volume)
        for start in range(0, len(chosen), PATCHES_AT_ONCE):
            some = chosen[start : start + PATCHES_AT_ONCE]
            rows = here[some]
            patches = molecules.patches(int(volume), shown.matrices[rows], places[some] - corners[some])
            patches *= shown.weight[rows].astype(np.float32)[:, None, None]
            for (x, y), patch in zip(corners[some], patches, strict=True):
                paste(projected, patch, int(x), int(y))
    return projected


def paste(field: np.ndarray, patch: np.ndarray, x: int, y: int) -> None:
    """Add a patch to a field so that its centre comes to column x of row y; what sticks out is cut off."""
    top, left = y - patch.shape[0] // 2, x - patch.shape[1] // 2
    rows = slice(max(0, top), min(field.shape[0], top + patch.shape[0]))
    columns = slice(max(0, left), min(field.shape[1], left + patch.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        field[rows, columns] += patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def _drawings(
    spec: MovieSpec, plan: MoviePlan, molecules: Molecules3D, shape: tuple[int, int]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Scattering length of drawn contaminants and what of it is absorbed, A per px; None where there are none."""
    found = draw_contaminants(spec, plan, molecules.contrast, molecules.mass, stream(spec, plan.index, DRAWINGS))
    if not found:
        return None, None
    drawn, absorbed = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for item, picture, share in found:
        x, y = np.rint(plan.places[item] + plan.margin).astype(np.int64)
        paste(drawn, picture, int(x), int(y))
        paste(absorbed, np.float32(share) * picture, int(x), int(y))
    return drawn, absorbed
