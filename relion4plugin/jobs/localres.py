"""Local resolution as a job: checks, run, and RELION's command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_volume
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.jobdir import JobDirectory
from relion4plugin.jobs.localres_parameters import LocalResParameters
from relion4plugin.jobs.map_jobs import prepare_map_output, recorded_command, require_file
from relion4plugin.jobs.parameters import check, format_value, from_job_options, to_job_options
from relion4plugin.postprocessing.local_resolution import LocalResolutionSettings, local_resolution
from relion4plugin.postprocessing.maps import other_half, read_half_maps, read_mask, read_mtf
from relion4plugin.progress import Progress

__all__ = ["JOB_TYPE", "LocalResOutputs", "LocalResParameters", "from_options", "relion_command", "run", "settings_of", "validate"]

JOB_TYPE = "relion.localres.own"
_MAP, _FILTERED = "relion_locres.mrc", "relion_locres_filtered.mrc"


@dataclass(frozen=True)
class LocalResOutputs:
    """Files of a finished job, and the resolutions (A) that 5, 50 and 95 % of the spheres reach."""

    locres: Path
    filtered: Path
    quantiles: tuple[float, float, float]
    spheres: int
    remarks: tuple[str, ...]


def from_options(options: Mapping[str, str], where: str = "job.star") -> LocalResParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type or ResMap is asked for.
    """
    if options.get("do_resmap_locres", "No") == "Yes":
        raise UserError(f"{where}: do_resmap_locres is Yes, but ResMap is not run from here: set do_relion_locres to Yes instead")
    return from_job_options(LocalResParameters, options, where)


def settings_of(parameters: LocalResParameters) -> LocalResolutionSettings:
    """Translate to the computation's settings."""
    p = parameters
    return LocalResolutionSettings(
        sampling=p.locres_sampling,
        radius=p.locres_maskrad,
        edge=p.locres_edgwidth,
        randomise_at=p.locres_randomize_at,
        worst=p.locres_minres,
        threshold=p.locres_threshold,
        bfactor=p.adhoc_bfac,
        mtf_pixel_size=p.mtf_angpix,
        seed=p.random_seed,
        memory=p.memory_limit,
    )


def validate(parameters: LocalResParameters) -> tuple[str, ...]:
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
    for path, what, option in ((p.fn_mask, "solvent mask", "--mask"), (p.fn_mtf, "MTF", "--mtf")):
        if path:
            require_file(path, what, option)
    if p.adhoc_bfac > 0:
        return (f"adhoc_bfac is {p.adhoc_bfac:g} A^2: positive values blur, negative ones sharpen",)
    return ()


def relion_command(parameters: LocalResParameters, out_dir: Path) -> list[str]:
    """Return the words of RELION's own command for the same job."""
    p, default = parameters, LocalResParameters()
    words = ["relion_postprocess", "--locres", "--i", p.fn_in, *(["--i2", p.fn_in2] if p.fn_in2 else [])]
    words += ["--o", (out_dir / "relion").as_posix(), "--angpix", format_value(p.angpix), "--adhoc_bfac", format_value(p.adhoc_bfac)]
    words += ["--mtf", p.fn_mtf] if p.fn_mtf else []
    words += ["--mask", p.fn_mask] if p.fn_mask else []
    for name in ("locres_sampling", "locres_maskrad", "locres_edgwidth", "locres_randomize_at", "locres_minres"):
        if getattr(p, name) != getattr(default, name):
            words += [f"--{name}", format_value(getattr(p, name))]
    return words


def run(
    parameters: LocalResParameters, out_dir: Path, progress: Progress, job_star: bool = True, overwrite: bool = False
) -> LocalResOutputs:
    """Estimate the local resolution, leaving a RELION job directory (see `class2d.run` for the arguments).

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
    prepare_map_output(out_dir, (_MAP, _FILTERED), 2 * halves.first.nbytes, overwrite)
    with JobDirectory(
        out_dir,
        JobStar(JOB_TYPE, options=to_job_options(p)),
        command=recorded_command("localres", p, out_dir),
        inputs={p.fn_in: "DensityMap.mrc.relion.halfmap", **({p.fn_mask: "Mask3D.mrc"} if p.fn_mask else {})},
        outputs={out_dir / _FILTERED: "DensityMap.mrc.relion.localresfiltered", out_dir / _MAP: "Image3D.mrc.relion.localresmap"},
        progress=progress,
        enabled=job_star,
    ) as job:
        result = local_resolution(halves, mask, settings_of(p), mtf, job.progress)
        write_volume(out_dir / _MAP, result.resolution, halves.pixel_size)
        write_volume(out_dir / _FILTERED, result.filtered, halves.pixel_size)
    low, middle, high = (float(value) for value in np.percentile(result.values, (5, 50, 95)))
    return LocalResOutputs(
        out_dir / _MAP, out_dir / _FILTERED, (low, middle, high), len(result.values), (*halves.remarks, *mask_remarks)
    )
