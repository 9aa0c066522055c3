"""Accuracy of alignment of classes for which the classification did not estimate it.

RELION's refinement writes 999 for classes with less than 1 % of the particles, and RELION's ranker makes up for it with the same
question for particles that need not belong to the class: at which turn or shift does a class average, seen through the CTF of a
particle, differ from itself by more than the noise?
"""

from dataclasses import replace

import numpy as np

from relion4plugin.imaging.ctf import CtfOptions, ctf_of_particles, evaluate_ctf
from relion4plugin.imaging.fourier import crop_half, half_to_image, image_to_half
from relion4plugin.ranker.class_run import ClassRun
from relion4plugin.refinement.accuracy import CONFIDENT
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.references import PaddedGrid, forward
from relion4plugin.refinement.slices import extract_slices, make_slice_plan

KNOWN_BELOW = 99.0  # deg or A; larger values stand for "not estimated"
FEW_PARTICLES = 100.0  # classes up to this size get constants
FEW_ACCURACIES = (5.0, 8.0)  # deg, px
TRIED = 101  # particles of which the accuracies are averaged
PADDING = 4
SMALLEST_NOISE = 1e-30
CHUNK = 1 << 20  # values of slices at a time: what stays near the processor


def _growing(steps: tuple[tuple[float, float], ...], last: float) -> np.ndarray:
    """Grow a value from 0 until it exceeds `last`, by the step of the first bound above it.

    Steps are summed as they come: 0.1 ten times is below 1, so the values behind it end in 0.1 as RELION's do.
    """
    values, value = [], 0.0
    while value <= last:
        value += next(step for step, bound in steps if value < bound)
        values.append(value)
    return np.array(values)


TURNS = _growing(((0.05, 0.2), (0.1, 1), (0.2, 2), (0.5, 5), (1, 10), (2, 20), (5, np.inf)), 30.0)  # deg
SHIFTS = _growing(((0.1, 1), (0.2, 2), (0.5, 5), (1, 10), (2, np.inf)), 10.0)  # px


