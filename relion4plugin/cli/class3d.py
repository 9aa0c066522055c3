"""3D classification of particle images by EM, or by VDAM (mini-batches).

For example:

  relion4plugin class3d --i particles.star --o Class3D/job001 --ref InitialModel/job001/initial_model.mrc --ini_high 50 --K 4 --j 4
  relion4plugin class3d --i particles.star --o Class3D/job002 --ref map.mrc --sym D2 --sampling 3.7 --sigma_ang 5
  relion4plugin class3d --i Refine3D/job001/run_data.star --o Class3D/job003 --ref map.mrc --K 3 --skip_align --solvent_mask mask.mrc

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse
import dataclasses

from relion4plugin.cli.refinement import add_job_args, given_parameters, run_job, write_report_3d
from relion4plugin.jobs import class3d


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    add_job_args(parser, class3d, class3d.Class3DParameters, "iterations of the chosen algorithm (nr_iter or nr_iter_grad)")


def parameters_from(args: argparse.Namespace) -> class3d.Class3DParameters:
    """Combine the options given, a job.star, and the job that is continued; a search range given asks for a local search."""
    parameters: class3d.Class3DParameters = given_parameters(args, class3d, class3d.Class3DParameters)
    ranged = hasattr(args, "sigma_angles") or hasattr(args, "sigma_angles_scaled")
    if ranged and not hasattr(args, "do_local_ang_searches"):
        return dataclasses.replace(parameters, do_local_ang_searches=True)
    return parameters


def main(args: argparse.Namespace) -> int:
    """Run the classification and its report."""
    return run_job(args, class3d, parameters_from(args), "class3d", _lines, write_report_3d)


def _lines(outputs: class3d.Class3DOutputs) -> list[str]:
    return [*(f"class {k + 1}: {path}" for k, path in enumerate(outputs.maps)), f"particles: {outputs.data_star}"]
