"""Accuracy of symmetry alignment, symmetry detection and map alignment on maps with known answers.

    python benchmarks/symmetry.py --models DIR --maps DIR

Noise is coloured like the map and grows with the fourth power of resolution; a level is named by the resolution (A) at which
the Fourier shell correlation with the clean map is 0.5. Times are CPU seconds of one core. Prints Markdown tables.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.fft

from relion4plugin.files.mrc import read_mrc
from relion4plugin.geometry.euler import angular_distance, random_rotations
from relion4plugin.geometry.symmetry import point_group, symmetry_axes
from relion4plugin.imaging.filters import fsc
from relion4plugin.imaging.volumes import mirror_volume, rotate_volume, symmetrise_volume
from relion4plugin.postprocessing.align_maps import align_maps
from relion4plugin.postprocessing.align_symmetry import align_symmetry
from relion4plugin.postprocessing.find_symmetry import find_symmetry
from relion4plugin.simulation.density import make_density
from relion4plugin.simulation.spec import SimulationSpec

BOX = 64
LEVELS = (10.0, 20.0, 30.0)
GROUPS = ("C2", "C3", "C7", "D2", "D7", "T", "O", "I")
MODELS = {
    "6cvm_beta_galactosidase.pdb.gz": "D2",
    "1fat_phytohemagglutinin.pdb.gz": "D2",
    "3c91_20S_proteasome.pdb.gz": "D7",
    "1aon_GroEL_GroES.pdb.gz": "C7",
    "6vxx_spike_closed.pdb.gz": "C3",
    "6msm_CFTR.pdb.gz": "C1 (pseudo-C2)",
    "1igy_IgG1.pdb.gz": "C1 (pseudo-C2)",
    "ribosome70S_state0.pdb.gz": "C1",
    "1y1v_RNA_polymerase_II.pdb.gz": "C1",
    "6n4b_CB1_Gi.pdb.gz": "C1",
    "5a63_gamma_secretase.pdb.gz": "C1",
}
MAPS = {
    "bgal_empiar10204_reference_D2.mrc": "D2",
    "bgal_relion_tutorial_D2.mrc": "D2",
    "emd_1997_GroEL.mrc": "D7",
    "ribosome70S_clean_65.mrc": "C1",
    "relion_locres_filtered_90.mrc": "C1",
}


def add_noise(volume: np.ndarray, pixel_size: float, resolution: float, rng: np.random.Generator) -> np.ndarray:
    """Noise with the spectrum of the map times 3 (resolution / d)^4, at most 30: FSC with the clean map 0.5 at `resolution`."""
    n = volume.shape[0]
    clean, noise = scipy.fft.rfftn(volume), scipy.fft.rfftn(rng.normal(size=volume.shape))
    k2 = (scipy.fft.fftfreq(n) * n) ** 2
    shells = np.rint(np.sqrt(k2[:, None, None] + k2[:, None] + k2[: n // 2 + 1])).astype(int)
    power, white = (np.bincount(shells.ravel(), np.abs(f.ravel()) ** 2) for f in (clean, noise))
    ratio = np.minimum(3 * (np.arange(len(power)) * resolution / (n * pixel_size)) ** 4, 30)
    return np.asarray(scipy.fft.irfftn(clean + noise * np.sqrt(power * ratio / white)[shells], s=volume.shape), dtype=np.float32)


def axis_error(symmetry: str, matrix: np.ndarray) -> float:
    """Largest angle (degrees) by which a rotation takes an axis of the group off the nearest axis of the same fold."""
    axes = symmetry_axes(point_group(symmetry))
    worst = 0.0
    for fold, axis in axes:
        turned = matrix @ axis
        distance = min(min(np.linalg.norm(turned - other), np.linalg.norm(turned + other)) for f, other in axes if f == fold)
        worst = max(worst, 2 * np.rad2deg(np.arcsin(min(distance / 2, 1.0))))
    return worst


def timed(call: Callable[[], object]) -> tuple[object, float]:
    """Return the result and its CPU seconds."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


def symmetry_alignment(repeats: int, rng: np.random.Generator) -> None:
    """Table of axis and centre errors on symmetrised pseudo-proteins, turned and moved at random."""
    pixel_size = 4.0
    print("| group | level A | axis error deg, median / max | centre error px, median / max | score, lowest | CPU s |")
    print("|---|---|---|---|---|---|")
    for symmetry in GROUPS:
        operators = point_group(symmetry)
        spec = SimulationSpec(source="pseudo", box_size=BOX, pixel_size=pixel_size, bfactor=100.0)
        truth = symmetrise_volume(rotate_volume(make_density(spec).volume, random_rotations(1, rng)[0], rng.normal(0, 3, 3)), operators)
        for level in LEVELS:
            angles, centres, scores, seconds = [], [], [], []
            for _ in range(repeats):
                rotation, shift = random_rotations(1, rng)[0], rng.normal(0, 2, 3)
                volume = add_noise(rotate_volume(truth, rotation, shift), pixel_size, level, rng)
                result, cpu = timed(lambda volume=volume, symmetry=symmetry: align_symmetry(volume, pixel_size, symmetry))
                angles.append(axis_error(symmetry, result.rotation @ rotation))
                left = result.rotation @ shift + result.shift
                centres.append(float(np.linalg.norm(left[:2] if symmetry[0] == "C" else left)))
                scores.append(result.evidence.score)
                seconds.append(cpu)
            print(
                f"| {symmetry} | {level:g} | {np.median(angles):.2f} / {max(angles):.2f} | {np.median(centres):.2f} / {max(centres):.2f} "
                f"| {min(scores):.2f} | {np.mean(seconds):.1f} |",
                flush=True,
            )


