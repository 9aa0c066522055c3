"""What a simulated mixture of particles and junk is asked to be."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relion4plugin.errors import UserError
from relion4plugin.simulation.spec import check_rules, check_source_file

PSEUDO_PREFIX = "pseudo:"

INTACT = "intact"
NEIGHBOURS = "neighbours"
OFF_CENTRE = "off_centre"
PARTICLE_KINDS = (INTACT, NEIGHBOURS, OFF_CENTRE)  # a whole particle is in the box
PARTIAL_KINDS = ("broken", "denatured")  # something of a known map, but no whole particle
KINDS: Mapping[str, str] = {
    INTACT: "one particle, off by the picking error",
    NEIGHBOURS: "one particle, and one to three more 0.9 to 1.3 diameters away",
    OFF_CENTRE: "one particle, 0.2 to 0.5 diameters from the centre",
    "empty": "ice without anything",
    "ice": "one to three crystals or blobs of 50 to 300 A, bright or dark",
    "edge": "edge of the carbon film with its fringes",
    "gold": "a gold bead",
    "aggregate": "two to six particles on top of each other",
    "broken": "a particle of which 20 to 70 % are missing",
    "denatured": "a particle without detail finer than 25 A",
    "fibre": "an unfolded chain",
    "micelle": "detergent without protein",
    "nanodisc": "a nanodisc without protein",
    "membrane": "one or two lipid bilayers seen edge-on, straight or curved",
    "hot_pixels": "one to five pixels of the detector",
    "rod": "a stiff rod that ends in the box",
    "dna": "a bare double helix",
    "filament": "a filament that crosses the box",
}


@dataclass(frozen=True)
class MixtureSpec:
    """One simulated stack of particles and junk; lengths in A, angles in degrees, unless the comment says otherwise.

    `sources` are the particles and the share of each. A source is ``pseudo:N`` (built-in protein N of `pseudo_structures`),
    ``pseudo:N:M`` (its conformation M), a structure (.pdb, .cif, also .gz) or a map (.mrc). Conformations and a second protein are
    further sources. `kinds` says what share of the images shows what; the names are those of `KINDS`. Shares need not add up to 1.
    """

    sources: tuple[tuple[str, float], ...] = ((f"{PSEUDO_PREFIX}0", 1.0),)
    kinds: Mapping[str, float] = field(default_factory=lambda: {INTACT: 1.0})
    n_particles: int = 1000
    box_size: int = 64  # px, even
    pixel_size: float = 3.5  # A per px
    voltage: float = 300.0  # kV
    spherical_aberration: float = 2.7  # mm
    amplitude_contrast: float = 0.1
    phase_shift: float = 0.0  # of a phase plate
    defocus_min: float = 5000.0  # underfocus positive
    defocus_max: float = 30000.0
    astigmatism: float = 200.0  # rlnDefocusU - rlnDefocusV, at a random angle for each micrograph
    defocus_error: float = 0.0  # fault: the STAR files say (1 + error) times the true defocus
    resolution: float = 0.0  # low-pass of the density; 0: Nyquist
    bfactor: float = 100.0  # A^2, fall-off of the signal
    snr: float = 0.1  # variance of the noise-free first source inside its disc / variance of the noise
    contrast_sd: float = 0.1  # standard deviation of the particles' contrast about 1
    structural_noise: float = 0.2  # share of the noise variance that passed the CTF; its power rises to low frequency
    noise_colour: float = 0.0  # exponent of the fall of the other noise with frequency; 0: white
    ramp: float = 0.0  # standard deviation of the change of grey across the box by ice thickness, noise standard deviations
    pick_error: float = 5.0  # standard deviation in x and in y
    view_kappa: float = 0.0  # concentration of preferred views (von Mises-Fisher); 0: uniform
    n_views: int = 2  # how many views are preferred
    neighbours: tuple[int, int] = (0, 0)  # dense packing: fewest and most neighbours of every particle
    belt: bool = False  # a belt of detergent or lipid around the particles that are made from atoms
    particles_per_micrograph: int = 100
    seed: int = 0

    def validate(self) -> None:
        """Check every value.

        Raises
        ------
        UserError
            At the first value that is out of range, naming it.
        """
        low, high = self.neighbours
        check_rules(
            self,
            (
                ("n_particles", self.n_particles >= 1, "at least 1"),
                ("box_size", self.box_size >= 16 and self.box_size % 2 == 0, "an even number of at least 16 px"),
                ("pixel_size", self.pixel_size > 0, "above 0 A"),
                ("voltage", self.voltage > 0, "above 0 kV"),
                ("spherical_aberration", self.spherical_aberration >= 0, "at least 0 mm"),
                ("amplitude_contrast", 0 <= self.amplitude_contrast < 1, "from 0 up to, not including, 1"),
                ("defocus_max", self.defocus_max >= self.defocus_min, f"at least defocus_min, {self.defocus_min:g} A"),
                ("astigmatism", self.astigmatism >= 0, "at least 0 A"),
                ("defocus_error", -1 < self.defocus_error <= 1, "above -1 and at most 1"),
                ("resolution", self.resolution >= 0, "at least 0 A"),
                ("bfactor", self.bfactor >= 0, "at least 0 A^2"),
                ("snr", self.snr > 0, "above 0"),
                ("contrast_sd", 0 <= self.contrast_sd <= 0.3, "from 0 to 0.3"),
                ("structural_noise", 0 <= self.structural_noise <= 1, "from 0 to 1"),
                ("noise_colour", 0 <= self.noise_colour <= 4, "from 0 (white) to 4"),
                ("ramp", self.ramp >= 0, "at least 0"),
                ("pick_error", 0 <= self.pick_error < self.box_angst / 4, f"from 0 to a quarter of the box, {self.box_angst / 4:g} A"),
                ("view_kappa", self.view_kappa >= 0, "at least 0"),
                ("n_views", self.n_views >= 1, "at least 1"),
                ("neighbours", 0 <= low <= high <= 6, "two numbers from 0 to 6, the smaller one first"),
                ("particles_per_micrograph", self.particles_per_micrograph >= 1, "at least 1"),
                ("seed", self.seed >= 0, "at least 0"),
                ("kinds", _are_shares(self.kinds) and set(self.kinds) <= set(KINDS), f"shares of at least 0 of some of {', '.join(KINDS)}"),
                ("sources", _are_shares(dict(self.sources)), "different sources with shares of at least 0, not all 0"),
            ),
        )
        if len(dict(self.sources)) < len(self.sources):
            raise UserError("simulation: a source is named twice in sources; give each once with its whole share")
        for source, _ in self.sources:
            if pseudo_numbers(source) is None:
                check_source_file(source, f"{PSEUDO_PREFIX}N")

    @property
    def box_angst(self) -> float:
        """Edge of the box in A."""
        return self.box_size * self.pixel_size


def _are_shares(shares: Mapping[str, float]) -> bool:
    return all(0 <= share < float("inf") for share in shares.values()) and sum(shares.values()) > 0


def pseudo_numbers(source: str) -> tuple[int, int] | None:
    """Seed and conformation of a built-in protein, ``pseudo:N`` or ``pseudo:N:M``; None for files.

    Parameters
    ----------
    source : str
        Source of a mixture.

    Returns
    -------
    (int, int) or None
        The conformation is 0 if none is named.
    """
    if not source.startswith(PSEUDO_PREFIX):
        return None
    numbers = source[len(PSEUDO_PREFIX) :].split(":")
    if len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
        return None
    return int(numbers[0]), int(numbers[1]) if len(numbers) == 2 else 0
