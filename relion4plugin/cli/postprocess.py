"""Resolution and sharpened map from two unfiltered half maps.

For example:

  relion4plugin postprocess --i Refine3D/job019/run_half1_class001_unfil.mrc --mask MaskCreate/job020/mask.mrc --o PostProcess/job021
  relion4plugin postprocess --i run_half1_class001_unfil.mrc --mask mask.mrc --o PostProcess/job022 --adhoc_bfac -60

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse
import dataclasses
import sys

from relion4plugin.cli.map_command import add_common, announce, base_of, report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.errors import UserError
from relion4plugin.jobs import postprocess
from relion4plugin.jobs.parameters import add_arguments, from_arguments


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i half1.mrc --mask mask.mrc --o DIR [options]"
    add_common(parser)
    parser.add_argument("--no_report", action="store_true", help="do not write report.html")
    add_arguments(parser, postprocess.PostprocessParameters)


def parameters_from(args: argparse.Namespace) -> postprocess.PostprocessParameters:
    """Combine the options given and a job.star; giving a B-factor means using it, a low-pass filter likewise."""
    parameters = from_arguments(postprocess.PostprocessParameters, args, base_of(args, postprocess.from_options))
    if hasattr(args, "adhoc_bfac") and not hasattr(args, "do_adhoc_bfac"):
        parameters = dataclasses.replace(parameters, do_adhoc_bfac=True)
    if parameters.do_adhoc_bfac and not hasattr(args, "do_auto_bfac"):
        parameters = dataclasses.replace(parameters, do_auto_bfac=False)
    if hasattr(args, "low_pass") and not hasattr(args, "do_skip_fsc_weighting"):
        parameters = dataclasses.replace(parameters, do_skip_fsc_weighting=True)
    return parameters


def main(args: argparse.Namespace) -> int:
    """Run the post-processing and its report."""
    parameters = parameters_from(args)
    remarks = postprocess.validate(parameters)
    if args.relion_command:
        return announce(remarks, postprocess.relion_command(parameters, args.o))
    outputs = postprocess.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite)
    if not args.no_report:
        outputs = with_report(outputs, (*remarks, *outputs.remarks))
    lines = [f"resolution: {outputs.resolution:.2f} A", f"B-factor: {outputs.bfactor:.1f} A^2", f"map: {outputs.map}"]
    lines += [f"report: {outputs.report}"] if outputs.report else []
    return report_figures("postprocess", outputs, (*remarks, *outputs.remarks), lines, args.json)


def with_report(outputs: postprocess.PostprocessOutputs, remarks: tuple[str, ...]) -> postprocess.PostprocessOutputs:
    """Write report.html; a report that fails is said so and does not spoil the run."""
    from relion4plugin.web.postprocess_report import write_report

    try:
        return dataclasses.replace(outputs, report=write_report(outputs.star, outputs.map, remarks))
    except UserError as error:
        print(f"note: no report: {error}", file=sys.stderr)
        return outputs