def model_map(path: Path, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Map of a model in a random orientation, about 80 % of the box across."""
    from relion4plugin.simulation.structure import read_structure

    pixel_size = max(3.0, 1.25 * read_structure(str(path)).diameter / BOX)
    volume = make_density(SimulationSpec(source=str(path), box_size=BOX, pixel_size=pixel_size, bfactor=100.0)).volume
    return rotate_volume(volume, random_rotations(1, rng)[0], rng.normal(0, 2, 3)), pixel_size


def symmetry_detection(models: Path, maps: Path, rng: np.random.Generator) -> None:
    """Table of the groups found."""
    print("| map | truth | level A | found | possible | best scores | CPU s |\n|---|---|---|---|---|---|---|")
    cases = [(models / name, truth, level) for name, truth in MODELS.items() for level in LEVELS]
    cases += [(maps / name, truth, 0.0) for name, truth in MAPS.items()]
    for path, truth, level in cases:
        if not path.is_file():
            continue
        volume, pixel_size = model_map(path, rng) if level else read_mrc(path)
        if level:
            volume = add_noise(volume, pixel_size, level, rng)
        found, cpu = timed(lambda volume=volume, pixel_size=pixel_size, level=level: find_symmetry(volume, pixel_size, resolution=level))
        best = ", ".join(f"{group.symmetry} {group.evidence.score:.2f}" for group in found.ranking[:3])
        name = path.name.split(".")[0]
        row = (name, truth, f"{level:g}" if level else "real", found.symmetry, found.possible or "", best, f"{cpu:.1f}")
        print(f"| {' | '.join(row)} |", flush=True)


def map_alignment(models: Path, repeats: int, rng: np.random.Generator) -> None:
    """Table of rotation and shift errors of one map against a clean reference, either hand."""
    print("| map | level A | rotation error deg, median / max | shift error px, median / max | wrong hand or pose | CPU s |")
    print("|---|---|---|---|---|---|")
    flip = np.diag([1.0, 1.0, -1.0])
    for name in ("6n4b_CB1_Gi.pdb.gz", "5a63_gamma_secretase.pdb.gz", "1y1v_RNA_polymerase_II.pdb.gz", "6msm_CFTR.pdb.gz"):
        if not (models / name).is_file():
            continue
        reference, pixel_size = model_map(models / name, rng)
        for level in LEVELS:
            angles, shifts, wrong, seconds = [], [], 0, []
            for repeat in range(repeats):
                other_hand = bool(repeat % 2)
                rotation, shift = random_rotations(1, rng)[0], rng.normal(0, 3, 3)
                moving = rotate_volume(mirror_volume(reference) if other_hand else reference, rotation, shift)
                moving = add_noise(moving, pixel_size, level, rng)
                result, cpu = timed(lambda m=moving, r=reference, p=pixel_size: align_maps(m, r, p, mirror=True))
                truth = flip @ rotation.T @ flip if other_hand else rotation.T
                error = float(angular_distance(result.rotation, truth))
                if result.mirrored != other_hand or error > 10:
                    wrong += 1
                    continue
                moved = flip @ shift if other_hand else shift
                angles.append(error)
                shifts.append(float(np.linalg.norm(result.rotation @ moved + result.shift)))
                seconds.append(cpu)
            print(
                f"| {name.split('.')[0]} | {level:g} | {np.median(angles):.2f} / {max(angles):.2f} "
                f"| {np.median(shifts):.2f} / {max(shifts):.2f} "
                f"| {wrong} of {repeats} | {np.mean(seconds):.1f} |",
                flush=True,
            )


def interpolation(models: Path) -> None:
    """Agreement of a turned map with the density of turned atoms."""
    from relion4plugin.simulation.density import density_of_atoms
    from relion4plugin.simulation.structure import Atoms, read_structure

    atoms = read_structure(str(models / "6vxx_spike_closed.pdb.gz"))
    matrix = random_rotations(1, np.random.default_rng(5))[0]
    volume = density_of_atoms(atoms, BOX, 4.0)
    truth = density_of_atoms(Atoms(atoms.positions @ matrix.T, atoms.numbers), BOX, 4.0)
    rotate_volume(volume, matrix)
    turned, cpu = timed(lambda: rotate_volume(volume, matrix))
    curve = fsc(turned, truth)
    print(f"FSC at 1/2, 3/4 and 7/8 of Nyquist: {curve[16]:.4f}, {curve[24]:.4f}, {curve[28]:.4f}; {1000 * cpu:.0f} ms for {BOX} px")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder of PDB files")
    parser.add_argument("--maps", type=Path, required=True, help="folder of MRC maps")
    parser.add_argument("--repeats", type=int, default=4, help="random poses for each row")
    parser.add_argument("--only", choices=("alignment", "detection", "maps", "interpolation"), help="one of the tables")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    align_symmetry(rng.normal(size=(32,) * 3).astype(np.float32), 4.0, "C2")  # compile
    tables = {
        "interpolation": lambda: interpolation(args.models),
        "alignment": lambda: symmetry_alignment(args.repeats, rng),
        "detection": lambda: symmetry_detection(args.models, args.maps, rng),
        "maps": lambda: map_alignment(args.models, args.repeats, rng),
    }
    for name, table in tables.items():
        if args.only in (None, name):
            print(f"\n### {name}\n")
            table()


if __name__ == "__main__":
    main()
