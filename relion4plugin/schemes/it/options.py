"""The options of on-the-fly processing, declared once: command line, options files and reference page come from here."""

from dataclasses import dataclass
from enum import Enum

from relion4plugin.jobs.parameters import parameter

_COMPUTE, _MICROSCOPE, _PARTICLE, _PICK, _SELECT = "Computation", "Movies and microscope", "Particle", "Picking", "Selection and 3D"


class Picker(str, Enum):
    """How particles are picked; each has a scheme of its own."""

    LOG = "log"
    TOPAZ = "topaz"
    CRYOLO = "cryolo"


@dataclass(frozen=True)
class ItOptions:
    """What a person says about one session; everything else is computed or keeps the value of the schemes."""

    do_prep: bool = parameter(True, label="Preprocess", section=_COMPUTE, help="Run the scheme prep: import, motion correction and CTFs.")
    do_proc: bool = parameter(True, label="Process particles", section=_COMPUTE, help="Run the scheme proc: picking to 3D refinement.")
    ctffind_mics: str = parameter(
        "", label="Micrographs with CTFs", section=_COMPUTE, pattern="*.star",
        help="STAR file that proc starts from where prep is not run.",
    )
    gpus: str = parameter("", label="GPUs", section=_COMPUTE, help="Numbers with commas, as in 0,1; empty computes without GPUs.")
    threads: int = parameter(
        0, label="Threads", section=_COMPUTE, minimum=0, help="Processor cores of each job; 0 takes all that this machine has.",
    )
    maxtime_hr: float = parameter(48.0, label="Longest time", section=_COMPUTE, unit="h", minimum=0.0, help="After it both schemes end.")
    wait_sec: float = parameter(
        180.0, label="Wait", section=_COMPUTE, unit="s", minimum=0.0, help="Least time from one look for new files to the next.",
    )
    end_when_idle: bool = parameter(
        False, label="End by itself", section=_COMPUTE, help="Both schemes end when nothing has arrived for a while and all is done.",
    )
    max_idle_waits: int = parameter(
        10, label="Idle passes", section=_COMPUTE, minimum=1, advanced=True,
        help="So many passes without anything new mean that no more will come: all particles are classified once more.",
    )
    do_at_most: int = parameter(
        50, label="Movies per pass", section=_COMPUTE, minimum=1, help="So many are motion corrected before their CTFs are estimated.",
    )
    fn_in_raw: str = parameter(
        "Movies/*.tiff", label="Movies", section=_MICROSCOPE, short=("--movies",), pattern="*",
        help="Pattern in quotes. For files outside the project a link Movies to their folder is made in it.",
    )
    is_multiframe: bool = parameter(
        True, label="Movies of several frames", section=_MICROSCOPE, help="No for single images: motion correction is left out.",
    )
    angpix: float = parameter(
        0.0, label="Pixel size", section=_MICROSCOPE, unit="A", minimum=0.0,
        help="Of the files as they are, so of super-resolution pixels where they have those. Must be given.",
    )
    super_resolution: bool = parameter(
        False, label="Super-resolution", section=_MICROSCOPE, help="Movies are binned twofold, so that pixels become twice as large.",
    )
    kV: float = parameter(300.0, label="Voltage", section=_MICROSCOPE, unit="kV", minimum=1.0, help="Of the microscope.")
    Cs: float = parameter(2.7, label="Spherical aberration", section=_MICROSCOPE, unit="mm", minimum=0.0, help="Of the microscope.")
    Q0: float = parameter(
        0.1, label="Amplitude contrast", section=_MICROSCOPE, minimum=0.0, maximum=1.0, help="Fraction of the contrast.",
    )
    phase_plate: bool = parameter(False, label="Phase plate", section=_MICROSCOPE, help="Estimate phase shifts too.")
    dose_per_frame: float = parameter(
        0.0, label="Exposure per frame", section=_MICROSCOPE, unit="e/A2", minimum=0.0, help="Must be given for movies.",
    )
    eer_grouping: int = parameter(
        32, label="EER grouping", section=_MICROSCOPE, minimum=1, help="Hardware frames of an EER movie that make one frame.",
    )
    fn_gain_ref: str = parameter("", label="Gain reference", section=_MICROSCOPE, pattern="*", help="Empty where movies are corrected.")
    particle_diameter: float = parameter(
        0.0, label="Particle diameter", section=_PARTICLE, unit="A", minimum=0.0, help="The longest one. Must be given.",
    )
    symmetry: str = parameter("C1", label="Symmetry", section=_PARTICLE, short=("--sym",), help="Point group of the particle.")
    mask_diameter: float = parameter(
        0.0, label="Mask diameter", section=_PARTICLE, unit="A", minimum=0.0, help="0 takes 1.1 particle diameters.",
    )
    box_size: int = parameter(
        0, label="Box size", section=_PARTICLE, unit="px", minimum=0, help="In the micrograph; 0 takes 1.5 particle diameters.",
    )
    small_box: int = parameter(
        0, label="Scaled box size", section=_PARTICLE, unit="px", minimum=0,
        help="0 takes the smallest size that is good for Fourier transforms and has pixels below 3.75 A.",
    )
    picker: str = parameter(
        Picker.LOG.value, label="Picking program", section=_PICK, choices=tuple(p.value for p in Picker),
        help="log needs nothing else; topaz and cryolo must be installed.",
    )
    log_diam_ratio: float = parameter(
        0.8333, label="Short over long diameter", section=_PICK, minimum=0.05, maximum=1.0, advanced=True, help="For log.",
    )
    log_adjust_thr: float = parameter(
        0.0, label="LoG threshold", section=_PICK, help="In standard deviations; below 0 picks more, above 0 fewer.",
    )
    topaz_model: str = parameter("", label="Topaz network", section=_PICK, pattern="*.sav", help="Empty takes Topaz's own.")
    fn_topaz_exec: str = parameter(
        "", label="Topaz program", section=_PICK, pattern="*", help="Empty takes that of RELION_TOPAZ_EXECUTABLE or PATH.",
    )
    minimum_pick_fom: float = parameter(0.0, label="Least Topaz score", section=_PICK, help="Worse picks are not extracted.")
    cryolo_model: str = parameter(
        "", label="crYOLO network", section=_PICK, pattern="*.h5",
        help="Empty takes the general one, which the environment variable CRYOLO_GENERIC_MODEL names.",
    )
    cryolo_program: str = parameter(
        "relion4plugin cryolo", label="crYOLO job", section=_PICK, pattern="*", advanced=True,
        help="Command of the external job that runs crYOLO.",
    )
    ctf_max_resolution: float = parameter(
        6.0, label="Worst CTF resolution", section=_SELECT, unit="A", minimum=0.0, help="Micrographs with worse CTF fits are left out.",
    )
    nr_classes: int = parameter(100, label="2D classes", section=_SELECT, minimum=1, help="Number of classes.")
    min_nr_parts_2d: int = parameter(
        2000, label="Particles for 2D", section=_SELECT, minimum=1, help="Classification begins with so many particles.",
    )
    growth_2d: float = parameter(
        1.2, label="Growth for 2D", section=_SELECT, minimum=1.0, advanced=True,
        help="New particles join the classes when there are so many times those that were classified.",
    )
    growth_3d: float = parameter(
        1.5, label="Growth for 3D", section=_SELECT, minimum=1.0, advanced=True,
        help="A map is made again when there are so many times the selected particles of the last one.",
    )
    select_by: str = parameter(
        "calibrated", label="Select classes by", section=_SELECT, choices=("calibrated", "score"),
        help="calibrated: a threshold made for each classification from its scores; score: the least class score below.",
    )
    rank_threshold: float = parameter(
        0.15, label="Least class score", section=_SELECT, minimum=0.0, maximum=1.0, help="Classes with lower scores are left out.",
    )
    min_nr_parts_3d: int = parameter(
        5000, label="Particles for 3D", section=_SELECT, minimum=1, help="A map is made from so many selected particles.",
    )
    iniref: str = parameter("", label="3D reference", section=_SELECT, pattern="*.mrc", help="Empty makes an initial model.")
