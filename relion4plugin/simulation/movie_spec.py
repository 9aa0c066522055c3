"""What a simulated session of movies is asked to be."""

from dataclasses import dataclass
from datetime import datetime

from relion4plugin.errors import UserError
from relion4plugin.simulation.mixture_spec import PSEUDO_PREFIX, MixtureSpec
from relion4plugin.simulation.spec import check_rules

JUNK_KINDS = ("broken", "denatured", "aggregate", "ice", "gold", "membrane", "fibre")
FORMATS = ("tiff", "mrc", "eer")
LAYOUTS = ("flat", "epu")
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
DEFAULT_SOURCE = f"{PSEUDO_PREFIX}51"  # compact, 424 kDa, D5


@dataclass(frozen=True)
class MovieSpec:
    """One simulated session; lengths in A, angles in degrees, unless the comment says otherwise.

    Movie i is the same whatever `n_movies` and the order of arrival. `sources` are as in `MixtureSpec`.
    """

    sources: tuple[tuple[str, float], ...] = ((DEFAULT_SOURCE, 1.0),)  # particles and the share of each
    n_movies: int = 10
    width: int = 1024  # px of the file, even
    height: int = 1024
    n_frames: int = 16
    pixel_size: float = 1.5  # A per physical pixel
    super_resolution: bool = False  # pixels of the file are half as large
    dose_per_frame: float = 1.0  # electrons per A^2 that reach the specimen
    voltage: float = 300.0  # kV
    spherical_aberration: float = 2.7  # mm
    amplitude_contrast: float = 0.1
    phase_shift: float = 0.0  # of a phase plate
    defocus_min: float = 8000.0  # of the middle of the film, underfocus positive
    defocus_max: float = 20000.0
    astigmatism: float = 200.0  # rlnDefocusU - rlnDefocusV, at a random angle for each movie
    defocus_scatter: float = 80.0  # standard deviation over the particles of a movie
    tilt: float = 0.0  # of the stage, about an axis of random direction
    bfactor: float = 60.0  # A^2, fall-off of all contrast
    n_particles: int = 50  # in an average frame; 0: as many as fit
    spacing: float = 1.2  # least distance of two particles, in diameters; 0: they may overlap
    contrast: float = 0.8  # of the particles, of what physics says
    view_kappa: float = 0.0  # concentration of preferred views; 0: uniform
    n_views: int = 2  # how many views are preferred
    junk_fraction: float = 0.1  # contaminants, of the number of particles
    junk_kinds: tuple[str, ...] = JUNK_KINDS
    ice_thickness: float = 350.0
    ice_gradient: float = 0.3  # change across the frame, of the thickness
    ice_structure: float = 1.0  # noise power of the ice, of what physics says
    carbon_chance: float = 0.0  # share of the movies that show the edge of a hole
    damage: bool = True
    drift: float = 15.0  # length of the way of the whole frame
    local_motion: float = 4.0  # rms over the frame at the end: quadratic in place, cubic in time
    odd_motion: float = 0.5  # the same, of a kind that no polynomial of low order describes
    gain_spread: float = 0.05  # standard deviation of the pixels' sensitivity
    hot_pixels: float = 2e-5  # share of the pixels
    dead_pixels: float = 1e-5
    dead_columns: int = 0
    mtf_nyquist: float = 1.0  # of the contrast, at the Nyquist frequency of the physical pixels
    bits: int = 8  # of a count in the file
    n_optics_groups: int = 1  # movies are dealt to them in turn; each has its own beam shift
    file_format: str = "tiff"
    eer_frames: int = 8  # frames of the camera in one frame of the movie
    layout: str = "flat"  # or "epu": names and metadata as of an EPU session
    start: str = "2024-05-06 09:00:00"  # local time of the first movie
    interval: float = 0.0  # s between movies; 0: all at once
    half_written: bool = False  # files grow while they arrive
    shuffled: bool = False  # movies arrive in random order
    seed: int = 0

    def validate(self) -> None:
        """Check every value.

        Raises
        ------
        UserError
            At the first value that is out of range, naming it.
        """
        even = "an even number of at least 64 px"
        check_rules(
            self,
            (
                ("n_movies", self.n_movies >= 1, "at least 1"),
                ("width", self.width >= 64 and self.width % 2 == 0, even),
                ("height", self.height >= 64 and self.height % 2 == 0, even),
                ("n_frames", self.n_frames >= 1, "at least 1"),
                ("pixel_size", self.pixel_size > 0, "above 0 A"),
                ("dose_per_frame", 0 < self.dose_per_frame < float("inf"), "above 0 electrons per A^2"),
                ("astigmatism", self.astigmatism >= 0, "at least 0 A"),
                ("defocus_scatter", self.defocus_scatter >= 0, "at least 0 A"),
                ("tilt", 0 <= self.tilt <= 60, "from 0 to 60 degrees"),
                ("n_particles", self.n_particles >= 0, "at least 0 (as many as fit)"),
                ("spacing", 0 <= self.spacing <= 10 and (self.spacing > 0 or self.n_particles > 0), "0 to 10, above 0 to fill the frame"),
                ("contrast", self.contrast >= 0, "at least 0"),
                ("junk_fraction", 0 <= self.junk_fraction <= 10, "from 0 to 10"),
                ("junk_kinds", bool(self.junk_kinds) and set(self.junk_kinds) <= set(JUNK_KINDS), f"some of {', '.join(JUNK_KINDS)}"),
                ("ice_thickness", 0 <= self.ice_thickness <= 5000, "from 0 to 5000 A"),
                ("ice_gradient", 0 <= self.ice_gradient <= 1, "from 0 to 1"),
                ("ice_structure", self.ice_structure >= 0, "at least 0"),
                ("carbon_chance", 0 <= self.carbon_chance <= 1, "from 0 to 1"),
                ("mtf_nyquist", 0 < self.mtf_nyquist <= 1, "above 0 and at most 1"),
                ("n_optics_groups", self.n_optics_groups >= 1, "at least 1"),
                ("seed", self.seed >= 0, "at least 0"),
                *((name, getattr(self, name) >= 0, "at least 0 A") for name in ("drift", "local_motion", "odd_motion")),
            ),
        )
        self._validate_detector()
        self.mixture(16).validate()

    def _validate_detector(self) -> None:
        """Check what concerns detector, files and time."""
        check_rules(
            self,
            (
                ("gain_spread", 0 <= self.gain_spread <= 0.2, "from 0 to 0.2"),
                ("hot_pixels", 0 <= self.hot_pixels <= 0.1, "from 0 to 0.1"),
                ("dead_pixels", 0 <= self.dead_pixels <= 0.1, "from 0 to 0.1"),
                ("dead_columns", 0 <= self.dead_columns <= self.width // 8, "at least 0 and at most an eighth of the width"),
                ("bits", self.bits in (8, 16), "8 or 16"),
                ("file_format", self.file_format in FORMATS, f"one of {', '.join(FORMATS)}"),
                ("super_resolution", not (self.super_resolution and self.file_format == "eer"), "No where file_format is eer"),
                ("eer_frames", self.eer_frames >= 1, "at least 1"),
                ("layout", self.layout in LAYOUTS, f"one of {', '.join(LAYOUTS)}"),
                ("interval", 0 <= self.interval < float("inf"), "at least 0 s"),
            ),
        )
        try:
            datetime.strptime(self.start, DATE_FORMAT)
        except ValueError:
            raise UserError(f"simulation: start is {self.start!r} but must be like 2024-05-06 09:00:00; change it") from None

    def mixture(self, box_size: int) -> MixtureSpec:
        """Return the same molecules and microscope as a mixture in boxes of `box_size` physical pixels, without a B-factor."""
        return MixtureSpec(
            sources=self.sources,
            kinds={"intact": 1.0, **dict.fromkeys(self.junk_kinds if self.junk_fraction > 0 else (), 1.0)},
            box_size=box_size,
            pixel_size=self.pixel_size,
            voltage=self.voltage,
            spherical_aberration=self.spherical_aberration,
            amplitude_contrast=self.amplitude_contrast,
            phase_shift=self.phase_shift,
            defocus_min=self.defocus_min,
            defocus_max=self.defocus_max,
            astigmatism=self.astigmatism,
            bfactor=0.0,
            pick_error=0.0,
            view_kappa=self.view_kappa,
            n_views=self.n_views,
            seed=self.seed,
        )

    @property
    def file_pixel_size(self) -> float:
        """A per px of the file."""
        return self.pixel_size / self.upsampling

    @property
    def upsampling(self) -> int:
        """Pixels of the file along one physical pixel."""
        return 2 if self.super_resolution else 1
