"""Scores of 2D class averages, and the selection of the good ones.

For example:

  relion4plugin rank --i Class2D/job004/run_it200_optimiser.star --o Select/job005
  relion4plugin rank --i Class2D/job004/run_it200_optimiser.star --o Select/job006 --min_score 0.3 --do_recenter
  relion4plugin rank --i Class2D/job004/run_it200_optimiser.star --o Select/job007 --selection backup_selection.star

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse
import dataclasses
import json
import sys

from relion4plugin.cli.map_command import add_common, announce, base_of
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.errors import UserError
from relion4plugin.jobs import rank
from relion4plugin.jobs.parameters import add_arguments, from_arguments

# An option whose value only one rule uses means that rule.
_MEANT = {"rank_threshold": "score", "max_score": "score", "relative_thresholds": "score", "top_fraction": "top"}


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i run_itNNN_optimiser.star --o DIR [options]"
    add_common(parser)
    parser.add_argument("--no_report", action="store_true", help="do not write report.html")
    add_arguments(parser, rank.RankParameters)


def parameters_from(args: argparse.Namespace) -> rank.RankParameters:
    """Combine the options given and a job.star; giving a threshold means selecting by it."""
    parameters = from_arguments(rank.RankParameters, args, base_of(args, rank.from_options))
    meant = next((rule for name, rule in _MEANT.items() if hasattr(args, name)), None)
    if meant is None or hasattr(args, "select_by"):
        return parameters
    return dataclasses.replace(parameters, select_by=meant)


def main(args: argparse.Namespace) -> int:
    """Score, select and write the report."""
    parameters = parameters_from(args)
    remarks = rank.validate(parameters)
    if args.relion_command:
        return announce(remarks, rank.relion_command(parameters, args.o))
    outputs = rank.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite)
    if not args.no_report:
        outputs = with_report(outputs)
    announce((*remarks, *outputs.remarks))
    print(json.dumps({"command": "rank", "outputs": outputs.summary()}) if args.json else "\n".join(_lines(outputs)))
    return 0


def with_report(outputs: rank.RankOutputs) -> rank.RankOutputs:
    """Write report.html; a report that fails is said so and does not spoil the run."""
    from relion4plugin.web.rank_report import write_report

    try:
        return dataclasses.replace(outputs, report=write_report(outputs))
    except UserError as error:
        print(f"note: no report: {error}", file=sys.stderr)
        return outputs


def _lines(outputs: rank.RankOutputs) -> list[str]:
    cut = f"{outputs.rule}, from {outputs.threshold:.3f}" if outputs.threshold is not None else outputs.rule
    if outputs.threshold is not None and outputs.ranked is not None and outputs.ranked.deciding is not outputs.ranked.scores:
        cut += " of the score in this job"
    share = 100 * outputs.n_selected_particles / outputs.n_particles
    lines = [
        f"selected: {outputs.n_selected} of {outputs.n_classes} classes ({cut}), {outputs.n_selected_particles} particles ({share:.1f} %)",
        f"particles: {outputs.particles}",
        f"class averages: {outputs.class_averages}",
    ]
    lines += [f"training data: {outputs.kept}"] if outputs.kept else []
    return lines + ([f"report: {outputs.report}"] if outputs.report else [])
