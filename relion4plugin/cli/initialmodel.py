"""Initial 3D model from particles alone, by VDAM from random blobs.

For example:

  relion4plugin initialmodel --i particles.star --o InitialModel/job001 --particle_diameter 180 --j 4
  relion4plugin initialmodel --i particles.star --o InitialModel/job002 --K 3 --sym D2 --restarts 5 --seed 1
  relion4plugin initialmodel --continue InitialModel/job001/run_it100_optimiser.star --o InitialModel/job001

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse

from relion4plugin.cli.refinement import add_job_args, given_parameters, run_job, write_report_3d
from relion4plugin.jobs import initialmodel


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    add_job_args(parser, initialmodel, initialmodel.InitialModelParameters, "mini-batches (nr_iter)")


def main(args: argparse.Namespace) -> int:
    """Make the model and its report."""
    parameters = given_parameters(args, initialmodel, initialmodel.InitialModelParameters)
    return run_job(args, initialmodel, parameters, "initialmodel", _lines, write_report_3d)


def _lines(outputs: initialmodel.InitialModelOutputs) -> list[str]:
    return [
        f"map: {outputs.map}",
        f"class: {outputs.class_number} of {len(outputs.maps)}",
        f"symmetry: {outputs.symmetry}",
        f"particles: {outputs.data_star}",
        f"verdict: {outputs.verdict}",
    ]
