"""Simulated stacks for the benchmarks in 3D: soluble complexes, membrane proteins in detergent, symmetry, junk.

    python benchmarks/stacks3d.py --models MODELS --cache out/stacks3d --stacks bgal_d2 gsec_belt --n 4000

Each stack is a folder of the cache (particles.star, truth.star, map.mrc, stack.json) and made once.
"""

import argparse
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import run_benchmark
from membranes import detergent_belt, find_membrane

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.mrc import write_volume
from relion4plugin.progress import Silent
from relion4plugin.simulation.density import density_of_atoms
from relion4plugin.simulation.particles import simulate
from relion4plugin.simulation.spec import JUNK_KINDS, SimulationSpec
from relion4plugin.simulation.structure import Atoms, centred

MASK_MARGIN = 1.1  # mask diameter over particle diameter
SOFT_EDGE = 5.0  # px, of the mask
DISC_LEVEL = 0.03  # of the map's maximum: what counts as belt when the particle's diameter is measured
PURE_JUNK = ("empty", "aggregate", "edge")  # neither whole nor broken particles, from which a map could honestly be made


@dataclass(frozen=True)
class StackDefinition:
    """One simulated stack; lengths in A."""

    name: str
    model: str  # file name of the structure up to its first dot
    pixel_size: float
    symmetry: str = "C1"
    chains: str = ""  # chains to take, one letter each; none: all
    ring: str = ""  # chains whose centres lie about the symmetry axis, where it is not along z in the file
    membrane: str = ""  # chains in the membrane; none: no belt
    n_particles: int = 4000
    box_size: int = 64
    snr: float = 0.05
    noise_colour: float = 0.0  # exponent of the fall of the noise power with frequency; 0: white
    junk_fraction: float = 0.1
    junk_kinds: tuple[str, ...] = JUNK_KINDS
    seed: int = 1
    n_micrographs: int = 0  # one image stack each; 0: one for every 200 particles


DEFINITIONS = {
    definition.name: definition
    for definition in (
        StackDefinition("bgal_d2", "6cvm_beta_galactosidase", 4.4, "D2"),
        StackDefinition("gsec_c1", "5a63_gamma_secretase", 3.4),
        StackDefinition("gsec_belt", "5a63_gamma_secretase", 3.7, membrane="ABCD"),
        StackDefinition("cb1gi_belt", "6n4b_CB1_Gi", 3.7, membrane="R"),
        StackDefinition("cftr_belt", "6msm_CFTR", 3.8, membrane="A"),
        StackDefinition("groel_c7", "1aon_GroEL_GroES", 5.5, "C7"),
        StackDefinition("achbp_c5", "3wip_AChBP", 2.4, "C5", chains="ABCDE", ring="ABCDE"),
        StackDefinition("pol2_c1", "1y1v_RNA_polymerase_II", 4.9),
        StackDefinition("junk", "6cvm_beta_galactosidase", 4.4, n_particles=3000, junk_fraction=1.0, junk_kinds=PURE_JUNK),
    )
}


