"""The three-dimensional density that is projected: from atoms or from a map."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.simulation.spec import MAP_SUFFIXES, SimulationSpec
from relion4plugin.simulation.structure import Atoms, pseudo_protein, read_structure

ICE_SCATTERING = 0.0955  # A of electron scattering length per A^3 of vitreous ice: 0.0314 molecules of f(H2O) = 3.04 A
# Volumes in A^3 of ice that an atom displaces (Fraser, MacRae & Suzuki 1978); others as DISPLACED_DEFAULT.
DISPLACED = {1: 5.15, 6: 16.44, 7: 2.49, 8: 9.13, 12: 17.16, 15: 5.73, 16: 19.86, 20: 31.89, 26: 7.99, 30: 9.85}
DISPLACED_DEFAULT = 10.0
ATOMS_AT_ONCE = 100_000  # deposited together: 64 grid points each
RIM = 0.05  # of the resolution limit, width of its soft edge


@dataclass(frozen=True)
class Density:
    """A density with its centre of mass at the centre N/2 of the box."""

    volume: np.ndarray  # float32 (N, N, N): z, y, x; protein positive
    diameter: float  # A, of the sphere about the centre that holds it


def make_density(spec: SimulationSpec) -> Density:
    """Make the density that `spec` asks for, sampled at its pixel size in its box.

    Raises
    ------
    UserError
        If the source cannot be read or does not fit into the box.
    """
    if spec.source.lower().endswith(MAP_SUFFIXES):
        found = read_map(spec.source)
        diameter = found.diameter
        check_fit(spec.source, diameter, spec.box_angst)
        volume = found.resampled(spec.box_size, spec.pixel_size)
    else:
        atoms = read_structure(spec.source) if spec.pseudo_seed is None else pseudo_protein(spec.pseudo_seed)
        diameter = atoms.diameter
        check_fit(spec.source, diameter, spec.box_angst)
        volume = density_of_atoms(atoms, spec.box_size, spec.pixel_size)
    volume = shape_spectrum(volume, spec.pixel_size, spec.resolution, spec.bfactor)
    return Density(volume, spec.diameter or min(diameter, spec.box_angst))


def check_fit(source: str, diameter: float, box_angst: float) -> None:
    """Check that a particle of `diameter` fits a box of `box_angst`, both in A.

    Raises
    ------
    UserError
        If it does not.
    """
    if diameter > box_angst:
        raise UserError(f"simulation: {source} is {diameter:.0f} A across but the box is {box_angst:.0f} A; raise box_size or pixel_size")


def density_of_atoms(atoms: Atoms, box_size: int, pixel_size: float) -> np.ndarray:
    """Electron scattering density of atoms in ice, up to the Nyquist frequency.

    Each element's atoms are spread on a finer grid with a cubic B-spline, whose transform is divided out, and multiplied in
    Fourier space by the element's form factor minus that of the ice it displaces.

    Parameters
    ----------
    atoms : Atoms
        Atoms that lie inside the box.
    box_size : int
        Edge N of the result, px, even.
    pixel_size : float
        A per px.

    Returns
    -------
    numpy.ndarray
        float32 (N, N, N), z y x, scattering length in A per voxel; the origin of the atoms is at voxel N/2.
    """
    fine = 2 * box_size if box_size <= 160 else 2 * -(-3 * box_size // 4)  # memory decides above 160
    grid = atoms.positions / (pixel_size * box_size / fine) + fine / 2
    frequency2 = _frequency2(box_size, pixel_size)
    total = np.zeros(frequency2.shape, np.complex64)
    for number in np.unique(atoms.numbers):
        total += _crop(scipy.fft.rfftn(_spread(grid[atoms.numbers == number], fine)), box_size) * _form_factor(int(number), frequency2)
    kernel = np.sinc(scipy.fft.fftfreq(box_size, 1.0 / box_size) / fine) ** 4
    total /= (kernel[:, None, None] * kernel[None, :, None] * kernel[: box_size // 2 + 1]).astype(np.float32)
    return scipy.fft.irfftn(total, s=(box_size,) * 3).astype(np.float32)


def _form_factor(number: int, frequency2: np.ndarray) -> np.ndarray:
    """Electron form factor (International Tables C 4.3.2.2) minus displaced ice; A, float32 like frequency2 (1/A^2)."""
    import gemmi

    table = gemmi.Element(number).c4322
    values = sum(a * np.exp(-b / 4.0 * frequency2) for a, b in zip(table.a, table.b, strict=True))
    displaced = DISPLACED.get(number, DISPLACED_DEFAULT)
    return (values - ICE_SCATTERING * displaced * np.exp(-np.pi * displaced ** (2.0 / 3.0) * frequency2)).astype(np.float32)


def _spread(grid: np.ndarray, size: int) -> np.ndarray:
    """Deposit unit points at grid coordinates (n, 3) x y z with cubic B-spline weights; float32 (size, size, size)."""
    flat = np.zeros(size**3, np.float32)
    for start in range(0, len(grid), ATOMS_AT_ONCE):
        block = grid[start : start + ATOMS_AT_ONCE]
        cell = np.floor(block)
        t = (block - cell)[..., None]
        weights = np.concatenate(((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3), axis=-1) / 6.0
        index = (cell.astype(np.int64)[..., None] + np.arange(-1, 3)) % size
        x, y, z = (index[:, axis] for axis in range(3))
        places = (z[:, :, None, None] * size + y[:, None, :, None]) * size + x[:, None, None, :]
        parts = weights[:, 2, :, None, None] * weights[:, 1, None, :, None] * weights[:, 0, None, None, :]
        np.add.at(flat, places.reshape(-1), parts.reshape(-1).astype(np.float32))
    return flat.reshape(size, size, size)


def _crop(half: np.ndarray, size: int) -> np.ndarray:
    """Low frequencies of a 3D half transform, as the half transform of a grid of `size`."""
    rows = np.r_[0 : size // 2, half.shape[0] - size // 2 : half.shape[0]]
    return half[np.ix_(rows, rows, np.arange(size // 2 + 1))]


def _frequency2(size: int, pixel_size: float) -> np.ndarray:
    """Squared spatial frequency of a 3D half transform, 1/A^2, float32."""
    f = scipy.fft.fftfreq(size, pixel_size)
    return (f[:, None, None] ** 2 + f[None, :, None] ** 2 + f[: size // 2 + 1] ** 2).astype(np.float32)


def shape_spectrum(volume: np.ndarray, pixel_size: float, resolution: float, bfactor: float) -> np.ndarray:
    """Low-pass with a soft edge and apply a B-factor.

    Parameters
    ----------
    volume : numpy.ndarray
        float32 (N, N, N).
    pixel_size : float
        A per px.
    resolution : float
        Limit in A; Nyquist at most, 0 for Nyquist.
    bfactor : float
        A^2.

    Returns
    -------
    numpy.ndarray
        float32 (N, N, N).
    """
    size = volume.shape[0]
    limit = 1.0 / max(resolution, 2.0 * pixel_size)
    frequency2 = _frequency2(size, pixel_size)
    edge = np.clip((limit - np.sqrt(frequency2)) / (RIM * limit), 0.0, 1.0)
    gain = (0.5 - 0.5 * np.cos(np.pi * edge)) * np.exp(-bfactor / 4.0 * frequency2)
    return scipy.fft.irfftn(scipy.fft.rfftn(volume) * gain.astype(np.float32), s=(size,) * 3).astype(np.float32)


@dataclass(frozen=True)
class SourceMap:
    """A map from a file, without its background."""

    volume: np.ndarray  # float32 (n, n, n): z, y, x
    pixel_size: float  # A per px
    centre: np.ndarray  # float64 (3,): z, y, x of the centre of mass from the centre of the map, px
    diameter: float  # A, of the sphere about the centre of mass that holds 99 % of the mass

    def resampled(self, box_size: int, pixel_size: float) -> np.ndarray:
        """Density float32 (N, N, N) in another box and pixel size (A), its centre of mass at voxel N/2."""
        volume = self.volume
        for i in range(3):
            matrix = resampling_matrix(len(self.volume), self.pixel_size, box_size, pixel_size, self.centre[i])
            volume = np.moveaxis(np.tensordot(matrix, volume, axes=(1, i)), 0, i)
        return np.ascontiguousarray(volume)


def read_map(source: str) -> SourceMap:
    """Read a map to simulate from, less its background: the median outside the inscribed sphere.

    Raises
    ------
    UserError
        If it is not a cube, has no pixel size or shows nothing.
    """
    volume, pixel_size = read_mrc(Path(source))
    if volume.ndim != 3 or len(set(volume.shape)) != 1:
        raise UserError(f"{Path(source).name}: the map is {volume.shape} voxels but must be a cube; pad it")
    if pixel_size <= 0:
        raise UserError(f"{Path(source).name}: the header has no pixel size, expected A per voxel in the cell length; set it")
    size = volume.shape[0]
    axis = np.arange(size, dtype=np.float32) - size // 2
    radius2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2
    volume = volume - np.median(volume[radius2 > (0.45 * size) ** 2])
    mass = np.where(volume > 0.1 * volume.max(), volume, 0.0).astype(np.float64)
    if not (np.isfinite(volume).all() and mass.sum() > 0):
        raise UserError(f"{Path(source).name}: no density above the background, or values that are not numbers; give another map")
    others = ((1, 2), (0, 2), (0, 1))
    centre = np.array([(mass.sum(axis=others[i]) * axis).sum() / mass.sum() for i in range(3)])
    away = (axis[:, None, None] - centre[0]) ** 2 + (axis[None, :, None] - centre[1]) ** 2 + (axis - centre[2]) ** 2
    order = np.argsort(away, axis=None)
    inside = np.searchsorted(np.cumsum(mass.reshape(-1)[order]), 0.99 * mass.sum())
    diameter = 2.0 * pixel_size * float(np.sqrt(away.reshape(-1)[order[inside]]))
    return SourceMap(volume, pixel_size, centre, diameter)


def resampling_matrix(size: int, pixel_size: float, new_size: int, new_pixel_size: float, centre: float) -> np.ndarray:
    """Trigonometric interpolation along one axis, low-passed at the coarser Nyquist frequency.

    Parameters
    ----------
    size, pixel_size : int, float
        Samples and A per sample of the input, whose centre is sample size // 2.
    new_size, new_pixel_size : int, float
        The same of the output.
    centre : float
        Input position (samples from its centre) that comes to the centre of the output.

    Returns
    -------
    numpy.ndarray
        float32 (new_size, size); rows for points outside the input are zero.
    """
    points = (np.arange(new_size) - new_size // 2) * (new_pixel_size / pixel_size) + centre
    distance = points[:, None] - (np.arange(size) - size // 2)
    highest = int(min((size - 1) // 2, np.ceil(size * pixel_size / (2.0 * new_pixel_size)) - 1))
    waves = np.arange(1, highest + 1)
    matrix = np.stack([(1.0 + 2.0 * np.cos(2.0 * np.pi / size * np.outer(row, waves)).sum(axis=1)) / size for row in distance])
    matrix[np.abs(points) > size / 2] = 0.0
    return matrix.astype(np.float32)
