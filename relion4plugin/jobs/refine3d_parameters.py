"""The parameters of an auto-refinement: names and defaults of RELION's job.star, and our own advanced ones."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.refinement_parameters import OPTIMISATION, REFERENCE, SAMPLING, shared


@dataclass(frozen=True)
class Refine3DParameters:
    """One auto-refinement of two halves; lengths in A or px of the particle images as declared, angles in degrees."""

    fn_img: str = shared("fn_img")
    fn_cont: str = shared("fn_cont")
    fn_ref: str = shared("fn_ref")
    fn_mask: str = shared("fn_mask")
    ref_correct_greyscale: bool = shared("ref_correct_greyscale")
    trust_ref_size: bool = shared("trust_ref_size")
    ini_high: float = shared("ini_high")
    sym_name: str = shared("sym_name")
    low_resol_join_halves: float = parameter(
        40.0, label="Join halves up to", section=REFERENCE, unit="A", option="--low_resol_join_halves", minimum=-1.0,
        advanced=True, relion=False,
        help="Details coarser than this are shared between the two halves, so that their orientations do not drift apart; -1 never joins.",
    )
    do_ctf_correction: bool = shared("do_ctf_correction")
    ctf_intact_first_peak: bool = shared("ctf_intact_first_peak")
    ctf_phase_flipped: bool = shared("ctf_phase_flipped")
    only_flip_phases: bool = shared("only_flip_phases")
    particle_diameter: float = shared("particle_diameter")
    do_zero_mask: bool = shared("do_zero_mask")
    do_solvent_fsc: bool = parameter(
        False, label="Use solvent-flattened FSCs", section=OPTIMISATION, option="--solvent_correct_fsc",
        help="Compare the masked halves, corrected for the effect of the mask; more detail where the mask fills little of the box. "
        "Needs a reference mask.",
    )
    nr_iter: int = parameter(
        999, label="Most iterations", section=OPTIMISATION, minimum=1, advanced=True, relion=False,
        help="The run ends when it has converged; this is where it ends at the latest.",
    )
    sampling: str = shared(
        "sampling", label="Initial angular sampling",
        help="Fine step of the orientations in the first iterations; it is refined as the map gets better.",
    )
    offset_range: float = shared("offset_range", label="Initial offset range")
    offset_step: float = shared("offset_step", label="Initial offset step")
    auto_local_sampling: str = shared(
        "sampling", default="1.8 degrees", label="Local searches from", option="--auto_local_healpix_order",
        help="From this fine step on, only orientations near the last one are searched.",
    )
    auto_faster: bool = parameter(
        False, label="Finer angular sampling faster", section=SAMPLING,
        help="Refine the sampling without waiting for the orientations to settle: faster, and rarely worse.",
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