@dataclass(frozen=True)
class Stack3D:
    """A stack on disk."""

    name: str
    folder: Path
    symmetry: str
    pixel_size: float
    box_size: int
    mask_diameter: float  # A

    @property
    def particles(self) -> Path:
        """As from extraction: no poses."""
        return self.folder / "particles.star"

    @property
    def truth(self) -> Path:
        """The same rows with poses and kinds."""
        return self.folder / "truth.star"

    @property
    def map(self) -> Path:
        """The density that was projected."""
        return self.folder / "map.mrc"


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms of the chosen chains in the frame of the point group."""

    atoms: Atoms
    chains: np.ndarray  # str (n,)
    alphas: np.ndarray  # bool (n,): CA of an amino acid
    residues: np.ndarray  # str (n,)


def read_chains(path: Path, definition: StackDefinition) -> Structure:
    """Read the chosen chains about their centre of mass; with a ring of chains, its axis is turned to z.

    Raises
    ------
    UserError
        If the file cannot be read or lacks the chains.
    """
    import gemmi

    try:
        structure = gemmi.read_structure(str(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path.name}: not readable as PDB or mmCIF ({error}); see --models") from error
    structure.remove_alternative_conformations()
    structure.remove_hydrogens()
    structure.remove_waters()
    sites = [site for site in structure[0].all() if not definition.chains or site.chain.name in definition.chains]
    if not sites:
        raise UserError(f"{path.name}: no atoms of chains {definition.chains or 'any'}; give the structure that {definition.name} asks for")
    chains, residues = (np.array([getattr(site, part).name for site in sites]) for part in ("chain", "residue"))
    alphas = np.array([site.atom.name == "CA" and site.atom.element.name == "C" for site in sites])
    positions, numbers = [site.atom.pos.tolist() for site in sites], [max(site.atom.element.atomic_number, 1) for site in sites]
    atoms = centred(np.array(positions), np.array(numbers))
    if definition.ring:
        centres = np.array([atoms.positions[chains == chain].mean(axis=0) for chain in definition.ring])
        turn = np.linalg.svd(centres - centres.mean(axis=0))[2]  # last row: normal of the ring
        atoms = Atoms(atoms.positions @ (turn * np.linalg.det(turn)).T, atoms.numbers)
    return Structure(atoms, chains, alphas, residues)


def source_density(structure: Structure, definition: StackDefinition) -> tuple[np.ndarray, float]:
    """Density to simulate from, with its belt if it has one, and the diameter (A) of the particle."""
    atoms = structure.atoms
    volume = density_of_atoms(atoms, definition.box_size, definition.pixel_size)
    if not definition.membrane:
        return volume, atoms.diameter
    inside = np.isin(structure.chains, list(definition.membrane))
    alphas = inside & structure.alphas
    membrane = find_membrane(atoms.positions[alphas], list(structure.residues[alphas]))
    belt = detergent_belt(volume, atoms.positions[inside], membrane, definition.pixel_size)
    return volume + belt, max(atoms.diameter, _extent(belt) * definition.pixel_size)


def _extent(volume: np.ndarray) -> float:
    """Diameter in voxels, about the centre of the box, of what is above a small part of the maximum."""
    n = volume.shape[0]
    return 2.0 * float(np.sqrt(((np.argwhere(volume > DISC_LEVEL * volume.max()) - n // 2) ** 2).sum(axis=1).max()))


def make_stack(definition: StackDefinition, models: Path, cache: Path) -> Stack3D:
    """Return a stack, simulated if the cache lacks it or holds one of another definition.

    Raises
    ------
    UserError
        If the structure is missing or the folder cannot be written.
    """
    number = definition.n_micrographs
    folder = cache / (f"{definition.name}_{number}mic" if number else definition.name)
    record = folder / "stack.json"
    wanted = json.loads(json.dumps(dataclasses.asdict(definition)))
    known = json.loads(record.read_text()) if record.is_file() else {}
    if known.get("definition") != wanted:
        known = {"definition": wanted, "mask_diameter": _simulate(definition, _find_model(definition, models), folder)}
        atomic_write_text(record, json.dumps(known, indent=2) + "\n")
    size = (definition.pixel_size, definition.box_size, known["mask_diameter"])
    return Stack3D(definition.name, folder.resolve(), definition.symmetry, *size)


def _find_model(definition: StackDefinition, models: Path) -> Path:
    found = sorted(models.glob(f"{definition.model}.*"))
    if not found:
        raise UserError(f"{models} has no structure {definition.model}.* for the stack {definition.name}; give its folder with --models")
    return found[0]


def _simulate(definition: StackDefinition, model: Path, folder: Path) -> float:
    """Make the files of a stack; return the mask diameter in A."""
    folder.mkdir(parents=True, exist_ok=True)
    volume, diameter = source_density(read_chains(model, definition), definition)
    source = folder / "source.mrc"
    write_volume(source, volume, definition.pixel_size)
    box = definition.box_size * definition.pixel_size
    spec = SimulationSpec(
        source=str(source), n_particles=definition.n_particles, box_size=definition.box_size, pixel_size=definition.pixel_size,
        snr=definition.snr, noise_colour=definition.noise_colour, junk_fraction=definition.junk_fraction,
        junk_kinds=definition.junk_kinds, seed=definition.seed,
        diameter=min(diameter, box), n_micrographs=definition.n_micrographs,
    )  # fmt: skip
    simulate(spec, folder, Silent())
    return float(min(round(diameter * MASK_MARGIN), box - 2 * SOFT_EDGE * definition.pixel_size))


def add_stack_options(parser: argparse.ArgumentParser, default: list[str]) -> None:
    """Add the options by which every benchmark in 3D names its stacks."""
    parser.add_argument("--models", type=Path, required=bool(default), help="folder of the structures (PDB or mmCIF)")
    parser.add_argument("--cache", type=Path, help="folder of stacks made earlier; default: OUT/stacks")
    names = ", ".join(DEFINITIONS)
    parser.add_argument("--stacks", nargs="+", default=default, choices=tuple(DEFINITIONS), metavar="STACK", help=f"of {names}")
    parser.add_argument("--n", type=int, default=4000, help="particles of a stack (%(default)s)")
    parser.add_argument("--snr", type=float, default=0.05, help="signal variance over noise variance (%(default)s)")
    parser.add_argument("--noise-colour", type=float, default=0.0, help="exponent of the fall of the noise power; 0: white (%(default)s)")


def chosen_stacks(options: argparse.Namespace, **others: object) -> list[Stack3D]:
    """Stacks that the options name, made where missing; `others` replace fields of their definitions."""
    cache = options.cache or options.out / "stacks"
    wanted = {"n_particles": options.n, "snr": options.snr, "noise_colour": options.noise_colour} | others
    chosen = [dataclasses.replace(DEFINITIONS[name], **wanted) for name in options.stacks]
    return [make_stack(definition, options.models, cache) for definition in chosen]


def main(words: list[str] | None = None) -> int:
    """Make stacks and list them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_stack_options(parser, list(DEFINITIONS))
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the cache if --cache is not given (%(default)s)")
    for stack in chosen_stacks(parser.parse_args(words)):
        size = f"pixel {stack.pixel_size:g} A\tmask diameter {stack.mask_diameter:g} A"
        print(f"{stack.name}\t{stack.folder}\t{stack.symmetry}\t{size}", flush=True)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
