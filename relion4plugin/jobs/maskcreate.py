"""Mask creation as a job: checks, run, and RELION's command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_volume
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.jobdir import JobDirectory
from relion4plugin.jobs.map_jobs import prepare_map_output, recorded_command, require_file
from relion4plugin.jobs.maskcreate_parameters import MaskCreateParameters
from relion4plugin.jobs.parameters import check, format_value, from_job_options, to_job_options
from relion4plugin.postprocessing.maps import read_map
from relion4plugin.postprocessing.mask_create import MaskSettings, SolventMask, create_mask
from relion4plugin.progress import Progress

__all__ = ["JOB_TYPE", "MaskCreateOutputs", "MaskCreateParameters", "from_options", "relion_command", "run", "settings_of", "validate"]

JOB_TYPE = "relion.maskcreate"


@dataclass(frozen=True)
class MaskCreateOutputs:
    """The mask file and how it was made."""

    mask: Path
    threshold: float
    fraction: float
    remarks: tuple[str, ...]


def from_options(options: Mapping[str, str], where: str = "job.star") -> MaskCreateParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type or a helix is masked.
    """
    if options.get("do_helix", "No") == "Yes":
        raise UserError(f"{where}: do_helix is Yes, but masks of helices are not made here: use RELION for this job, or set do_helix to No")
    return from_job_options(MaskCreateParameters, options, where)


def settings_of(parameters: MaskCreateParameters) -> MaskSettings:
    """Translate to the units of the computation."""
    p = parameters
    return MaskSettings(
        low_pass=p.lowpass_filter,
        threshold=None if p.do_auto_threshold else p.inimask_threshold,
        extend=p.extend_inimask,
        edge=p.width_mask_edge,
        keep_largest=p.keep_largest,
        fill=p.fill_holes,
        invert=p.invert,
    )


def validate(parameters: MaskCreateParameters) -> tuple[str, ...]:
    """Check what can be known without reading the map.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    check(parameters)
    require_file(parameters.fn_in, "input map", "--i")
    if parameters.width_mask_edge == 0:
        return ("a mask without a soft edge raises the FSC by itself: give --width_mask_edge at least 3 px for solvent masks",)
    return ()


def relion_command(parameters: MaskCreateParameters, out_dir: Path) -> list[str]:
    """Return the words of RELION's own command for the same job."""
    p = parameters
    words = ["relion_mask_create", "--i", p.fn_in, "--o", (out_dir / "mask.mrc").as_posix(), "--lowpass", format_value(p.lowpass_filter)]
    words += ["--angpix", format_value(p.angpix)] if p.angpix > 0 else []
    words += ["--ini_threshold", format_value(p.inimask_threshold), "--extend_inimask", str(p.extend_inimask)]
    return [*words, "--width_soft_edge", str(p.width_mask_edge), *(["--invert"] if p.invert else [])]


def run(
    parameters: MaskCreateParameters, out_dir: Path, progress: Progress, job_star: bool = True, overwrite: bool = False
) -> MaskCreateOutputs:
    """Make a mask, leaving a RELION job directory (see `class2d.run` for the arguments).

    Raises
    ------
    UserError
        If anything is wrong with the map, the options or the disk.
    """
    validate(parameters)
    volume, header_size = read_map(parameters.fn_in, "input map")
    pixel_size = parameters.angpix if parameters.angpix > 0 else header_size
    if pixel_size <= 0:
        raise UserError(f"{parameters.fn_in}: the header has no pixel size; give it with --angpix")
    path = out_dir / "mask.mrc"
    prepare_map_output(out_dir, [path.name], volume.nbytes, overwrite)
    with JobDirectory(
        out_dir,
        JobStar(JOB_TYPE, options=to_job_options(parameters)),
        command=recorded_command("mask", parameters, out_dir),
        inputs={parameters.fn_in: "DensityMap.mrc"},
        outputs={path: "Mask3D.mrc.relion"},
        progress=progress,
        enabled=job_star,
    ) as job:
        job.progress.start("Mask", 1)
        made: SolventMask = create_mask(volume, pixel_size, settings_of(parameters))
        write_volume(path, made.mask, pixel_size)
        job.progress.advance(1, f"threshold {made.threshold:.4g}, {100 * made.fraction:.1f} % of the box")
        job.progress.finish()
    return MaskCreateOutputs(path, made.threshold, made.fraction, made.remarks)
