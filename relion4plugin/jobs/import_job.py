"""Import as a job: checks, what is imported how, and RELION's command line."""

from collections.abc import Mapping
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.import_movies import RawImport, import_raw
from relion4plugin.jobs.import_other import OtherImport, import_other
from relion4plugin.jobs.import_parameters import COORDINATES, ImportParameters, check_one_kind, checked_group, checked_pattern
from relion4plugin.jobs.map_jobs import require_file
from relion4plugin.jobs.parameters import check, from_job_options, to_job_options
from relion4plugin.progress import Progress

__all__ = ["ImportParameters", "OtherImport", "RawImport", "from_options", "relion_command", "run", "validate"]


def from_options(options: Mapping[str, str], where: str = "job.star") -> ImportParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type.
    """
    cleaned = {name: "" if value.strip() == '""' else value for name, value in options.items()}
    return from_job_options(ImportParameters, cleaned, where)


def validate(parameters: ImportParameters) -> tuple[str, ...]:
    """Check what can be known without looking for the files.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    check_one_kind(p.do_raw, p.do_other)
    if p.do_other:
        return _validate_other(p)
    if not p.fn_in_raw:
        raise UserError("fn_in_raw is empty: give a pattern of file names, such as Movies/*.tiff")
    checked_pattern(p.fn_in_raw, "fn_in_raw")
    checked_group(p.optics_group_name, "optics_group_name")
    for name in ("angpix", "kV"):
        if getattr(p, name) <= 0:
            raise UserError(f"{name} is {getattr(p, name):g} but must be above 0: give --{name}")
    if p.fn_mtf:
        require_file(p.fn_mtf, "MTF of the detector", "--fn_mtf")
    if p.fn_gain_ref:
        require_file(p.fn_gain_ref, "gain reference", "--fn_gain_ref")
    return ()


def _validate_other(p: ImportParameters) -> tuple[str, ...]:
    if not p.fn_in_other:
        raise UserError("fn_in_other is empty: give the file to import")
    if p.node_type == COORDINATES:
        checked_pattern(p.fn_in_other, "fn_in_other")
        if "*" not in p.fn_in_other:
            raise UserError(f"fn_in_other is '{p.fn_in_other}' but coordinates need a pattern with *, such as Movies/*_pick.star")
    if p.optics_group_particles:
        checked_group(p.optics_group_particles, "optics_group_particles")
    return ()


def relion_command(parameters: ImportParameters, out_dir: Path, is_continue: bool) -> list[str]:
    """Return the words of RELION's own command for the same job."""
    from relion4plugin.jobs.registry import job_type

    return job_type("relion.import").relion_command(to_job_options(parameters), out_dir, is_continue)[0]


def run(
    parameters: ImportParameters, out_dir: Path, progress: Progress, is_continue: bool = False, overwrite: bool = False
) -> RawImport | OtherImport:
    """Import files.

    Parameters
    ----------
    parameters
        What to do. Names are relative to the current directory, the project.
    out_dir
        Job directory; made if it does not exist.
    progress
        Told how far the job is.
    is_continue
        Keep the images of earlier executions and their order, and add new ones.
    overwrite
        Start again in a directory that was used before, instead of refusing.

    Raises
    ------
    UserError
        If anything is wrong with the options, all files or the disk; single bad movies or micrographs are set aside.
    """
    validate(parameters)
    importer = import_raw if parameters.do_raw else import_other
    return importer(parameters, out_dir, progress, is_continue, overwrite)
