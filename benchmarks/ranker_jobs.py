"""Which 2D classifications the class ranker is trained and judged on: structures, their split, and a random job for each number.

A job depends on its number alone. Structures are assigned to training, validation and test by family, so that no protein is in two
of them, whatever file it comes from.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.simulation.mixture_spec import INTACT, KINDS, NEIGHBOURS, OFF_CENTRE, PARTICLE_KINDS, MixtureSpec
from relion4plugin.simulation.pseudo_structures import pseudo_structure

KEPT = Path(__file__).resolve().parent / "data" / "ranker"  # the parts as they were made, in a clone
TRAIN, VALIDATION, TEST = "train", "validation", "test"
# 12, 2 and 3 of 17 jobs, so that the first jobs of any number are a balanced set
PATTERN = {"t": TRAIN, "v": VALIDATION, "T": TEST}
ORDER = "ttTvttTtttTtvtttt"
MOST_FOR_EM = 1500
SHORT = "short"  # a second, poorer run of the same particles


@dataclass(frozen=True)
class Structure:
    """One protein; `source` is a file below the folders of models or maps, or a built-in protein."""

    name: str
    source: str
    split: str
    diameter: float = 0.0  # A; 0: of a built-in protein, see `pseudo_diameter`
    membrane: bool = False
    partner: str = ""  # source of another conformation
    dense: bool = False  # always packed densely

    @property
    def takes_belt(self) -> bool:
        """Whether it is made of atoms, about which a belt can be laid."""
        return not self.source.endswith(".mrc")


REAL = (
    Structure("bgal", "6cvm_beta_galactosidase.pdb.gz", TRAIN, 182),
    Structure("ribosome", "ribosome70S_state0.pdb.gz", TRAIN, 305, partner="ribosome70S_state1.pdb.gz"),
    Structure("groel", "1aon_GroEL_GroES.pdb.gz", TRAIN, 231),
    Structure("rnap", "1y1v_RNA_polymerase_II.pdb.gz", TRAIN, 202),
    Structure("gpcr", "7cfn_GPCR_Gs.cif.gz", TRAIN, 142, membrane=True),
    Structure("igg", "1igy_IgG1.pdb.gz", TRAIN, 166),
    Structure("ribosome", "ribosome50S_intermediate_288.mrc", TRAIN, 252, partner="ribosome50S_intermediate_388.mrc"),
    Structure("groel", "emd_1997_GroEL.mrc", TRAIN, 179),
    Structure("gpcr", "6n4b_CB1_Gi.pdb.gz", TRAIN, 143, membrane=True),
    Structure("bgal", "bgal_relion_tutorial_D2.mrc", TRAIN, 177),
    Structure("capsid_unit", "1f2n_RYMV_capsid_ASU.pdb.gz", TRAIN, 137),
    Structure("ribosome", "relion_locres_filtered_90.mrc", TRAIN, 294),
    Structure("cftr", "6msm_CFTR.pdb.gz", VALIDATION, 147, membrane=True),
    Structure("lectin", "1fat_phytohemagglutinin.pdb.gz", VALIDATION, 105),
    Structure("proteasome", "3c91_20S_proteasome.pdb.gz", TEST, 182, dense=True),
    Structure("spike", "6vxx_spike_closed.pdb.gz", TEST, 184),
    Structure("gid", "6swy_GID_E3.pdb.gz", TEST, 207),
    Structure("achbp", "3wip_AChBP.pdb.gz", TEST, 150),
    Structure("gamma_secretase", "5a63_gamma_secretase.pdb.gz", TEST, 138, membrane=True),
    Structure("spike", "spike_md_state22.mrc", TEST, 166),
    Structure("proteasome", "3c91_20S_proteasome.pdb.gz", TEST, 182, dense=True),
)
TOO_LARGE = (102, 105, 109, 123, 145, 160, 162, 165, 173, 180, 185, 197)  # for a small box
# 457 is octahedral, as large and as round as apoferritin
PSEUDO = {TRAIN: tuple(n for n in range(100, 134) if n not in TOO_LARGE), VALIDATION: tuple(range(200, 205)), TEST: (457, 301, 302)}
SECOND_SET = 119  # jobs from this number on were drawn later, with other built-in proteins in training and validation
PSEUDO_SECOND = PSEUDO | {TRAIN: tuple(n for n in range(134, 200) if n not in TOO_LARGE), VALIDATION: tuple(range(205, 217))}
DENSE_PSEUDO = 457
# jobs from this number on are what a facility classifies: whole runs with the program's defaults, a third of junk, and no hopeless SNR
FACILITY = 300
TOO_LARGE_FACILITY = (221, 239, 242)
PSEUDO_FACILITY = PSEUDO | {TRAIN: tuple(n for n in range(220, 260) if n not in TOO_LARGE_FACILITY), VALIDATION: tuple(range(260, 266))}
# jobs from this number on have empty micelles and nanodiscs only where the protein itself was solubilised
SOLUBILISED = 400
DETERGENT = ("micelle", "nanodisc")
# in jobs from this number on every protein carries a belt, and detergent without protein is among the junk
BELTED = 600
TOO_LARGE_BELTED = (509, 522, 533)
PSEUDO_BELTED = PSEUDO_FACILITY | {TRAIN: tuple(n for n in range(500, 540) if n not in TOO_LARGE_BELTED)}
BELT = 40.0  # A, by which a belt may widen a particle
PSEUDO_SHARE = {TRAIN: 0.5, VALIDATION: 0.6, TEST: 0.15}
JUNK = tuple(kind for kind in KINDS if kind not in PARTICLE_KINDS)


@dataclass(frozen=True)
class SimulatedJob:
    """A stack and the classifications of it; `runs` by name, "" for the main one, with mask diameters yet to be set."""

    number: int
    split: str
    structure: str
    spec: MixtureSpec
    mask_ratio: float  # mask diameter over particle diameter
    runs: tuple[tuple[str, RefinementSettings], ...]


def proteins(sources: Iterable[str]) -> tuple[int, ...]:
    """Number of the protein of each source, from 1; conformations of a protein are one."""
    names = [_protein(source) for source in sources]
    return tuple(names.index(name) + 1 for name in names)


def _protein(source: str) -> str:
    if source.startswith("pseudo:"):
        return ":".join(source.split(":")[:2])
    file = Path(source).name
    return next((structure.source for structure in REAL if structure.partner == file), file)


def split_of(number: int) -> str:
    """Split of a job."""
    return PATTERN[ORDER[number % len(ORDER)]]


def rank_in_split(number: int) -> int:
    """How many jobs of the same split have smaller numbers."""
    rounds, place = divmod(number, len(ORDER))
    return rounds * ORDER.count(ORDER[place]) + ORDER[:place].count(ORDER[place])


def pseudo_seeds(split: str, number: int) -> tuple[int, ...]:
    """Built-in proteins that a job may have."""
    first = {BELTED: PSEUDO_BELTED, FACILITY: PSEUDO_FACILITY, SECOND_SET: PSEUDO_SECOND, 0: PSEUDO}
    return next(sets for begin, sets in first.items() if number >= begin)[split]


def structure_of(number: int) -> Structure:
    """Structure of a job: real ones in turn, and built-in ones in between."""
    split, rank = split_of(number), rank_in_split(number)
    share = PSEUDO_SHARE[split]
    before = int(np.floor(rank * share))
    if int(np.floor((rank + 1) * share)) > before:
        seeds = pseudo_seeds(split, number)
        seed = seeds[before % len(seeds)]
        return Structure(f"pseudo_{seed}", f"pseudo:{seed}", split, dense=seed == DENSE_PSEUDO)
    real = [structure for structure in REAL if structure.split == split and (number < BELTED or structure.takes_belt)]
    return real[(rank - before) % len(real)]


def draw_job(number: int, models: Path, maps: Path) -> SimulatedJob:
    """Draw the job of a number.

    Parameters
    ----------
    number : int
    models, maps : Path
        Folders with the files of `REAL`.
    """
    rng = np.random.default_rng(np.random.SeedSequence((number, 0x72616E6B)))
    structure = structure_of(number)
    if number >= FACILITY:
        return _facility_job(structure, models, maps, number, rng)
    diameter = structure.diameter or pseudo_diameter(structure.source)
    style = _style(structure, number, rng)
    spec = _mixture(structure, style, diameter, models, maps, number, rng)
    mask_ratio = rng.uniform(0.75, 1.4) if rng.random() < 0.1 else rng.uniform(1.1, 1.4)
    main = _settings(spec.n_particles, structure, number, rng)
    if main.algorithm is Algorithm.EM:  # visits every particle in every iteration
        spec = replace(spec, n_particles=min(spec.n_particles, MOST_FOR_EM))
    shorter = _shorter(main, rng)
    runs = (("", main),) + (((SHORT, shorter),) if shorter else ())
    return SimulatedJob(number, structure.split, structure.name, spec, float(mask_ratio), runs)


def _facility_job(structure: Structure, models: Path, maps: Path, number: int, rng: np.random.Generator) -> SimulatedJob:
    """Draw a run as `relion4plugin class2d` makes it by default; for training and validation with half the mini-batches."""
    diameter = structure.diameter or pseudo_diameter(structure.source)
    style = _style(structure, number, rng)
    spec = _mixture(structure, style, diameter, models, maps, number, rng)
    junk = 1.0 if style == "junk" else 0.85 * float(rng.beta(2.0, 3.0))
    kinds = _shared(spec.kinds, junk)
    spec = replace(
        spec,
        n_particles=int(rng.integers(3000, 8001)),
        kinds=kinds if spec.belt or number < SOLUBILISED else without_detergent(kinds),
        snr=float(np.exp(rng.uniform(np.log(0.05), np.log(0.3)))),
    )
    defaults = RefinementSettings(write_every=1000, seed=number)
    n_iterations = defaults.n_iterations if structure.split == TEST else defaults.n_iterations // 2
    settings = replace(defaults, n_classes=min(defaults.n_classes, spec.n_particles // 70), n_iterations=n_iterations)
    return SimulatedJob(number, structure.split, structure.name, spec, float(rng.uniform(1.05, 1.3)), (("", settings),))


def _shared(kinds: dict[str, float], junk: float) -> dict[str, float]:
    """The same kinds with another share of junk, where there are particles."""
    drawn = sum(share for kind, share in kinds.items() if kind in JUNK)
    if not 0.0 < drawn < 1.0:
        return kinds
    return {kind: share * (junk / drawn if kind in JUNK else (1.0 - junk) / (1.0 - drawn)) for kind, share in kinds.items()}


def without_detergent(kinds: dict[str, float]) -> dict[str, float]:
    """The same share of junk without micelles and nanodiscs, which no soluble protein brings along."""
    kept = {kind: share for kind, share in kinds.items() if kind not in DETERGENT}
    junk = sum(share for kind, share in kept.items() if kind in JUNK)
    removed = sum(kinds.values()) - sum(kept.values())
    return {kind: share * (1.0 + removed / junk if kind in JUNK else 1.0) for kind, share in kept.items()}


@cache
def pseudo_diameter(source: str) -> float:
    """Diameter in A of a built-in protein without belt."""
    return pseudo_structure(int(source.split(":")[1])).diameter


def _style(structure: Structure, number: int, rng: np.random.Generator) -> str:
    """One of "plain", "dense", "junk" (no particle at all), "conformers", "two proteins"."""
    if structure.dense:
        return "dense"
    if number % 16 == 9:
        return "junk"
    styles = ("plain", "dense", "conformers", "two proteins")
    return str(rng.choice(styles, p=(0.58, 0.08, 0.18, 0.16)))


def _mixture(
    structure: Structure, style: str, diameter: float, models: Path, maps: Path, number: int, rng: np.random.Generator
) -> MixtureSpec:
    """Draw particles, optics and noise; the box is 1.5 to 1.95 diameters."""
    solubilised = bool(rng.random() < (0.6 if structure.membrane else 0.2)) or number >= BELTED
    belt = solubilised and structure.takes_belt
    diameter += BELT if belt else 0.0
    edge = diameter * float(rng.uniform(1.5, 1.95))
    box = int(np.clip(2 * round(edge / rng.uniform(2.8, 4.4) / 2), 48, 80))
    pixel = edge / box
    kappa = float(rng.uniform(2.0, 20.0)) if rng.random() < 0.4 else 0.0
    low = float(rng.uniform(5000.0, 15000.0))
    return MixtureSpec(
        sources=_sources(structure, style, pseudo_seeds(structure.split, number), models, maps, rng),
        kinds=_kinds(style, rng, DETERGENT if number >= BELTED else ()),
        n_particles=int(rng.integers(2000, 4001)),
        box_size=box,
        pixel_size=round(pixel, 3),
        voltage=float(rng.choice([200.0, 300.0])),
        spherical_aberration=float(rng.choice([2.7, 2.7, 1.4, 0.01])),
        phase_shift=90.0 if rng.random() < 0.05 else 0.0,
        defocus_min=low,
        defocus_max=low + float(rng.uniform(5000.0, 15000.0)),
        astigmatism=float(rng.uniform(0.0, 400.0)),
        defocus_error=float(rng.uniform(0.1, 0.2) * rng.choice([-1, 1])) if rng.random() < 0.1 else 0.0,
        bfactor=float(rng.uniform(50.0, 250.0)),
        snr=_snr(structure, rng),
        structural_noise=float(rng.uniform(0.1, 0.3)),
        ramp=float(rng.uniform(0.0, 0.5)) if rng.random() < 0.3 else 0.0,
        pick_error=float(rng.uniform(3.0, 10.0)),
        view_kappa=kappa,
        n_views=int(rng.integers(1, 4)),
        neighbours=(2, 6) if style == "dense" else (0, 0),
        belt=belt,
        seed=number,
    )


def _snr(structure: Structure, rng: np.random.Generator) -> float:
    """Signal-to-noise ratio; one job in eight has hardly any."""
    low, high = (0.02, 0.06) if rng.random() < 0.125 and not structure.dense else (0.08, 0.5)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _sources(
    structure: Structure, style: str, seeds: tuple[int, ...], models: Path, maps: Path, rng: np.random.Generator
) -> tuple[tuple[str, float], ...]:
    def place(source: str) -> str:
        if source.startswith("pseudo:"):
            return source
        return str((maps if source.endswith(".mrc") else models) / source)

    first = place(structure.source)
    if style == "conformers" and structure.partner:
        return (first, 1.0), (place(structure.partner), float(rng.uniform(0.2, 1.0)))
    if style == "conformers" and structure.source.startswith("pseudo:"):
        return tuple((f"{structure.source}:{m}", float(rng.uniform(0.3, 1.0))) for m in range(int(rng.integers(2, 4))))
    if style == "two proteins":
        others = [f"pseudo:{seed}" for seed in seeds if f"pseudo:{seed}" != structure.source]
        largest = 1.1 * (structure.diameter or pseudo_diameter(structure.source))
        smaller = [source for source in others if pseudo_diameter(source) <= largest]
        if smaller:
            return (first, 1.0), (str(rng.choice(smaller)), float(rng.uniform(0.1, 0.4)))
    return ((first, 1.0),)


def _kinds(style: str, rng: np.random.Generator, one_of: tuple[str, ...]) -> dict[str, float]:
    """Shares of the kinds of images, much of `one_of` among them; a third of them is junk on average, up to 95 %."""
    chosen = list(dict.fromkeys(["empty", *rng.choice(JUNK, size=int(rng.integers(2, 7)), replace=False).tolist()]))
    if one_of and not set(one_of) & set(chosen):
        chosen.append(str(rng.choice(one_of)))
    shares = rng.dirichlet([3.0 if kind in one_of else 0.7 for kind in chosen])
    junk = 1.0 if style == "junk" else float(rng.beta(1.4, 2.8)) * 0.95
    kinds = {kind: junk * float(share) for kind, share in zip(chosen, shares, strict=True)}
    if style == "junk":
        return {"empty": 1.0} if rng.random() < 0.35 else kinds
    off, beside = float(rng.uniform(0.0, 0.15)), float(rng.uniform(0.0, 0.25))
    good = {INTACT: 1.0 - off - beside, OFF_CENTRE: off, NEIGHBOURS: beside}
    return kinds | {kind: (1.0 - junk) * share for kind, share in good.items()}


def _settings(n_particles: int, structure: Structure, number: int, rng: np.random.Generator) -> RefinementSettings:
    """Settings of the main run: mostly VDAM, one in ten EM; VDAM where particles are always densely packed."""
    expectation_limit = float(rng.uniform(8.0, 15.0)) if rng.random() < 0.3 else -1.0
    fudge = float(rng.choice([1.0, 2.0, 2.0, 2.0, 4.0, 8.0]))
    centred = bool(rng.random() < 0.9)
    em = rng.random() < 0.1 and not structure.dense
    classes = int(rng.choice([8, 10, 14])) if em else int(min(n_particles // 70, rng.choice([15, 20, 25, 30, 40, 50])))
    iterations = 15 if em else int(rng.uniform(0.7, 1.3) * min(50.0, 1150.0 / classes))
    return RefinementSettings(
        algorithm=Algorithm.EM if em else Algorithm.VDAM,
        n_classes=classes,
        n_iterations=iterations,
        tau2_fudge=fudge,
        center_classes=centred,
        strict_highres=expectation_limit,
        write_every=1000,
        seed=number,
    )


def _shorter(main: RefinementSettings, rng: np.random.Generator) -> RefinementSettings | None:
    """A run with half the mini-batches and other classes, beside two jobs of three; none beside EM, which costs too much."""
    classes = int(rng.choice([10, 15, 20, 25, 30]))
    fudge = float(rng.choice([1.0, 2.0, 4.0]))
    if main.algorithm is Algorithm.EM or rng.random() < 1 / 3:
        return None
    return RefinementSettings(
        n_classes=classes,
        n_iterations=max(18, main.n_iterations // 2),
        tau2_fudge=fudge,
        write_every=1000,
        seed=main.seed + 1,
    )
