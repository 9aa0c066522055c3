"""Auto-refinement of two independent halves as a job: checks, run, engine settings and RELION's command line."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import check, from_job_options
from relion4plugin.jobs.refine3d_parameters import Refine3DParameters
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
    "Refine3DOutputs",
    "Refine3DParameters",
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

JOB_TYPE = "relion.refine3d"
NOT_OFFERED = NOT_IN_3D
_USUAL_ITERATIONS = 30  # for the estimate of disk space; a run ends when it has converged


@dataclass(frozen=True)
class Refine3DOutputs:
    """Files of a finished run; `report` is the HTML page, None until a face has written one.

    `map` is reconstructed from all particles and filtered, `half1` and `half2` are the unfiltered maps of the halves. Where
    `converged` is false the run ended at its last iteration: its two half maps are filtered, and `map` is the first of them.
    """

    data_star: Path
    model_star: Path
    optimiser_star: Path
    map: Path
    half1: Path
    half2: Path
    iterations: Path
    converged: bool = True
    report: Path | None = None


def iterations_field(parameters: Refine3DParameters) -> str:
    """Return the name of the parameter that limits the iterations."""
    return "nr_iter"


def n_iterations(parameters: Refine3DParameters) -> int:
    """Return the iteration at which the run ends at the latest."""
    return parameters.nr_iter


def output_files(parameters: Refine3DParameters, out_dir: Path) -> Refine3DOutputs:
    """Name the files that a run leaves when it has converged."""
    return Refine3DOutputs(
        data_star=out_dir / "run_data.star",
        model_star=out_dir / "run_model.star",
        optimiser_star=out_dir / "run_optimiser.star",
        map=out_dir / "run_class001.mrc",
        half1=out_dir / "run_half1_class001_unfil.mrc",
        half2=out_dir / "run_half2_class001_unfil.mrc",
        iterations=out_dir / "run_iterations.jsonl",
    )


def from_options(options: Mapping[str, str], where: str = "job.star") -> Refine3DParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type or an option is switched on that is not offered here.
    """
    refuse_not_offered(options, NOT_OFFERED, where)
    return from_job_options(Refine3DParameters, options, where)


def settings_of(parameters: Refine3DParameters) -> RefinementSettings:
    """Translate to the engine's units; the coarse steps are twice the fine ones of the form."""
    p = parameters
    return RefinementSettings(
        **common_settings(p),
        dimension=3,
        algorithm=Algorithm.EM,
        n_classes=1,
        n_iterations=p.nr_iter,
        tau2_fudge=1.0,  # the FSC between the halves measures the signal: nothing to tune
        center_classes=False,
        inactivity_threshold=0.0,
        padding=1 if p.do_pad1 else 2,
        symmetry=p.sym_name,
        healpix_order=healpix_order(p.sampling),
        auto_refine=True,
        auto_local_healpix_order=healpix_order(p.auto_local_sampling),
        auto_ignore_angles=p.auto_faster,
        auto_resol_angles=p.auto_faster,
        low_resol_join=p.low_resol_join_halves,
        solvent_correct_fsc=p.do_solvent_fsc,
        firstiter_cc=not p.ref_correct_greyscale,
    )


def validate(parameters: Refine3DParameters) -> tuple[str, ...]:
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
    if p.do_solvent_fsc and not p.fn_mask:
        raise UserError("do_solvent_fsc is Yes but there is no reference mask: give one with --solvent_mask, or set do_solvent_fsc to No")
    check_source(p, p.nr_iter)
    check_maps(p)
    remarks = [*reference_remarks(p), *gpu_remarks(p)]
    if _starts_local(p) and not p.fn_cont:
        remarks.append(f"local searches from the first iteration on: sampling {p.sampling}, auto_local_sampling {p.auto_local_sampling}")
    return tuple(remarks)


def _starts_local(parameters: Refine3DParameters) -> bool:
    return healpix_order(parameters.sampling) >= healpix_order(parameters.auto_local_sampling)


def relion_command(parameters: Refine3DParameters, out_dir: Path) -> list[str]:
    """Return the words of RELION's own command for the same job (RELION 4.0 options; halves need its MPI program)."""
    p = parameters
    words = ["mpirun", "-n", "3", "relion_refine_mpi", *relion_start(p, out_dir)[1:], "--pad", "1" if p.do_pad1 else "2"]
    words += ["--auto_ignore_angles", "--auto_resol_angles"] if p.auto_faster else []
    if p.fn_cont:
        kept = {"particle_diameter", "fn_mask", "do_solvent_fsc", "nr_threads"}
        skipped = {name for name in Refine3DParameters.__dataclass_fields__ if name not in kept}
        return words + relion_words(p, skipped, vdam=False) + relion_gpu(p)
    words += ["--auto_refine", "--split_random_halves", "--oversampling", "1"]
    skipped = {"low_resol_join_halves"} | (set() if p.ini_high > 0 else {"ini_high"})
    words += ["--low_resol_join_halves", f"{p.low_resol_join_halves:g}"]
    return words + relion_words(p, skipped, vdam=False) + relion_gpu(p)


def run(
    parameters: Refine3DParameters, out_dir: Path, progress: Progress, job_star: bool = True, overwrite: bool = False
) -> Refine3DOutputs:
    """Refine, leaving a RELION job directory.

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
    if len(particles) < 2:
        raise UserError(f"{particles.source} has one particle: auto-refinement needs two halves; give more particles with --i")
    check_sizes(parameters, particles)
    if _starts_local(parameters):
        check_poses(particles, "a local search from the first iteration on (auto_local_sampling)")
    engine_settings = settings_of(parameters)
    check_particles(engine_settings, particles)
    outputs = output_files(parameters, out_dir)
    nodes = {
        outputs.data_star: f"{PARTICLES_NODE}.refine3d",
        outputs.optimiser_star: f"{OPTIMISER_NODE}.refine3d",
        outputs.half1: f"{MAP_NODE}.relion.halfmap.refine3d",
        outputs.map: f"{MAP_NODE}.relion.refine3d",
    }
    needed = needed_bytes(parameters, len(particles), particles.box_size)
    with job_directory(JobRun(JOB_TYPE, "refine3d", parameters, out_dir, nodes, needed), progress, job_star, overwrite) as told:
        from relion4plugin.refinement.engine import refine

        result = refine(engine_settings, particles, out_dir, told, resume=resume_of(parameters))
    half1, half2 = result.half_maps
    return replace(
        outputs,
        data_star=result.data_star,
        model_star=result.model_star,
        optimiser_star=result.optimiser_star,
        map=result.classes,
        half1=half1,
        half2=half2,
        converged=half1 == outputs.half1,
    )


def needed_bytes(parameters: Refine3DParameters, n_particles: int, box_size: int) -> int:
    """Estimate the size of all files of a run, for the check of free disk space."""
    halves = volume_bytes(box_size, 2)
    writes = min(parameters.nr_iter, _USUAL_ITERATIONS) + 1
    return writes * (halves + 500 * n_particles) + 2 * halves
