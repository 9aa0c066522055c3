"""What the options of a refinement job are called elsewhere: in the engine, in RELION's program, in job.star."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.jobs.parameters import fields_of, format_value, relion_value
from relion4plugin.jobs.refinement_parameters import VDAM

P = TypeVar("P")

# parameter -> field of RefinementSettings with the same meaning and unit
_SETTING = {
    "nr_classes": "n_classes",
    "tau_fudge": "tau2_fudge",
    "particle_diameter": "particle_diameter",
    "do_zero_mask": "zero_mask",
    "flatten_solvent": "flatten_solvent",
    "do_ctf_correction": "ctf_correction",
    "ctf_intact_first_peak": "intact_first_peak",
    "ctf_phase_flipped": "phase_flipped",
    "only_flip_phases": "only_flip_phases",
    "do_norm": "norm_correction",
    "do_scale": "scale_correction",
    "do_fast_subsets": "fast_subsets",
    "highres_limit": "strict_highres",
    "offset_range": "offset_range",
    "adaptive_fraction": "adaptive_fraction",
    "maxsig": "max_significants",
    "perturb": "perturbation",
    "pad": "padding",
    "ini_high": "initial_lowpass",
    "init_blobs": "init_blobs",
    "class_inactivity_threshold": "inactivity_threshold",
    "grad_stepsize": "step_size",
    "mu": "mu",
    "grad_ini_frac": "ini_fraction",
    "grad_fin_frac": "fin_fraction",
    "grad_ini_subset": "ini_subset",
    "grad_fin_subset": "fin_subset",
    "grad_em_iters": "em_iterations",
    "grad_write_iter": "write_every",
    "fn_ref": "reference",
    "fn_mask": "solvent_mask",
    "random_seed": "seed",
    "nr_threads": "threads",
    "memory_limit": "memory_limit",
}
# option of RELION's 3D jobs that this program does not offer -> (option of its program, what to do instead)
NOT_IN_3D = {
    "do_helix": ("--helix", "helical segments are not reconstructed here: use RELION for this job, or set do_helix to No"),
    "relax_sym": ("--relax_sym", "symmetry relaxation is not offered: leave relax_sym empty, or refine in a lower symmetry"),
    "do_blush": ("--blush", "Blush regularisation is not offered: set do_blush to No, or use RELION 5 for this job"),
}
_SKIPPED_WORDS = {"fn_img", "fn_cont", "nr_iter", "use_gpu", "gpu_ids"}
_NOT_WHEN_CONTINUING = {  # these belong to the state that is read back
    "do_ctf_correction", "ctf_intact_first_peak", "nr_classes", "flatten_solvent", "do_zero_mask", "do_norm", "do_scale",
    "do_solvent", "fn_ref", "ref_correct_greyscale", "trust_ref_size", "ini_high", "sym_name",
}  # fmt: skip
# RELION's job always gives these, its program has other defaults.
_ALWAYS = ("pad", "class_inactivity_threshold", "grad_write_iter")
_UNLESS_SET = ("highres_limit", "fn_mask", "fn_ref")


def common_settings(parameters: Any) -> dict[str, Any]:
    """Return the engine settings that a job's parameters name one to one, and the offset step, halved on every form."""
    known = {f.name for f in fields_of(type(parameters))}
    settings = {setting: getattr(parameters, name) for name, setting in _SETTING.items() if name in known}
    return {**settings, "offset_step": 2 * parameters.offset_step, "gpu": gpu_number(parameters), "gpus": gpu_numbers(parameters)}


def gpu_number(parameters: Any) -> int | None:
    """Return the number of the first graphics card, None for the processor; as `gpu_numbers`."""
    numbers = gpu_numbers(parameters)
    return numbers[0] if numbers else None


def gpu_numbers(parameters: Any) -> tuple[int, ...]:
    """Return the numbers of the graphics cards, which processes take in turn; none for the processor.

    Raises
    ------
    UserError
        If `gpu_ids` holds something else than numbers.
    """
    if not parameters.use_gpu:
        return ()
    numbers = [name.strip() for name in re.split(r"[:,]", parameters.gpu_ids) if name.strip()]
    if not all(number.isdecimal() for number in numbers):
        raise UserError(f"gpu_ids is '{parameters.gpu_ids}' but must be the number of a GPU, counted from 0: give --gpu 0")
    return tuple(int(number) for number in numbers) or (0,)


def relion_words(parameters: Any, skipped: Collection[str], vdam: bool) -> list[str]:
    """Return the options of RELION's program that the declaration names; the schedule only for VDAM.

    Parameters
    ----------
    parameters
        A parameter set.
    skipped : names
        Parameters that the job treats in its own way.
    vdam : bool
        Whether the run is by VDAM.
    """
    skipped = {*skipped, *_SKIPPED_WORDS, *(_NOT_WHEN_CONTINUING if parameters.fn_cont else ())}
    words: list[str] = []
    for field in fields_of(type(parameters)):
        value = getattr(parameters, field.name)
        if field.name in skipped or (field.section == VDAM and not vdam):
            continue
        if field.type is bool and field.negated:
            words += [] if value else [field.negated[0]]
        elif field.option is None:
            continue
        elif field.type is bool:
            words += [field.option] if value else []
        elif value != field.default or (field.relion and field.name not in _UNLESS_SET) or field.name in _ALWAYS:
            words += [field.option, relion_value(field, value)]
    return words


def relion_start(parameters: Any, out_dir: Path) -> list[str]:
    """Return the first words of RELION's command: program, input and output."""
    source = ["--continue", parameters.fn_cont] if parameters.fn_cont else ["--i", parameters.fn_img]
    return ["relion_refine", *source, "--o", f"{out_dir.as_posix()}/run"]


def relion_gpu(parameters: Any) -> list[str]:
    """Return the last words of RELION's command: its graphics cards."""
    return ["--gpu", parameters.gpu_ids] if parameters.use_gpu else []


def own_command(command: str, parameters: Any, out_dir: Path) -> str:
    """Return our own command for the job, with the options that differ from their defaults."""
    changed = [f for f in fields_of(type(parameters)) if getattr(parameters, f.name) != f.default]
    options = [f"--{f.name} {quote(format_value(getattr(parameters, f.name)))}" for f in changed]
    return " ".join([f"relion4plugin {command} --o {quote(out_dir.as_posix())}", *options])


def refuse_not_offered(options: Mapping[str, str], not_offered: Mapping[str, tuple[str, str]], where: str) -> None:
    """Refuse options of RELION's job that would change the result and that are not offered here.

    Parameters
    ----------
    options
        Options of a job.star.
    not_offered
        Name in job.star -> (option of RELION's program, what to do instead).
    where
        Named in the message.

    Raises
    ------
    UserError
        For the first one that is switched on.
    """
    for name, (_, remedy) in not_offered.items():
        value = options.get(name, "")
        if value.strip() not in ("", "No"):
            raise UserError(f"{where}: {name} is {value}, but {remedy}")


def parameters_of_run(optimiser: Path, from_options: Callable[[Mapping[str, str], str], P]) -> P | None:
    """Return the parameters in the job.star beside an optimiser file, None where there is none."""
    path = optimiser.parent / "job.star"
    return from_options(read_job_star(path).options, str(path)) if path.is_file() else None
