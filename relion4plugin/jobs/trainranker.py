"""Training of the class ranker as a job: checks, samples, training, weights and report."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.jobdir import JobDirectory
from relion4plugin.jobs.map_jobs import prepare_map_output, recorded_command
from relion4plugin.jobs.parameters import check, to_job_options
from relion4plugin.jobs.trainranker_parameters import TrainRankerParameters
from relion4plugin.progress import Progress
from relion4plugin.ranker.available import require_torch

if TYPE_CHECKING:
    from relion4plugin.ranker.job_stage import JobStage
    from relion4plugin.ranker.network import ClassRankerNet
    from relion4plugin.ranker.samples import Samples
    from relion4plugin.ranker.training import TrainingSettings
    from relion4plugin.ranker.weights import Ranker

__all__ = ["JOB_TYPE", "TrainRankerOutputs", "TrainRankerParameters", "run", "settings_of", "validate"]

JOB_TYPE = "relion4plugin.trainranker"
WEIGHTS, REPORT, SAMPLES, STATE = "class_ranker.safetensors", "training.json", "samples.npz", "checkpoint.safetensors"
SHIPPED = "shipped"  # stands for the weights that come with this program
_NEEDED_BYTES = 1 << 28


@dataclass(frozen=True)
class TrainRankerOutputs:
    """Weights and report, and the errors that the report holds in full; None without validation samples."""

    weights: Path
    report: Path
    n_train: int
    n_valid: int
    train_mse: float
    valid_mse: float | None
    valid_spearman: float | None
    remarks: tuple[str, ...]


def settings_of(parameters: TrainRankerParameters) -> "TrainingSettings":
    """Translate to the settings of the computation."""
    from relion4plugin.ranker.augment import Augmentation
    from relion4plugin.ranker.training import TrainingSettings

    p = parameters
    return TrainingSettings(
        epochs=p.epochs,
        batch=p.batch,
        learning_rate=p.learning_rate,
        final_learning_rate=p.final_learning_rate,
        decay=p.decay,
        weight_decay=p.weight_decay,
        dropout=p.dropout,
        average=p.ema,
        clip=p.clip,
        balance=p.balance,
        inputs=p.inputs,
        image_vector=p.image_vector,
        hidden=p.hidden,
        seed=p.seed,
        threads=p.nr_threads,
        augmentation=Augmentation(p.rotate, p.shift, p.gain, p.offset, p.feature_dropout, p.zoom),
    )


def _sources(parameters: TrainRankerParameters) -> list[Path]:
    return [Path(name.strip()) for name in parameters.samples.split(",") if name.strip()]


def validate(parameters: TrainRankerParameters) -> tuple[str, ...]:
    """Check what can be known without reading the samples, and return remarks.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    check(parameters)
    if not _sources(parameters):
        raise UserError("no training set: give samples, a table or a folder of labelled jobs with --samples")
    missing = [path for path in _sources(parameters) if not path.exists()]
    if missing:
        raise UserError(f"training set {missing[0]}: no such file or folder; give an existing one with --samples")
    if parameters.image_root and not Path(parameters.image_root).is_dir():
        raise UserError(f"folder of image stacks {parameters.image_root}: no such folder; give an existing one with --image_root")
    if parameters.decay != "constant" and parameters.final_learning_rate > parameters.learning_rate:
        raise UserError("final_learning_rate is larger than learning_rate: give a smaller --final_learning_rate")
    if parameters.do_calibrate and parameters.valid_fraction == 0:
        raise UserError("there are no validation samples to calibrate scores on: give --valid_fraction, or leave out --do_calibrate")
    if parameters.job_folds == 1:
        raise UserError("job_folds is 1: networks that leave out one part need at least two; give --job_folds 4, or 0 for no job stage")
    if parameters.keep_network and not (parameters.weights and parameters.job_folds):
        raise UserError("--keep_network trains only the job stage: give the weights with --weights and the parts with --job_folds")
    if parameters.weights and (parameters.image_vector, parameters.hidden) != (48, 48):
        return ("the widths of the network are those of the weights; --image_vector and --hidden are ignored",)
    return ()


def run(
    parameters: TrainRankerParameters,
    out_dir: Path,
    progress: Progress,
    job_star: bool = True,
    overwrite: bool = False,
    resume: bool = False,
) -> TrainRankerOutputs:
    """Train a class ranker, leaving a job directory.

    Parameters
    ----------
    parameters
        What to train on and how.
    out_dir
        Job directory.
    progress
        Receiver of progress.
    job_star
        Write job.star, run.out and the exit markers.
    overwrite
        Remove the results of an earlier training.
    resume
        Go on after the last complete epoch of a training that was interrupted.

    Raises
    ------
    UserError
        If anything is wrong with the samples, the weights, the options or the disk.
    """
    remarks = validate(parameters)
    require_torch()
    if not resume:
        prepare_map_output(out_dir, (WEIGHTS, REPORT, STATE, SAMPLES), _NEEDED_BYTES, overwrite)
    elif not out_dir.is_dir():
        raise UserError(f"{out_dir}: no such directory, so there is no training to continue; start it without --continue")
    with JobDirectory(
        out_dir,
        JobStar(JOB_TYPE, is_continue=resume, options=to_job_options(parameters)),
        command=recorded_command("train-ranker", parameters, out_dir),
        inputs={path.as_posix(): "TrainingSet.relion4plugin" for path in _sources(parameters)},
        outputs={out_dir / WEIGHTS: "RankerWeights.relion4plugin"},
        progress=progress,
        enabled=job_star,
    ) as job:
        return _train(parameters, out_dir, job.progress, resume, remarks)


