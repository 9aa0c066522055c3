"""Reconstruction from known poses against relion_reconstruct."""

import subprocess

import mrcfile
import numpy as np
import pytest

from relion4plugin.files.mrc import read_mrc
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.imaging.filters import fsc
from relion4plugin.imaging.fourier import image_to_half
from relion4plugin.refinement.em import reconstruct
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.symmetrise import make_hermitian, symmetrise
from relion4plugin.refinement.volume_slices import insert_slices
from tests.refinement.gaussian_volumes import CENTRES, HEIGHTS
from tests.refinement.simulated import PIXEL, blob_image, write_tables

BOX, N = 32, 400


@pytest.mark.relion
@pytest.mark.parametrize("group", ["C1", "D2", "T"])
def test_same_map_as_relion_reconstruct(tmp_path, rng, group):
    operators = point_group(group)
    centres, heights = np.concatenate([1.5 * CENTRES @ a.T for a in operators]), np.tile(HEIGHTS, len(operators))
    rot, tilt, psi = rng.uniform(0, 360, N), np.rad2deg(np.arccos(rng.uniform(-1, 1, N))), rng.uniform(0, 360, N)
    matrices = euler_to_matrix(rot, tilt, psi)
    images = np.stack([blob_image(BOX, (centres @ a.T)[:, :2], heights, 1.5) for a in matrices])
    images = (images + 2.0 * rng.normal(size=images.shape)).astype(np.float32)
    with mrcfile.new(tmp_path / "particles.mrcs", data=images) as mrc:
        mrc.voxel_size = PIXEL
    write_tables(
        tmp_path / "particles.star", N, BOX, np.zeros(N, int), np.full(N, 10000.0), rlnAngleRot=rot, rlnAngleTilt=tilt, rlnAnglePsi=psi
    )
    subprocess.run(
        ["relion_reconstruct", "--i", "particles.star", "--o", "theirs.mrc", "--sym", group, "--pad", "2", "--skip_gridding"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    theirs, _ = read_mrc(tmp_path / "theirs.mrc")

    pixels, grid = PixelList.of(BOX), PaddedGrid(BOX, 2, 3)
    count = pixels.count(BOX)
    values = image_to_half(images).reshape(N, -1)[:, pixels.flat[:count]]
    data, weight = np.zeros(grid.shape, np.complex64), np.zeros(grid.shape, np.float32)
    insert_slices(data, weight, values, np.ones(values.shape), matrices, pixels.kx[:count], pixels.ky[:count], 2, BOX // 2)
    make_hermitian(data)
    make_hermitian(weight)
    symmetrise(data, weight, grid, BOX // 2, operators)
    ours = reconstruct(data, weight, grid, BOX)
    curve = fsc(ours, theirs)
    assert curve[1 : BOX // 2 - 1].min() > 0.99, curve
    inside = np.hypot(*np.meshgrid(*(np.arange(BOX) - BOX // 2,) * 2)) < 10
    scale = (ours[:, inside] * theirs[:, inside]).sum() / (theirs[:, inside] ** 2).sum()
    assert scale == pytest.approx(1.0, abs=0.05)
