"""Post-processing as a job: checks, run, and RELION's command line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.jobdir import JobDirectory
from relion4plugin.jobs.map_jobs import prepare_map_output, recorded_command, require_file
from relion4plugin.jobs.parameters import check, format_value, from_job_options, to_job_options
from relion4plugin.jobs.postprocess_parameters import PostprocessParameters
from relion4plugin.postprocessing.maps import other_half, read_half_maps, read_mask, read_mtf
from relion4plugin.postprocessing.output import write_results
from relion4plugin.postprocessing.postprocess import PostprocessSettings, postprocess
from relion4plugin.progress import Progress

__all__ = ["JOB_TYPE", "PostprocessOutputs", "PostprocessParameters", "from_options", "relion_command", "run", "settings_of", "validate"]

JOB_TYPE = "relion.postprocess"
_FILES = ("postprocess.mrc", "postprocess_masked.mrc", "postprocess.star", "postprocess_fsc.xml", "postprocess_fsc.dat", "report.html")


@dataclass(frozen=True)
class PostprocessOutputs:
    """Files and figures of a finished job; `masked` is None without a mask, `report` until a face has written one."""

    map: Path
    masked: Path | None
    star: Path
    resolution: float
    bfactor: float
    remarks: tuple[str, ...]
    report: Path | None = None


def from_options(options: Mapping[str, str], where: str = "job.star") -> PostprocessParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type.
    """
    known = dict(options)
    if known.get("do_mtf", "Yes") == "No":  # RELION 3.1 has a switch of its own for the MTF
        known["fn_mtf"] = ""
    return from_job_options(PostprocessParameters, known, where)


def settings_of(parameters: PostprocessParameters) -> PostprocessSettings:
    """Translate to the computation's settings."""
    p = parameters
    given = p.adhoc_bfac if p.do_adhoc_bfac else 0.0
    return PostprocessSettings(
        bfactor=None if p.do_auto_bfac else given,
        fit_lowest=p.autob_lowres,
        fit_highest=p.autob_highres,
        fsc_weighting=not p.do_skip_fsc_weighting,
        low_pass=p.low_pass if p.do_skip_fsc_weighting else 0.0,
        mtf_pixel_size=p.mtf_angpix,
        randomise_at_fsc=p.randomize_at_fsc,
        force_mask=p.force_mask,
        seed=p.random_seed,
    )


def validate(parameters: PostprocessParameters) -> tuple[str, ...]:
    """Check what can be known without reading the maps.

    Returns
    -------
    tuple of str
        Remarks on choices that work but may surprise.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    require_file(p.fn_in, "half map", "--i")
    require_file(p.fn_in2 or str(other_half(p.fn_in)), "other half map", "--i2")
    if p.do_auto_bfac and p.do_adhoc_bfac:
        raise UserError("do_auto_bfac and do_adhoc_bfac are both Yes: choose one, the estimate or your own B-factor")
    if p.do_skip_fsc_weighting and p.low_pass <= 0:
        raise UserError(f"low_pass is {p.low_pass:g} A but FSC-weighting is skipped: give the filter's resolution with --low_pass")
    for path, what, option in ((p.fn_mask, "solvent mask", "--mask"), (p.fn_mtf, "MTF", "--mtf")):
        if path:
            require_file(path, what, option)
    remarks = []
    if not p.fn_mask:
        remarks.append("no mask is given: the FSC includes the solvent's noise and understates the resolution; make one with 'mask'")
    if p.do_adhoc_bfac and p.adhoc_bfac > 0:
        remarks.append(f"adhoc_bfac is {p.adhoc_bfac:g} A^2: positive values blur, negative ones sharpen")
    if not re.search("unfil", Path(p.fn_in).name):
        remarks.append(f"{p.fn_in} is not named *_unfil.mrc: filtered half maps give a wrong FSC")
    return tuple(remarks)


def relion_command(parameters: PostprocessParameters, out_dir: Path) -> list[str]:
    """Return the words of RELION's own command for the same job."""
    p = parameters
    words = ["relion_postprocess", *(["--mask", p.fn_mask] if p.fn_mask else []), "--i", p.fn_in]
    words += ["--i2", p.fn_in2] if p.fn_in2 else []
    words += ["--o", (out_dir / "postprocess").as_posix(), "--angpix", format_value(p.angpix)]
    words += ["--mtf", p.fn_mtf, "--mtf_angpix", format_value(p.mtf_angpix)] if p.fn_mtf else []
    words += ["--auto_bfac", "--autob_lowres", format_value(p.autob_lowres)] if p.do_auto_bfac else []
    words += ["--autob_highres", format_value(p.autob_highres)] if p.do_auto_bfac and p.autob_highres > 0 else []
    words += ["--adhoc_bfac", format_value(p.adhoc_bfac)] if p.do_adhoc_bfac else []
    words += ["--skip_fsc_weighting", "--low_pass", format_value(p.low_pass)] if p.do_skip_fsc_weighting else []
    return words + (["--force_mask"] if p.force_mask else [])


def run(
    parameters: PostprocessParameters, out_dir: Path, progress: Progress, job_star: bool = True, overwrite: bool = False
) -> PostprocessOutputs:
    """Post-process, leaving a RELION job directory (see `class2d.run` for the arguments).

    Raises
    ------
    UserError
        If anything is wrong with the maps, the options or the disk.
    """
    p = parameters
    validate(p)
    halves = read_half_maps(p.fn_in, p.fn_in2, p.angpix)
    mask, mask_remarks = read_mask(p.fn_mask, halves.box, halves.pixel_size) if p.fn_mask else (None, ())
    mtf = read_mtf(p.fn_mtf) if p.fn_mtf else None
    prepare_map_output(out_dir, _FILES, 3 * halves.first.nbytes, overwrite)
    root = out_dir / "postprocess"
    nodes = {out_dir / "postprocess.mrc": "DensityMap.mrc.relion.postprocess"}
    if mask is not None:
        nodes[out_dir / "postprocess_masked.mrc"] = "DensityMap.mrc.relion.postprocess.masked"
    nodes[out_dir / "postprocess.star"] = "ProcessData.star.relion.postprocess"
    command = recorded_command("postprocess", p, out_dir)
    with JobDirectory(
        out_dir,
        JobStar(JOB_TYPE, options=to_job_options(p)),
        command=command,
        inputs={p.fn_in: "DensityMap.mrc.relion.halfmap", **({p.fn_mask: "Mask3D.mrc"} if p.fn_mask else {})},
        outputs=nodes,
        progress=progress,
        enabled=job_star,
    ) as job:
        result = postprocess(halves, mask, settings_of(p), mtf, job.progress)
        files = write_results(result, halves, p.fn_mask, root, comment=f"relion4plugin postprocess\n{command}")
    return PostprocessOutputs(
        map=files["map"],
        masked=files.get("masked"),
        star=files["star"],
        resolution=result.curves.resolution,
        bfactor=result.bfactor,
        remarks=(*mask_remarks, *result.remarks),
    )
