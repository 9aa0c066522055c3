"""Invented proteins: mass, symmetry, folds, belts, and that a seed makes the same one again."""

import time

import numpy as np
import pytest
import scipy.spatial

from relion4plugin.errors import UserError
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.simulation import belts, folds
from relion4plugin.simulation.pseudo_structures import RESIDUE_MASS, pseudo_identity, pseudo_structure


def without_nucleic(symmetry: str, mass: float) -> int:
    return next(seed for seed in range(100) if not pseudo_identity(seed, mass, symmetry).nucleic)


@pytest.mark.parametrize(("symmetry", "mass"), [("C1", 60), ("C1", 900), ("C5", 300), ("D3", 250), ("T", 400), ("O", 500), ("I", 1500)])
def test_mass_and_symmetry_are_those_asked_for(symmetry: str, mass: float) -> None:
    atoms = pseudo_structure(without_nucleic(symmetry, mass), mass, symmetry)
    assert len(atoms.numbers) == pytest.approx(2 * mass / RESIDUE_MASS, rel=0.03)  # two pseudo-atoms for each residue
    tree = scipy.spatial.cKDTree(atoms.positions)
    for operator in point_group(symmetry):
        assert tree.query(atoms.positions @ operator.T)[0].max() < 1e-6
    assert np.abs(atoms.numbers @ atoms.positions).max() / atoms.numbers.sum() < 1e-6
    assert 2 * np.linalg.norm(atoms.positions, axis=1).max() == pytest.approx(atoms.diameter)
    assert atoms.diameter > 2 * (3 / (4 * np.pi) * 134 * mass / RESIDUE_MASS) ** (1 / 3)  # not smaller than a ball


def test_strata_are_as_described() -> None:
    drawn = [pseudo_identity(seed) for seed in range(1500)]
    plain = [identity for identity in drawn if not identity.elongated]
    assert len(drawn) - len(plain) == pytest.approx(150, abs=45)
    assert np.mean([identity.nucleic for identity in drawn]) == pytest.approx(0.15, abs=0.04)
    families = np.array([identity.symmetry[0] if identity.symmetry != "C1" else "none" for identity in plain])
    for family, share in {"none": 0.4, "C": 0.3, "D": 0.2}.items():
        assert np.mean(families == family) == pytest.approx(share, abs=0.05)
    masses = np.array([identity.mass for identity in plain])
    assert np.mean(masses > 500) == pytest.approx(0.25 / 0.9, abs=0.08)  # polyhedral ones are made heavier
    assert masses.min() >= 50 and masses.max() <= 4000


def test_same_seed_same_protein_another_seed_another() -> None:
    assert np.array_equal(pseudo_structure(4, belt=True).positions, pseudo_structure(4, belt=True).positions)
    one, other = pseudo_structure(4, 100, "C1"), pseudo_structure(5, 100, "C1")
    assert one.positions.shape != other.positions.shape or not np.allclose(one.positions, other.positions)


def test_conformations_differ_by_one_domain() -> None:
    seed = without_nucleic("C1", 300)
    rest, moved = (pseudo_structure(seed, 300, "C1", conformation=c).positions for c in (0, 1))
    shift = np.median(moved - rest, axis=0)  # of the centre of mass
    still = np.linalg.norm(moved - rest - shift, axis=1) < 1e-6
    assert 0.5 < still.mean() < 0.98
    assert np.linalg.norm(moved - rest - shift, axis=1)[~still].mean() > 5


def test_too_light_for_the_symmetry_is_one_line() -> None:
    with pytest.raises(UserError, match="too light for symmetry I") as caught:
        pseudo_structure(0, 100, "I")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("symmetry", ["C1", "D7", "I"])
def test_four_megadaltons_take_less_than_three_seconds(symmetry: str) -> None:
    start = time.process_time()
    pseudo_structure(1, 4000, symmetry, belt=True)
    assert time.process_time() - start < 3


def test_helices_and_strands_have_their_geometry() -> None:
    rng = np.random.default_rng(0)
    calphas, sides = folds._helix(40.0, rng)
    assert np.allclose(np.linalg.norm(np.diff(calphas, axis=0), axis=1), 3.8, atol=0.1)
    assert np.allclose(np.linalg.norm(sides - calphas, axis=1), 2.4)
    assert np.ptp(calphas[:, 2]) == pytest.approx(1.5 * (len(calphas) - 1))
    calphas, _ = folds._sheet(40.0, rng)
    gaps = scipy.spatial.distance.pdist(calphas)
    assert 3.5 < gaps.min() < 4.9  # neighbours in a strand and across


def test_a_domain_fills_its_ball_at_protein_density_without_piling_up() -> None:
    domain = folds.folded_domain(22.0, np.random.default_rng(2))
    calphas = domain.positions[: len(domain.positions) // 2]
    assert len(calphas) == pytest.approx(4 / 3 * np.pi * 22**3 / 134, abs=1)
    assert np.linalg.norm(calphas, axis=1).max() < 1.9 * 22
    nearest = scipy.spatial.cKDTree(calphas).query(calphas, k=2)[0][:, 1]
    assert np.median(nearest) > 3.0 and np.mean(nearest < 2.0) < 0.05


def test_rods_are_denser_than_protein() -> None:
    rods = folds.rod_domain(14.0, np.random.default_rng(0))
    axis = np.linalg.svd(rods.positions)[2][0]
    assert np.linalg.norm(rods.positions - np.outer(rods.positions @ axis, axis), axis=1).max() < 10  # one helix, 20 A wide
    assert (rods.numbers == folds.ROD_PHOSPHATE).sum() == 2 * round(28 / folds.ROD_RISE)


def test_belt_lies_around_the_protein_and_not_in_it() -> None:
    seed = without_nucleic("C4", 150)
    bare, belted = pseudo_structure(seed, 150, "C4"), pseudo_structure(seed, 150, "C4", belt=True)
    n = len(bare.numbers)
    protein, belt = belted.positions[:n], belted.positions[n:]
    assert np.allclose(protein - protein.mean(axis=0), bare.positions - bare.positions.mean(axis=0))
    assert 30 < np.ptp(belt[:, 2]) < 50 and np.ptp(belt[:, 0]) > 85
    assert scipy.spatial.cKDTree(protein).query(belt)[0].min() >= belts.CLEARANCE


def test_micelles_keep_to_the_size_allowed_and_discs_have_dense_faces() -> None:
    rng = np.random.default_rng(0)
    micelle, disc = belts.empty_micelle(rng, 60.0), belts.empty_disc(rng, 100.0)
    assert micelle.diameter < 66 and 80 < disc.diameter < 116
    height = np.abs(disc.positions[:, 2])
    faces = (height > height.max() - 12) & (height < height.max() - 6)  # six A that the disorder of the rim does not reach
    assert (height < 6).sum() < 0.7 * faces.sum()
