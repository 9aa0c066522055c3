"""Initial models from particles alone as a job: checks, run, engine settings and RELION's command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relion4plugin.jobs.initialmodel_parameters import InitialModelParameters
from relion4plugin.jobs.parameters import check, from_job_options
from relion4plugin.jobs.refinement_checks import check_offsets, check_particles, check_source, gpu_remarks, symmetry_order
from relion4plugin.jobs.refinement_job import MAP_NODE, JobRun, job_directory, moment_bytes, read_input, resume_of, volume_bytes
from relion4plugin.jobs.refinement_options import common_settings, relion_gpu, relion_start, relion_words
from relion4plugin.progress import Progress
from relion4plugin.refinement.settings import Algorithm, RefinementSettings

__all__ = [
    "JOB_TYPE",
    "NOT_OFFERED",
    "InitialModelOutputs",
    "InitialModelParameters",
    "from_options",
    "iterations_field",
    "n_iterations",
    "needed_bytes",
    "relion_command",
    "run",
    "settings_of",
    "validate",
]

JOB_TYPE = "relion.initialmodel"
NOT_OFFERED: dict[str, tuple[str, str]] = {}
MAP_NAME = "initial_model.mrc"
# Options of RELION 3.1's job of the same name; its stochastic gradient descent had other schedules and steps.
_SGD_OPTION = "sgd_ini_iter"
_SGD_ONLY = ("offset_range", "offset_step")


@dataclass(frozen=True)
class InitialModelOutputs:
    """Files and findings of a finished run; `report` is the HTML page, None until a face has written one.

    `map` is the aligned and symmetrised map of class `class_number` (from 1), `maps` those of all classes as they were
    reconstructed. `agreement` says how well the independent starts agree (None for a single start), `verdict` is the
    conclusion in words, and `reliable` whether a structure was found. `symmetry` is the point group applied.
    """

    map: Path
    data_star: Path
    model_star: Path
    optimiser_star: Path
    maps: tuple[Path, ...]
    iterations: Path
    class_number: int
    symmetry: str
    agreement: Mapping[str, Any] | None
    verdict: str
    reliable: bool
    report: Path | None = None


def iterations_field(parameters: InitialModelParameters) -> str:
    """Return the name of the parameter that counts the iterations."""
    return "nr_iter"


def n_iterations(parameters: InitialModelParameters) -> int:
    """Return the number of iterations."""
    return parameters.nr_iter


def from_options(options: Mapping[str, str], where: str = "job.star") -> InitialModelParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5; the schedules of RELION 3.1 are not taken over.

    Raises
    ------
    UserError
        If a value has the wrong type.
    """
    known = {name: value for name, value in options.items() if _SGD_OPTION not in options or name not in _SGD_ONLY}
    return from_job_options(InitialModelParameters, known, where)


def settings_of(parameters: InitialModelParameters) -> RefinementSettings:
    """Translate to the engine's units; the coarse offset step is twice the fine one of the form."""
    p = parameters
    return RefinementSettings(
        **common_settings(p),
        dimension=3,
        algorithm=Algorithm.VDAM,
        n_iterations=p.nr_iter,
        flatten_solvent=p.do_solvent,
        norm_correction=False,
        scale_correction=False,
        center_classes=p.do_run_C1,
        non_negative=p.do_solvent,
        inactivity_threshold=0.0,
        symmetry="C1" if p.do_run_C1 else p.sym_name,
        max_healpix_order=p.max_healpix_order,
        healpix_order=p.healpix_order,
        auto_sampling=True,
        auto_ignore_angles=True,
    )


