"""The density: atoms against a direct Fourier sum, maps against what they were made from."""

import gemmi
import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_volume
from relion4plugin.simulation.density import density_of_atoms, make_density, resampling_matrix
from relion4plugin.simulation.spec import SimulationSpec
from relion4plugin.simulation.structure import Atoms, centred, pseudo_protein, read_structure

PDB = """\
ATOM      1  CA  ALA A   1      10.000  20.000  30.000  1.00 10.00           C
ATOM      2  N   ALA A   1      14.000  20.000  30.000  1.00 10.00           N
ATOM      3  H   ALA A   1      15.000  20.000  30.000  1.00 10.00           H
HETATM    4  O   HOH A 101      90.000  90.000  90.000  1.00 10.00           O
END
"""


def centre_of_mass(volume: np.ndarray) -> np.ndarray:
    axis = np.arange(volume.shape[0]) - volume.shape[0] // 2
    positive = np.where(volume > 0.1 * volume.max(), volume, 0)
    return np.array([(positive.sum(axis=others) * axis).sum() for others in ((1, 2), (0, 2), (0, 1))]) / positive.sum()


def test_density_is_the_direct_fourier_sum_of_the_atoms() -> None:
    rng = np.random.default_rng(1)
    positions = rng.uniform(-12, 12, (6, 3))
    numbers = np.array([6, 6, 7, 8, 16, 15])
    size, pixel = 24, 2.0
    volume = density_of_atoms(Atoms(positions, numbers), size, pixel)
    displaced = {6: 16.44, 7: 2.49, 8: 9.13, 16: 19.86, 15: 5.73}
    for k in [(0, 0, 0), (1, 0, 0), (0, -3, 2), (4, 5, -6), (9, 1, 0)]:
        q = np.array(k) / (size * pixel)
        q2 = float(q @ q)
        expected = 0.0
        for position, number in zip(positions, numbers, strict=True):
            table = gemmi.Element(int(number)).c4322
            factor = sum(a * np.exp(-b * q2 / 4) for a, b in zip(table.a, table.b, strict=True))
            factor -= 0.0955 * displaced[int(number)] * np.exp(-np.pi * displaced[int(number)] ** (2 / 3) * q2)
            expected += factor * np.exp(-2j * np.pi * (q @ position))
        axis = (np.arange(size) - size // 2) * pixel
        waves = [np.exp(-2j * np.pi * q[i] * axis) for i in range(3)]
        found = np.einsum("zyx,z,y,x", volume, waves[2], waves[1], waves[0])
        assert abs(found - expected) < 0.01 * np.abs(expected) + 0.01


def test_structure_file_without_water_and_hydrogen_about_its_centre(tmp_path) -> None:
    path = tmp_path / "two.pdb"
    path.write_text(PDB)
    atoms = read_structure(str(path))
    assert atoms.numbers.tolist() == [6, 7]
    assert np.allclose(atoms.positions, [[-4 * 7 / 13, 0, 0], [4 * 6 / 13, 0, 0]])
    assert atoms.diameter == pytest.approx(8 * 7 / 13)


@pytest.mark.parametrize("text", ["", "not a structure\n", "\n".join(line for line in PDB.splitlines() if "HOH" in line)])
def test_structure_file_without_atoms_is_refused(tmp_path, text: str) -> None:
    path = tmp_path / "empty.pdb"
    path.write_text(text)
    with pytest.raises(UserError, match=r"empty\.pdb"):
        read_structure(str(path))


def test_pseudo_protein_is_reproducible_compact_and_of_the_announced_size() -> None:
    first, again, other = pseudo_protein(0), pseudo_protein(0), pseudo_protein(1)
    assert np.array_equal(first.positions, again.positions)
    assert first.positions.shape != other.positions.shape or not np.allclose(first.positions, other.positions)
    for atoms in (first, other):
        spread = np.sqrt((atoms.positions**2).sum(axis=1))
        assert 120 < atoms.diameter < 230
        assert np.abs(np.average(atoms.positions, axis=0, weights=atoms.numbers)).max() < 1e-9
        assert np.median(spread) > 0.3 * spread.max()


def test_structure_larger_than_the_box_is_refused() -> None:
    with pytest.raises(UserError, match="raise box_size or pixel_size"):
        make_density(SimulationSpec(box_size=32, pixel_size=3.0))


def test_resampling_reproduces_band_limited_waves() -> None:
    n, new = 40, 24
    matrix = resampling_matrix(n, 1.5, new, 2.1, 3.25)
    position = np.arange(n) - n // 2
    points = (np.arange(new) - new // 2) * 2.1 / 1.5 + 3.25
    for k in (0, 1, 5, 13):  # 13 / 60 A is still below the new Nyquist frequency of 1 / 4.2 A
        assert np.allclose(matrix @ np.cos(2 * np.pi * k * position / n + 0.3), np.cos(2 * np.pi * k * points / n + 0.3), atol=1e-4)
    assert np.abs(matrix @ np.cos(2 * np.pi * 17 * position / n)).max() < 1e-4  # above it: removed


def test_map_source_gives_the_density_it_was_made_from(tmp_path) -> None:
    spec = SimulationSpec(box_size=48, pixel_size=5.0, bfactor=0.0)
    want = make_density(spec)
    atoms = pseudo_protein(0)
    moved = Atoms(atoms.positions + np.array([10.0, -7.0, 4.0]), atoms.numbers)
    path = tmp_path / "map.mrc"
    write_volume(path, density_of_atoms(moved, 80, 3.5) + 5.0, 3.5)
    found = make_density(SimulationSpec(source=str(path), box_size=48, pixel_size=5.0, bfactor=0.0))
    assert np.abs(centre_of_mass(found.volume)).max() < 0.4
    assert abs(np.median(found.volume)) < 0.02 * found.volume.max()
    assert found.diameter == pytest.approx(want.diameter, rel=0.25)
    shift = np.fft.fftn(found.volume) * np.fft.fftn(want.volume).conj()
    peak = np.fft.ifftn(shift).real.max() / np.sqrt((found.volume**2).sum() * (want.volume**2).sum())
    assert peak > 0.97


def test_map_without_pixel_size_or_contrast_is_refused(tmp_path) -> None:
    flat, unknown = tmp_path / "flat.mrc", tmp_path / "unknown.mrc"
    write_volume(flat, np.zeros((16, 16, 16), np.float32), 3.0)
    write_volume(unknown, np.random.default_rng(0).normal(size=(16, 16, 16)), 0.0)
    for path, reason in ((flat, "no density"), (unknown, "no pixel size")):
        with pytest.raises(UserError, match=reason):
            make_density(SimulationSpec(source=str(path)))


def test_low_pass_removes_what_lies_beyond_the_resolution() -> None:
    spec = SimulationSpec(box_size=48, pixel_size=5.0, resolution=20.0)
    power = np.abs(np.fft.fftn(make_density(spec).volume)) ** 2
    k = np.fft.fftfreq(48, 5.0)
    frequency = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    assert power[frequency > 1.001 / 20].max() < 1e-6 * power.max()
    assert power[(frequency > 0.8 / 20) & (frequency < 0.9 / 20)].mean() > 1e-5 * power.max()


def test_centred_uses_the_atomic_numbers() -> None:
    atoms = centred(np.array([[0.0, 0, 0], [3.0, 0, 0]]), np.array([1, 2]))
    assert np.allclose(atoms.positions[:, 0], [-2, 1])
