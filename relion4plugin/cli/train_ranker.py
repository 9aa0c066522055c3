"""Train the class ranker on labelled 2D classifications.

For example:

  relion4plugin train-ranker --samples training.npz --o TrainRanker/job001 --epochs 60
  relion4plugin train-ranker --samples Select --o TrainRanker/job002 --weights shipped --learning_rate 5e-5 --epochs 20
  relion4plugin train-ranker --samples training.npz --o TrainRanker/job001 --epochs 60 --continue

The second one fine-tunes the weights of this program with the selections of a project; the last one goes on after an interruption.
"""

import argparse
from pathlib import Path

from relion4plugin.cli.map_command import report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs import trainranker
from relion4plugin.jobs.parameters import add_arguments, from_arguments


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --samples FILE_OR_FOLDER[,...] --o DIR [options]"
    parser.add_argument("--o", required=True, metavar="DIR", type=Path, help="job directory for all output")
    parser.add_argument("--continue", dest="resume", action="store_true", help="go on after the last complete epoch in the job directory")
    parser.add_argument("--overwrite", action="store_true", help="remove the results of an earlier training in the job directory")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_arguments(parser, trainranker.TrainRankerParameters)


def main(args: argparse.Namespace) -> int:
    """Train."""
    parameters = from_arguments(trainranker.TrainRankerParameters, args)
    outputs = trainranker.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite, resume=args.resume)
    lines = [f"weights: {outputs.weights}", f"report: {outputs.report}"]
    lines.append(f"trained on {outputs.n_train} classes: mean square error {outputs.train_mse:.4f}")
    if outputs.valid_mse is not None:
        rank = f", rank correlation within jobs {outputs.valid_spearman:.3f}" if outputs.valid_spearman is not None else ""
        lines.append(f"validated on {outputs.n_valid} classes: mean square error {outputs.valid_mse:.4f}{rank}")
    return report_figures("train-ranker", outputs, outputs.remarks, lines, args.json)
