"""What is said about trained weights, in the weights themselves: the model card, and the report of their training."""

import dataclasses
from typing import Any

import numpy as np

import relion4plugin
from relion4plugin.ranker.calibration import calibrated, fit_gamma
from relion4plugin.ranker.evaluation import DEFAULT_THRESHOLD, best_common_threshold, evaluate
from relion4plugin.ranker.features import MASKED_SLOTS, SLOTS
from relion4plugin.ranker.inputs import network_features, without
from relion4plugin.ranker.percentiles import CARD_KEY, training_quantiles
from relion4plugin.ranker.samples import Samples
from relion4plugin.ranker.training import Trained, TrainingSettings
from relion4plugin.ranker.weights import predict


def training_report(
    trained: Trained, samples: Samples, valid: Samples | None, settings: TrainingSettings, calibrate: bool, started_from: str
) -> dict[str, Any]:
    """Evaluate a trained network and describe it.

    Parameters
    ----------
    trained
        The network and its history.
    samples, valid
        Training and validation samples.
    settings
        How it was trained.
    calibrate
        Fit the map of scores to the validation samples.
    started_from
        Weights it went on from, empty for none.

    Returns
    -------
    dict
        ``card``, the model card; ``history``; and ``metrics``, job by job.
    """
    gamma = 1.0
    if calibrate and valid is not None:
        gamma = fit_gamma(best_common_threshold(valid, _scores(trained, valid, settings)), DEFAULT_THRESHOLD)
    train_metrics = evaluate(samples, calibrated(_scores(trained, samples, settings), gamma))
    valid_metrics = evaluate(valid, calibrated(_scores(trained, valid, settings), gamma)) if valid is not None else None
    card = {
        "program": f"relion4plugin {relion4plugin.__version__}",
        "features": [slot._asdict() for slot in SLOTS],
        "masked_slots": list(MASKED_SLOTS),
        "clip": settings.clip,
        "inputs": settings.inputs,
        "gamma": gamma,
        "threshold": DEFAULT_THRESHOLD,
        "started_from": started_from,
        "averaged": trained.averaged,
        "training": dataclasses.asdict(settings),
        CARD_KEY: training_quantiles(samples.features),
        "training_set": _described(samples),
        "validation_set": _described(valid) if valid is not None else None,
        "metrics": {"train": _summary(train_metrics), "valid": _summary(valid_metrics)},
    }
    return {"card": card, "history": trained.history, "metrics": {"train": train_metrics, "valid": valid_metrics}}


def _scores(trained: Trained, samples: Samples, settings: TrainingSettings) -> np.ndarray:
    features = network_features(samples.features, settings.clip)
    return predict(trained.net, *without(samples.images, features, settings.inputs))


def _described(samples: Samples) -> dict[str, Any]:
    return {
        "classes": len(samples),
        "jobs": len(np.unique(samples.job)),
        "structures": sorted(str(name) for name in np.unique(samples.structure)),
        "sha256": samples.digest(),
    }


def _summary(metrics: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if metrics is None else {key: value for key, value in metrics.items() if key not in ("jobs", "confusion")}
