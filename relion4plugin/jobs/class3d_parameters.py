"""The parameters of a 3D classification: names and defaults of RELION's job.star, and our own advanced ones."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.refinement_parameters import OPTIMISATION, SAMPLING, shared


@dataclass(frozen=True)
class Class3DParameters:
    """One 3D classification; lengths in A or px of the particle images as declared, angles in degrees."""

    fn_img: str = shared("fn_img")
    fn_cont: str = shared("fn_cont")
    fn_ref: str = shared(
        "fn_ref", pattern="*.mrc *.star",
        help="Start map (.mrc) for all classes, or a STAR file with one rlnReferenceImage for each class; maps of another box or "
        "pixel size are rescaled.",
    )
    fn_mask: str = shared("fn_mask")
    ref_correct_greyscale: bool = shared("ref_correct_greyscale")
    trust_ref_size: bool = shared("trust_ref_size")
    ini_high: float = shared("ini_high")
    sym_name: str = shared("sym_name")
    do_ctf_correction: bool = shared("do_ctf_correction")
    ctf_intact_first_peak: bool = shared("ctf_intact_first_peak")
    ctf_phase_flipped: bool = shared("ctf_phase_flipped")
    only_flip_phases: bool = shared("only_flip_phases")
    nr_classes: int = shared("nr_classes")
    tau_fudge: float = shared("tau_fudge")
    nr_iter: int = parameter(
        25, label="Number of iterations", section=OPTIMISATION, minimum=1,
        help="Iterations of EM over all particles; 25 for most data.",
    )
    do_fast_subsets: bool = shared("do_fast_subsets")
    do_grad: bool = shared("do_grad", default=False, relion=False)
    nr_iter_grad: int = shared("nr_iter_grad", relion=False)
    particle_diameter: float = shared("particle_diameter")
    do_zero_mask: bool = shared("do_zero_mask")
    highres_limit: float = shared("highres_limit")
    dont_skip_align: bool = shared("dont_skip_align")
    sampling: str = shared("sampling")
    offset_range: float = shared("offset_range")
    offset_step: float = shared("offset_step")
    do_local_ang_searches: bool = parameter(
        False, label="Perform local angular searches", section=SAMPLING,
        help="Search only around the orientations of the input; for refined particles and fine angular sampling.",
    )
    sigma_angles: float = parameter(
        5.0, label="Local angular search range", section=SAMPLING,
        unit="deg", option="--sigma_ang", option_scale=1 / 3, minimum=0.0, maximum=60.0,
        help="Range of the local search around the orientation of the input: three standard deviations of its prior.",
    )
    adaptive_fraction: float = shared("adaptive_fraction")
    maxsig: int = shared("maxsig")
    perturb: float = shared("perturb")
    do_pad1: bool = shared("do_pad1")
    use_gpu: bool = shared("use_gpu")
    gpu_ids: str = shared("gpu_ids")
    nr_threads: int = shared("nr_threads")
    memory_limit: float = shared("memory_limit")
    random_seed: int = shared("random_seed")
    flatten_solvent: bool = shared("flatten_solvent")
    do_norm: bool = shared("do_norm")
    do_scale: bool = shared("do_scale")
    grad_write_iter: int = shared("grad_write_iter")
    grad_stepsize: float = shared("grad_stepsize")
    mu: float = shared("mu")
    grad_ini_frac: float = shared("grad_ini_frac")
    grad_fin_frac: float = shared("grad_fin_frac")
    grad_ini_subset: int = shared("grad_ini_subset")
    grad_fin_subset: int = shared("grad_fin_subset")
    grad_em_iters: int = shared("grad_em_iters")
