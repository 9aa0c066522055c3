"""Simulated stacks in 3D: belts, symmetry axes, the cache."""

import argparse
import dataclasses

import membranes
import numpy as np
import pytest
import scipy.ndimage
import stacks3d
from stacks3d import DEFINITIONS, StackDefinition

from relion4plugin.errors import UserError
from relion4plugin.files.particles import read_particles
from relion4plugin.files.star import read_star
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.imaging.volumes import symmetrise_volume


def test_membrane_is_found_where_the_hydrophobic_residues_are():
    """A rod of residues, hydrophobic over 26 A of its length, in a random direction."""
    rng = np.random.default_rng(0)
    axis = np.array([2.0, -1.0, 2.0]) / 3.0
    along = rng.uniform(-60, 60, 600)
    residues = along[:, None] * axis + 15.0 * rng.normal(size=(600, 3))
    names = ["LEU" if -5 < place < 21 else "LYS" for place in residues @ axis]
    found = membranes.find_membrane(residues, names)
    sign = np.sign(found.normal @ axis)
    assert sign * (found.normal @ axis) > np.cos(np.deg2rad(6))
    assert sign * found.height == pytest.approx(8.0, abs=4.0)


def test_belt_lies_about_the_protein_in_the_membrane():
    n, pixel = 48, 4.0
    axis = (np.arange(n) - n // 2) * pixel
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    protein = ((np.hypot(x, y) < 15.0) & (np.abs(z) < 60.0)).astype(np.float32)
    atoms = np.stack([a[protein > 0] for a in (x, y, z)], axis=-1)
    belt = membranes.detergent_belt(protein, atoms, membranes.Membrane(np.array([0.0, 0.0, 1.0]), 20.0, 1.0), pixel)
    ring = (np.hypot(x, y) > 22) & (np.hypot(x, y) < 28) & (np.abs(z - 20) < 8)
    inside, far = np.hypot(x, y) < 8, (np.abs(z - 20) > 30) | (np.hypot(x, y) > 50)
    smooth = scipy.ndimage.gaussian_filter(protein, membranes.SMOOTHING / pixel)
    assert belt[ring].mean() == pytest.approx(membranes.CONTRAST * smooth[smooth > 0.3].mean(), rel=0.1)
    assert np.abs(belt[inside]).max() < 0.15 and np.abs(belt[far]).max() < 0.05


@pytest.mark.parametrize("name", ["achbp_c5", "groel_c7", "bgal_d2"])
def test_symmetry_axes_are_where_the_point_group_has_them(shared_data, name):
    definition = dataclasses.replace(DEFINITIONS[name], box_size=32, pixel_size=2 * DEFINITIONS[name].pixel_size)
    path = stacks3d._find_model(definition, shared_data / "models")
    volume, _ = stacks3d.source_density(stacks3d.read_chains(path, definition), definition)
    symmetric = symmetrise_volume(volume, point_group(definition.symmetry))
    assert np.corrcoef(volume.ravel(), symmetric.ravel())[0, 1] > 0.95


def test_particles_fill_the_box_as_in_practice(shared_data):
    for definition in DEFINITIONS.values():
        small = dataclasses.replace(definition, box_size=32, pixel_size=2 * definition.pixel_size)
        path = stacks3d._find_model(small, shared_data / "models")
        _, diameter = stacks3d.source_density(stacks3d.read_chains(path, small), small)
        assert 0.55 < diameter / (definition.box_size * definition.pixel_size) < 0.8, definition.name


@pytest.fixture
def models(tmp_path):
    """A folder with one small peptide."""
    lines = []
    for i in range(16):
        place = f"{12 * np.sin(i):8.3f}{12 * np.cos(i):8.3f}{3.0 * i - 24:8.3f}"
        lines.append(f"ATOM  {i + 1:5d}  CA  LEU {'AB'[i % 2]}{i + 1:4d}    {place}  1.00  0.00           C")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "toy.pdb").write_text("\n".join([*lines, "END", ""]))
    return tmp_path / "models"


TOY = StackDefinition("toy", "toy", 4.0, n_particles=20, box_size=32, junk_fraction=0.2)


def test_stacks_are_made_once_and_again_when_the_definition_changes(models, tmp_path):
    stack = stacks3d.make_stack(TOY, models, tmp_path / "cache")
    assert len(read_particles(stack.particles)) == 20 and stack.map.is_file()
    assert 0 < stack.mask_diameter < 32 * 4.0
    truth = read_star(stack.truth)["particles"]
    assert (truth["rlnSimulatedKind"] != "particle").sum() == 4
    before = stack.particles.stat().st_mtime_ns
    assert stacks3d.make_stack(TOY, models, tmp_path / "cache") == stack
    assert stack.particles.stat().st_mtime_ns == before
    assert len(read_particles(stacks3d.make_stack(dataclasses.replace(TOY, n_particles=30), models, tmp_path / "cache").particles)) == 30


def test_belt_makes_the_particle_larger(models):
    path = models / "toy.pdb"
    bare, diameter = stacks3d.source_density(stacks3d.read_chains(path, TOY), TOY)
    belt = dataclasses.replace(TOY, membrane="AB")
    dressed, wide = stacks3d.source_density(stacks3d.read_chains(path, belt), belt)
    assert dressed.sum() > 1.5 * bare.sum() and wide > diameter


def test_missing_structures_and_chains_are_user_errors(models, tmp_path):
    with pytest.raises(UserError, match="no structure other"):
        stacks3d.make_stack(dataclasses.replace(TOY, model="other"), models, tmp_path / "cache")
    with pytest.raises(UserError, match="chains X"):
        stacks3d.read_chains(models / "toy.pdb", dataclasses.replace(TOY, chains="X"))


def test_options_choose_stacks(models, tmp_path, monkeypatch):
    monkeypatch.setitem(stacks3d.DEFINITIONS, "toy", TOY)
    parser = argparse.ArgumentParser()
    stacks3d.add_stack_options(parser, ["toy"])
    options = parser.parse_args(["--models", str(models), "--cache", str(tmp_path), "--n", "12"])
    chosen = stacks3d.chosen_stacks(options) + stacks3d.chosen_stacks(options, n_micrographs=1)
    assert [len(read_particles(stack.particles)) for stack in chosen] == [12, 12]
    assert chosen[0].folder != chosen[1].folder
