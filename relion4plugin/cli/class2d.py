"""2D classification of particle images by VDAM (mini-batches) or EM.

For example:

  relion4plugin class2d --i particles.star --o Class2D/job001 --K 50 --particle_diameter 180 --j 4
  relion4plugin class2d --continue Class2D/job001/run_it100_optimiser.star --o Class2D/job002
  relion4plugin class2d --i particles.star --o Class2D/job003 --em --iter 25 --gpu 0

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse
from pathlib import Path

from relion4plugin.cli.refinement import add_job_args, given_parameters, run_job
from relion4plugin.jobs import class2d
from relion4plugin.jobs.parameters import from_arguments


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    add_job_args(parser, class2d, class2d.Class2DParameters, "iterations of the chosen algorithm (nr_iter_grad or nr_iter_em)")


def parameters_from(args: argparse.Namespace) -> class2d.Class2DParameters:
    """Combine the options given, a job.star, and the job that is continued."""
    base = None
    if hasattr(args, "do_em") != hasattr(args, "do_grad"):
        # Naming one algorithm means leaving the other.
        chosen = class2d.Class2DParameters(do_em=True, do_grad=True)
        named = from_arguments(class2d.Class2DParameters, args, chosen)
        base = class2d.Class2DParameters(do_em=not named.do_grad, do_grad=not named.do_em)
    parameters: class2d.Class2DParameters = given_parameters(args, class2d, class2d.Class2DParameters, base)
    return parameters


def main(args: argparse.Namespace) -> int:
    """Run the classification and its report."""
    return run_job(args, class2d, parameters_from(args), "class2d", _lines, write_report_2d)


def _lines(outputs: class2d.Class2DOutputs) -> list[str]:
    return [f"classes: {outputs.classes}", f"particles: {outputs.data_star}"]


def write_report_2d(run_dir: Path, out_path: Path) -> Path:
    """Write the report of a 2D run; its modules are imported only now."""
    from relion4plugin.web.class2d_report import write_report

    return write_report(run_dir, out_path)
