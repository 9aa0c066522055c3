"""Simulation of particles as a job: its parameters on every face, made into a `SimulationSpec`."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import check, parameter
from relion4plugin.progress import Progress
from relion4plugin.simulation.spec import JUNK_KINDS, SimulationSpec

if TYPE_CHECKING:
    from relion4plugin.simulation.particles import SimulationResult

_WHAT, _OPTICS, _IMAGES, _JUNK = "What", "Optics", "Images", "Views and junk"
_D = SimulationSpec()  # the defaults live there


@dataclass(frozen=True)
class SimulateParticlesParameters:
    """One simulated particle stack; lengths in A, angles in degrees, unless the unit says otherwise."""

    source: str = parameter(
        _D.source,
        label="Structure",
        section=_WHAT,
        pattern="*.pdb *.cif *.mrc",
        relion=False,
        help="'pseudo' for the built-in protein, a structure (.pdb, .cif, also .gz) or a map (.mrc).",
    )
    n_particles: int = parameter(
        _D.n_particles, label="Number of particles", section=_WHAT, minimum=1, relion=False, short=("--n",), help="Images to make."
    )
    box_size: int = parameter(
        _D.box_size, label="Box size", section=_WHAT, unit="px", minimum=16, relion=False, short=("--box",), help="Edge of an image, even."
    )
    pixel_size: float = parameter(
        _D.pixel_size, label="Pixel size", section=_WHAT, unit="A", minimum=0.01, relion=False, short=("--angpix",), help="Size of a pixel."
    )
    resolution: float = parameter(
        _D.resolution, label="Resolution", section=_WHAT, unit="A", minimum=0.0, relion=False, help="Low-pass of the density; 0 keeps all."
    )
    bfactor: float = parameter(
        _D.bfactor, label="B-factor", section=_WHAT, unit="A^2", relion=False, help="Fall-off of the density with resolution."
    )
    diameter: float = parameter(
        _D.diameter,
        label="Particle diameter",
        section=_WHAT,
        unit="A",
        minimum=0.0,
        relion=False,
        help="Disc in which the signal is measured; 0 takes it from the structure.",
    )
    voltage: float = parameter(_D.voltage, label="Voltage", section=_OPTICS, unit="kV", minimum=1.0, relion=False, help="Of the gun.")
    spherical_aberration: float = parameter(
        _D.spherical_aberration, label="Cs", section=_OPTICS, unit="mm", minimum=0.0, relion=False, help="Spherical aberration."
    )
    amplitude_contrast: float = parameter(
        _D.amplitude_contrast, label="Amplitude contrast", section=_OPTICS, minimum=0.0, maximum=1.0, relion=False, help="As a fraction."
    )
    defocus_min: float = parameter(
        _D.defocus_min, label="Least defocus", section=_OPTICS, unit="A", relion=False, help="Underfocus is positive."
    )
    defocus_max: float = parameter(_D.defocus_max, label="Largest defocus", section=_OPTICS, unit="A", relion=False, help="Of all.")
    defocus_scatter: float = parameter(
        _D.defocus_scatter,
        label="Defocus scatter",
        section=_OPTICS,
        unit="A",
        minimum=0.0,
        relion=False,
        help="Standard deviation of defocus over the particles of a micrograph.",
    )
    astigmatism: float = parameter(
        _D.astigmatism, label="Astigmatism", section=_OPTICS, unit="A", minimum=0.0, relion=False, help="Defocus U less V."
    )
    phase_shift: float = parameter(
        _D.phase_shift, label="Phase shift", section=_OPTICS, unit="deg", relion=False, help="Of a phase plate; 0 for none."
    )
    n_optics_groups: int = parameter(
        _D.n_optics_groups, label="Optics groups", section=_OPTICS, minimum=1, relion=False, help="Dealt over the micrographs."
    )
    n_micrographs: int = parameter(
        _D.n_micrographs,
        label="Number of micrographs",
        section=_IMAGES,
        minimum=0,
        relion=False,
        help="One stack each; 0 makes as many as particles_per_stack asks for.",
    )
    particles_per_stack: int = parameter(
        _D.particles_per_stack, label="Particles per stack", section=_IMAGES, minimum=1, relion=False, help="Where n_micrographs is 0."
    )
    snr: float = parameter(
        _D.snr, label="Signal to noise", section=_IMAGES, minimum=0.0, relion=False, help="Variance of signal over noise in the disc."
    )
    noise_colour: float = parameter(
        _D.noise_colour, label="Noise colour", section=_IMAGES, relion=False, help="Exponent of the fall of the noise; 0 is white."
    )
    structural_noise: float = parameter(
        _D.structural_noise,
        label="Structural noise",
        section=_IMAGES,
        minimum=0.0,
        maximum=1.0,
        relion=False,
        help="Share of the noise that passes through the CTF, as ice and carbon do.",
    )
    shift_sigma: float = parameter(
        _D.shift_sigma, label="Picking error", section=_IMAGES, unit="px", minimum=0.0, relion=False, help="Standard deviation in x and y."
    )
    float16: bool = parameter(_D.float16, label="16-bit stacks", section=_IMAGES, relion=False, help="Write MRC mode 12, half the size.")
    seed: int = parameter(
        _D.seed, label="Random seed", section=_IMAGES, minimum=0, relion=False, help="The same seed gives the same particles."
    )
    n_views: int = parameter(
        _D.n_views, label="Preferred views", section=_JUNK, minimum=0, relion=False, help="0 spreads the views evenly."
    )
    view_spread: float = parameter(
        _D.view_spread, label="Spread of views", section=_JUNK, unit="deg", minimum=0.0, relion=False, help="About a preferred view."
    )
    junk_fraction: float = parameter(
        _D.junk_fraction,
        label="Junk fraction",
        section=_JUNK,
        minimum=0.0,
        maximum=1.0,
        relion=False,
        short=("--junk",),
        help="Share of images that are not a plain single particle.",
    )
    junk_kinds: str = parameter(
        ",".join(_D.junk_kinds), label="Kinds of junk", section=_JUNK, relion=False, help=f"Of {', '.join(JUNK_KINDS)}, joined by commas."
    )


def specification(parameters: SimulateParticlesParameters) -> SimulationSpec:
    """Return the checked specification.

    Raises
    ------
    UserError
        If a value is out of range.
    """
    check(parameters)
    values = {f.name: getattr(parameters, f.name) for f in fields(SimulationSpec)}
    values["junk_kinds"] = tuple(k.strip() for k in parameters.junk_kinds.split(",") if k.strip())
    spec = SimulationSpec(**values)
    spec.validate()
    return spec


def run(parameters: SimulateParticlesParameters, out_dir: Path, progress: Progress, overwrite: bool = False) -> "SimulationResult":
    """Simulate particles into `out_dir` and return the files made.

    Raises
    ------
    UserError
        If a value is out of range or `out_dir` already holds files.
    """
    spec = specification(parameters)
    if out_dir.exists() and not out_dir.is_dir():
        raise UserError(f"output {out_dir} is a file: give a directory with --o")
    if out_dir.is_dir() and any(out_dir.iterdir()) and not overwrite:
        raise UserError(f"{out_dir} is not empty: give another directory with --o, or --overwrite to replace its particles")
    from relion4plugin.simulation.particles import simulate

    return simulate(spec, out_dir, progress)