def complete_accuracies(run: ClassRun, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the accuracies of classes, computed where the run did not estimate them.

    Parameters
    ----------
    run : ClassRun
    chosen : int (m,)
        0-based numbers of the classes.

    Returns
    -------
    rotation : float64 (m,)
        deg
    translation : float64 (m,)
        A where the run estimated it; px where computed, as RELION's ranker has it.

    Raises
    ------
    UserError
        If the particles have no CTF.
    """
    rotation, translation = run.accuracy_rotation[chosen].copy(), run.accuracy_translation[chosen].copy()
    unknown = (rotation > KNOWN_BELOW) | (translation > KNOWN_BELOW)
    few = unknown & (run.particles[chosen] <= FEW_PARTICLES)
    rotation[few], translation[few] = FEW_ACCURACIES
    computed = unknown & ~few
    if computed.any():
        rotation[computed], translation[computed] = expected_accuracies(run, chosen[computed])
    return rotation, translation


def expected_accuracies(run: ClassRun, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute how large a turn and shift the first 101 particles would tell.

    A change is told when ``sum |C F - C F'|^2 / (2 sigma^2)`` over half of the Fourier plane exceeds -ln 0.01, F being the class
    average low-passed to the current image size, F' the same after the change, C a particle's CTF (squared for premultiplied
    data). RELION draws the axis of each shift at random; this is the mean over its draws, so nothing depends on chance.

    The sum is taken in the frame of the class average: turning all particles back by their in-plane angles leaves one table of
    differences for all of them, and only the direction of their astigmatism and of their shifts depends on the angle.

    Returns
    -------
    rotation : float64 (m,)
        deg, 30.4 where no turn is told.
    translation : float64 (m,)
        px, 10.2 where no shift is told.
    """
    box = run.classes.shape[-1]
    size = min(run.current_size + run.current_size % 2, box)
    pixels = PixelList.of(size)
    psi = np.deg2rad(run.psi[:TRIED])
    weight = _weights(run, pixels)
    references = half_to_image(crop_half(image_to_half(run.classes[chosen]), size), size)
    turn_told, power = _turns_told(references, weight, pixels)
    shift_told = _shifts_told(power, weight, psi, pixels, box)
    # RELION divides the sum over 101 particles by 100
    excess = TRIED / (TRIED - 1)
    return _mean_first(turn_told, TURNS) * excess, _mean_first(shift_told, SHIFTS) * excess


def _weights(run: ClassRun, pixels: PixelList) -> np.ndarray:
    """C^2 / (2 sigma^2) of the first particles in the frame of the class average, float32 (101, P)."""
    particles = run.data.select(np.arange(min(TRIED, len(run.data))))
    ctf = ctf_of_particles(particles, np.arange(len(particles)))
    ctf = replace(ctf, defocus_angle=ctf.defocus_angle + particles.column("rlnAnglePsi"))
    scale = 1.0 / (run.classes.shape[-1] * run.pixel_size)
    values = evaluate_ctf(pixels.kx * scale, pixels.ky * scale, ctf, CtfOptions(intact_first_peak=run.ctf_until_first_peak))
    premultiplied = np.array([group.ctf_premultiplied for group in particles.optics])[particles.optics_index]
    values[premultiplied] **= 2
    inside = pixels.kx**2 + pixels.ky**2 <= (pixels.box // 2) ** 2
    noise = np.maximum(run.sigma2_noise[pixels.shell], SMALLEST_NOISE)
    return (values**2 * (inside / (2 * noise))).astype(np.float32)


def _turns_told(references: np.ndarray, weight: np.ndarray, pixels: PixelList) -> tuple[np.ndarray, np.ndarray]:
    """Whether each turn is told, 0 or 1 (m, particles, turns), and the power of the references (m, P); float32."""
    grid = PaddedGrid(pixels.box, PADDING)
    plan = make_slice_plan(np.concatenate([[0.0], TURNS[:-1]]), pixels, pixels.box, PADDING)
    told = np.empty((len(references), len(weight), len(TURNS) - 1), np.float32)
    power = np.empty((len(references), len(pixels.flat)), np.float32)
    step = max(1, CHUNK // max(plan.sign.size, grid.size**2))
    for first in range(0, len(references), step):
        rows = slice(first, first + step)
        slices = extract_slices(forward(references[rows], grid, corrected=True), plan, np)
        power[rows] = _squared(slices[:, 0])
        changes = _squared(slices[:, 1:] - slices[:, :1])
        told[rows] = (changes @ weight.T > CONFIDENT).swapaxes(1, 2)
    return told, power


def _squared(values: np.ndarray) -> np.ndarray:
    squared: np.ndarray = values.real**2 + values.imag**2
    return squared


def _shifts_told(power: np.ndarray, weight: np.ndarray, psi: np.ndarray, pixels: PixelList, box: int) -> np.ndarray:
    """Along how many of both axes of the particle's image each shift is told: 0, 1/2 or 1, float32 (m, particles, shifts)."""
    radians = (2 * np.pi / box * SHIFTS[:-1, None]).astype(np.float32)
    told = np.zeros((len(power), len(weight), len(SHIFTS) - 1), np.float32)
    for i, (c, s) in enumerate(np.stack([np.cos(psi), np.sin(psi)], axis=-1).astype(np.float32)):
        for axis in (c * pixels.kx + s * pixels.ky, c * pixels.ky - s * pixels.kx):
            moved = 2 - 2 * np.cos(radians * axis)  # |1 - exp(i a)|^2
            told[:, i] += 0.5 * (power @ (moved * weight[i]).T > CONFIDENT)
    return told


def _mean_first(told: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Mean over particles of the first change that is told (m,), each step being told with a probability.

    The last of `changes`, behind the last step, stands for none.
    """
    missed = np.cumprod(1.0 - told, axis=2, dtype=np.float64)
    # a change is reached where all before it were missed: the mean is the sum of its growth times that probability
    mean: np.ndarray = changes[0] + (missed @ np.diff(changes)).mean(axis=1)
    return mean
