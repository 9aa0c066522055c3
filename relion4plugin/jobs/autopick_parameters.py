"""The parameters of automatic picking: names and defaults of RELION's job.star, and our own."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _LOG, _TOPAZ, _RUNNING = "I/O", "Laplacian", "Topaz", "Running"
_REFS, _PICK = "References", "Picking"


@dataclass(frozen=True)
class PickSourceParameters:
    """What is picked from, and what is written beside the picks."""

    fn_input_autopick: str = parameter(
        "", label="Input micrographs", section=_IO, option="--i", pattern="*.star", help="STAR file of micrographs."
    )
    angpix: float = parameter(-1.0, label="Pixel size", section=_IO, unit="A", option="--angpix", help="-1 takes that of the STAR file.")
    do_overlay: bool = parameter(
        False, label="Draw the picks", section=_IO, short=("--overlay",), relion=False,
        help="Write a picture of each micrograph with its picks as circles.",
    )  # fmt: skip
    fn_truth: str = parameter(
        "", label="Known particles", section=_IO, short=("--truth",), pattern="*.star", relion=False, advanced=True,
        help="STAR file with the coordinate files of picks by hand: precision and recall are told, pictures show them too.",
    )  # fmt: skip


@dataclass(frozen=True)
class PickInputParameters(PickSourceParameters):
    """What is picked from, and by how many processes."""

    nr_mpi: int = parameter(
        1, label="Number of MPI processes", section=_RUNNING, short=("--j",), minimum=1, help="Micrographs treated at the same time."
    )


@dataclass(frozen=True)
class LogPickParameters(PickInputParameters):
    """Picking by a Laplacian of Gaussian."""

    log_diam_min: float = parameter(
        200.0, label="Smallest diameter", section=_LOG, unit="A", option="--LoG_diam_min", minimum=0.0,
        help="Of the short axis of particles.",
    )  # fmt: skip
    log_diam_max: float = parameter(
        250.0, label="Largest diameter", section=_LOG, unit="A", option="--LoG_diam_max", minimum=0.0, help="Of the long axis of particles."
    )
    log_invert: bool = parameter(False, label="White particles", section=_LOG, option="--Log_invert", help="Yes for negative stain.")
    log_maxres: float = parameter(
        20.0, label="Maximum resolution", section=_LOG, unit="A", option="--lowpass", help="Finest detail that is looked at."
    )
    log_adjust_thr: float = parameter(
        0.0, label="Adjust the threshold", section=_LOG, option="--LoG_adjust_threshold", help="In standard deviations; below 0 picks more."
    )
    log_upper_thr: float = parameter(
        999.0, label="Upper threshold", section=_LOG, option="--LoG_upper_threshold",
        help="Leaves out blobs of too much contrast, such as ice.",
    )  # fmt: skip
    log_clean: bool = parameter(
        True, label="Avoid contamination", section=_LOG, negated=("--no_clean",), relion=False,
        help="Leave out what is several times larger or stronger than particles.",
    )  # fmt: skip


@dataclass(frozen=True)
class TopazPickParameters(PickInputParameters):
    """Picking by the neural network Topaz."""

    fn_topaz_exec: str = parameter("", label="Topaz program", section=_TOPAZ, option="--topaz_exe", pattern="*", help="Where Topaz is.")
    topaz_particle_diameter: float = parameter(
        -1.0, label="Particle diameter", section=_TOPAZ, unit="A", option="--particle_diameter",
        help="Sets scale and radius; -1 leaves both.",
    )  # fmt: skip
    topaz_model: str = parameter(
        "", label="Trained network", section=_TOPAZ, option="--topaz_model", pattern="*.sav",
        help="Empty takes the one that comes with Topaz.",
    )  # fmt: skip
    topaz_other_args: str = parameter("", label="Other Topaz arguments", section=_TOPAZ, help="Handed on to Topaz.")
    topaz_threshold: float = parameter(
        -6.0, label="Least score", section=_TOPAZ, relion=False, help="Picks below it are not written; 0 is as likely a particle as not."
    )
    topaz_downscale: float = parameter(
        -1.0, label="Down-scaling", section=_TOPAZ, relion=False, advanced=True,
        help="Pixels of the micrograph per pixel that Topaz sees; 0 or less takes it from the diameter.",
    )  # fmt: skip
    topaz_batch: int = parameter(
        16, label="Micrographs per call", section=_TOPAZ, minimum=1, relion=False, advanced=True,
        help="Topaz loads its network once for so many micrographs.",
    )  # fmt: skip
    use_gpu: bool = parameter(False, label="Use GPU acceleration", section=_RUNNING, help="Compute on graphics cards.")
    gpu_ids: str = parameter(
        "", label="Which GPUs to use", section=_RUNNING, option="--gpu",
        help="Numbers of cards, counted from 0: a colon separates MPI processes, a comma the threads of one.",
    )  # fmt: skip


@dataclass(frozen=True)
class RefPickParameters(PickInputParameters):
    """Picking by references."""

    fn_refs_autopick: str = parameter(
        "", label="2D references", section=_REFS, option="--ref", pattern="*.star *.mrcs", help="Class averages to look for."
    )
    lowpass: float = parameter(
        20.0, label="Low-pass filter", section=_REFS, unit="A", option="--lowpass",
        help="Of references and micrographs; 0 or less for none.",
    )
    highpass: float = parameter(-1.0, label="High-pass filter", section=_REFS, unit="A", option="--highpass", help="0 or less for none.")
    angpix_ref: float = parameter(
        -1.0, label="Pixel size of references", section=_REFS, unit="A", option="--angpix_ref", help="-1 takes that of the micrographs."
    )
    psi_sampling_autopick: float = parameter(
        5.0, label="In-plane angular sampling", section=_REFS, unit="deg", option="--ang", minimum=0.1, help="Step of turns of a reference."
    )
    do_invert_refs: bool = parameter(
        True, label="References have inverted contrast", section=_REFS, option="--invert",
        help="Yes where they are white and particles black.",
    )
    do_ctf_autopick: bool = parameter(
        True, label="References are CTF corrected", section=_REFS, option="--ctf", help="Yes applies the CTF of each micrograph to them."
    )
    do_ignore_first_ctfpeak_autopick: bool = parameter(
        False, label="Ignore CTFs until first peak", section=_REFS, option="--ctf_intact_first_peak", help="As the references were made."
    )
    threshold_autopick: float = parameter(
        0.05, label="Picking threshold", section=_PICK, option="--threshold", help="Higher picks fewer and better particles."
    )
    mindist_autopick: float = parameter(
        100.0, label="Distance of particles", section=_PICK, unit="A", option="--min_distance", minimum=0.0, help="Least distance of picks."
    )
    maxstddevnoise_autopick: float = parameter(
        1.1, label="Largest deviation of noise", section=_PICK, option="--max_stddev_noise",
        help="Leaves out carbon and ice; -1 leaves in all.",
    )
    minavgnoise_autopick: float = parameter(
        -999.0, label="Smallest average of noise", section=_PICK, option="--min_avg_noise",
        help="Leaves out dark areas; -999 leaves in all.",
    )
    shrink: float = parameter(0.0, label="Shrink factor", section=_PICK, option="--shrink", help="Scale to work at; 0 follows the filter.")


@dataclass(frozen=True)
class PickParameters(LogPickParameters, TopazPickParameters):
    """Everything that this program itself needs for picking by blobs or by Topaz."""
