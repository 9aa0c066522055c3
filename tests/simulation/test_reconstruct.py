"""The conventions against RELION itself: its back-projection of the simulated truth must be the simulated map."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star, write_star
from relion4plugin.imaging.filters import fsc
from relion4plugin.progress import Silent
from relion4plugin.simulation.particles import simulate
from relion4plugin.simulation.spec import SimulationSpec

PROGRAM = shutil.which("relion_reconstruct")
pytestmark = [pytest.mark.relion, pytest.mark.skipif(PROGRAM is None, reason="relion_reconstruct (RELION 3.1) is not on PATH")]

SPEC = SimulationSpec(n_particles=1500, box_size=64, pixel_size=3.54, snr=0.5, n_optics_groups=2, n_micrographs=8)


def reconstructed_fsc(folder: Path) -> np.ndarray:
    command = [str(PROGRAM), "--i", "truth.star", "--o", "reconstruction.mrc", "--ctf"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    return fsc(read_mrc(folder / "reconstruction.mrc")[0], read_mrc(folder / "map.mrc")[0])


def assert_is_the_map(curve: np.ndarray) -> None:
    assert curve[1:8].min() > 0.99
    assert curve[1 : 2 * 32 // 3 + 1].min() > 0.5


def test_pseudo_protein(tmp_path) -> None:
    simulate(SPEC, tmp_path, Silent())
    assert_is_the_map(reconstructed_fsc(tmp_path))


def test_real_structure(tmp_path, shared_data) -> None:
    simulate(replace(SPEC, source=str(shared_data / "models/6cvm_beta_galactosidase.pdb.gz")), tmp_path, Silent())
    assert_is_the_map(reconstructed_fsc(tmp_path))


@pytest.mark.parametrize("label", ["rlnAngleRot", "rlnAnglePsi", "rlnOriginXAngst", "rlnDefocusAngle"])
def test_a_wrong_sign_would_be_seen(tmp_path, label: str) -> None:
    strong = replace(SPEC, n_particles=600, snr=5.0, astigmatism=8000.0, defocus_min=15000.0, noise_colour=0.0)
    simulate(strong, tmp_path, Silent())
    right = reconstructed_fsc(tmp_path)
    tables = read_star(tmp_path / "truth.star")
    tables["particles"][label] *= -1
    write_star(tmp_path / "truth.star", tables)
    wrong = reconstructed_fsc(tmp_path)
    assert right[8:22].mean() > 0.9
    assert wrong[8:22].mean() < right[8:22].mean() - 0.15
