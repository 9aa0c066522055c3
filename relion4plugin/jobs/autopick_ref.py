"""Picking by references as a job: micrograph by micrograph, with RELION's files."""

from collections.abc import Callable, Mapping
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.imaging.ctf import CtfOptions
from relion4plugin.jobs.autopick_parameters import RefPickParameters
from relion4plugin.jobs.autopick_ref_inputs import read_ctfs, read_references
from relion4plugin.jobs.autopick_run import Figures, PickOutputs, PickRun
from relion4plugin.jobs.map_jobs import require_file
from relion4plugin.jobs.parameters import check, from_job_options, to_job_options
from relion4plugin.preprocessing.picking.templates import TemplateBank, TemplateSettings, pick_templates
from relion4plugin.progress import Progress

__all__ = ["PickOutputs", "RefPickParameters", "from_options", "relion_command", "run", "settings_of", "validate"]


def from_options(options: Mapping[str, str], where: str = "job.star") -> RefPickParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type.
    """
    return from_job_options(RefPickParameters, options, where)


def settings_of(parameters: RefPickParameters) -> TemplateSettings:
    """Translate to the settings of the search."""
    p = parameters
    return TemplateSettings(
        step=p.psi_sampling_autopick,
        lowpass=p.lowpass,
        highpass=p.highpass,
        threshold=p.threshold_autopick,
        distance=p.mindist_autopick,
        noise_spread=p.maxstddevnoise_autopick,
        noise_mean=p.minavgnoise_autopick,
        shrink=p.shrink,
        invert=p.do_invert_refs,
        ctf_options=CtfOptions(intact_first_peak=p.do_ignore_first_ctfpeak_autopick),
    )


def validate(parameters: RefPickParameters) -> tuple[str, ...]:
    """Check what can be known without reading the micrographs.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    require_file(p.fn_refs_autopick, "references", "--ref")
    if p.threshold_autopick < 0:
        raise UserError(f"threshold_autopick is {p.threshold_autopick:g}, but noise is likelier below 0: give --threshold 0 or more")
    if p.mindist_autopick <= 0:
        raise UserError("mindist_autopick is 0, but picks need a distance: give --min_distance in A, about a particle diameter")
    if p.shrink > 1:
        raise UserError(f"shrink is {p.shrink:g} but must be at most 1: micrographs are not scaled up; 0 follows the low-pass filter")
    if 0 < p.highpass <= p.lowpass:
        raise UserError(f"highpass is {p.highpass:g} A and lowpass {p.lowpass:g} A: --highpass must be the longer one, or -1 for none")
    return ()


def relion_command(parameters: RefPickParameters, out_dir: Path, is_continue: bool) -> list[str]:
    """Return the words of RELION's own command for the same job."""
    from relion4plugin.jobs.registry import job_type

    options = {**to_job_options(parameters), "do_refs": "Yes"}
    return job_type("relion.autopick").relion_command(options, out_dir, is_continue)[0]


def run(
    parameters: RefPickParameters, out_dir: Path, progress: Progress, is_continue: bool = False, overwrite: bool = False
) -> PickOutputs:
    """Pick what looks like the references in every micrograph; arguments and errors are those of all jobs in `micrograph_job`."""
    validate(parameters)
    ctfs = read_ctfs(parameters.fn_input_autopick) if parameters.do_ctf_autopick else {}
    job = PickRun(parameters, out_dir, parameters.mindist_autopick, is_continue, overwrite)
    settings = settings_of(parameters)
    banks: dict[float, TemplateBank] = {}
    remarks: tuple[str, ...] = ()
    for pixel_size in dict.fromkeys(micrograph.pixel_size for micrograph in job.micrographs):
        references, told = read_references(parameters, pixel_size)
        banks[pixel_size] = TemplateBank(references, settings)
        remarks += told

    def compute(item: int) -> Callable[[], Figures]:
        micrograph = job.micrographs[item]
        picks = pick_templates(
            micrograph.image(), micrograph.pixel_size, banks[micrograph.pixel_size], ctfs.get(micrograph.name), micrograph.name
        )
        return lambda: job.write(item, picks)

    return job.outputs(job.treat(compute, progress, parameters.nr_mpi), remarks)
