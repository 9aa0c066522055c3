"""The runs in 3D that the benchmarks compare, ours through our command line and RELION's, on the same files."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import Cost, run_measured
from runs import log_of

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc, write_stack
from relion4plugin.files.particles import read_particles

LOCAL_ORDER = 4  # HEALPix order of local searches in auto-refinement
MPI_RANKS = 3  # RELION's leader and a worker for each half
# Ranks that wait give their core away; the second works round a call that containers forbid.
MPI_SETTINGS = ("--mca", "mpi_yield_when_idle", "1", "--mca", "btl_vader_single_copy_mechanism", "none")
MPI_ENVIRONMENT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Refinement3D:
    """What both programs are asked to do; RELION's coarse units."""

    particles: Path
    reference: Path
    diameter: float  # A
    symmetry: str = "C1"
    initial_lowpass: float = 60.0  # A
    healpix_order: int = 2
    offset_range: float = 5.0  # px
    offset_step: float = 2.0  # px
    greyscale: bool = False  # whether the reference is on the absolute grey scale: else the first iteration is by cross-correlation
    flatten: bool = True  # whether maps are masked outside the diameter
    padding: int = 2
    threads: int = 1
    seed: int = 1

    def shared(self) -> list[str]:
        """Options that mean the same to both programs."""
        return [
            *("--i", str(self.particles), "--ref", str(self.reference), "--sym", self.symmetry),
            *("--ini_high", f"{self.initial_lowpass:.6g}", "--particle_diameter", f"{self.diameter:g}"),
            *("--healpix_order", str(self.healpix_order), "--offset_range", f"{self.offset_range:g}"),
            *("--offset_step", f"{self.offset_step:g}", "--j", str(self.threads), "--random_seed", str(self.seed)),
        ]

    def ours(self) -> list[str]:
        """Options of our commands."""
        words = ["--zero_mask", "Yes", "--flatten_solvent", "Yes" if self.flatten else "No", "--ctf", "Yes"]
        words += [] if self.padding == 2 else ["--do_pad1", "Yes"]
        return [*self.shared(), *words, "--ref_correct_greyscale", "Yes" if self.greyscale else "No"]

    def relion(self) -> list[str]:
        """Options of RELION's program."""
        # without --ctf_corrected_ref its first iteration leaves the CTF out of the projections
        words = ["--zero_mask", "--ctf", "--ctf_corrected_ref", "--dont_check_norm", *(["--flatten_solvent"] if self.flatten else [])]
        words += ["--pad", str(self.padding), "--oversampling", "1"]
        return [*self.shared(), *words, *([] if self.greyscale else ["--firstiter_cc"])]


def our_command(command: str, out: Path, options: list[str]) -> list[str]:
    """One of our commands as a user calls it, by this interpreter."""
    program = [sys.executable, "-m", "relion4plugin.cli.main", command]
    return [*program, "--o", str(out.resolve()), "--overwrite", "--quiet", "--no_report", "--json", *options]


def run_ours(command: str, out: Path, options: list[str]) -> Cost:
    """Run one of our commands; its terminal output goes beside its folder."""
    return run_measured(our_command(command, out, options), log_of(out))


def summary_of(out: Path) -> dict[str, object]:
    """Return the outputs that our command has printed.

    Raises
    ------
    UserError
        If the log has no summary.
    """
    log = log_of(out)
    lines = [line for line in log.read_text().splitlines() if line.startswith('{"command"')]
    if not lines:
        raise UserError(f"{log}: no summary in it; run the benchmark again")
    return dict(json.loads(lines[-1])["outputs"])


def run_our_refinement(task: Refinement3D, out: Path) -> Cost:
    """Our auto-refinement."""
    return run_ours("refine3d", out, [*task.ours(), "--auto_local_healpix_order", str(LOCAL_ORDER), "--norm", "Yes", "--scale", "Yes"])


def relion_mpi() -> tuple[str, str] | None:
    """Return mpirun and RELION's refinement program for MPI, which alone can refine two halves; None where one is missing."""
    programs = shutil.which("mpirun"), shutil.which("relion_refine_mpi")
    return None if None in programs else programs  # type: ignore[return-value]


def relion_refinement_command(task: Refinement3D, out: Path, programs: tuple[str, str]) -> list[str]:
    """RELION's auto-refinement, with the cost of each rank written to a file."""
    mpi, refine = programs
    ranks = [mpi, "--oversubscribe", *MPI_SETTINGS, "-n", str(MPI_RANKS)]
    counted = [sys.executable, str(Path(__file__).with_name("rank_cost.py")), str(out.resolve())]
    halves = ["--auto_refine", "--split_random_halves", "--auto_local_healpix_order", str(LOCAL_ORDER), "--low_resol_join_halves", "40"]
    return [*ranks, *counted, refine, "--o", f"{out.resolve()}/run", *task.relion(), *halves, "--norm", "--scale", "--preread_images"]


def run_relion_refinement(task: Refinement3D, out: Path, programs: tuple[str, str]) -> tuple[Cost, float]:
    """Run it; return the cost and the CPU seconds of the two workers alone (the leader mostly waits, which costs time too)."""
    out.mkdir(parents=True, exist_ok=True)
    os.environ.update(MPI_ENVIRONMENT)
    cost = run_measured(relion_refinement_command(task, out, programs), log_of(out), cwd=task.particles.parent)
    workers = sum(json.loads((out / f"rank{rank}.json").read_text())["cpu_seconds"] for rank in range(1, MPI_RANKS))
    return cost, workers


def float32_copy(star: Path, folder: Path) -> Path:
    """Copy a particle set with float32 stacks beside its STAR file, for programs that cannot read float16; made once.

    Raises
    ------
    UserError
        If the particles cannot be read or two stacks have one name.
    """
    copy = folder / star.name
    stacks = read_particles(star).stack_paths
    if len({path.name for path in stacks}) < len(stacks):
        raise UserError(f"{star}: stacks of one name in several folders; rename them so that they can lie in one folder")
    folder.mkdir(parents=True, exist_ok=True)
    for path in stacks:
        if not (folder / path.name).is_file():
            images, pixel_size = read_mrc(path)
            write_stack(folder / path.name, np.asarray(images, np.float32), pixel_size)
    if not copy.is_file():
        from relion4plugin.files.star import read_star, write_star

        blocks = read_star(star)
        table = blocks["particles"]
        table = table.assign(rlnImageName=table["rlnImageName"].str.replace(r"@.*/", "@", regex=True))  # type: ignore[union-attr]
        write_star(copy, blocks | {"particles": table})
    return copy.resolve()
