"""The parameters of a 2D classification: names and defaults of RELION's job.star, and our own advanced ones."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.refinement_parameters import MODEL, OPTIMISATION, SAMPLING, shared

STREAM = "Streaming"


@dataclass(frozen=True)
class Class2DParameters:
    """One 2D classification; lengths in A or px of the particle images as declared, angles in degrees."""

    fn_img: str = shared("fn_img")
    fn_cont: str = shared("fn_cont")
    do_ctf_correction: bool = shared("do_ctf_correction")
    ctf_intact_first_peak: bool = shared("ctf_intact_first_peak")
    ctf_phase_flipped: bool = shared("ctf_phase_flipped")
    only_flip_phases: bool = shared("only_flip_phases")
    nr_classes: int = shared(
        "nr_classes", default=50,
        help="More classes separate rarer views and junk better, but take longer and leave fewer particles in each.",
    )
    parts_per_class: int = parameter(
        0, label="Particles per class", section=OPTIMISATION, minimum=0, relion=False, short=("--parts_per_class",),
        help="Make fewer classes than asked for where each would have fewer particles than this, on average; 0 makes all. A stream begins "
        "as if it had 2.5 times its particles; if the last call then has far too many or too few classes, it begins anew.",
    )
    tau_fudge: float = shared(
        "tau_fudge", default=2.0,
        help="Higher values trust the data more than the prior: more detail, and sooner noise; 1 to 2 for most 2D classifications.",
    )
    do_grad: bool = shared("do_grad")
    nr_iter_grad: int = shared("nr_iter_grad")
    do_em: bool = parameter(
        False, label="Use EM algorithm", section=OPTIMISATION, short=("--em",),
        help="Expectation-maximisation over all particles in every iteration.",
    )
    nr_iter_em: int = parameter(
        25, label="Number of EM iterations", section=OPTIMISATION, minimum=1,
        help="More iterations let rare classes settle; 25 for most data.",
    )
    particle_diameter: float = shared("particle_diameter")
    do_zero_mask: bool = shared("do_zero_mask")
    highres_limit: float = shared("highres_limit")
    do_center: bool = parameter(
        True, label="Centre class averages", section=OPTIMISATION, option="--center_classes",
        help="Move the centre of mass of each class average to the centre of the box as the run goes on.",
    )
    do_fast_subsets: bool = shared("do_fast_subsets", advanced=True, relion=False)
    robust_noise: bool = parameter(
        True, label="Robust noise estimate", section=OPTIMISATION, advanced=True, relion=False, short=("--robust_noise",),
        help="Carbon edges, gold and crystals do not raise the noise of all images: what an image leaves counts at most twice the "
        "median. No takes the plain mean, as RELION does; in data sets with much junk, classes of particles may then stay blobs.",
    )
    dont_skip_align: bool = shared("dont_skip_align")
    psi_sampling: float = parameter(
        6.0, label="In-plane angular sampling", section=SAMPLING,
        unit="deg", option="--psi_step", option_scale=2.0, minimum=0.25, maximum=90.0,
        help="Fine step of the in-plane angle (the coarse first pass uses twice this); smaller is slower and finer.",
    )
    offset_range: float = shared("offset_range")
    offset_step: float = shared("offset_step")
    skip_rotate: bool = parameter(
        False, label="Keep in-plane angles", section=SAMPLING, option="--skip_rotate", advanced=True, relion=False,
        help="Search centres but keep the in-plane angles of the input.",
    )
    sigma_psi: float = parameter(
        -1.0, label="Width of in-plane angle prior", section=SAMPLING,
        unit="deg", option="--sigma_psi", minimum=-1.0, advanced=True, relion=False,
        help="Standard deviation around rlnAnglePsiPrior where the input has that column; -1 searches all angles.",
    )
    adaptive_fraction: float = shared("adaptive_fraction")
    maxsig: int = shared("maxsig")
    perturb: float = shared("perturb")
    use_gpu: bool = shared("use_gpu")
    gpu_ids: str = shared("gpu_ids")
    nr_threads: int = shared("nr_threads")
    memory_limit: float = shared("memory_limit")
    random_seed: int = shared("random_seed")
    fn_ref: str = parameter(
        "", label="Starting averages", section=MODEL, option="--ref", pattern="*.mrcs", advanced=True, relion=False,
        help="Stack with one start image per class; without it the classes start from random blobs and averages.",
    )
    ini_high: float = shared(
        "ini_high", default=-1.0, section=MODEL, advanced=True, relion=False,
        help="Low-pass filter of the start images; -1 chooses it from the box size.",
    )
    init_blobs: bool = shared("init_blobs")
    flatten_solvent: bool = shared(
        "flatten_solvent", help="Mask the class averages outside the mask diameter after every iteration."
    )
    do_norm: bool = shared("do_norm")
    do_scale: bool = shared("do_scale")
    pad: int = shared(
        "pad", help="Padding of the class averages before their Fourier transform; higher is more exact and needs more memory."
    )
    class_inactivity_threshold: float = shared("class_inactivity_threshold", default=0.1)
    grad_write_iter: int = shared("grad_write_iter")
    grad_stepsize: float = shared("grad_stepsize")
    mu: float = shared("mu")
    grad_ini_frac: float = shared("grad_ini_frac")
    grad_fin_frac: float = shared("grad_fin_frac")
    grad_ini_subset: int = shared("grad_ini_subset")
    grad_fin_subset: int = shared("grad_fin_subset")
    grad_em_iters: int = shared("grad_em_iters")
    do_stream: bool = parameter(
        False, label="Particles still arrive", section=STREAM, short=("--stream",), relion=False,
        help="Keep the classes and let new particles join: the same job run again takes up what has been added to the input since.",
    )
    stream_first: int = parameter(
        1000, label="Particles to begin with", section=STREAM, minimum=1, relion=False, short=("--stream_first",),
        help="The first classes are made of so many particles.",
    )
    stream_wait: float = parameter(
        0.0, label="Wait for more", section=STREAM, unit="min", minimum=0.0, relion=False, short=("--stream_wait",),
        help="End when the input has not grown for so long; 0 takes what is there and ends.",
    )
    stream_last: bool = parameter(
        False, label="No more will come", section=STREAM, relion=False, short=("--stream_last",),
        help="Visit all particles once more at the end. A run that waits does so by itself.",
    )


def n_classes_of(parameters: Class2DParameters, n_particles: int) -> int:
    """Return how many classes are made of so many particles: as many as asked for, unless they would hold too few."""
    least = parameters.parts_per_class
    return parameters.nr_classes if least <= 0 else max(1, min(parameters.nr_classes, n_particles // least))
