"""The parameters of a motion correction: names and defaults of RELION's job.star, and our own."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _MOTION, _DOSE, _RUNNING = "I/O", "Motion", "Exposure", "Running"
ROTATIONS = ("No rotation (0)", "90 degrees (1)", "180 degrees (2)", "270 degrees (3)")
FLIPS = ("No flipping (0)", "Flip upside down (1)", "Flip left to right (2)")


@dataclass(frozen=True)
class MotionCorrParameters:
    """One motion correction by this program."""

    input_star_mics: str = parameter("", label="Input movies", section=_IO, option="--i", pattern="*.star", help="STAR file of movies.")
    first_frame_sum: int = parameter(
        1, label="First frame", section=_IO, option="--first_frame_sum", minimum=1, help="First frame of the corrected sum, counted from 1."
    )
    last_frame_sum: int = parameter(
        -1, label="Last frame", section=_IO, option="--last_frame_sum", help="Last frame of the corrected sum; 0 or less takes all."
    )
    eer_grouping: int = parameter(
        32,
        label="EER fractionation",
        section=_IO,
        option="--eer_grouping",
        minimum=1,
        help="Hardware frames that make one frame of an EER movie.",
    )
    eer_upsampling: int = parameter(
        1,
        label="EER upsampling",
        section=_IO,
        option="--eer_upsampling",
        minimum=1,
        maximum=2,
        relion=False,
        advanced=True,
        help="1 counts the electrons of an EER movie in physical pixels, 2 in pixels of half that size.",
    )
    do_float16: bool = parameter(
        True, label="Write in 16 bits", section=_IO, option="--float16", help="Half the disk space; needs power spectra for the CTF."
    )
    bfactor: float = parameter(
        150.0, label="B-factor", section=_MOTION, unit="A^2", option="--bfactor", help="Damping of fine detail while frames are aligned."
    )
    patch_x: int = parameter(
        1, label="Patches in x", section=_MOTION, option="--patch_x", minimum=1, help="Columns of the grid of local motion."
    )
    patch_y: int = parameter(
        1, label="Patches in y", section=_MOTION, option="--patch_y", minimum=1, help="Rows of the grid of local motion."
    )
    group_frames: int = parameter(
        1,
        label="Group frames",
        section=_MOTION,
        option="--group_frames",
        minimum=1,
        help="Frames averaged before the alignment, for weak frames.",
    )
    bin_factor: float = parameter(
        1.0,
        label="Binning factor",
        section=_MOTION,
        option="--bin_factor",
        minimum=1.0,
        help="2 brings super-resolution movies to physical pixels.",
    )
    fn_gain_ref: str = parameter(
        "", label="Gain reference", section=_MOTION, option="--gainref", pattern="*", help="Image with which each frame is multiplied."
    )
    gain_rot: str = parameter(ROTATIONS[0], label="Gain rotation", section=_MOTION, choices=ROTATIONS, help="Turn of the gain before use.")
    gain_flip: str = parameter(FLIPS[0], label="Gain flip", section=_MOTION, choices=FLIPS, help="Flip of the gain after its rotation.")
    fn_defect: str = parameter(
        "", label="Defect file", section=_MOTION, option="--defect_file", pattern="*", help="List or image of bad pixels of the detector."
    )
    skip_defect: bool = parameter(
        False,
        label="Keep hot pixels",
        section=_MOTION,
        option="--skip_defect",
        relion=False,
        advanced=True,
        help="Do not look for hot and dead pixels in the movie; those of the defect file and the gain are replaced all the same.",
    )
    do_dose_weighting: bool = parameter(
        True,
        label="Dose weighting",
        section=_DOSE,
        option="--dose_weighting",
        help="Weight frames by what radiation damage has left of them.",
    )
    do_save_noDW: bool = parameter(
        False, label="Also save unweighted", section=_DOSE, option="--save_noDW", help="Write the sum without dose weighting too."
    )
    dose_per_frame: float = parameter(
        1.0, label="Dose per frame", section=_DOSE, unit="e/A^2", option="--dose_per_frame", minimum=0.0, help="Exposure of one frame."
    )
    pre_exposure: float = parameter(
        0.0, label="Pre-exposure", section=_DOSE, unit="e/A^2", option="--preexposure", minimum=0.0, help="Exposure before the first frame."
    )
    do_save_ps: bool = parameter(
        True, label="Save power spectra", section=_DOSE, help="Sums of power spectra of frames, from which CTFFIND fits better."
    )
    group_for_ps: float = parameter(
        4.0, label="Power spectrum every", section=_DOSE, unit="e/A^2", minimum=0.0, help="Exposure that goes into one power spectrum."
    )
    do_at_most: int = parameter(
        -1,
        label="Movies at most",
        section=_RUNNING,
        option="--do_at_most",
        relion=False,
        advanced=True,
        help="Number of movies of one execution, as in a scheme that comes back for the rest; negative for all.",
    )
    use_gpu: bool = parameter(
        False,
        label="Use a GPU",
        section=_RUNNING,
        relion=False,
        help="Compute on the graphics card that gpu_ids names; RELION's own implementation has no such option.",
    )
    gpu_ids: str = parameter(
        "0",
        label="Which GPU to use",
        section=_RUNNING,
        option="--gpu",
        help="Number of the card, counted from 0.",
    )
    nr_threads: int = parameter(
        1, label="Number of threads", section=_RUNNING, option="--j", minimum=1, help="Processor cores that work on a movie together."
    )
