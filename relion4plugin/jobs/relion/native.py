"""How jobs that this program computes itself are run from the options of a job.star."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relion4plugin.jobs.job_type import Execution, NativeRunner
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.parallel.mpirun import shortage
from relion4plugin.parallel.world import world


def restart_runner(module: str, keeps_directory: bool = True) -> NativeRunner:
    """Return a runner for a job that does everything again each time.

    Parameters
    ----------
    module
        Job module with `from_options`, `validate` and `run`.
    keeps_directory
        Whether it can keep the files of a job directory itself, and must be told not to.
    """

    def run(execution: Execution) -> tuple[str, ...]:
        job, parameters = _parameters(module, execution, execution.options)
        remarks: tuple[str, ...] = job.validate(parameters)
        told = {"job_star": False} if keeps_directory else {}
        outputs = job.run(parameters, execution.out_dir, execution.progress, overwrite=execution.is_continue, **told)
        return (*remarks, *outputs.remarks)

    return run


def incremental_runner(module: str) -> NativeRunner:
    """Return a runner for a job that keeps what is finished and does the rest.

    Parameters
    ----------
    module
        Job module with `from_options`, `validate` and `run`.
    """

    def run(execution: Execution) -> tuple[str, ...]:
        job, parameters = _parameters(module, execution, execution.options)
        remarks: tuple[str, ...] = job.validate(parameters)
        outputs = job.run(parameters, execution.out_dir, execution.progress, is_continue=execution.is_continue)
        return (*remarks, *outputs.remarks)

    return run


def refinement_runner(module: str, results: tuple[str, ...]) -> NativeRunner:
    """Return a runner for a refinement, which goes on from the last iteration in its directory.

    Parameters
    ----------
    module
        Job module.
    results
        Files beside those of the last iteration that a finished run has.
    """

    def run(execution: Execution) -> tuple[str, ...]:
        optimiser = _optimiser(execution)
        options = {**execution.options, "fn_cont": optimiser}
        job, parameters = _parameters(module, execution, options)
        last = job.n_iterations(parameters)
        place = execution.out_dir
        final = bool(results) and all((place / name).is_file() for name in results)
        done = optimiser.endswith(f"_it{last:03d}_optimiser.star") and not results
        if optimiser and _own(optimiser, place) and (final or done):
            return (f"{optimiser} is the last iteration: nothing is left to do",)
        remarks = (*process_remarks(execution.options), *job.validate(parameters))
        job.run(parameters, place, execution.progress, job_star=False, overwrite=execution.is_continue and not optimiser)
        return remarks

    return run


def process_remarks(options: Mapping[str, str]) -> tuple[str, ...]:
    """Say so where a job that processes share has fewer of them than its options ask for."""
    text = OptionText(options)
    wanted, threads = text.whole("nr_mpi", 1), text.whole("nr_threads", 1)
    found = world().size
    if wanted <= found:
        return ()
    why = shortage(wanted, threads) or "it was started without mpirun"
    return (f"nr_mpi is {wanted}, but this job runs as {found}: {why}",)


def _own(optimiser: str, place: Path) -> bool:
    return Path(optimiser).parent.resolve() == place.resolve()


def _optimiser(execution: Execution) -> str:
    """Return what to go on from: what is given, else the last iteration in the directory; nothing for a new run."""
    if not execution.is_continue:
        return ""
    given = execution.options.get("fn_cont", "").strip('"')
    if given:
        return given
    written = sorted(execution.out_dir.glob("run_it[0-9]*_optimiser.star"), key=lambda path: (len(path.name), path.name))
    return written[-1].as_posix() if written else ""


def _parameters(module: str, execution: Execution, options: Mapping[str, str]) -> tuple[Any, Any]:
    job = importlib.import_module(f"relion4plugin.jobs.{module}")
    return job, job.from_options(options, str(execution.out_dir / "job.star"))


