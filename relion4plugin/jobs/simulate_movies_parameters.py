"""Parameters of the simulation of movies, on every face."""

from dataclasses import dataclass

from relion4plugin.jobs.simulate_options import junk_kinds, own, shared
from relion4plugin.simulation.movie_spec import DEFAULT_SOURCE, FORMATS, JUNK_KINDS, LAYOUTS, MovieSpec

_WHAT, _OPTICS, _SPECIMEN, _MOTION, _CAMERA, _FILES = "What", "Optics", "Specimen", "Motion and damage", "Camera", "Files"
_D = MovieSpec()  # the defaults live there


@dataclass(frozen=True)
class SimulateMoviesParameters:
    """One simulated session of movies; lengths in A, angles in degrees, unless the unit says otherwise."""

    source: str = own(
        DEFAULT_SOURCE,
        label="Structure",
        section=_WHAT,
        pattern="*.pdb *.cif *.mrc",
        help="'pseudo:N' for built-in protein N, a structure (.pdb, .cif, also .gz) or a map (.mrc); several as a.cif=0.7,b.cif=0.3.",
    )
    n_movies: int = own(
        _D.n_movies,
        label="Number of movies",
        section=_WHAT,
        minimum=1,
        short=("--n",),
        help="Movies to make; movie i is the same in a session of any length.",
    )
    width: int = own(_D.width, label="Width", section=_WHAT, unit="px", minimum=64, help="Of the movie's frames, even.")
    height: int = own(_D.height, label="Height", section=_WHAT, unit="px", minimum=64, help="Of the movie's frames, even.")
    n_frames: int = own(_D.n_frames, label="Frames", section=_WHAT, minimum=1, help="Of a movie.")
    pixel_size: float = shared("pixel_size", _D.pixel_size, help="Of a physical pixel of the camera.")
    dose_per_frame: float = own(
        _D.dose_per_frame, label="Dose per frame", section=_WHAT, unit="e/A^2", minimum=0.0, help="Electrons that reach the specimen."
    )
    seed: int = shared("seed", _D.seed, section=_WHAT, help="The same seed gives the same movies.")
    voltage: float = shared("voltage", _D.voltage)
    spherical_aberration: float = shared("spherical_aberration", _D.spherical_aberration)
    amplitude_contrast: float = shared("amplitude_contrast", _D.amplitude_contrast)
    phase_shift: float = shared("phase_shift", _D.phase_shift)
    defocus_min: float = shared("defocus_min", _D.defocus_min, help="Of the middle of the film; underfocus is positive.")
    defocus_max: float = shared("defocus_max", _D.defocus_max, help="Of all movies.")
    astigmatism: float = shared("astigmatism", _D.astigmatism, help="Defocus U less V, at a random angle for each movie.")
    defocus_scatter: float = shared("defocus_scatter", _D.defocus_scatter, help="Standard deviation over the particles of a movie.")
    tilt: float = own(
        _D.tilt,
        label="Tilt",
        section=_OPTICS,
        unit="deg",
        minimum=0.0,
        maximum=60.0,
        help="Of the stage, about an axis of random direction.",
    )
    bfactor: float = own(
        _D.bfactor, label="B-factor", section=_OPTICS, unit="A^2", minimum=0.0, help="Fall-off of all contrast with resolution."
    )
    n_optics_groups: int = shared("n_optics_groups", _D.n_optics_groups, help="Dealt over the movies; each has its own beam shift.")
    n_particles: int = own(
        _D.n_particles, label="Particles", section=_SPECIMEN, minimum=0, help="In an average frame; 0 for as many as fit."
    )
    spacing: float = own(
        _D.spacing,
        label="Spacing",
        section=_SPECIMEN,
        minimum=0.0,
        maximum=10.0,
        help="Least distance of two particles, in diameters; 0 lets them overlap.",
    )
    contrast: float = own(
        _D.contrast, label="Contrast", section=_SPECIMEN, minimum=0.0, help="Of the particles, of what the scattering of their atoms gives."
    )
    view_kappa: float = own(
        _D.view_kappa,
        label="Preference of views",
        section=_SPECIMEN,
        minimum=0.0,
        help="Concentration of preferred views; 0 spreads the views evenly.",
    )
    n_views: int = own(_D.n_views, label="Preferred views", section=_SPECIMEN, minimum=1, help="How many there are.")
    junk_fraction: float = shared(
        "junk_fraction",
        _D.junk_fraction,
        label="Junk",
        section=_SPECIMEN,
        maximum=10.0,
        help="Contaminants, as a share of the number of particles.",
    )
    junk_kinds: str = junk_kinds(_D.junk_kinds, JUNK_KINDS, _SPECIMEN)
    ice_thickness: float = own(
        _D.ice_thickness, label="Ice thickness", section=_SPECIMEN, unit="A", minimum=0.0, help="In the middle of a frame, on average."
    )
    ice_gradient: float = own(
        _D.ice_gradient,
        label="Ice gradient",
        section=_SPECIMEN,
        minimum=0.0,
        maximum=1.0,
        help="Change of the thickness across the frame, as a share.",
    )
    ice_structure: float = own(
        _D.ice_structure,
        label="Ice noise",
        section=_SPECIMEN,
        minimum=0.0,
        help="Power of the structure of the ice, of what physics gives.",
    )
    carbon_chance: float = own(
        _D.carbon_chance,
        label="Carbon",
        section=_SPECIMEN,
        minimum=0.0,
        maximum=1.0,
        help="Share of the movies that show the edge of a hole.",
    )
    drift: float = own(
        _D.drift, label="Drift", section=_MOTION, unit="A", minimum=0.0, help="Way of the whole frame: fast at first, then slower."
    )
    local_motion: float = own(
        _D.local_motion,
        label="Local motion",
        section=_MOTION,
        unit="A",
        minimum=0.0,
        help="Quadratic in place and cubic in time; rms over the frame at the end.",
    )
    odd_motion: float = own(
        _D.odd_motion,
        label="Odd motion",
        section=_MOTION,
        unit="A",
        minimum=0.0,
        help="Local motion that no such polynomial describes; rms over the frame at the end.",
    )
    damage: bool = own(_D.damage, label="Radiation damage", section=_MOTION, help="Detail of the particles fades with the dose.")
    super_resolution: bool = own(
        _D.super_resolution, label="Super-resolution", section=_CAMERA, help="Pixels of the file are half as large as those of the camera."
    )
    gain_spread: float = own(
        _D.gain_spread,
        label="Spread of the gain",
        section=_CAMERA,
        minimum=0.0,
        maximum=0.2,
        help="Standard deviation of the sensitivity of the pixels.",
    )
    hot_pixels: float = own(_D.hot_pixels, label="Hot pixels", section=_CAMERA, minimum=0.0, maximum=0.1, help="Share of the pixels.")
    dead_pixels: float = own(_D.dead_pixels, label="Dead pixels", section=_CAMERA, minimum=0.0, maximum=0.1, help="Share of the pixels.")
    dead_columns: int = own(_D.dead_columns, label="Dead columns", section=_CAMERA, minimum=0, help="How many.")
    mtf_nyquist: float = own(
        _D.mtf_nyquist,
        label="MTF at Nyquist",
        section=_CAMERA,
        minimum=0.0,
        maximum=1.0,
        help="Contrast left at the Nyquist frequency of the physical pixels; 1 for a perfect camera.",
    )
    bits: int = own(_D.bits, label="Bits", section=_CAMERA, minimum=8, maximum=16, help="Of a count in the file: 8 or 16.")
    file_format: str = own(_D.file_format, label="Format", section=_FILES, choices=FORMATS, help="Of the movies.")
    eer_frames: int = own(
        _D.eer_frames, label="EER frames", section=_FILES, minimum=1, help="Frames of the camera in one frame of an EER movie."
    )
    layout: str = own(
        _D.layout,
        label="Layout",
        section=_FILES,
        choices=LAYOUTS,
        help="'flat' for Movies/, 'epu' for names and metadata as of an EPU session.",
    )
    start: str = own(_D.start, label="Start", section=_FILES, help="Local time of the first movie, in names and metadata.")
    interval: float = own(
        _D.interval, label="Interval", section=_FILES, unit="s", minimum=0.0, help="Time between movies; 0 makes them all at once."
    )
    half_written: bool = own(
        _D.half_written, label="Growing files", section=_FILES, help="Movies appear half written first, as when a camera writes them."
    )
    shuffled: bool = own(_D.shuffled, label="Any order", section=_FILES, help="Movies arrive in random order.")
