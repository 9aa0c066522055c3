"""The densities of a mixture: its particles, what is left of broken ones, and detergent without protein."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.imaging.filters import lowpass_volume
from relion4plugin.simulation.belts import empty_disc, empty_micelle, with_belt
from relion4plugin.simulation.contaminants import cut_volume
from relion4plugin.simulation.density import check_fit, density_of_atoms, read_map, shape_spectrum
from relion4plugin.simulation.mixture_spec import MixtureSpec, pseudo_numbers
from relion4plugin.simulation.pseudo_structures import SMEAR_BFACTOR, pseudo_structure
from relion4plugin.simulation.spec import MAP_SUFFIXES
from relion4plugin.simulation.structure import Atoms, read_structure

BROKEN_VARIANTS, MICELLE_VARIANTS = 3, 3
MASS_CUT = (0.2, 0.7)  # of a broken particle
LARGEST_MICELLE = 0.8  # of the box
PROTEIN_CONTRAST = 0.061  # A of scattering length beyond that of ice for each A^3 of protein
SOLID = 0.1  # of the maximum of a map, above which there is protein
DENATURED_DETAIL = 25.0  # A
BELT_STREAM, VARIANT_STREAM = 11, 12
MICELLES = {"micelle": empty_micelle, "nanodisc": empty_disc}


@dataclass(frozen=True)
class MixtureMaps:
    """Densities in the box and pixel size of the particles; all but the first `n_maps` are junk."""

    volumes: tuple[np.ndarray, ...]  # float32 (N, N, N): z, y, x
    diameters: tuple[float, ...]  # A, of the spheres that hold the first n_maps
    variants: Mapping[tuple[str, int], tuple[int, ...]]  # (kind, map number from 1, or 0) -> positions in volumes

    @property
    def n_maps(self) -> int:
        """Number of true maps."""
        return len(self.diameters)


def source_diameter(source: str, belt: bool = False) -> float:
    """Diameter in A of the sphere about its centre of mass that holds a source of a mixture.

    Parameters
    ----------
    source : str
        As in `MixtureSpec.sources`.
    belt : bool
        As `MixtureSpec.belt`.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    if source.lower().endswith(MAP_SUFFIXES):
        return read_map(source).diameter
    return _atoms(source, belt).diameter


def make_maps(spec: MixtureSpec) -> MixtureMaps:
    """Make every density that the kinds of a mixture need.

    Parameters
    ----------
    spec : MixtureSpec
        A valid spec.

    Returns
    -------
    MixtureMaps
        All on one scale: maps from files, whose grey values mean nothing, are scaled so that their inside has the contrast of
        protein.

    Raises
    ------
    UserError
        If a source cannot be read or does not fit into the box.
    """
    found = [_source_map(source, spec) for source, _ in spec.sources]
    volumes, diameters = [volume for volume, _ in found], tuple(diameter for _, diameter in found)
    variants: dict[tuple[str, int], tuple[int, ...]] = {}
    rng = np.random.default_rng(np.random.SeedSequence((spec.seed, VARIANT_STREAM)))
    wanted = {kind for kind, share in spec.kinds.items() if share > 0}

    def add(kind: str, number: int, made: list[np.ndarray]) -> None:
        variants[kind, number] = tuple(range(len(volumes), len(volumes) + len(made)))
        volumes.extend(made)

    for number in range(1, len(found) + 1):
        volume = found[number - 1][0]
        if "broken" in wanted:
            add("broken", number, [cut_volume(volume, rng.uniform(*MASS_CUT), rng) for _ in range(BROKEN_VARIANTS)])
        if "denatured" in wanted:
            add("denatured", number, [lowpass_volume(volume, spec.pixel_size, max(DENATURED_DETAIL, 2.0 * spec.pixel_size))])
    for kind in sorted(wanted & set(MICELLES)):
        add(
            kind, 0, [_density(MICELLES[kind](rng, LARGEST_MICELLE * spec.box_angst), spec, SMEAR_BFACTOR) for _ in range(MICELLE_VARIANTS)]
        )
    return MixtureMaps(tuple(volumes), diameters, variants)


def _atoms(source: str, belt: bool) -> Atoms:
    numbers = pseudo_numbers(source)
    if numbers is not None:
        return pseudo_structure(numbers[0], belt=belt, conformation=numbers[1])
    atoms = read_structure(source)
    # the belt belongs to the structure: the same one in every mixture
    rng = np.random.default_rng(np.random.SeedSequence((BELT_STREAM, len(atoms.numbers))))
    return with_belt(atoms, rng) if belt else atoms


def _source_map(source: str, spec: MixtureSpec) -> tuple[np.ndarray, float]:
    """Density and diameter (A) of a source."""
    if source.lower().endswith(MAP_SUFFIXES):
        found = read_map(source)
        check_fit(Path(source).name, found.diameter, spec.box_angst)
        volume = found.resampled(spec.box_size, spec.pixel_size)
        volume = shape_spectrum(volume, spec.pixel_size, spec.resolution, spec.bfactor)
        solid = volume[volume > SOLID * volume.max()]
        return volume * np.float32(PROTEIN_CONTRAST * spec.pixel_size**3 / solid.mean()), found.diameter
    atoms = _atoms(source, spec.belt)
    check_fit(Path(source).name, atoms.diameter, spec.box_angst)
    return _density(atoms, spec, 0.0 if pseudo_numbers(source) is None else SMEAR_BFACTOR), atoms.diameter


def _density(atoms: Atoms, spec: MixtureSpec, smear: float) -> np.ndarray:
    """Density of atoms, smeared by a further B-factor in A^2."""
    volume = density_of_atoms(atoms, spec.box_size, spec.pixel_size)
    return shape_spectrum(volume, spec.pixel_size, spec.resolution, spec.bfactor + smear)
