"""The runs that the benchmarks compare: a simulated stack, our EM and VDAM, and RELION's EM, each as a user would start it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from evaluation import Truth
from measure import Cost, class2d_command, run_measured

from relion4plugin.progress import Silent
from relion4plugin.simulation.particles import simulate
from relion4plugin.simulation.spec import SimulationSpec

EM_ITERATIONS = 25
VDAM_MINI_BATCHES = 200
MASK_MARGIN = 1.1  # mask diameter over particle diameter
SEARCH = ("--psi_step", "12", "--offset_range", "5", "--offset_step", "2")  # means the same to all programs


@dataclass(frozen=True)
class Stack:
    """A simulated stack on disk."""

    particles: Path
    truth: Truth  # its diameter is the mask diameter of the runs


@dataclass(frozen=True)
class Task:
    """What all programs are asked to do with a stack."""

    n_classes: int
    tau2_fudge: float
    threads: int
    seed: int
    em_iterations: int = EM_ITERATIONS
    mini_batches: int = VDAM_MINI_BATCHES


def make_stack(spec: SimulationSpec, folder: Path) -> Stack:
    """Simulate a stack; a folder of an earlier benchmark is written over."""
    made = simulate(spec, folder, Silent())
    mask = min(round(made.diameter * MASK_MARGIN), spec.box_angst - 10 * spec.pixel_size)  # room for the soft edge of 5 px
    return Stack(made.particles_star.resolve(), Truth(made.truth_star.resolve(), made.map_path.resolve(), float(mask)))


def _common(stack: Stack, task: Task) -> list[str]:
    return [
        *("--K", str(task.n_classes), "--tau2_fudge", f"{task.tau2_fudge:g}", "--particle_diameter", f"{stack.truth.diameter:g}"),
        *("--pad", "2", "--j", str(task.threads), "--random_seed", str(task.seed)),
    ]


def run_vdam(stack: Stack, task: Task, out: Path) -> Cost:
    """Our VDAM, through our command line."""
    return _run_ours(stack, task, out, "--grad", task.mini_batches)


def run_em(stack: Stack, task: Task, out: Path) -> Cost:
    """Our EM, through our command line."""
    return _run_ours(stack, task, out, "--em", task.em_iterations)


def our_options(stack: Stack, task: Task, out: Path, algorithm: str, iterations: int) -> list[str]:
    """Options of our command; `algorithm` is ``--grad`` or ``--em``."""
    options = ["--i", str(stack.particles), "--o", str(out.resolve()), "--overwrite", "--quiet", "--no_report", algorithm]
    return [*options, "--iter", str(iterations), *SEARCH, *_common(stack, task)]


def _run_ours(stack: Stack, task: Task, out: Path, algorithm: str, iterations: int) -> Cost:
    return run_measured(class2d_command(*our_options(stack, task, out, algorithm, iterations)), log_of(out), cwd=stack.particles.parent)


def log_of(out: Path) -> Path:
    """Where the terminal output of a run goes: beside its folder."""
    return out.with_name(f"{out.name}.log")


def relion_program() -> str | None:
    """RELION's refinement program, or None where it is not on PATH."""
    return shutil.which("relion_refine")


def run_relion_em(stack: Stack, task: Task, out: Path, program: str) -> Cost:
    """RELION's EM with the same settings; started in the stack's folder, as its image names are relative to it."""
    out.mkdir(parents=True, exist_ok=True)
    options = ["--i", stack.particles.name, "--o", f"{out.resolve()}/run", "--iter", str(task.em_iterations), *SEARCH]
    options += _common(stack, task)
    flags = ["--norm", "--scale", "--ctf", "--flatten_solvent", "--zero_mask", "--oversampling", "1", "--dont_check_norm"]
    return run_measured([program, *options, *flags], log_of(out), cwd=stack.particles.parent)
