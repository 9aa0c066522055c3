"""Parameters that refinement jobs have in common: each is described once, and a job lists the ones that it takes.

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Toy:
...     tau_fudge: float = shared("tau_fudge", default=4.0)
>>> Toy().tau_fudge
4.0
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from relion4plugin.jobs.parameters import parameter

IO, REFERENCE, CTF, OPTIMISATION = "I/O", "Reference", "CTF", "Optimisation"
SAMPLING, COMPUTE, MODEL, VDAM = "Sampling", "Compute", "Model", "VDAM schedule"

# RELION's menu of angular steps: the fine step of HEALPix order 0, 1, ... of the coarse grid.
ANGULAR_STEPS = tuple(f"{step} degrees" for step in ("30", "15", "7.5", "3.7", "1.8", "0.9", "0.5", "0.2", "0.1"))


def healpix_order(step: str) -> int:
    """Return the coarse HEALPix order of a menu entry ("7.5 degrees" is 2: coarse 15 degrees)."""
    return ANGULAR_STEPS.index(step)


def shared(name: str, **changes: Any) -> Any:
    """Declare a parameter that several jobs have; `changes` are what differs in this job (default, help, section, ...).

    Raises
    ------
    KeyError
        If no parameter of that name is described here.
    """
    return _SHARED[name](**changes)


_advanced = partial(parameter, advanced=True, relion=False)

_SHARED: dict[str, Callable[..., Any]] = {
    "fn_img": partial(
        parameter, default="", label="Input particles", section=IO, option="--i", pattern="*.star",
        help="STAR file with the particle images, their CTF and, if known, their poses.",
    ),
    "fn_cont": partial(
        parameter, default="", label="Continue from", section=IO, option="--continue", pattern="*_optimiser.star",
        help="A run_itNNN_optimiser.star: go on after that iteration instead of starting anew.",
    ),
    "fn_ref": partial(
        parameter, default="", label="Reference map", section=IO, option="--ref", pattern="*.mrc",
        help="Start map (.mrc); a map of another box or pixel size is rescaled.",
    ),
    "fn_mask": partial(
        parameter, default="", label="Reference mask", section=IO, option="--solvent_mask", pattern="*.mrc",
        help="Soft mask (0 to 1) in the box of the particles, applied to the maps; without it a sphere of the mask diameter.",
    ),
    "ref_correct_greyscale": partial(
        parameter, default=False, label="Reference is on absolute greyscale", section=REFERENCE, negated=("--firstiter_cc",),
        help="Yes for a map reconstructed from these particles; No compares by cross-correlation in the first iteration.",
    ),
    "trust_ref_size": partial(
        parameter, default=True, label="Rescale the reference if needed", section=REFERENCE, option="--trust_ref_size",
        help="Yes brings a reference of another box or pixel size to that of the particles; No refuses it.",
    ),
    "ini_high": partial(
        parameter, default=60.0, label="Initial low-pass filter", section=REFERENCE, unit="A", option="--ini_high", minimum=-1.0,
        help="Filter of the reference before the first iteration: coarse enough that its details cannot bias the result; -1 for none.",
    ),
    "sym_name": partial(
        parameter, default="C1", label="Symmetry", section=REFERENCE, option="--sym",
        help="Point group: C1 to C99, D1 to D99, T, O, I or I1 to I4; the reference must lie on its axes.",
    ),
    "do_ctf_correction": partial(
        parameter, default=True, label="Do CTF correction", section=CTF, option="--ctf",
        help="Model the CTF of each particle; No treats the images as true projections.",
    ),
    "ctf_intact_first_peak": partial(
        parameter, default=False, label="Ignore CTFs until first peak", section=CTF, option="--ctf_intact_first_peak",
        help="Correct amplitudes only from the first CTF peak on; more low-resolution contrast where the CTF model is poor there.",
    ),
    "ctf_phase_flipped": partial(
        _advanced, default=False, label="Images are phase-flipped", section=CTF, option="--ctf_phase_flipped",
        help="The particle images were phase-flipped when they were extracted.",
    ),
    "only_flip_phases": partial(
        _advanced, default=False, label="Only flip phases", section=CTF, option="--only_flip_phases",
        help="Correct the sign of the CTF but not its amplitude.",
    ),
    "nr_classes": partial(
        parameter, default=1, label="Number of classes", section=OPTIMISATION, option="--K", minimum=1,
        help="More classes separate rarer structures and junk better, but take longer and leave fewer particles in each.",
    ),
    "tau_fudge": partial(
        parameter, default=4.0, label="Regularisation parameter T", section=OPTIMISATION, option="--tau2_fudge", minimum=0.1,
        help="Higher values trust the data more than the prior: more detail, and sooner noise; 2 to 4 for most 3D data.",
    ),
    "do_grad": partial(
        parameter, default=True, label="Use VDAM algorithm", section=OPTIMISATION, option="--grad",
        help="Gradient descent on mini-batches: several times faster than EM on large sets.",
    ),
    "nr_iter_grad": partial(
        parameter, default=200, label="Number of VDAM mini-batches", section=OPTIMISATION, minimum=1,
        help="More mini-batches converge further; 200 for most data, fewer only for a quick look.",
    ),
    "particle_diameter": partial(
        parameter, default=200.0, label="Mask diameter", section=OPTIMISATION, unit="A", option="--particle_diameter", minimum=1.0,
        help="Diameter of the soft circular mask; too small cuts signal away, too large lets in neighbours and noise.",
    ),
    "do_zero_mask": partial(
        parameter, default=True, label="Mask particles with zeros", section=OPTIMISATION, option="--zero_mask",
        help="Yes sets the area outside the mask to zero (more sensitive); No fills it with noise (fewer artificial correlations).",
    ),
    "highres_limit": partial(
        parameter, default=-1.0, label="Limit resolution of alignment", section=OPTIMISATION,
        unit="A", option="--strict_highres_exp", minimum=-1.0,
        help="Finest resolution used to align and classify; 7 to 12 helps against overfitting of small particles, -1 sets no limit.",
    ),
    "do_fast_subsets": partial(
        parameter, default=False, label="Use fast subsets (EM)", section=OPTIMISATION, option="--fast_subsets",
        help="EM only: the first 15 iterations use random subsets that grow with the iteration.",
    ),
    "dont_skip_align": partial(
        parameter, default=True, label="Perform image alignment", section=SAMPLING, negated=("--skip_align",),
        help="No keeps the poses of the input and only classifies.",
    ),
    "sampling": partial(
        parameter, default="7.5 degrees", label="Angular sampling", section=SAMPLING,
        option="--healpix_order", option_index=True, choices=ANGULAR_STEPS,
        help="Fine step of the orientations (the coarse first pass uses twice this); each halving takes about 8 times as long.",
    ),
    "offset_range": partial(
        parameter, default=5.0, label="Offset search range", section=SAMPLING, unit="px", option="--offset_range",
        minimum=0.0, maximum=100.0,
        help="Radius of the search for the particle centre around the last one; raise it for badly centred picks.",
    ),
    "offset_step": partial(
        parameter, default=1.0, label="Offset search step", section=SAMPLING, unit="px",
        option="--offset_step", option_scale=2.0, short=("--offset_sampling",), minimum=0.1, maximum=20.0,
        help="Fine step of the centre search (the coarse first pass uses twice this).",
    ),
    "adaptive_fraction": partial(
        _advanced, default=0.999, label="Adaptive fraction", section=SAMPLING, option="--adaptive_fraction", minimum=0.5, maximum=1.0,
        help="Share of the coarse posterior that is searched finely; higher is more exact and slower.",
    ),
    "maxsig": partial(
        _advanced, default=-1, label="Most fine orientations", section=SAMPLING, option="--maxsig", minimum=-1,
        help="Upper limit of coarse poses searched finely per particle; -1 means 5 per class (100 in 3D) for VDAM and no limit for EM.",
    ),
    "perturb": partial(
        _advanced, default=0.5, label="Random perturbation", section=SAMPLING, option="--perturb", minimum=0.0, maximum=1.0,
        help="Random shift of the whole search grid in each iteration, as a part of its step; 0 keeps it fixed.",
    ),
    "use_gpu": partial(
        parameter, default=False, label="Use GPU acceleration", section=COMPUTE,
        help="Compute on a graphics card (needs cupy).",
    ),
    "gpu_ids": partial(
        parameter, default="", label="Which GPU to use", section=COMPUTE,
        help="Number of the card, counted from 0; empty takes card 0.",
    ),
    "nr_threads": partial(
        parameter, default=1, label="Number of threads", section=COMPUTE, option="--j", minimum=1,
        help="Processor cores to use.",
    ),
    "memory_limit": partial(
        _advanced, default=1.0, label="Memory limit", section=COMPUTE, unit="GiB", minimum=0.1,
        help="Memory for working arrays; a higher limit makes larger and faster blocks.",
    ),
    "random_seed": partial(
        _advanced, default=0, label="Random seed", section=COMPUTE, option="--random_seed", short=("--seed",), minimum=0,
        help="The same seed on the same machine gives the same result.",
    ),
    "init_blobs": partial(
        _advanced, default=True, label="Start from blobs", section=MODEL, negated=("--no_init_blobs",),
        help="Start VDAM classes from random blobs instead of averages of random particles.",
    ),
    "flatten_solvent": partial(
        _advanced, default=True, label="Flatten solvent", section=MODEL, option="--flatten_solvent",
        help="Mask the maps outside the mask diameter, or by the reference mask, after every iteration.",
    ),
    "do_norm": partial(
        _advanced, default=True, label="Normalisation correction", section=MODEL, option="--norm",
        help="Estimate the noise level of each particle.",
    ),
    "do_scale": partial(
        _advanced, default=True, label="Scale correction", section=MODEL, option="--scale",
        help="Estimate the contrast of each micrograph.",
    ),
    "pad": partial(
        _advanced, default=2, label="Padding factor", section=MODEL, option="--pad", minimum=1, maximum=3,
        help="Padding of the references before their Fourier transform; higher is more exact and needs more memory.",
    ),
    "do_pad1": partial(
        parameter, default=False, label="Skip padding", section=COMPUTE,
        help="Yes transforms the references without padding: 8 times less memory, and some density folds back into the corners.",
    ),
    "class_inactivity_threshold": partial(
        _advanced, default=0.0, label="Inactivity threshold", section=VDAM,
        option="--class_inactivity_threshold", minimum=0.0, maximum=1.0,
        help="Classes with less than this part of an even share are replaced by a copy of a populated class; 0 never replaces.",
    ),
    "grad_write_iter": partial(
        _advanced, default=10, label="Write every", section=VDAM, option="--grad_write_iter", minimum=1,
        help="Mini-batches between two sets of output files; EM writes every iteration.",
    ),
    "grad_stepsize": partial(
        _advanced, default=-1.0, label="Step size", section=VDAM, option="--grad_stepsize", minimum=-1.0, maximum=1.0,
        help="Final step size of the gradient; larger moves faster and less surely, -1 takes 0.3, for initial models 0.5.",
    ),
    "mu": partial(
        _advanced, default=0.9, label="Momentum", section=VDAM, option="--mu", minimum=0.0, maximum=1.0,
        help="Momentum of noise, offsets and class sizes between mini-batches.",
    ),
    "grad_ini_frac": partial(
        _advanced, default=0.3, label="Initial fraction", section=VDAM, option="--grad_ini_frac", minimum=0.0, maximum=1.0,
        help="Part of the run with the initial mini-batch size and step.",
    ),
    "grad_fin_frac": partial(
        _advanced, default=0.2, label="Final fraction", section=VDAM, option="--grad_fin_frac", minimum=0.0, maximum=1.0,
        help="Part of the run with the final mini-batch size and step.",
    ),
    "grad_ini_subset": partial(
        _advanced, default=-1, label="Initial mini-batch size", section=VDAM, option="--grad_ini_subset", minimum=-1,
        help="Particles in each of the first mini-batches; -1 chooses from the number of particles and classes.",
    ),
    "grad_fin_subset": partial(
        _advanced, default=-1, label="Final mini-batch size", section=VDAM, option="--grad_fin_subset", minimum=-1,
        help="Particles in each of the last mini-batches; -1 chooses from the number of particles and classes.",
    ),
    "grad_em_iters": partial(
        _advanced, default=0, label="Final EM iterations", section=VDAM, option="--grad_em_iters", minimum=0,
        help="Iterations of EM over all particles at the end of a VDAM run.",
    ),
}
