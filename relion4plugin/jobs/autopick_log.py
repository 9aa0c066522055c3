"""Picking by a Laplacian of Gaussian as a job: micrograph by micrograph, with RELION's files."""

from collections.abc import Callable, Mapping
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.autopick_parameters import LogPickParameters
from relion4plugin.jobs.autopick_run import Figures, PickOutputs, PickRun
from relion4plugin.jobs.parameters import check, from_job_options, to_job_options
from relion4plugin.preprocessing.picking.laplacian import BlobSettings, pick_blobs
from relion4plugin.progress import Progress

__all__ = ["LogPickParameters", "PickOutputs", "from_options", "relion_command", "run", "settings_of", "validate"]


def from_options(options: Mapping[str, str], where: str = "job.star") -> LogPickParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type, or a GPU is asked for.
    """
    if options.get("use_gpu", "No") == "Yes":
        raise UserError(f"{where}: use_gpu is Yes, but picking by a Laplacian of Gaussian has no GPU version: set use_gpu to No")
    return from_job_options(LogPickParameters, options, where)


def settings_of(parameters: LogPickParameters) -> BlobSettings:
    """Translate to the settings of the search."""
    p = parameters
    return BlobSettings(
        p.log_diam_min, p.log_diam_max, p.log_maxres, p.log_adjust_thr, p.log_upper_thr, bright=p.log_invert, clean=p.log_clean
    )


def validate(parameters: LogPickParameters) -> tuple[str, ...]:
    """Check what can be known without reading the micrographs.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    if p.log_diam_min <= 0 or p.log_diam_max < p.log_diam_min:
        raise UserError(
            f"particles of {p.log_diam_min:g} to {p.log_diam_max:g} A are wanted: "
            "--log_diam_min must be above 0 and not above --log_diam_max"
        )
    if p.log_upper_thr <= 0:
        raise UserError(f"log_upper_thr is {p.log_upper_thr:g} but must be above 0: give --log_upper_thr 999 for no limit")
    return ()


def relion_command(parameters: LogPickParameters, out_dir: Path, is_continue: bool) -> list[str]:
    """Return the words of RELION's own command for the same job."""
    from relion4plugin.jobs.registry import job_type

    return job_type("relion.autopick").relion_command({**to_job_options(parameters), "do_log": "Yes"}, out_dir, is_continue)[0]


def run(
    parameters: LogPickParameters, out_dir: Path, progress: Progress, is_continue: bool = False, overwrite: bool = False
) -> PickOutputs:
    """Pick blobs in every micrograph; arguments and errors are those of all jobs in `micrograph_job`."""
    validate(parameters)
    settings = settings_of(parameters)
    job = PickRun(parameters, out_dir, parameters.log_diam_max, is_continue, overwrite)

    def compute(item: int) -> Callable[[], Figures]:
        micrograph = job.micrographs[item]
        found = pick_blobs(micrograph.image(), micrograph.pixel_size, settings, micrograph.name)
        return lambda: job.write(item, found.picks)

    return job.outputs(job.treat(compute, progress, parameters.nr_mpi))
