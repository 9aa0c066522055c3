"""2D classification as a job: checks, run, engine settings and RELION's command line."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.class2d_parameters import Class2DParameters, n_classes_of
from relion4plugin.jobs.output_nodes import write_output_nodes
from relion4plugin.jobs.parameters import check, from_job_options
from relion4plugin.jobs.refinement_checks import check_offsets, check_particles, check_source, gpu_remarks
from relion4plugin.jobs.refinement_job import OPTIMISER_NODE, PARTICLES_NODE, JobRun, job_directory, read_input, resume_of
from relion4plugin.jobs.refinement_options import common_settings, refuse_not_offered, relion_gpu, relion_start, relion_words
from relion4plugin.progress import Progress
from relion4plugin.refinement.settings import Algorithm, RefinementSettings

__all__ = [
    "JOB_TYPE",
    "NOT_OFFERED",
    "Class2DOutputs",
    "Class2DParameters",
    "from_options",
    "iterations_field",
    "n_iterations",
    "output_files",
    "relion_command",
    "run",
    "settings_of",
    "validate",
]

JOB_TYPE = "relion.class2d"
# Options of RELION's job that would change the result and that this program does not offer: refused when switched on.
NOT_OFFERED = {
    "do_helix": ("--helix", "helical segments are not classified here: use RELION for this job, or set do_helix to No"),
    "allow_coarser": ("--allow_coarser_sampling", "coarser sampling in early iterations is not offered: set allow_coarser to No"),
}


@dataclass(frozen=True)
class Class2DOutputs:
    """Files of a finished run; `report` is the HTML page, None until a face has written one."""

    data_star: Path
    model_star: Path
    optimiser_star: Path
    classes: Path
    iterations: Path
    report: Path | None = None


def iterations_field(parameters: Class2DParameters) -> str:
    """Return the name of the parameter that counts the iterations of the chosen algorithm."""
    return "nr_iter_grad" if parameters.do_grad else "nr_iter_em"


def n_iterations(parameters: Class2DParameters) -> int:
    """Return the number of iterations of the chosen algorithm."""
    return parameters.nr_iter_grad if parameters.do_grad else parameters.nr_iter_em


def output_files(parameters: Class2DParameters, out_dir: Path) -> Class2DOutputs:
    """Name the files that a run leaves at its last iteration."""
    root = f"run_it{n_iterations(parameters):03d}"
    return Class2DOutputs(
        data_star=out_dir / f"{root}_data.star",
        model_star=out_dir / f"{root}_model.star",
        optimiser_star=out_dir / f"{root}_optimiser.star",
        classes=out_dir / f"{root}_classes.mrcs",
        iterations=out_dir / "run_iterations.jsonl",
    )


def from_options(options: Mapping[str, str], where: str = "job.star") -> Class2DParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type or an option is switched on that is not offered here.
    """
    refuse_not_offered(options, NOT_OFFERED, where)
    known = dict(options)
    # RELION 3.1 knows EM only; early 4.0 templates have do_grad without do_em and one nr_iter for both.
    if "do_em" not in known:
        known["do_em"] = "No" if known.get("do_grad", "No") == "Yes" else "Yes"
    if "do_grad" not in known:
        known["do_grad"] = "No" if known["do_em"] == "Yes" else "Yes"
    if "nr_iter" in known:
        known.setdefault("nr_iter_em", known["nr_iter"])
        known.setdefault("nr_iter_grad", known["nr_iter"])
    return from_job_options(Class2DParameters, known, where)


def settings_of(parameters: Class2DParameters) -> RefinementSettings:
    """Translate to the engine's units; the coarse steps are twice the fine ones of the form."""
    p = parameters
    return RefinementSettings(
        **common_settings(p),
        algorithm=Algorithm.VDAM if p.do_grad else Algorithm.EM,
        n_iterations=n_iterations(p),
        center_classes=p.do_center,
        skip_align=not p.dont_skip_align,
        skip_rotate=p.skip_rotate,
        psi_step=2 * p.psi_sampling,
        psi_prior_sigma=p.sigma_psi,
        robust_noise=p.robust_noise,
    )


