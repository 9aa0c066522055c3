"""The conventions against RELION's own programs: projection, shifts, CTF and aberrations."""

import subprocess

import mrcfile
import numpy as np
import pytest

from relion4plugin.geometry.euler import euler_to_matrix, matrix_to_euler, random_rotations
from relion4plugin.imaging.aberrations import antisymmetric_phase, symmetric_phase
from relion4plugin.imaging.ctf import CtfParameters, evaluate_ctf
from relion4plugin.imaging.filters import fsc
from relion4plugin.imaging.fourier import half_frequencies, half_to_image, image_to_half, shift_phases
from relion4plugin.imaging.projection import project_volume

pytestmark = pytest.mark.relion

BOX = 48
PIXEL = 2.0
PARTICLE_LABELS = "ImageName OpticsGroup AngleRot AngleTilt AnglePsi OriginXAngst OriginYAngst DefocusU DefocusV DefocusAngle"


@pytest.fixture
def volume(rng, tmp_path):
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    points = rng.uniform(-9, 9, (8, 3))
    density = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2 + (z - pz) ** 2) / 2.5) for px, py, pz in points).astype(np.float32)
    write_mrc(tmp_path / "map.mrc", density)
    return density


def write_mrc(path, data):
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(data.astype(np.float32))
        file.voxel_size = PIXEL


def write_star(path, angles, origins, defocus, **optics):
    labels = ["OpticsGroup", "OpticsGroupName", "Voltage", "SphericalAberration", "AmplitudeContrast", "ImagePixelSize", "ImageSize"]
    lines = ["data_optics", "", "loop_", *(f"_rln{label}" for label in [*labels, "ImageDimensionality", *optics])]
    lines += [" ".join(["1 og 300 2.7 0.1", str(PIXEL), str(BOX), "2", *optics.values()]), ""]
    lines += ["data_particles", "", "loop_", *(f"_rln{label}" for label in PARTICLE_LABELS.split())]
    for i, row in enumerate(np.column_stack([angles, origins, defocus])):
        lines.append(f"{i + 1}@images.mrcs 1 " + " ".join(f"{value:.6f}" for value in row))
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")


def ctf_parameters(defocus):
    constant = (np.full(len(defocus), value) for value in (300.0, 2.7, 0.1, 0.0, 0.0, 1.0))
    return CtfParameters(*defocus.T, *constant)


def frequencies():
    ky, kx = (k.ravel() for k in half_frequencies(BOX))
    return ky, kx, kx / (BOX * PIXEL), ky / (BOX * PIXEL)


def run(folder, *command):
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)


def zernike_text(coefficients):
    return "[" + ",".join(str(value) for value in coefficients) + "]"


@pytest.mark.parametrize("even", [(), (0.3, 40, -30, 20, 300, 0, 0, -200, 100)])
def test_projections_with_shifts_and_ctf(volume, tmp_path, even):
    angles = np.array([[30, 50, 70], [0, 0, 0], [10, 120, -40], [0, 0, 37], [200, 90, 5]], float)
    origins = np.array([[0, 0], [2, 0], [4, -3], [0, 1], [6.5, 2.2]], float)
    defocus = np.array([[15000, 12000, 0], [15000, 12000, 30], [9000, 12000, 100], [20000, 19000, -50], [8000, 8000, 0]], float)
    write_star(tmp_path / "p.star", angles, origins, defocus, **({"EvenZernike": zernike_text(even)} if even else {}))
    run(tmp_path, "relion_project", "--i", "map.mrc", "--o", "out", "--ang", "p.star", "--angpix", str(PIXEL), "--ctf")
    theirs = mrcfile.read(tmp_path / "out.mrcs")

    ky, kx, fx, fy = frequencies()
    half = image_to_half(project_volume(volume, euler_to_matrix(*angles.T))).reshape(len(angles), -1)
    # the origin is what must be applied to centre the image: the particle lies at its negative
    half *= shift_phases(ky, kx, -origins / PIXEL, BOX)
    half *= evaluate_ctf(fx, fy, ctf_parameters(defocus), extra_phase=symmetric_phase(fx, fy, even))
    ours = half_to_image(half.reshape(len(angles), BOX, -1), BOX)
    assert np.abs(ours - theirs).max() < 2e-3 * np.abs(theirs).max()


@pytest.mark.parametrize(("tilt", "odd"), [((6.0, -10.0), ()), ((0.0, 0.0), (2, -1, 150, -8, 6, 60))], ids=["beam tilt", "odd Zernike"])
def test_reconstruction_takes_the_antisymmetric_phase_out(volume, tmp_path, rng, tilt, odd):
    n = 120
    rotations = random_rotations(n, rng)
    defocus = np.tile([15000.0, 13000.0, 20.0], (n, 1))
    optics = {"OddZernike": zernike_text(odd)} if odd else {"BeamTiltX": str(tilt[0]), "BeamTiltY": str(tilt[1])}
    write_star(tmp_path / "p.star", np.stack(matrix_to_euler(rotations), axis=1), np.zeros((n, 2)), defocus, **optics)
    _, _, fx, fy = frequencies()
    phase = antisymmetric_phase(fx, fy, beam_tilt_mrad=tilt, odd_zernike=odd)
    half = image_to_half(project_volume(volume, rotations)).reshape(n, -1) * evaluate_ctf(fx, fy, ctf_parameters(defocus))

    def agreement(sign):
        seen = (half * np.exp(1j * sign * phase)).astype(np.complex64)
        write_mrc(tmp_path / "images.mrcs", half_to_image(seen.reshape(n, BOX, -1), BOX))
        run(tmp_path, "relion_reconstruct", "--i", "p.star", "--o", "out.mrc", "--ctf")
        return fsc(mrcfile.read(tmp_path / "out.mrc"), volume)[3:19]

    assert agreement(1).min() > 0.98
    assert agreement(-1).min() < 0.9
