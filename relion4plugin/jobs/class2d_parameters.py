"""The parameters of a 2D classification: names and defaults of RELION's job.star, and our own advanced ones."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _CTF, _OPT = "I/O", "CTF", "Optimisation"
_SAMPLING, _COMPUTE, _MODEL, _VDAM = "Sampling", "Compute", "Model", "VDAM schedule"


@dataclass(frozen=True)
class Class2DParameters:
    """One 2D classification; lengths in A or px of the particle images as declared, angles in degrees."""

    fn_img: str = parameter(
        "", label="Input particles", section=_IO, option="--i", pattern="*.star",
        help="STAR file with the particle images, their CTF and, if known, their poses.",
    )
    fn_cont: str = parameter(
        "", label="Continue from", section=_IO, option="--continue", pattern="*_optimiser.star",
        help="A run_itNNN_optimiser.star: go on after that iteration instead of starting anew.",
    )
    do_ctf_correction: bool = parameter(
        True, label="Do CTF correction", section=_CTF, option="--ctf",
        help="Model the CTF of each particle; No treats the images as true projections.",
    )
    ctf_intact_first_peak: bool = parameter(
        False, label="Ignore CTFs until first peak", section=_CTF, option="--ctf_intact_first_peak",
        help="Correct amplitudes only from the first CTF peak on; more low-resolution contrast where the CTF model is poor there.",
    )
    ctf_phase_flipped: bool = parameter(
        False, label="Images are phase-flipped", section=_CTF, option="--ctf_phase_flipped", advanced=True, relion=False,
        help="The particle images were phase-flipped when they were extracted.",
    )
    only_flip_phases: bool = parameter(
        False, label="Only flip phases", section=_CTF, option="--only_flip_phases", advanced=True, relion=False,
        help="Correct the sign of the CTF but not its amplitude.",
    )
    nr_classes: int = parameter(
        50, label="Number of classes", section=_OPT, option="--K", minimum=1,
        help="More classes separate rarer views and junk better, but take longer and leave fewer particles in each.",
    )
    tau_fudge: float = parameter(
        2.0, label="Regularisation parameter T", section=_OPT, option="--tau2_fudge", minimum=0.1,
        help="Higher values trust the data more than the prior: more detail, and sooner noise; 1 to 2 for most 2D classifications.",
    )
    do_grad: bool = parameter(
        True, label="Use VDAM algorithm", section=_OPT, option="--grad",
        help="Gradient descent on mini-batches: several times faster than EM on large sets.",
    )
    nr_iter_grad: int = parameter(
        200, label="Number of VDAM mini-batches", section=_OPT, minimum=1,
        help="More mini-batches converge further; 200 for most data, fewer only for a quick look.",
    )
    do_em: bool = parameter(
        False, label="Use EM algorithm", section=_OPT, short=("--em",),
        help="Expectation-maximisation over all particles in every iteration.",
    )
    nr_iter_em: int = parameter(
        25, label="Number of EM iterations", section=_OPT, minimum=1,
        help="More iterations let rare classes settle; 25 for most data.",
    )
    particle_diameter: float = parameter(
        200.0, label="Mask diameter", section=_OPT, unit="A", option="--particle_diameter", minimum=1.0,
        help="Diameter of the soft circular mask; too small cuts signal away, too large lets in neighbours and noise.",
    )
    do_zero_mask: bool = parameter(
        True, label="Mask particles with zeros", section=_OPT, option="--zero_mask",
        help="Yes sets the area outside the mask to zero (more sensitive); No fills it with noise (fewer artificial correlations).",
    )
    highres_limit: float = parameter(
        -1.0, label="Limit resolution of alignment", section=_OPT, unit="A", option="--strict_highres_exp", minimum=-1.0,
        help="Finest resolution used to align and classify; 7 to 12 helps against overfitting of small particles, -1 sets no limit.",
    )
    do_center: bool = parameter(
        True, label="Centre class averages", section=_OPT, option="--center_classes",
        help="Move the centre of mass of each class average to the centre of the box as the run goes on.",
    )
    do_fast_subsets: bool = parameter(
        False, label="Use fast subsets (EM)", section=_OPT, option="--fast_subsets", advanced=True, relion=False,
        help="EM only: the first 15 iterations use random subsets that grow with the iteration.",
    )
    dont_skip_align: bool = parameter(
        True, label="Perform image alignment", section=_SAMPLING, negated=("--skip_align",),
        help="No keeps the poses of the input and only classifies.",
    )
    psi_sampling: float = parameter(
        6.0, label="In-plane angular sampling", section=_SAMPLING,
        unit="deg", option="--psi_step", option_scale=2.0, minimum=0.25, maximum=90.0,
        help="Fine step of the in-plane angle (the coarse first pass uses twice this); smaller is slower and finer.",
    )
    offset_range: float = parameter(
        5.0, label="Offset search range", section=_SAMPLING, unit="px", option="--offset_range", minimum=0.0, maximum=100.0,
        help="Radius of the search for the particle centre around the last one; raise it for badly centred picks.",
    )
    offset_step: float = parameter(
        1.0, label="Offset search step", section=_SAMPLING,
        unit="px", option="--offset_step", option_scale=2.0, short=("--offset_sampling",), minimum=0.1, maximum=20.0,
        help="Fine step of the centre search (the coarse first pass uses twice this).",
    )
    skip_rotate: bool = parameter(
        False, label="Keep in-plane angles", section=_SAMPLING, option="--skip_rotate", advanced=True, relion=False,
        help="Search centres but keep the in-plane angles of the input.",
    )
    sigma_psi: float = parameter(
        -1.0, label="Width of in-plane angle prior", section=_SAMPLING,
        unit="deg", option="--sigma_psi", minimum=-1.0, advanced=True, relion=False,
        help="Standard deviation around rlnAnglePsiPrior where the input has that column; -1 searches all angles.",
    )
    adaptive_fraction: float = parameter(
        0.999, label="Adaptive fraction", section=_SAMPLING,
        option="--adaptive_fraction", minimum=0.5, maximum=1.0, advanced=True, relion=False,
        help="Share of the coarse posterior that is searched finely; higher is more exact and slower.",
    )
    maxsig: int = parameter(
        -1, label="Most fine orientations", section=_SAMPLING, option="--maxsig", minimum=-1, advanced=True, relion=False,
        help="Upper limit of coarse poses searched finely per particle; -1 means 5 per class for VDAM and no limit for EM.",
    )
    perturb: float = parameter(
        0.5, label="Random perturbation", section=_SAMPLING,
        option="--perturb", minimum=0.0, maximum=1.0, advanced=True, relion=False,
        help="Random shift of the whole search grid in each iteration, as a part of its step; 0 keeps it fixed.",
    )
    use_gpu: bool = parameter(
        False, label="Use GPU acceleration", section=_COMPUTE,
        help="Compute on a graphics card (needs cupy).",
    )
    gpu_ids: str = parameter(
        "", label="Which GPU to use", section=_COMPUTE,
        help="Number of the card, counted from 0; empty takes card 0.",
    )
    nr_threads: int = parameter(
        1, label="Number of threads", section=_COMPUTE, option="--j", minimum=1,
        help="Processor cores to use.",
    )
    memory_limit: float = parameter(
        1.0, label="Memory limit", section=_COMPUTE, unit="GiB", minimum=0.1, advanced=True, relion=False,
        help="Memory for working arrays; a higher limit makes larger and faster blocks.",
    )
    random_seed: int = parameter(
        0, label="Random seed", section=_COMPUTE,
        option="--random_seed", short=("--seed",), minimum=0, advanced=True, relion=False,
        help="The same seed on the same machine gives the same result.",
    )
    fn_ref: str = parameter(
        "", label="Starting averages", section=_MODEL, option="--ref", pattern="*.mrcs", advanced=True, relion=False,
        help="Stack with one start image per class; without it the classes start from random blobs and averages.",
    )
    ini_high: float = parameter(
        -1.0, label="Initial low-pass filter", section=_MODEL,
        unit="A", option="--ini_high", minimum=-1.0, advanced=True, relion=False,
        help="Low-pass filter of the start images; -1 chooses it from the box size.",
    )
    init_blobs: bool = parameter(
        True, label="Start from blobs", section=_MODEL, negated=("--no_init_blobs",), advanced=True, relion=False,
        help="Start VDAM classes from random blobs instead of averages of random particles.",
    )
    flatten_solvent: bool = parameter(
        True, label="Flatten solvent", section=_MODEL, option="--flatten_solvent", advanced=True, relion=False,
        help="Mask the class averages outside the mask diameter after every iteration.",
    )
    do_norm: bool = parameter(
        True, label="Normalisation correction", section=_MODEL, option="--norm", advanced=True, relion=False,
        help="Estimate the noise level of each particle.",
    )
    do_scale: bool = parameter(
        True, label="Scale correction", section=_MODEL, option="--scale", advanced=True, relion=False,
        help="Estimate the contrast of each micrograph.",
    )
    pad: int = parameter(
        2, label="Padding factor", section=_MODEL, option="--pad", minimum=1, maximum=3, advanced=True, relion=False,
        help="Padding of the class averages before their Fourier transform; higher is more exact and needs more memory.",
    )
    class_inactivity_threshold: float = parameter(
        0.1, label="Inactivity threshold", section=_VDAM,
        option="--class_inactivity_threshold", minimum=0.0, maximum=1.0, advanced=True, relion=False,
        help="Classes with less than this part of an even share are replaced by a copy of a populated class; 0 never replaces.",
    )
    grad_write_iter: int = parameter(
        10, label="Write every", section=_VDAM, option="--grad_write_iter", minimum=1, advanced=True, relion=False,
        help="Mini-batches between two sets of output files; EM writes every iteration.",
    )
    grad_stepsize: float = parameter(
        -1.0, label="Step size", section=_VDAM, option="--grad_stepsize", minimum=-1.0, maximum=1.0, advanced=True, relion=False,
        help="Final step size of the gradient; larger moves faster and less surely, -1 takes 0.3.",
    )
    mu: float = parameter(
        0.9, label="Momentum", section=_VDAM, option="--mu", minimum=0.0, maximum=1.0, advanced=True, relion=False,
        help="Momentum of noise, offsets and class sizes between mini-batches.",
    )
    grad_ini_frac: float = parameter(
        0.3, label="Initial fraction", section=_VDAM,
        option="--grad_ini_frac", minimum=0.0, maximum=1.0, advanced=True, relion=False,
        help="Part of the run with the initial mini-batch size and step.",
    )
    grad_fin_frac: float = parameter(
        0.2, label="Final fraction", section=_VDAM,
        option="--grad_fin_frac", minimum=0.0, maximum=1.0, advanced=True, relion=False,
        help="Part of the run with the final mini-batch size and step.",
    )
    grad_ini_subset: int = parameter(
        -1, label="Initial mini-batch size", section=_VDAM, option="--grad_ini_subset", minimum=-1, advanced=True, relion=False,
        help="Particles in each of the first mini-batches; -1 chooses from the number of particles and classes.",
    )
    grad_fin_subset: int = parameter(
        -1, label="Final mini-batch size", section=_VDAM, option="--grad_fin_subset", minimum=-1, advanced=True, relion=False,
        help="Particles in each of the last mini-batches; -1 chooses from the number of particles and classes.",
    )
    grad_em_iters: int = parameter(
        0, label="Final EM iterations", section=_VDAM, option="--grad_em_iters", minimum=0, advanced=True, relion=False,
        help="Iterations of EM over all particles at the end of a VDAM run.",
    )
