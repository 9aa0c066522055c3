"""What can be wrong with the options and files of a refinement job, found before anything is computed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relion4plugin.errors import UserError
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.jobs.refinement_options import gpu_numbers
from relion4plugin.parallel.launched import launched

if TYPE_CHECKING:
    from relion4plugin.files.mrc import MrcHeader
    from relion4plugin.files.particles import ParticleSet
    from relion4plugin.refinement.settings import RefinementSettings

PIXEL_TOLERANCE = 0.01  # relative difference of pixel sizes that are taken as equal


def check_source(parameters: Any, n_iterations: int) -> None:
    """Check the particles to start from or the run to continue.

    Raises
    ------
    UserError
        If neither is given, or a file does not exist, or the run is already at its last iteration.
    """
    if parameters.fn_cont:
        _check_continuation(Path(parameters.fn_cont), n_iterations)
    elif not parameters.fn_img:
        raise UserError("no input particles: give a STAR file with --i, or --continue run_itNNN_optimiser.star")
    elif not Path(parameters.fn_img).is_file():
        raise UserError(f"input particles {parameters.fn_img}: no such file; give an existing STAR file with --i")


def _check_continuation(path: Path, n_iterations: int) -> None:
    match = re.fullmatch(r".*_it(\d+)_optimiser\.star", path.name)
    if match is None:
        raise UserError(f"--continue {path}: expected a file named like run_it025_optimiser.star")
    if not path.is_file():
        raise UserError(f"--continue {path}: no such file; give the optimiser file of an earlier run")
    if int(match[1]) >= n_iterations:
        raise UserError(
            f"--continue {path}: iteration {int(match[1])} is already done and the run ends at {n_iterations}; "
            "raise --iter or continue from an earlier iteration"
        )


def check_offsets(parameters: Any) -> None:
    """Check that the offset search has more than its centre, unless a range of 0 says so.

    Raises
    ------
    UserError
        If the step is larger than the range.
    """
    if 0 < parameters.offset_range < parameters.offset_step:
        raise UserError(
            f"offset_step is {parameters.offset_step:g} px, larger than offset_range {parameters.offset_range:g} px: "
            "lower --offset_sampling or raise --offset_range"
        )


def gpu_remarks(parameters: Any) -> tuple[str, ...]:
    """Check the choice of graphics card and say where it may surprise.

    Raises
    ------
    UserError
        If `gpu_ids` is not a number.
    """
    gpus, (processes, _) = gpu_numbers(parameters), launched()
    remarks = []
    if len(gpus) > processes:
        used = ", ".join(str(gpu) for gpu in gpus[:processes])
        remarks.append(f"gpu_ids '{parameters.gpu_ids}' names several GPUs; one process uses one: GPU {used}")
    if 0 < len(gpus) < processes:
        cards = f"GPU {', '.join(str(gpu) for gpu in gpus)}"
        remarks.append(f"{processes} processes share {cards}; name one card for each, as --gpu 0:1, unless each sees its own")
    if parameters.gpu_ids and not gpus:
        remarks.append(f"gpu_ids '{parameters.gpu_ids}' has no effect while use_gpu is No")
    return tuple(remarks)


def symmetry_order(name: str) -> int:
    """Return the number of rotations of a point group.

    Raises
    ------
    UserError
        If there is no such group.
    """
    try:
        return len(point_group(name))
    except UserError as error:
        raise UserError(f"sym_name: {error} with --sym") from error


def check_maps(parameters: Any) -> None:
    """Check symmetry, reference and mask of a job that starts from a reference.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    symmetry_order(parameters.sym_name)
    if not parameters.fn_cont:
        check_references(parameters.fn_ref, getattr(parameters, "nr_classes", 1))
    check_mask(parameters.fn_mask)


def reference_remarks(parameters: Any) -> tuple[str, ...]:
    """Say where the start may bias the result."""
    if parameters.fn_cont or parameters.ini_high > 0:
        return ()
    return ("no initial low-pass filter: details of the reference may stay in the result whatever the particles show; give --ini_high 40",)


