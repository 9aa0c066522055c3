"""What a simulated particle stack is asked to be."""

from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError

PSEUDO = "pseudo"
PARTICLE = "particle"
NEIGHBOUR = "neighbour"
JUNK_KINDS = ("empty", "aggregate", "broken", NEIGHBOUR, "edge")
STRUCTURE_SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif")
MAP_SUFFIXES = (".mrc", ".map", ".ccp4")

Rules = tuple[tuple[str, bool, str], ...]  # field, whether its value is good, what it must be


def check_rules(spec: object, rules: Rules) -> None:
    """Check the fields of a spec.

    Raises
    ------
    UserError
        At the first rule that is not kept, naming the field and its value.
    """
    for name, good, expected in rules:
        if not good:
            raise UserError(f"simulation: {name} is {getattr(spec, name)!r} but must be {expected}; change it")


def check_source_file(source: str, built_in: str) -> None:
    """Check that a source is an existing structure or map; `built_in` says how a built-in molecule would be named.

    Raises
    ------
    UserError
        If it is neither.
    """
    suffixes = tuple(s + z for s in STRUCTURE_SUFFIXES for z in ("", ".gz")) + MAP_SUFFIXES
    if not source.lower().endswith(suffixes):
        raise UserError(
            f"simulation: source {source!r} is neither '{built_in}' nor a structure ({', '.join(STRUCTURE_SUFFIXES)}, also .gz) "
            f"nor a map ({', '.join(MAP_SUFFIXES)}); give one of these"
        )
    if not Path(source).is_file():
        raise UserError(f"simulation: source {source} does not exist; give a structure, a map or '{built_in}'")


@dataclass(frozen=True)
class SimulationSpec:
    """One simulated data set; lengths in A, angles in degrees, unless the name or comment says otherwise.

    `junk_fraction` is the share of images that are not a plain single particle, dealt evenly over `junk_kinds`. The kind
    "neighbour" is counted in it, though it shows a whole particle at its pose with a second one at the rim of the box.
    """

    source: str = PSEUDO  # "pseudo" or "pseudo:7" (another molecule), a structure (.pdb, .cif, also .gz) or a map (.mrc)
    n_particles: int = 1000
    box_size: int = 64  # px, even
    pixel_size: float = 3.5  # A per px
    voltage: float = 300.0  # kV
    spherical_aberration: float = 2.7  # mm
    amplitude_contrast: float = 0.1
    defocus_min: float = 8000.0  # underfocus positive
    defocus_max: float = 25000.0
    defocus_scatter: float = 150.0  # standard deviation over the particles of a micrograph
    astigmatism: float = 200.0  # rlnDefocusU - rlnDefocusV, at a random angle for each micrograph
    phase_shift: float = 0.0  # of a phase plate
    n_optics_groups: int = 1  # micrographs are dealt to them in turn; each group has its own noise colour
    n_micrographs: int = 0  # one stack each; 0: as many as particles_per_stack asks for
    particles_per_stack: int = 200  # not used when n_micrographs is given
    snr: float = 0.1  # variance of the signal inside the particle disc / variance of the noise
    noise_colour: float = 1.0  # exponent of the fall of the noise power with frequency; 0: white
    structural_noise: float = 0.0  # share of the noise variance that passed the CTF (ice, carbon), 0..1
    shift_sigma: float = 2.0  # px, standard deviation of the picking error in x and in y
    junk_fraction: float = 0.0
    junk_kinds: tuple[str, ...] = JUNK_KINDS
    resolution: float = 0.0  # low-pass of the density; 0: Nyquist
    bfactor: float = 80.0  # A^2, fall-off of the density
    n_views: int = 0  # 0: uniform over all orientations; >0: that many preferred views
    view_spread: float = 10.0  # standard deviation about a preferred view
    diameter: float = 0.0  # of the particle disc; 0: from the structure
    float16: bool = False  # MRC mode 12 in place of 2
    seed: int = 0

    def validate(self) -> None:
        """Check every value.

        Raises
        ------
        UserError
            At the first value that is out of range, naming it.
        """
        rules: Rules = (
            ("n_particles", self.n_particles >= 1, "at least 1"),
            ("box_size", self.box_size >= 16 and self.box_size % 2 == 0, "an even number of at least 16 px"),
            ("pixel_size", self.pixel_size > 0, "above 0 A"),
            ("voltage", self.voltage > 0, "above 0 kV"),
            ("spherical_aberration", self.spherical_aberration >= 0, "at least 0 mm"),
            ("amplitude_contrast", 0 <= self.amplitude_contrast < 1, "from 0 up to, not including, 1"),
            ("defocus_max", self.defocus_max >= self.defocus_min, f"at least defocus_min, {self.defocus_min:g} A"),
            ("defocus_scatter", self.defocus_scatter >= 0, "at least 0 A"),
            ("astigmatism", self.astigmatism >= 0, "at least 0 A"),
            ("n_optics_groups", 1 <= self.n_optics_groups <= self.micrographs, f"from 1 to the {self.micrographs} micrographs"),
            ("n_micrographs", 0 <= self.n_micrographs <= self.n_particles, f"from 0 to the {self.n_particles} particles"),
            ("particles_per_stack", self.particles_per_stack >= 1, "at least 1"),
            ("snr", self.snr > 0, "above 0"),
            ("noise_colour", 0 <= self.noise_colour <= 4, "from 0 (white) to 4"),
            ("structural_noise", 0 <= self.structural_noise <= 1, "from 0 to 1"),
            ("shift_sigma", 0 <= self.shift_sigma < self.box_size / 4, f"from 0 to a quarter of the box, {self.box_size / 4:g} px"),
            ("junk_fraction", 0 <= self.junk_fraction <= 1, "from 0 to 1"),
            ("junk_kinds", bool(self.junk_kinds) and set(self.junk_kinds) <= set(JUNK_KINDS), f"some of {', '.join(JUNK_KINDS)}"),
            ("resolution", self.resolution >= 0, "at least 0 A"),
            ("n_views", self.n_views >= 0, "at least 0"),
            ("view_spread", self.view_spread >= 0, "at least 0 degrees"),
            ("diameter", 0 <= self.diameter <= self.box_angst, f"at most the box, {self.box_angst:g} A"),
            ("seed", self.seed >= 0, "at least 0"),
        )
        check_rules(self, rules)
        if self.pseudo_seed is None:
            check_source_file(self.source, PSEUDO)

    @property
    def pseudo_seed(self) -> int | None:
        """Seed of the built-in molecule, apart from `seed`, which draws poses and noise; None if a file is the source."""
        name, _, number = self.source.partition(":")
        if name != PSEUDO or not (number.isdecimal() or self.source == PSEUDO):
            return None
        return int(number or 0)

    @property
    def box_angst(self) -> float:
        """Edge of the box in A."""
        return self.box_size * self.pixel_size

    @property
    def micrographs(self) -> int:
        """Number of micrographs, and so of stacks."""
        return self.n_micrographs or -(-self.n_particles // max(1, self.particles_per_stack))
