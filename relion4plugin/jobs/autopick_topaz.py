"""Picking with Topaz as a job: batch by batch, with RELION's files."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.autopick_parameters import TopazPickParameters
from relion4plugin.jobs.autopick_run import PickOutputs, PickRun
from relion4plugin.jobs.one_by_one import Treated, Write, treat
from relion4plugin.jobs.parameters import check, from_job_options, to_job_options
from relion4plugin.jobs.refinement_options import gpu_number
from relion4plugin.preprocessing.picking.micrograph import ScaledMicrograph
from relion4plugin.preprocessing.picking.topaz import TopazSettings, pick_with_topaz, prepare
from relion4plugin.preprocessing.picking.topaz_program import check_model, find_topaz
from relion4plugin.progress import Progress

__all__ = ["PickOutputs", "TopazPickParameters", "from_options", "relion_command", "run", "settings_of", "validate"]


def from_options(options: Mapping[str, str], where: str = "job.star") -> TopazPickParameters:
    """Build the parameters from job.star options of RELION 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type.
    """
    return from_job_options(TopazPickParameters, options, where)


def settings_of(parameters: TopazPickParameters) -> TopazSettings:
    """Translate to how Topaz is called.

    Raises
    ------
    UserError
        If Topaz is not installed, or its other arguments have an open quote.
    """
    p = parameters
    try:
        extra = tuple(shlex.split(p.topaz_other_args.strip().strip('"')))
    except ValueError as error:
        raise UserError(f"topaz_other_args is '{p.topaz_other_args}': {error}; close the quote") from error
    gpu = gpu_number(p)
    return TopazSettings(
        program=find_topaz(p.fn_topaz_exec),
        diameter=p.topaz_particle_diameter,
        model=p.topaz_model,
        threshold=p.topaz_threshold,
        factor=max(p.topaz_downscale, 0.0),
        device=-1 if gpu is None else gpu,
        threads=p.nr_mpi,
        extra=extra,
    )


def validate(parameters: TopazPickParameters) -> tuple[str, ...]:
    """Check what can be known without reading the micrographs.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    if p.topaz_particle_diameter <= 0:
        raise UserError("topaz_particle_diameter is not given, but scale and radius follow from it: give --particle_diameter in A")
    if 0 < p.topaz_downscale < 1:
        raise UserError(f"topaz_downscale is {p.topaz_downscale:g} but must be at least 1: micrographs are not scaled up")
    check_model(p.topaz_model)
    settings_of(p)
    return ()


def relion_command(parameters: TopazPickParameters, out_dir: Path, is_continue: bool) -> list[str]:
    """Return the words of RELION's own command for the same job."""
    from relion4plugin.jobs.registry import job_type

    options = {**to_job_options(parameters), "do_topaz": "Yes", "do_topaz_pick": "Yes"}
    return job_type("relion.autopick").relion_command(options, out_dir, is_continue)[0]


def run(
    parameters: TopazPickParameters, out_dir: Path, progress: Progress, is_continue: bool = False, overwrite: bool = False
) -> PickOutputs:
    """Pick in every micrograph with Topaz; arguments and errors are those of all jobs in `micrograph_job`."""
    validate(parameters)
    settings = settings_of(parameters)
    job = PickRun(parameters, out_dir, parameters.topaz_particle_diameter, is_continue, overwrite)
    batches = _batches(job, parameters.topaz_batch)
    failed: dict[int, str] = {}

    def compute(number: int) -> Write:
        ready: dict[int, ScaledMicrograph] = {}
        for item in batches[number]:
            micrograph = job.micrographs[item]
            try:
                ready[item] = prepare(micrograph.image(), micrograph.pixel_size, settings, micrograph.name)
            except UserError as error:
                failed[item] = str(error)
        found = pick_with_topaz(list(ready.values()), settings) if ready else []

        def write() -> None:
            for item, picks in zip(ready, found, strict=True):
                job.add(item, job.write(item, picks))

        return write

    treated = treat(range(len(batches)), compute, progress, "Picking with Topaz, batches")
    for number, reason in treated.failed.items():
        failed.update((item, failed.get(item, reason)) for item in batches[number])
    done = tuple(item for number in treated.done for item in batches[number] if item not in failed)
    return job.outputs(job.end(Treated(done, dict(sorted(failed.items())), 0)))


def _batches(job: PickRun, size: int) -> list[list[int]]:
    """Return what is to be done in batches of micrographs of one pixel size."""
    groups: dict[float, list[int]] = {}
    for item in job.unfinished():
        groups.setdefault(job.micrographs[item].pixel_size, []).append(item)
    return [items[start : start + size] for items in groups.values() for start in range(0, len(items), size)]
