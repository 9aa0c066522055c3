"""Simulation of particles as a job: its parameters on every face, made into a `SimulationSpec`."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from relion4plugin.jobs.parameters import check
from relion4plugin.jobs.simulate_options import check_output, junk_kinds, junk_kinds_of, own, shared
from relion4plugin.progress import Progress
from relion4plugin.simulation.spec import JUNK_KINDS, SimulationSpec

if TYPE_CHECKING:
    from relion4plugin.simulation.particles import SimulationResult

_WHAT, _OPTICS, _IMAGES, _JUNK = "What", "Optics", "Images", "Views and junk"
_D = SimulationSpec()  # the defaults live there


@dataclass(frozen=True)
class SimulateParticlesParameters:
    """One simulated particle stack; lengths in A, angles in degrees, unless the unit says otherwise."""

    source: str = own(
        _D.source,
        label="Structure",
        section=_WHAT,
        pattern="*.pdb *.cif *.mrc",
        help="'pseudo' for the built-in protein, a structure (.pdb, .cif, also .gz) or a map (.mrc).",
    )
    n_particles: int = own(_D.n_particles, label="Number of particles", section=_WHAT, minimum=1, short=("--n",), help="Images to make.")
    box_size: int = own(
        _D.box_size, label="Box size", section=_WHAT, unit="px", minimum=16, short=("--box",), help="Edge of an image, even."
    )
    pixel_size: float = shared("pixel_size", _D.pixel_size, help="Size of a pixel.")
    resolution: float = own(
        _D.resolution, label="Resolution", section=_WHAT, unit="A", minimum=0.0, help="Low-pass of the density; 0 keeps all."
    )
    bfactor: float = own(_D.bfactor, label="B-factor", section=_WHAT, unit="A^2", help="Fall-off of the density with resolution.")
    diameter: float = own(
        _D.diameter,
        label="Particle diameter",
        section=_WHAT,
        unit="A",
        minimum=0.0,
        help="Disc in which the signal is measured; 0 takes it from the structure.",
    )
    voltage: float = shared("voltage", _D.voltage)
    spherical_aberration: float = shared("spherical_aberration", _D.spherical_aberration)
    amplitude_contrast: float = shared("amplitude_contrast", _D.amplitude_contrast)
    defocus_min: float = shared("defocus_min", _D.defocus_min, help="Underfocus is positive.")
    defocus_max: float = shared("defocus_max", _D.defocus_max, help="Of all.")
    defocus_scatter: float = shared(
        "defocus_scatter", _D.defocus_scatter, help="Standard deviation of defocus over the particles of a micrograph."
    )
    astigmatism: float = shared("astigmatism", _D.astigmatism, help="Defocus U less V.")
    phase_shift: float = shared("phase_shift", _D.phase_shift)
    n_optics_groups: int = shared("n_optics_groups", _D.n_optics_groups, help="Dealt over the micrographs.")
    n_micrographs: int = own(
        _D.n_micrographs,
        label="Number of micrographs",
        section=_IMAGES,
        minimum=0,
        help="One stack each; 0 makes as many as particles_per_stack asks for.",
    )
    particles_per_stack: int = own(
        _D.particles_per_stack, label="Particles per stack", section=_IMAGES, minimum=1, help="Where n_micrographs is 0."
    )
    snr: float = own(_D.snr, label="Signal to noise", section=_IMAGES, minimum=0.0, help="Variance of signal over noise in the disc.")
    noise_colour: float = own(_D.noise_colour, label="Noise colour", section=_IMAGES, help="Exponent of the fall of the noise; 0 is white.")
    structural_noise: float = own(
        _D.structural_noise,
        label="Structural noise",
        section=_IMAGES,
        minimum=0.0,
        maximum=1.0,
        help="Share of the noise that passes through the CTF, as ice and carbon do.",
    )
    shift_sigma: float = own(
        _D.shift_sigma, label="Picking error", section=_IMAGES, unit="px", minimum=0.0, help="Standard deviation in x and y."
    )
    float16: bool = own(_D.float16, label="16-bit stacks", section=_IMAGES, help="Write MRC mode 12, half the size.")
    seed: int = shared("seed", _D.seed, section=_IMAGES, help="The same seed gives the same particles.")
    n_views: int = own(_D.n_views, label="Preferred views", section=_JUNK, minimum=0, help="0 spreads the views evenly.")
    view_spread: float = own(
        _D.view_spread, label="Spread of views", section=_JUNK, unit="deg", minimum=0.0, help="About a preferred view."
    )
    junk_fraction: float = shared(
        "junk_fraction",
        _D.junk_fraction,
        label="Junk fraction",
        section=_JUNK,
        maximum=1.0,
        help="Share of images that are not a plain single particle.",
    )
    junk_kinds: str = junk_kinds(_D.junk_kinds, JUNK_KINDS, _JUNK)


def specification(parameters: SimulateParticlesParameters) -> SimulationSpec:
    """Return the checked specification.

    Raises
    ------
    UserError
        If a value is out of range.
    """
    check(parameters)
    values = {f.name: getattr(parameters, f.name) for f in fields(SimulationSpec)}
    values["junk_kinds"] = junk_kinds_of(parameters.junk_kinds)
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
    check_output(out_dir, overwrite, "particles")
    from relion4plugin.simulation.particles import simulate

    return simulate(spec, out_dir, progress)
