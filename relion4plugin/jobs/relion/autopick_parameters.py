"""Options of automatic picking."""

from dataclasses import dataclass

from relion4plugin.jobs.autopick_parameters import PickParameters, RefPickParameters
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.refinement_parameters import ANGULAR_STEPS
from relion4plugin.jobs.relion.running import QueueOptions

_IO, _TOPAZ, _REFS, _PICK, _HELIX = "I/O", "Topaz", "References", "Picking", "Helix"


@dataclass(frozen=True)
class AutoPickOptions(QueueOptions, RefPickParameters, PickParameters):
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
    do_ref3d: bool = parameter(False, label="Use a map", section=_REFS, help="Projections of a map as references.")
    fn_ref3d_autopick: str = parameter(
        "", label="3D reference", section=_REFS, pattern="*.mrc", help="Map whose projections are looked for."
    )
    ref3d_symmetry: str = parameter("C1", label="Symmetry", section=_REFS, option="--sym", help="Point group of the map.")
    ref3d_sampling: str = parameter(
        ANGULAR_STEPS[0], label="Angular sampling", section=_REFS, choices=ANGULAR_STEPS, help="Angle between projections of the map."
    )
    do_write_fom_maps: bool = parameter(
        False, label="Write score maps", section=_PICK, option="--write_fom_maps", help="To try other thresholds without computing again."
    )
    do_read_fom_maps: bool = parameter(
        False, label="Read score maps", section=_PICK, option="--read_fom_maps", help="Those written before."
    )
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