def check_references(fn_ref: str, n_classes: int) -> None:
    """Check that the reference is one map, or a STAR file of as many maps as classes, and that all are there.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    if fn_ref in ("", "None"):
        raise UserError("no reference: give a map with --ref (relion4plugin initialmodel makes one from the particles)")
    maps = reference_maps(fn_ref)
    if len(maps) not in (1, n_classes):
        raise UserError(f"{fn_ref} names {len(maps)} reference maps but nr_classes is {n_classes}: give --K {len(maps)}")
    for path in maps:
        _map_header(path, "reference map", "--ref")


def reference_maps(fn_ref: str) -> list[Path]:
    """Return the map itself, or those that a STAR file names in rlnReferenceImage (of its folder or of the current one).

    Raises
    ------
    UserError
        If a STAR file has no such column.
    """
    if not fn_ref.endswith(".star"):
        return [Path(fn_ref)]
    from relion4plugin.files.star import read_star

    for block in read_star(fn_ref).values():
        if "rlnReferenceImage" in block:
            listed = block["rlnReferenceImage"]
            names = [listed] if isinstance(block, Mapping) else list(listed)
            beside = [Path(fn_ref).parent / str(name) for name in names]
            return [near if near.is_file() else Path(str(name)) for name, near in zip(names, beside, strict=True)]
    raise UserError(f"{fn_ref}: expected a table with the column rlnReferenceImage; give a map (.mrc) or a STAR file of maps with --ref")


def check_mask(fn_mask: str) -> None:
    """Check that the mask, if there is one, is a cubic map.

    Raises
    ------
    UserError
        If it is not.
    """
    if fn_mask:
        _map_header(Path(fn_mask), "mask", "--solvent_mask")


def _map_header(path: Path, what: str, option: str) -> "MrcHeader":
    from relion4plugin.files.mrc import read_header

    if not path.is_file():
        raise UserError(f"{what} {path}: no such file; give an existing map (.mrc) with {option}")
    header = read_header(path)
    if not header.nx == header.ny == header.nz:
        raise UserError(
            f"{what} {path} has {header.nx} x {header.ny} x {header.nz} voxels, expected a cubic map; give another with {option}"
        )
    if path.stat().st_size < header.expected_bytes:
        raise UserError(f"{what} {path} is truncated: {path.stat().st_size} of {header.expected_bytes} bytes; copy it again")
    return header


def check_sizes(parameters: Any, particles: "ParticleSet") -> None:
    """Compare mask and reference with the particles.

    Raises
    ------
    UserError
        If the mask has another box or pixel size, or the reference has and must not be rescaled.
    """
    if parameters.fn_mask:
        header = _map_header(Path(parameters.fn_mask), "mask", "--solvent_mask")
        if not _same_size(header, particles):
            raise UserError(f"mask {parameters.fn_mask} has {_sizes(header, particles)}: make the mask from a map of these particles")
    if parameters.fn_cont or parameters.trust_ref_size:
        return
    for path in reference_maps(parameters.fn_ref):
        header = _map_header(path, "reference map", "--ref")
        if not _same_size(header, particles):
            raise UserError(f"reference map {path} has {_sizes(header, particles)}: set --trust_ref_size Yes to rescale it")


def _same_size(header: "MrcHeader", particles: "ParticleSet") -> bool:
    known = header.pixel_size > 0
    same_pixel = not known or abs(header.pixel_size / particles.pixel_size - 1) < PIXEL_TOLERANCE
    return header.nx == particles.box_size and same_pixel


def _sizes(header: "MrcHeader", particles: "ParticleSet") -> str:
    return (
        f"{header.nx} voxels of {header.pixel_size:g} A along an edge, "
        f"but the particles have {particles.box_size} px of {particles.pixel_size:g} A"
    )


def check_poses(particles: "ParticleSet", why: str) -> None:
    """Check that the particles have orientations.

    Raises
    ------
    UserError
        If a column of Euler angles is missing; `why` says what needs them.
    """
    missing = [label for label in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi") if label not in particles.table]
    if missing:
        raise UserError(f"{why} needs the orientations of the particles, but {particles.source} has no {missing[0]}: refine them first")


def check_particles(settings: "RefinementSettings", particles: "ParticleSet", halves: bool = False) -> None:
    """Check that the engine can refine these particles with these settings, before a job directory is made.

    Parameters
    ----------
    halves : bool
        The job also refines two independent halves, at its end.

    Raises
    ------
    UserError
        As the engine would.
    """
    from relion4plugin.refinement.start import MIN_PER_HALF, check, check_halves

    check(settings, particles)
    if halves and len(particles) >= 2 * MIN_PER_HALF:
        check_halves(particles)
