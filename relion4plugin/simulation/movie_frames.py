"""The frames of a movie: motion, damage, dose and camera."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft

from relion4plugin.simulation.movie_damage import DamageModes, damage_modes
from relion4plugin.simulation.movie_detector import Camera
from relion4plugin.simulation.movie_field import Field
from relion4plugin.simulation.movie_plan import MoviePlan, stream
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movie_warp import node_points, spline_gain, warp

SHOTS = 20  # random stream of a movie
DARKEST = 0.02  # of the dose: contrast of thick objects is beyond the weak-phase approximation


@dataclass(frozen=True)
class FrameMaker:
    """Makes the frames of one movie, each at a time."""

    spec: MovieSpec
    plan: MoviePlan
    camera: Camera
    fields: np.ndarray  # float32 (R+1, H, W): B-spline coefficients of the lasting intensity and of R fading parts
    weights: np.ndarray  # float32 (F, R)
    margin: int

    def expected(self, frame: int) -> np.ndarray:
        """Return the expected number of electrons in each pixel of a frame (from 0), float32 (height, width)."""
        rows, columns = self.fields.shape[1:]
        weights = np.concatenate([np.ones(1, np.float32), self.weights[frame]])
        coefficients = (weights @ self.fields.reshape(len(self.fields), -1)).reshape(rows, columns)
        nodes, lattice = node_points(self.spec.height, self.spec.width)
        origins = self.plan.motion.origins(frame, nodes) + self.margin
        seen = warp(coefficients, origins.reshape(*lattice, 2), self.spec.height, self.spec.width)
        np.maximum(seen, np.float32(DARKEST), out=seen)
        seen *= np.float32(self.spec.dose_per_frame * self.spec.file_pixel_size**2)
        return seen

    def count(self, frame: int, part: int = 0, parts: int = 1) -> np.ndarray:
        """Count a frame (from 0), or the hardware frame `part` of `parts` that it consists of: uint8 or uint16 (height, width)."""
        return self._counted(self.expected(frame), frame, part, parts)

    def frames(self, parts: int = 1) -> Iterator[np.ndarray]:
        """Count one frame after the other, or `parts` hardware frames for each."""
        for frame in range(self.spec.n_frames):
            expected = self.expected(frame)
            for part in range(parts):
                yield self._counted(expected, frame, part, parts)

    def _counted(self, expected: np.ndarray, frame: int, part: int, parts: int) -> np.ndarray:
        rng = stream(self.spec, self.plan.index, SHOTS, frame, part)
        return self.camera.count(expected / np.float32(parts) if parts > 1 else expected, rng, 1.0 / parts)


def prepare_frames(spec: MovieSpec, plan: MoviePlan, field: Field, camera: Camera) -> FrameMaker:
    """Prepare the frames of a movie: real fields from the transforms of its specimen.

    Parameters
    ----------
    spec : MovieSpec
        A valid spec.
    plan : MoviePlan
        Truth of the movie.
    field : Field
        Its specimen.
    camera : Camera
        Of the session.

    Returns
    -------
    FrameMaker
    """
    height, width = field.shape
    fy, fx = scipy.fft.fftfreq(height), scipy.fft.rfftfreq(width)
    radius = np.sqrt((fy[:, None] ** 2 + fx**2).astype(np.float32)) / np.float32(spec.file_pixel_size)
    modes = damage_modes(spec.n_frames, spec.dose_per_frame, spec.voltage, float(radius.max()), spec.damage)
    response = spline_gain(fy, fx)
    if spec.mtf_nyquist < 1:
        response *= modulation(radius, spec)
    fields = np.empty((1 + len(modes.filters), height, width), np.float32)
    fields[0] = scipy.fft.irfft2(field.lasting * response, s=(height, width))
    fields[0] += 1.0
    for mode in range(len(modes.filters)):
        fields[mode + 1] = scipy.fft.irfft2(field.fragile * _filter(modes, mode, radius, response), s=(height, width))
    fields *= field.transmission
    return FrameMaker(spec, plan, camera, fields, modes.weights, field.margin)


def _filter(modes: DamageModes, mode: int, radius: np.ndarray, response: np.ndarray) -> np.ndarray:
    return modes.filter(mode, radius) * response


def modulation(frequency: np.ndarray, spec: MovieSpec) -> np.ndarray:
    """Modulation transfer of the camera at frequencies in 1/A: a Gaussian that is `mtf_nyquist` at that of the physical pixels."""
    relative = frequency * np.float32(2.0 * spec.pixel_size)
    return np.asarray(np.float32(spec.mtf_nyquist) ** (relative * relative), dtype=np.float32)
