"""Parameters of the simulation of movies, on every face."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter
from relion4plugin.simulation.movie_spec import DEFAULT_SOURCE, FORMATS, JUNK_KINDS, LAYOUTS, MovieSpec

_WHAT, _OPTICS, _SPECIMEN, _MOTION, _CAMERA, _FILES = "What", "Optics", "Specimen", "Motion and damage", "Camera", "Files"
_D = MovieSpec()  # the defaults live there


@dataclass(frozen=True)
class SimulateMoviesParameters:
    """One simulated session of movies; lengths in A, angles in degrees, unless the unit says otherwise."""

    source: str = parameter(
        DEFAULT_SOURCE,
        label="Structure",
        section=_WHAT,
        relion=False,
        pattern="*.pdb *.cif *.mrc",
        help="'pseudo:N' for built-in protein N, a structure (.pdb, .cif, also .gz) or a map (.mrc); several as a.cif=0.7,b.cif=0.3.",
    )
    n_movies: int = parameter(
        _D.n_movies,
        label="Number of movies",
        section=_WHAT,
        minimum=1,
        relion=False,
        short=("--n",),
        help="Movies to make; movie i is the same in a session of any length.",
    )
    width: int = parameter(_D.width, label="Width", section=_WHAT, unit="px", minimum=64, relion=False, help="Of the movie's frames, even.")
    height: int = parameter(
        _D.height, label="Height", section=_WHAT, unit="px", minimum=64, relion=False, help="Of the movie's frames, even."
    )
    n_frames: int = parameter(_D.n_frames, label="Frames", section=_WHAT, minimum=1, relion=False, help="Of a movie.")
    pixel_size: float = parameter(
        _D.pixel_size,
        label="Pixel size",
        section=_WHAT,
        unit="A",
        minimum=0.01,
        relion=False,
        short=("--angpix",),
        help="Of a physical pixel of the camera.",
    )
    dose_per_frame: float = parameter(
        _D.dose_per_frame,
        label="Dose per frame",
        section=_WHAT,
        unit="e/A^2",
        minimum=0.0,
        relion=False,
        help="Electrons that reach the specimen.",
    )
    seed: int = parameter(_D.seed, label="Random seed", section=_WHAT, minimum=0, relion=False, help="The same seed gives the same movies.")
    voltage: float = parameter(_D.voltage, label="Voltage", section=_OPTICS, unit="kV", minimum=1.0, relion=False, help="Of the gun.")
    spherical_aberration: float = parameter(
        _D.spherical_aberration, label="Cs", section=_OPTICS, unit="mm", minimum=0.0, relion=False, help="Spherical aberration."
    )
    amplitude_contrast: float = parameter(
        _D.amplitude_contrast, label="Amplitude contrast", section=_OPTICS, minimum=0.0, maximum=1.0, relion=False, help="As a fraction."
    )
    phase_shift: float = parameter(
        _D.phase_shift, label="Phase shift", section=_OPTICS, unit="deg", relion=False, help="Of a phase plate; 0 for none."
    )
    defocus_min: float = parameter(
        _D.defocus_min,
        label="Least defocus",
        section=_OPTICS,
        unit="A",
        relion=False,
        help="Of the middle of the film; underfocus is positive.",
    )
    defocus_max: float = parameter(_D.defocus_max, label="Largest defocus", section=_OPTICS, unit="A", relion=False, help="Of all movies.")
    astigmatism: float = parameter(
        _D.astigmatism,
        label="Astigmatism",
        section=_OPTICS,
        unit="A",
        minimum=0.0,
        relion=False,
        help="Defocus U less V, at a random angle for each movie.",
    )
    defocus_scatter: float = parameter(
        _D.defocus_scatter,
        label="Defocus scatter",
        section=_OPTICS,
        unit="A",
        minimum=0.0,
        relion=False,
        help="Standard deviation over the particles of a movie.",
    )
    tilt: float = parameter(
        _D.tilt,
        label="Tilt",
        section=_OPTICS,
        unit="deg",
        minimum=0.0,
        maximum=60.0,
        relion=False,
        help="Of the stage, about an axis of random direction.",
    )
    bfactor: float = parameter(
        _D.bfactor,
        label="B-factor",
        section=_OPTICS,
        unit="A^2",
        minimum=0.0,
        relion=False,
        help="Fall-off of all contrast with resolution.",
    )
    n_optics_groups: int = parameter(
        _D.n_optics_groups,
        label="Optics groups",
        section=_OPTICS,
        minimum=1,
        relion=False,
        help="Dealt over the movies; each has its own beam shift.",
    )
    n_particles: int = parameter(
        _D.n_particles, label="Particles", section=_SPECIMEN, minimum=0, relion=False, help="In an average frame; 0 for as many as fit."
    )
    spacing: float = parameter(
        _D.spacing,
        label="Spacing",
        section=_SPECIMEN,
        minimum=0.0,
        maximum=10.0,
        relion=False,
        help="Least distance of two particles, in diameters; 0 lets them overlap.",
    )
    contrast: float = parameter(
        _D.contrast,
        label="Contrast",
        section=_SPECIMEN,
        minimum=0.0,
        relion=False,
        help="Of the particles, of what the scattering of their atoms gives.",
    )
    view_kappa: float = parameter(
        _D.view_kappa,
        label="Preference of views",
        section=_SPECIMEN,
        minimum=0.0,
        relion=False,
        help="Concentration of preferred views; 0 spreads the views evenly.",
    )
    n_views: int = parameter(_D.n_views, label="Preferred views", section=_SPECIMEN, minimum=1, relion=False, help="How many there are.")
    junk_fraction: float = parameter(
        _D.junk_fraction,
        label="Junk",
        section=_SPECIMEN,
        minimum=0.0,
        maximum=10.0,
        relion=False,
        short=("--junk",),
        help="Contaminants, as a share of the number of particles.",
    )
    junk_kinds: str = parameter(
        ",".join(_D.junk_kinds),
        label="Kinds of junk",
        section=_SPECIMEN,
        relion=False,
        help=f"Of {', '.join(JUNK_KINDS)}, joined by commas.",
    )
    ice_thickness: float = parameter(
        _D.ice_thickness,
        label="Ice thickness",
        section=_SPECIMEN,
        unit="A",
        minimum=0.0,
        relion=False,
        help="In the middle of a frame, on average.",
    )
    ice_gradient: float = parameter(
        _D.ice_gradient,
        label="Ice gradient",
        section=_SPECIMEN,
        minimum=0.0,
        maximum=1.0,
        relion=False,
        help="Change of the thickness across the frame, as a share.",
    )
    ice_structure: float = parameter(
        _D.ice_structure,
        label="Ice noise",
        section=_SPECIMEN,
        minimum=0.0,
        relion=False,
        help="Power of the structure of the ice, of what physics gives.",
    )
    carbon_chance: float = parameter(
        _D.carbon_chance,
        label="Carbon",
        section=_SPECIMEN,
        minimum=0.0,
        maximum=1.0,
        relion=False,
        help="Share of the movies that show the edge of a hole.",
    )
    drift: float = parameter(
        _D.drift,
        label="Drift",
        section=_MOTION,
        unit="A",
        minimum=0.0,
        relion=False,
        help="Way of the whole frame: fast at first, then slower.",
    )
    local_motion: float = parameter(
        _D.local_motion,
        label="Local motion",
        section=_MOTION,
        unit="A",
        minimum=0.0,
        relion=False,
        help="Quadratic in place and cubic in time; rms over the frame at the end.",
    )
    odd_motion: float = parameter(
        _D.odd_motion,
        label="Odd motion",
        section=_MOTION,
        unit="A",
        minimum=0.0,
        relion=False,
        help="Local motion that no such polynomial describes; rms over the frame at the end.",
    )
    damage: bool = parameter(
        _D.damage, label="Radiation damage", section=_MOTION, relion=False, help="Detail of the particles fades with the dose."
    )
    super_resolution: bool = parameter(
        _D.super_resolution,
        label="Super-resolution",
        section=_CAMERA,
        relion=False,
        help="Pixels of the file are half as large as those of the camera.",
    )
    gain_spread: float = parameter(
        _D.gain_spread,
        label="Spread of the gain",
        section=_CAMERA,
        minimum=0.0,
        maximum=0.2,
        relion=False,
        help="Standard deviation of the sensitivity of the pixels.",
    )
    hot_pixels: float = parameter(
        _D.hot_pixels, label="Hot pixels", section=_CAMERA, minimum=0.0, maximum=0.1, relion=False, help="Share of the pixels."
    )
    dead_pixels: float = parameter(
        _D.dead_pixels, label="Dead pixels", section=_CAMERA, minimum=0.0, maximum=0.1, relion=False, help="Share of the pixels."
    )
    dead_columns: int = parameter(_D.dead_columns, label="Dead columns", section=_CAMERA, minimum=0, relion=False, help="How many.")
    mtf_nyquist: float = parameter(
        _D.mtf_nyquist,
        label="MTF at Nyquist",
        section=_CAMERA,
        minimum=0.0,
        maximum=1.0,
        relion=False,
        help="Contrast left at the Nyquist frequency of the physical pixels; 1 for a perfect camera.",
    )
    bits: int = parameter(
        _D.bits, label="Bits", section=_CAMERA, minimum=8, maximum=16, relion=False, help="Of a count in the file: 8 or 16."
    )
    file_format: str = parameter(_D.file_format, label="Format", section=_FILES, relion=False, choices=FORMATS, help="Of the movies.")
    eer_frames: int = parameter(
        _D.eer_frames,
        label="EER frames",
        section=_FILES,
        minimum=1,
        relion=False,
        help="Frames of the camera in one frame of an EER movie.",
    )
    layout: str = parameter(
        _D.layout,
        label="Layout",
        section=_FILES,
        relion=False,
        choices=LAYOUTS,
        help="'flat' for Movies/, 'epu' for names and metadata as of an EPU session.",
    )
    start: str = parameter(
        _D.start, label="Start", section=_FILES, relion=False, help="Local time of the first movie, in names and metadata."
    )
    interval: float = parameter(
        _D.interval,
        label="Interval",
        section=_FILES,
        unit="s",
        minimum=0.0,
        relion=False,
        help="Time between movies; 0 makes them all at once.",
    )
    half_written: bool = parameter(
        _D.half_written,
        label="Growing files",
        section=_FILES,
        relion=False,
        help="Movies appear half written first, as when a camera writes them.",
    )
    shuffled: bool = parameter(_D.shuffled, label="Any order", section=_FILES, relion=False, help="Movies arrive in random order.")