def validate(parameters: Class2DParameters) -> tuple[str, ...]:
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
    check(parameters)
    if parameters.do_em == parameters.do_grad:
        state = "both" if parameters.do_em else "neither"
        raise UserError(f"do_grad (VDAM) and do_em (EM) are {state} switched on: choose exactly one, --grad or --em")
    if parameters.do_stream and not (parameters.do_grad and parameters.fn_img):
        raise UserError("do_stream is switched on, which needs VDAM (--grad) and a list of particles that grows (--i)")
    if parameters.dont_skip_align:
        check_offsets(parameters)
    check_source(parameters, n_iterations(parameters))
    if parameters.fn_ref and not Path(parameters.fn_ref).is_file():
        raise UserError(f"starting averages {parameters.fn_ref}: no such file; give an existing stack with --fn_ref")
    return gpu_remarks(parameters)


def relion_command(parameters: Class2DParameters, out_dir: Path) -> list[str]:
    """Return the words of RELION's own command for the same job (RELION 4.0 options)."""
    p = parameters
    words = [*relion_start(p, out_dir), "--iter", str(n_iterations(p)), "--oversampling", "1"]
    skipped = {"do_em", "nr_iter_em", "nr_iter_grad"}
    if not p.dont_skip_align:
        skipped |= {"psi_sampling", "offset_range", "offset_step"}
    return words + relion_words(p, skipped, vdam=p.do_grad) + relion_gpu(p)


def run(
    parameters: Class2DParameters, out_dir: Path, progress: Progress, job_star: bool = True, overwrite: bool = False
) -> Class2DOutputs:
    """Classify, leaving a RELION job directory.

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
    validate(parameters)
    if parameters.do_stream:
        return _run_stream(parameters, out_dir, progress, job_star, overwrite)
    particles = read_input(parameters)
    engine_settings = replace(settings_of(parameters), n_classes=n_classes_of(parameters, len(particles)))
    check_particles(engine_settings, particles)
    outputs = output_files(parameters, out_dir)
    nodes = {outputs.data_star: f"{PARTICLES_NODE}.class2d", outputs.optimiser_star: f"{OPTIMISER_NODE}.class2d"}
    needed = needed_bytes(parameters, len(particles), particles.box_size)
    with job_directory(JobRun(JOB_TYPE, "class2d", parameters, out_dir, nodes, needed), progress, job_star, overwrite) as told:
        from relion4plugin.refinement.engine import refine

        refine(engine_settings, particles, out_dir, told, resume=resume_of(parameters))
    return outputs


def _run_stream(parameters: Class2DParameters, out_dir: Path, progress: Progress, job_star: bool, overwrite: bool) -> Class2DOutputs:
    """Take up a stream where an earlier run of this job left it, or begin one."""
    from relion4plugin.jobs.class2d_stream import newest_call, run_stream

    run = JobRun(JOB_TYPE, "class2d", parameters, out_dir, {}, 0, goes_on=not overwrite and newest_call(out_dir) is not None)
    with job_directory(run, progress, job_star, overwrite) as told:
        result = run_stream(parameters, settings_of(parameters), out_dir, told)
        nodes = {result.data_star.as_posix(): f"{PARTICLES_NODE}.class2d", result.optimiser_star.as_posix(): f"{OPTIMISER_NODE}.class2d"}
        write_output_nodes(out_dir, nodes)
    return Class2DOutputs(result.data_star, result.model_star, result.optimiser_star, result.classes, out_dir / "run_iterations.jsonl")


def needed_bytes(parameters: Class2DParameters, n_particles: int, box_size: int) -> int:
    """Estimate the size of all files of a run, for the check of free disk space."""
    p, n = parameters, box_size
    images = p.nr_classes * n * n * 4
    half = (p.pad * n // 2 + 1) * p.pad * n * 8
    writes = n_iterations(p) // p.grad_write_iter + 2 if p.do_grad else p.nr_iter_em + 1
    per_write = images + (3 * p.nr_classes * half if p.do_grad else images) + 400 * n_particles + 200 * p.nr_classes * n
    return writes * per_write