def _train(
    parameters: TrainRankerParameters, out_dir: Path, progress: Progress, resume: bool, remarks: tuple[str, ...]
) -> TrainRankerOutputs:
    from relion4plugin.ranker.training_set import read_training_set
    from relion4plugin.ranker.weights import load_weights, save_weights

    image_root = Path(parameters.image_root) if parameters.image_root else None
    everything, left_out = read_training_set(_sources(parameters), progress, image_root)
    samples, valid = _divided(everything, parameters)
    _keep(everything, parameters, out_dir)
    start = load_weights(None if parameters.weights == SHIPPED else parameters.weights) if parameters.weights else None
    net, report, noticed = _network(parameters, samples, valid, out_dir, progress, start, resume)
    stage, said = _job_stage(parameters, samples, valid, out_dir, progress, start, resume)
    save_weights(out_dir / WEIGHTS, net, report["card"], stage)
    report["job_stage"] = stage.about if stage else None
    atomic_write_text(out_dir / REPORT, json.dumps(report, indent=1) + "\n")
    valid_metrics = report["metrics"]["valid"] or {}
    return TrainRankerOutputs(
        weights=out_dir / WEIGHTS,
        report=out_dir / REPORT,
        n_train=len(samples),
        n_valid=len(valid) if valid is not None else 0,
        train_mse=report["metrics"]["train"]["mse"],
        valid_mse=valid_metrics.get("mse"),
        valid_spearman=valid_metrics.get("median_spearman_within_jobs"),
        remarks=(*remarks, *left_out, *noticed, *said),
    )


def _network(
    parameters: TrainRankerParameters, samples: "Samples", valid: "Samples | None", out_dir: Path, progress: Progress,
    start: "Ranker | None", resume: bool,
) -> tuple["ClassRankerNet", dict[str, Any], tuple[str, ...]]:  # fmt: skip
    """Train the network, or keep the one that is given; with the report, which holds its card, and what the user should know."""
    from relion4plugin.ranker.model_card import training_report
    from relion4plugin.ranker.training import train

    if parameters.keep_network and start is not None:
        if "metrics" not in start.card:
            raise UserError(f"weights {start.path}: not made by train-ranker, which --keep_network needs; leave it out")
        return start.net, {"card": start.card, "history": [], "metrics": start.card["metrics"]}, ()
    settings = settings_of(parameters)
    trained = train(samples, valid, settings, out_dir, progress, start.net if start else None, resume)
    report = training_report(trained, samples, valid, settings, parameters.do_calibrate, start.path.name if start else "")
    return trained.net, report, _blind(int(trained.ignores_images), 1, parameters)


def _blind(n: int, of: int, parameters: TrainRankerParameters) -> tuple[str, ...]:
    """Say it if networks that see images make nothing of them."""
    if not n or parameters.inputs == "features":
        return ()
    which = "the network ignores" if of == 1 else f"{n} of {of} networks for the job stage ignore"
    return (f"{which} the images: train again with a lower --learning_rate than {parameters.learning_rate:g}, or another --seed",)


def _job_stage(
    parameters: TrainRankerParameters, samples: "Samples", valid: "Samples | None", out_dir: Path, progress: Progress,
    start: "Ranker | None", resume: bool,
) -> tuple["JobStage | None", tuple[str, ...]]:  # fmt: skip
    """Train the stage that sees the whole job, or keep the one that the weights bring, which is said."""
    from relion4plugin.ranker.held_out import divide, held_out_scores
    from relion4plugin.ranker.job_stage import fit_job_stage

    if not parameters.job_folds:
        kept = start.job_stage if start else None
        return kept, (f"the job stage is that of {start.path.name}; --job_folds 4 trains it anew",) if start and kept else ()
    settings = dataclasses.replace(settings_of(parameters), epochs=parameters.job_epochs)
    part = divide(samples, parameters.job_folds)
    scores, blind = held_out_scores(samples, valid, part, settings, out_dir, progress, resume)
    about = {
        "classes": len(samples),
        "sha256": samples.digest(),
        "networks": dataclasses.asdict(settings),
        "parts": parameters.job_folds,
        "mse_of_held_out_scores": float(np.mean((scores - samples.score) ** 2)),
    }
    return fit_job_stage(samples, scores, parameters.seed, about), _blind(blind, parameters.job_folds, parameters)


def _divided(samples: "Samples", parameters: TrainRankerParameters) -> tuple["Samples", "Samples | None"]:
    from relion4plugin.ranker.split import split_samples

    train, valid = split_samples(samples, parameters.valid_fraction, parameters.seed)
    if not np.any(train):
        raise UserError("no sample is left to train on: the column split of the training set names none 'train'; make the set again")
    return samples.select(train), samples.select(valid) if np.any(valid) else None


def _keep(samples: "Samples", parameters: TrainRankerParameters, out_dir: Path) -> None:
    from relion4plugin.ranker.samples import write_samples

    if parameters.keep_samples:
        write_samples(out_dir / SAMPLES, samples, compact=True)
