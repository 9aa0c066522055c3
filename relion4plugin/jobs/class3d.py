"""3D classification as a job: checks, run, engine settings and RELION's command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.class3d_parameters import Class3DParameters
from relion4plugin.jobs.parameters import check, from_job_options
from relion4plugin.jobs.refinement_checks import (
    check_maps,
    check_offsets,
    check_particles,
    check_poses,
    check_sizes,
    check_source,
    gpu_remarks,
    reference_remarks,
)
from relion4plugin.jobs.refinement_job import (
    MAP_NODE,
    OPTIMISER_NODE,
    PARTICLES_NODE,
    JobRun,
    job_directory,
    moment_bytes,
    read_input,
    resume_of,
    volume_bytes,
)
from relion4plugin.jobs.refinement_options import NOT_IN_3D, common_settings, refuse_not_offered, relion_gpu, relion_start, relion_words
from relion4plugin.jobs.refinement_parameters import healpix_order
from relion4plugin.progress import Progress
from relion4plugin.refinement.settings import Algorithm, RefinementSettings

__all__ = [
    "JOB_TYPE",
    "NOT_OFFERED",
    "Class3DOutputs",
    "Class3DParameters",
    "from_options",
    "iterations_field",
    "n_iterations",
    "needed_bytes",
    "output_files",
    "relion_command",
    "run",
    "settings_of",
    "validate",
]

JOB_TYPE = "relion.class3d"
NOT_OFFERED = {
    **NOT_IN_3D,
    "allow_coarser": ("--allow_coarser_sampling", "coarser sampling in early iterations is not offered: set allow_coarser to No"),
}
_RANGE_IN_SIGMAS = 3  # a local search goes as far as three standard deviations of its prior


@dataclass(frozen=True)
class Class3DOutputs:
    """Files of a finished run, `maps` one per class; `report` is the HTML page, None until a face has written one."""

    data_star: Path
    model_star: Path
    optimiser_star: Path
    maps: tuple[Path, ...]
    iterations: Path
    report: Path | None = None


def iterations_field(parameters: Class3DParameters) -> str:
    """Return the name of the parameter that counts the iterations of the chosen algorithm."""
    return "nr_iter_grad" if parameters.do_grad else "nr_iter"


def n_iterations(parameters: Class3DParameters) -> int:
    """Return the number of iterations of the chosen algorithm."""
    return parameters.nr_iter_grad if parameters.do_grad else parameters.nr_iter


def output_files(parameters: Class3DParameters, out_dir: Path) -> Class3DOutputs:
    """Name the files that a run leaves at its last iteration."""
    root = f"run_it{n_iterations(parameters):03d}"
    return Class3DOutputs(
        data_star=out_dir / f"{root}_data.star",
        model_star=out_dir / f"{root}_model.star",
        optimiser_star=out_dir / f"{root}_optimiser.star",
        maps=tuple(out_dir / f"{root}_class{k + 1:03d}.mrc" for k in range(parameters.nr_classes)),
        iterations=out_dir / "run_iterations.jsonl",
    )


def from_options(options: Mapping[str, str], where: str = "job.star") -> Class3DParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type or an option is switched on that is not offered here.
    """
    refuse_not_offered(options, NOT_OFFERED, where)
    return from_job_options(Class3DParameters, options, where)


def settings_of(parameters: Class3DParameters) -> RefinementSettings:
    """Translate to the engine's units; the coarse steps are twice the fine ones of the form."""
    p = parameters
    local = p.do_local_ang_searches and p.dont_skip_align
    return RefinementSettings(
        **common_settings(p),
        dimension=3,
        algorithm=Algorithm.VDAM if p.do_grad else Algorithm.EM,
        n_iterations=n_iterations(p),
        center_classes=False,
        inactivity_threshold=0.0,  # classes are replaced in 2D only
        skip_align=not p.dont_skip_align,
        padding=1 if p.do_pad1 else 2,
        symmetry=p.sym_name,
        healpix_order=healpix_order(p.sampling),
        sigma_angles=p.sigma_angles / _RANGE_IN_SIGMAS if local else -1.0,
        firstiter_cc=not p.ref_correct_greyscale,
    )


def validate(parameters: Class3DParameters) -> tuple[str, ...]:
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
    if p.do_grad and p.do_fast_subsets:
        raise UserError("do_fast_subsets is Yes but belongs to EM, and do_grad chooses VDAM: set one of them to No")
    if p.dont_skip_align:
        check_offsets(p)
        if p.do_local_ang_searches and p.sigma_angles == 0:
            raise UserError("sigma_angles is 0 deg, so local searches would search nothing: raise --sigma_angles, or --skip_align")
    check_source(p, n_iterations(p))
    check_maps(p)
    remarks = [*reference_remarks(p), *gpu_remarks(p)]
    if p.do_local_ang_searches and not p.dont_skip_align:
        remarks.append("do_local_ang_searches has no effect without image alignment (dont_skip_align is No)")
    return tuple(remarks)


def relion_command(parameters: Class3DParameters, out_dir: Path) -> list[str]:
    """Return the words of RELION's own command for the same job (RELION 4.0 options)."""
    p = parameters
    words = [*relion_start(p, out_dir), "--iter", str(n_iterations(p)), "--pad", "1" if p.do_pad1 else "2", "--oversampling", "1"]
    skipped = {"nr_iter_grad"} | (set() if p.ini_high > 0 else {"ini_high"})
    if not p.dont_skip_align:
        skipped |= {"sampling", "offset_range", "offset_step"}
    if not (p.dont_skip_align and p.do_local_ang_searches):
        skipped.add("sigma_angles")
    return words + relion_words(p, skipped, vdam=p.do_grad) + relion_gpu(p)


def run(
    parameters: Class3DParameters, out_dir: Path, progress: Progress, job_star: bool = True, overwrite: bool = False
) -> Class3DOutputs:
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
    particles = read_input(parameters)
    check_sizes(parameters, particles)
    if not parameters.dont_skip_align:
        check_poses(particles, "classification without alignment (--skip_align)")
    elif parameters.do_local_ang_searches:
        check_poses(particles, "a local search (do_local_ang_searches)")
    engine_settings = settings_of(parameters)
    check_particles(engine_settings, particles)
    outputs = output_files(parameters, out_dir)
    nodes = {
        outputs.data_star: f"{PARTICLES_NODE}.class3d",
        outputs.optimiser_star: f"{OPTIMISER_NODE}.class3d",
        **dict.fromkeys(outputs.maps, f"{MAP_NODE}.relion.class3d"),
    }
    needed = needed_bytes(parameters, len(particles), particles.box_size)
    with job_directory(JobRun(JOB_TYPE, "class3d", parameters, out_dir, nodes, needed), progress, job_star, overwrite) as told:
        from relion4plugin.refinement.engine import refine

        refine(engine_settings, particles, out_dir, told, resume=resume_of(parameters))
    return outputs


def needed_bytes(parameters: Class3DParameters, n_particles: int, box_size: int) -> int:
    """Estimate the size of all files of a run, for the check of free disk space."""
    p = parameters
    writes = p.nr_iter_grad // p.grad_write_iter + 2 if p.do_grad else p.nr_iter + 1
    moments = moment_bytes(box_size, p.nr_classes, 1 if p.do_pad1 else 2) if p.do_grad else 0
    return writes * (volume_bytes(box_size, p.nr_classes) + 500 * n_particles) + moments
