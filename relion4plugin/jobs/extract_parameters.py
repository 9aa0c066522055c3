"""The parameters of a particle extraction: names and defaults of RELION's job.star."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _EXTRACT, _RUNNING = "I/O", "Extraction", "Running"
_BACKGROUND = 0.75  # part of the box that the background circle takes where nothing else is said


@dataclass(frozen=True)
class ExtractParameters:
    """One extraction of particles from micrographs."""

    star_mics: str = parameter(
        "", label="Micrographs", section=_IO, option="--i", pattern="*.star", help="STAR file of micrographs with CTF."
    )
    coords_suffix: str = parameter(
        "", label="Coordinates", section=_IO, option="--coord_list", pattern="*.star", help="STAR file of a picking job."
    )
    do_reextract: bool = parameter(False, label="Re-extract refined particles", section=_IO, help="Take positions from refined particles.")
    fndata_reextract: str = parameter(
        "", label="Refined particles", section=_IO, option="--reextract_data_star", pattern="*.star", help="Particles to extract again."
    )
    do_reset_offsets: bool = parameter(
        False, label="Reset refined offsets", section=_IO, option="--reset_offsets", help="Forget offsets found in refinements."
    )
    do_recenter: bool = parameter(
        False, label="Recentre", section=_IO, option="--recenter", help="Put a point of the map in the centre of the new boxes."
    )
    recenter_x: float = parameter(0.0, label="x of the new centre", section=_IO, unit="px", option="--recenter_x", help="In the map.")
    recenter_y: float = parameter(0.0, label="y of the new centre", section=_IO, unit="px", option="--recenter_y", help="In the map.")
    recenter_z: float = parameter(0.0, label="z of the new centre", section=_IO, unit="px", option="--recenter_z", help="In the map.")
    do_float16: bool = parameter(True, label="Write in 16 bits", section=_IO, option="--float16", help="Half the disk space.")
    extract_size: int = parameter(
        128, label="Box size", section=_EXTRACT, unit="px", option="--extract_size", minimum=2,
        help="In the micrograph; about 1.5 diameters.",
    )
    do_invert: bool = parameter(True, label="Invert contrast", section=_EXTRACT, option="--invert_contrast", help="Makes particles white.")
    do_norm: bool = parameter(True, label="Normalise", section=_EXTRACT, option="--norm", help="Noise of mean 0 and deviation 1.")
    bg_diameter: float = parameter(
        -1.0, label="Background diameter", section=_EXTRACT, unit="px", help="Outside of it is noise, before scaling; -1 is 75% of the box."
    )
    white_dust: float = parameter(
        -1.0, label="White dust", section=_EXTRACT, option="--white_dust",
        help="Deviation beyond which pixels are replaced by noise; -1 never.",
    )
    black_dust: float = parameter(
        -1.0, label="Black dust", section=_EXTRACT, option="--black_dust",
        help="Deviation beyond which pixels are replaced by noise; -1 never.",
    )
    do_rescale: bool = parameter(False, label="Rescale", section=_EXTRACT, help="Yes makes boxes of fewer pixels: faster, and less detail.")
    rescale: int = parameter(128, label="Rescaled size", section=_EXTRACT, unit="px", option="--scale", minimum=2, help="An even number.")
    do_fom_threshold: bool = parameter(False, label="Use a threshold of picks", section=_EXTRACT, help="Extract only picks above a score.")
    minimum_pick_fom: float = parameter(
        0.0, label="Minimum score of picks", section=_EXTRACT, option="--minimum_pick_fom", help="Picks below it are left out."
    )
    nr_mpi: int = parameter(
        1, label="Number of processes", section=_RUNNING, short=("--j",), minimum=1, help="Micrographs treated at the same time."
    )


def background_radius(extract_size: float, bg_diameter: float, rescale: float | None) -> int:
    """Return the radius of the background circle in whole pixels of the written boxes, as RELION rounds it.

    Parameters
    ----------
    extract_size, bg_diameter
        Box and circle in px of the micrograph; a negative diameter is 75% of the box.
    rescale
        Side of the written boxes, None where they are not scaled.
    """
    diameter = bg_diameter if bg_diameter >= 0 else _BACKGROUND * extract_size
    return int(diameter / 2 * (rescale / extract_size if rescale is not None else 1))
