"""Options of automatic picking."""

from dataclasses import dataclass

from relion4plugin.jobs.autopick_parameters import PickParameters
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.refinement_parameters import ANGULAR_STEPS
from relion4plugin.jobs.relion.running import QueueOptions

_IO, _TOPAZ, _REFS, _PICK, _HELIX = "I/O", "Topaz", "References", "Picking", "Helix"


@dataclass(frozen=True)
class AutoPickOptions(QueueOptions, PickParameters):
    """One run of automatic picking, by a Laplacian of Gaussian, by Topaz or by references."""

    continue_manual: bool = parameter(False, label="Continue by hand", section=_IO, help="Show the picks to be corrected by hand.")
    do_log: bool = parameter(False, label="Laplacian of Gaussian", section=_IO, option="--LoG", help="Pick blobs of a given size.")
    do_topaz: bool = parameter(False, label="Topaz", section=_IO, help="Pick with the neural network Topaz.")
    do_refs: bool = parameter(False, label="References", section=_IO, help="Pick what looks like given images or a map.")
    do_topaz_train: bool = parameter(False, label="Train", section=_TOPAZ, option="--topaz_train", help="Train a network on given picks.")
    topaz_nr_particles: int = parameter(
        -1, label="Particles per micrograph", section=_TOPAZ, option="--topaz_nr_particles", help="Expected number, for the training."
    )
    topaz_train_picks: str = parameter(
        "", label="Picks for training", section=_TOPAZ, option="--topaz_train_picks", pattern="*.star", help="Coordinates to learn from."
    )
    do_topaz_train_parts: bool = parameter(False, label="Train on particles", section=_TOPAZ, help="Learn from selected particles instead.")
    topaz_train_parts: str = parameter(
        "", label="Particles for training", section=_TOPAZ, option="--topaz_train_parts", pattern="*.star", help="Particles to learn from."
    )
    do_topaz_pick: bool = parameter(False, label="Pick", section=_TOPAZ, option="--topaz_extract", help="Pick with a trained network.")
    fn_refs_autopick: str = parameter(
        "", label="2D references", section=_REFS, option="--ref", pattern="*.star *.mrcs", help="Class averages to look for."
    )
    do_ref3d: bool = parameter(False, label="Use a map", section=_REFS, help="Projections of a map as references.")
    fn_ref3d_autopick: str = parameter(
        "", label="3D reference", section=_REFS, pattern="*.mrc", help="Map whose projections are looked for."
    )
    ref3d_symmetry: str = parameter("C1", label="Symmetry", section=_REFS, option="--sym", help="Point group of the map.")
    ref3d_sampling: str = parameter(
        ANGULAR_STEPS[0], label="Angular sampling", section=_REFS, choices=ANGULAR_STEPS, help="Angle between projections of the map."
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
    do_write_fom_maps: bool = parameter(
        False, label="Write score maps", section=_PICK, option="--write_fom_maps", help="To try other thresholds without computing again."
    )
    do_read_fom_maps: bool = parameter(
        False, label="Read score maps", section=_PICK, option="--read_fom_maps", help="Those written before."
    )
    shrink: float = parameter(0.0, label="Shrink factor", section=_PICK, option="--shrink", help="Scale to work at; 0 follows the filter.")
    do_pick_helical_segments: bool = parameter(False, label="Pick helices", section=_HELIX, option="--helix", help="Segments along tubes.")
    do_amyloid: bool = parameter(
        False, label="Amyloid segments", section=_HELIX, option="--amyloid", help="The method for amyloid fibrils."
    )
    helical_tube_outer_diameter: float = parameter(
        200.0, label="Tube diameter", section=_HELIX, unit="A", option="--helical_tube_outer_diameter", help="Outer diameter of tubes."
    )
    helical_nr_asu: int = parameter(1, label="Asymmetric units", section=_HELIX, minimum=1, help="Between two segments.")
    helical_rise: float = parameter(
        -1.0, label="Helical rise", section=_HELIX, unit="A", help="Shift from one asymmetric unit to the next."
    )
    helical_tube_kappa_max: float = parameter(
        0.1, label="Largest curvature", section=_HELIX, option="--helical_tube_kappa_max", help="Of tubes; 1 is a circle."
    )
    helical_tube_length_min: float = parameter(
        -1.0, label="Smallest length", section=_HELIX, unit="A", option="--helical_tube_length_min", help="Shorter tubes are left out."
    )