def validate(parameters: InitialModelParameters) -> tuple[str, ...]:
    """Check what can be known without reading the particle images.

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
    check_offsets(p)
    check_source(p, p.nr_iter)
    order = symmetry_order(p.sym_name)
    remarks = list(gpu_remarks(p))
    if p.find_symmetry and order > 1:
        remarks.append(f"find_symmetry has no effect: sym_name is {p.sym_name}")
    if p.nr_restarts == 1:
        remarks.append("one start only: nothing tells whether another seed would give the same map")
    return tuple(remarks)


def relion_command(parameters: InitialModelParameters, out_dir: Path) -> list[str]:
    """Return the words of RELION's own commands for the same job (RELION 4.0 options; one start)."""
    p = parameters
    words = [*relion_start(p, out_dir), "--iter", str(p.nr_iter), "--grad", "--denovo_3dref"]
    words += ["--oversampling", "1", "--healpix_order", str(p.healpix_order), "--auto_sampling"]
    words += ["--offset_range", f"{p.offset_range:g}", "--offset_step", f"{2 * p.offset_step:g}"]
    skipped = {"sym_name", "nr_restarts", "nr_rounds", "select_class", "find_symmetry", "do_zero_mask"}
    skipped |= {"healpix_order", "offset_range", "offset_step"}
    if not p.fn_cont:
        words += ["--sym", "C1" if p.do_run_C1 else p.sym_name, *(["--zero_mask"] if p.do_zero_mask else [])]
    words += relion_words(p, skipped, vdam=True) + relion_gpu(p)
    place = out_dir.as_posix()
    align = ["relion_align_symmetry", "--i", f"{place}/run_it{p.nr_iter:03d}_model.star", "--o", f"{place}/{MAP_NAME}"]
    return [*words, "&&", *align, "--sym", p.sym_name if p.do_run_C1 else "C1", "--apply_sym", "--select_largest_class"]


def run(
    parameters: InitialModelParameters, out_dir: Path, progress: Progress, job_star: bool = True, overwrite: bool = False
) -> InitialModelOutputs:
    """Make an initial model, leaving a RELION job directory.

    Parameters
    ----------
    parameters
        What to do.
    out_dir
        Job directory; made if it does not exist.
    progress
        Told how far the run is.
    job_star
        Also keep the job directory's own files (job.star, note.txt, run.out, run.err, job_pipeline.star, exit markers).
    overwrite
        Remove the results of an earlier run in `out_dir` instead of refusing.

    Raises
    ------
    UserError
        If anything is wrong with the input, the options or the disk; nothing that existed is changed unless computing has begun.
    """
    p = parameters
    validate(p)
    particles = read_input(p)
    engine_settings = settings_of(p)
    check_particles(engine_settings, particles, halves=p.nr_iter_halves > 0)
    needed = needed_bytes(p, len(particles), particles.box_size)
    node = f"{MAP_NODE}.relion.initialmodel"
    nodes = {out_dir / MAP_NAME: node}
    if p.nr_classes > 1:
        nodes |= {out_dir / f"run_it{p.nr_iter:03d}_class{k + 1:03d}.mrc": node for k in range(p.nr_classes)}
    with job_directory(JobRun(JOB_TYPE, "initialmodel", p, out_dir, nodes, needed), progress, job_star, overwrite) as told:
        from relion4plugin.refinement.initial_model import make_initial_model

        result = make_initial_model(
            engine_settings,
            particles,
            out_dir,
            told,
            symmetry=p.sym_name,
            restarts=p.nr_restarts,
            rounds=p.nr_rounds,
            select=p.select_class,
            find_symmetry=p.find_symmetry and symmetry_order(p.sym_name) == 1,
            refine_iterations=p.nr_iter_halves,
            resume=resume_of(p),
        )
    return InitialModelOutputs(
        map=result.map,
        data_star=result.data_star,
        model_star=result.model_star,
        optimiser_star=result.optimiser_star,
        maps=tuple(result.maps),
        iterations=out_dir / "run_iterations.jsonl",
        class_number=result.class_number,
        symmetry=result.symmetry,
        agreement=result.agreement,
        verdict=result.verdict,
        reliable=result.reliable,
    )


def needed_bytes(parameters: InitialModelParameters, n_particles: int, box_size: int) -> int:
    """Estimate the size of all files of a run, for the check of free disk space."""
    from relion4plugin.refinement.initial_halves import EXTENSION

    p = parameters
    writes = p.nr_iter // p.grad_write_iter + 2
    winner = writes * (volume_bytes(box_size, p.nr_classes) + 500 * n_particles) + moment_bytes(box_size, p.nr_classes, p.pad)
    halves = (EXTENSION * p.nr_iter_halves + 1) * (volume_bytes(box_size, 2) + 500 * n_particles)
    return winner + halves + volume_bytes(box_size, p.nr_restarts + 1)  # one map of each start, and the result
