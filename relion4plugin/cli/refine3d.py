"""Auto-refinement of a 3D map from two independent halves of the particles.

For example:

  relion4plugin refine3d --i particles.star --o Refine3D/job001 --ref InitialModel/job001/initial_model.mrc --ini_high 60 --sym D2 --j 4
  relion4plugin refine3d --i particles.star --o Refine3D/job002 --ref map.mrc --solvent_mask mask.mrc --solvent_correct_fsc
  relion4plugin refine3d --continue Refine3D/job001/run_it008_optimiser.star --o Refine3D/job001

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse

from relion4plugin.cli.refinement import add_job_args, given_parameters, run_job, write_report_3d
from relion4plugin.jobs import refine3d


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    add_job_args(parser, refine3d, refine3d.Refine3DParameters, "most iterations (nr_iter)")


def main(args: argparse.Namespace) -> int:
    """Refine and report."""
    parameters = given_parameters(args, refine3d, refine3d.Refine3DParameters)
    return run_job(args, refine3d, parameters, "refine3d", _lines, write_report_3d)


def _lines(outputs: refine3d.Refine3DOutputs) -> list[str]:
    unfinished = [] if outputs.converged else ["not converged: the last iteration was reached first; --continue with a higher --iter"]
    return [*unfinished, f"map: {outputs.map}", f"half maps: {outputs.half1} {outputs.half2}", f"particles: {outputs.data_star}"]
