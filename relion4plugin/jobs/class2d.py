"""2D classification as a job: checks, run, engine settings and RELION's command line."""

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relion4plugin.errors import UserError
from relion4plugin.jobs.class2d_parameters import Class2DParameters
from relion4plugin.jobs.inputs import read_input_particles
from relion4plugin.jobs.job_star import JobStar, read_job_star
from relion4plugin.jobs.jobdir import JobDirectory, prepare_output
from relion4plugin.jobs.parameters import check, fields_of, format_value, from_job_options, to_job_options
from relion4plugin.progress import Progress
from relion4plugin.refinement.settings import Algorithm, RefinementSettings

if TYPE_CHECKING:
    from relion4plugin.files.particles import ParticleSet

__all__ = [
    "JOB_TYPE",
    "Class2DOutputs",
    "Class2DParameters",
    "from_options",
    "n_iterations",
    "output_files",
    "parameters_of_run",
    "relion_command",
    "run",
    "settings_of",
    "validate",
]

JOB_TYPE = "relion.class2d"
# Options of RELION's job that would change the result and that this program does not offer: refused when switched on.
_NOT_OFFERED = {
    "do_helix": "helical segments are not classified here: use RELION for this job, or set do_helix to No",
    "allow_coarser": "coarser sampling in early iterations is not offered: set allow_coarser to No",
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
    for name, remedy in _NOT_OFFERED.items():
        if options.get(name, "No") == "Yes":
            raise UserError(f"{where}: {name} is Yes, but {remedy}")
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


def parameters_of_run(optimiser: Path) -> Class2DParameters | None:
    """Return the parameters in the job.star beside an optimiser file, None where there is none."""
    path = optimiser.parent / "job.star"
    return from_options(read_job_star(path).options, str(path)) if path.is_file() else None


def settings_of(parameters: Class2DParameters) -> RefinementSettings:
    """Translate to the engine's units; the coarse steps are twice the fine ones of the form."""
    p = parameters
    return RefinementSettings(
        algorithm=Algorithm.VDAM if p.do_grad else Algorithm.EM,
        n_classes=p.nr_classes,
        n_iterations=n_iterations(p),
        tau2_fudge=p.tau_fudge,
        particle_diameter=p.particle_diameter,
        zero_mask=p.do_zero_mask,
        flatten_solvent=p.flatten_solvent,
        center_classes=p.do_center,
        ctf_correction=p.do_ctf_correction,
        intact_first_peak=p.ctf_intact_first_peak,
        phase_flipped=p.ctf_phase_flipped,
        only_flip_phases=p.only_flip_phases,
        norm_correction=p.do_norm,
        scale_correction=p.do_scale,
        skip_align=not p.dont_skip_align,
        skip_rotate=p.skip_rotate,
        psi_step=2 * p.psi_sampling,
        offset_range=p.offset_range,
        offset_step=2 * p.offset_step,
        adaptive_fraction=p.adaptive_fraction,
        max_significants=p.maxsig,
        strict_highres=p.highres_limit,
        padding=p.pad,
        initial_lowpass=p.ini_high,
        perturbation=p.perturb,
        inactivity_threshold=p.class_inactivity_threshold,
        step_size=p.grad_stepsize,
        mu=p.mu,
        ini_fraction=p.grad_ini_frac,
        fin_fraction=p.grad_fin_frac,
        ini_subset=p.grad_ini_subset,
        fin_subset=p.grad_fin_subset,
        em_iterations=p.grad_em_iters,
        write_every=p.grad_write_iter,
        fast_subsets=p.do_fast_subsets,
        psi_prior_sigma=p.sigma_psi,
        reference=p.fn_ref,
        init_blobs=p.init_blobs,
        seed=p.random_seed,
        threads=p.nr_threads,
        gpu=_gpu(p),
        memory_limit=p.memory_limit,
    )


def _gpu(parameters: Class2DParameters) -> int | None:
    if not parameters.use_gpu:
        return None
    first = re.split(r"[:,]", parameters.gpu_ids.strip())[0].strip()
    if not first:
        return 0
    if not first.isdigit():
        raise UserError(f"gpu_ids is '{parameters.gpu_ids}' but must be the number of a GPU, counted from 0: give --gpu 0")
    return int(first)


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
    if parameters.offset_step > max(parameters.offset_range, 0.1) and parameters.dont_skip_align and parameters.offset_range > 0:
        raise UserError(
            f"offset_step is {parameters.offset_step:g} px, larger than offset_range {parameters.offset_range:g} px: "
            "lower --offset_sampling or raise --offset_range"
        )
    if parameters.fn_cont:
        _check_continuation(parameters)
    elif not parameters.fn_img:
        raise UserError("no input particles: give a STAR file with --i, or --continue run_itNNN_optimiser.star")
    if parameters.fn_img and not parameters.fn_cont and not Path(parameters.fn_img).is_file():
        raise UserError(f"input particles {parameters.fn_img}: no such file; give an existing STAR file with --i")
    if parameters.fn_ref and not Path(parameters.fn_ref).is_file():
        raise UserError(f"starting averages {parameters.fn_ref}: no such file; give an existing stack with --fn_ref")
    _gpu(parameters)
    return _remarks(parameters)


def _check_continuation(parameters: Class2DParameters) -> None:
    path = Path(parameters.fn_cont)
    match = re.fullmatch(r".*_it(\d+)_optimiser\.star", path.name)
    if match is None:
        raise UserError(f"--continue {path}: expected a file named like run_it025_optimiser.star")
    if not path.is_file():
        raise UserError(f"--continue {path}: no such file; give the optimiser file of an earlier run")
    if int(match[1]) >= n_iterations(parameters):
        raise UserError(
            f"--continue {path}: iteration {int(match[1])} is already done and the run ends at {n_iterations(parameters)}; "
            "raise --iter or continue from an earlier iteration"
        )


def _remarks(parameters: Class2DParameters) -> tuple[str, ...]:
    remarks = []
    if parameters.use_gpu and re.search(r"[:,]", parameters.gpu_ids):
        remarks.append(f"gpu_ids '{parameters.gpu_ids}' names several GPUs; one process uses one: GPU {_gpu(parameters)}")
    if parameters.gpu_ids and not parameters.use_gpu:
        remarks.append(f"gpu_ids '{parameters.gpu_ids}' has no effect while use_gpu is No")
    if parameters.nr_classes == 1 and parameters.do_grad:
        remarks.append("one class: VDAM makes no final pass over all particles, so most keep the pose of the input")
    return tuple(remarks)


def relion_command(parameters: Class2DParameters, out_dir: Path) -> list[str]:
    """Return the words of RELION's own command for the same job (RELION 4.0 options)."""
    p = parameters
    words = ["relion_refine"]
    words += ["--continue", p.fn_cont] if p.fn_cont else ["--i", p.fn_img]
    words += ["--o", f"{out_dir.as_posix()}/run", "--iter", str(n_iterations(p)), "--oversampling", "1"]
    skipped = {"fn_img", "fn_cont", "do_em", "nr_iter_em", "nr_iter_grad", "use_gpu", "gpu_ids"}
    if p.fn_cont:  # these belong to the state that is read back
        skipped |= {"do_ctf_correction", "ctf_intact_first_peak", "nr_classes", "flatten_solvent", "do_zero_mask", "do_norm", "do_scale"}
    if not p.dont_skip_align:
        words.append("--skip_align")
        skipped |= {"psi_sampling", "offset_range", "offset_step"}
    if not p.init_blobs:
        words.append("--no_init_blobs")
    if not p.do_grad:
        skipped |= {f.name for f in fields_of(Class2DParameters) if f.section == "VDAM schedule"}
    for field in fields_of(Class2DParameters):
        value = getattr(p, field.name)
        if field.name in skipped or field.option is None:
            continue
        if field.type is bool:
            words += [field.option] if value else []
        elif value != field.default or (field.relion and field.name != "highres_limit") or field.name in _ALWAYS:
            words += [field.option, format_value(float(value) * field.option_scale if field.option_scale != 1.0 else value)]
    return words + (["--gpu", p.gpu_ids] if p.use_gpu else [])


_ALWAYS = ("pad", "class_inactivity_threshold", "grad_write_iter")  # RELION's job always gives these, its program has other defaults


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
    optimiser = Path(parameters.fn_cont) if parameters.fn_cont else None
    particles = _read_input(parameters)
    engine_settings = settings_of(parameters)
    same_place = optimiser is not None and optimiser.parent.resolve() == out_dir.resolve()
    prepare_output(out_dir, needed_bytes(parameters, len(particles), particles.box_size), overwrite, continuing=same_place)
    outputs = output_files(parameters, out_dir)
    with JobDirectory(
        out_dir,
        JobStar(JOB_TYPE, is_continue=optimiser is not None, options=to_job_options(parameters)),
        command="relion4plugin class2d " + _own_options(parameters, out_dir),
        inputs={str(optimiser): "ProcessData.star.relion.optimiser"} if optimiser else {parameters.fn_img: "ParticlesData.star.relion"},
        outputs={
            outputs.data_star: "ParticlesData.star.relion.class2d",
            outputs.optimiser_star: "ProcessData.star.relion.optimiser.class2d",
        },
        progress=progress,
        enabled=job_star,
    ) as job:
        from relion4plugin.refinement.engine import refine

        try:
            refine(engine_settings, particles, out_dir, job.progress, resume=optimiser)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                raise UserError(
                    f"cannot write to {out_dir}: {error.strerror}; make room there, then --continue from the last run_itNNN_optimiser.star"
                ) from error
            raise
    return outputs


def _own_options(parameters: Class2DParameters, out_dir: Path) -> str:
    changed = [f for f in fields_of(Class2DParameters) if getattr(parameters, f.name) != f.default]
    return " ".join([f"--o {out_dir.as_posix()}", *(f"--{f.name} {format_value(getattr(parameters, f.name))}" for f in changed)])


def _read_input(parameters: Class2DParameters) -> "ParticleSet":
    source = Path(parameters.fn_img)
    if parameters.fn_cont and not (parameters.fn_img and source.is_file()):
        source = _data_star(Path(parameters.fn_cont))
    particles = read_input_particles(source)
    if parameters.nr_classes > len(particles):
        raise UserError(f"nr_classes is {parameters.nr_classes} but {source} has only {len(particles)} particles: lower --K")
    return particles


def _data_star(optimiser: Path) -> Path:
    """Find the data file of the iteration that is continued: as named in the optimiser, else beside it."""
    from relion4plugin.files.star import read_star

    general = read_star(optimiser).get("optimiser_general", {})
    named = str(general.get("rlnExperimentalDataStarFile", "")) if isinstance(general, Mapping) else ""
    beside = optimiser.with_name(optimiser.name.replace("_optimiser.star", "_data.star"))
    for candidate in (Path(named) if named else beside, beside):
        if candidate.is_file():
            return candidate
    raise UserError(f"--continue {optimiser}: its data file {named or beside} does not exist; put it beside the optimiser file")


def needed_bytes(parameters: Class2DParameters, n_particles: int, box_size: int) -> int:
    """Estimate the size of all files of a run, for the check of free disk space."""
    p, n = parameters, box_size
    images = p.nr_classes * n * n * 4
    half = (p.pad * n // 2 + 1) * p.pad * n * 8
    writes = n_iterations(p) // p.grad_write_iter + 2 if p.do_grad else p.nr_iter_em + 1
    per_write = images + (3 * p.nr_classes * half if p.do_grad else images) + 400 * n_particles + 200 * p.nr_classes * n
    return writes * per_write
