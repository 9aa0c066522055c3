"""Show what the program does: simulate particles with junk, classify them by VDAM, write a report. Takes a minute or two.

For example:

  relion4plugin demo --o demo
"""

import argparse
import os
import time
from pathlib import Path

from relion4plugin.cli.class2d import write_report_2d
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.cli.refinement import with_report
from relion4plugin.errors import UserError
from relion4plugin.jobs import class2d, simulate_particles


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--o", metavar="DIR", type=Path, default=Path("demo"), help="directory for everything, made anew (default demo)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def _check_output(out_dir: Path) -> None:
    if out_dir.exists() and not out_dir.is_dir():
        raise UserError(f"output {out_dir} is a file: give a directory with --o")
    if out_dir.is_dir() and any(out_dir.iterdir()) and not (out_dir / "particles" / "truth.star").is_file():
        raise UserError(f"{out_dir} is not empty and not an earlier demo: give another directory with --o")


def main(args: argparse.Namespace) -> int:
    """Simulate, classify, report."""
    _check_output(args.o)
    begin = time.monotonic()
    progress = terminal_progress(args.quiet)
    simulation = simulate_particles.SimulateParticlesParameters(n_particles=1500, snr=0.2, junk_fraction=0.15, seed=1)
    simulated = simulate_particles.run(simulation, args.o / "particles", progress, overwrite=True)
    parameters = class2d.Class2DParameters(
        fn_img=str(simulated.particles_star),
        nr_classes=10,
        nr_iter_grad=60,
        particle_diameter=round(1.1 * simulated.diameter),
        nr_threads=os.cpu_count() or 1,
        random_seed=1,
    )
    job = args.o / "class2d"
    outputs = with_report(class2d.run(parameters, job, progress, overwrite=True), job, write_report_2d)
    print(f"simulated and classified {simulation.n_particles} particles in {time.monotonic() - begin:.0f} s")
    print(f"class averages: {outputs.classes}\nopen in a browser: {outputs.report}")
    return 0
