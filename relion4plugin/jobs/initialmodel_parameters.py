"""The parameters of an initial model: names and defaults of RELION's job.star, and our own advanced ones."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.refinement_parameters import MODEL, OPTIMISATION, SAMPLING, shared


@dataclass(frozen=True)
class InitialModelParameters:
    """One initial model from particles alone; lengths in A or px of the particle images as declared, angles in degrees."""

    fn_img: str = shared("fn_img")
    fn_cont: str = shared("fn_cont")
    do_ctf_correction: bool = shared("do_ctf_correction")
    ctf_intact_first_peak: bool = shared("ctf_intact_first_peak")
    ctf_phase_flipped: bool = shared("ctf_phase_flipped")
    only_flip_phases: bool = shared("only_flip_phases")
    nr_iter: int = parameter(
        200, label="Number of VDAM mini-batches", section=OPTIMISATION, minimum=1,
        help="More mini-batches converge further; 200 for most data, 100 for a quick look.",
    )
    tau_fudge: float = shared("tau_fudge")
    nr_classes: int = shared(
        "nr_classes", help="More than one class gives junk and other structures a place to go; the best one becomes the initial model."
    )
    particle_diameter: float = shared("particle_diameter")
    do_solvent: bool = parameter(
        True, label="Flatten solvent", section=OPTIMISATION, option="--flatten_solvent",
        help="Mask the maps outside the mask diameter after every iteration.",
    )
    sym_name: str = shared(
        "sym_name", section=OPTIMISATION, help="Point group of the structure: C1 to C99, D1 to D99, T, O, I or I1 to I4."
    )
    do_run_C1: bool = parameter(
        True, label="Run in C1, apply symmetry later", section=OPTIMISATION,
        help="Yes reconstructs without symmetry, then finds the axes; safer than imposing the symmetry from the start.",
    )
    do_zero_mask: bool = shared("do_zero_mask", advanced=True, relion=False)
    find_symmetry: bool = parameter(
        False, label="Look for symmetry", section=OPTIMISATION, relion=False,
        help="With symmetry C1: say which point group the map has, if any.",
    )
    nr_restarts: int = parameter(
        6, label="Independent starts", section=OPTIMISATION, short=("--restarts",), minimum=1, maximum=100, relion=False,
        help="Random starts from different seeds, compared half way and at the end of the first phase of the schedule: only the "
        "better half, and then the best one, goes on. Their agreement tells how far the result can be trusted.",
    )
    nr_rounds: int = parameter(
        2, label="Rounds of starts", section=OPTIMISATION, short=("--rounds",), minimum=1, maximum=20, advanced=True, relion=False,
        help="Where no structure is found, as many starts from other seeds are tried and their result replaces the one before, until there "
        "were so many rounds. 1 tries once. A single start is never tried again.",
    )
    nr_iter_halves: int = parameter(
        4, label="Iterations of two halves", section=OPTIMISATION, short=("--refine_iterations",), minimum=0, maximum=50, relion=False,
        help="EM iterations that refine the chosen class from two independent halves of its particles: they filter the map by what "
        "both halves show, and tell whether there is a structure at all. A map that has not settled by then gets up to three times as "
        "many. 0 leaves the map as VDAM made it, unchecked.",
    )
    max_healpix_order: int = parameter(
        2, label="Finest HEALPix order", section=OPTIMISATION, advanced=True, minimum=1, maximum=5, relion=False,
        help="Coarse order at which the angular sampling stops to become finer; 2 is 15 degrees (7.5 in the fine pass), 3 costs ten times "
        "more and is RELION's limit.",
    )
    select_class: str = parameter(
        "quality", label="Class to keep", section=OPTIMISATION, choices=("quality", "largest"), advanced=True, relion=False,
        help="The class of best quality, or the one with most particles as in RELION.",
    )
    healpix_order: int = parameter(
        1, label="Initial HEALPix order", section=SAMPLING, minimum=0, maximum=3, advanced=True, relion=False,
        help="Coarse angular sampling of the first iterations, as for RELION's program: 1 is 30 degrees; refined as the run goes on.",
    )
    offset_range: float = shared("offset_range", default=6.0, advanced=True, relion=False)
    offset_step: float = shared("offset_step", advanced=True, relion=False)
    adaptive_fraction: float = shared("adaptive_fraction", default=0.9)
    maxsig: int = shared("maxsig")
    perturb: float = shared("perturb")
    use_gpu: bool = shared("use_gpu")
    gpu_ids: str = shared("gpu_ids")
    nr_threads: int = shared("nr_threads")
    memory_limit: float = shared("memory_limit")
    random_seed: int = shared("random_seed")
    ini_high: float = shared(
        "ini_high", default=-1.0, section=MODEL, advanced=True, relion=False,
        help="Low-pass filter of the start maps; -1 chooses it from the box size.",
    )
    init_blobs: bool = shared("init_blobs")
    pad: int = shared("pad", default=1)
    grad_write_iter: int = shared("grad_write_iter")
    grad_stepsize: float = shared("grad_stepsize")
    mu: float = shared("mu")
    grad_ini_frac: float = shared("grad_ini_frac")
    grad_fin_frac: float = shared("grad_fin_frac")
    grad_ini_subset: int = shared("grad_ini_subset")
    grad_fin_subset: int = shared("grad_fin_subset")
    grad_em_iters: int = shared("grad_em_iters")
