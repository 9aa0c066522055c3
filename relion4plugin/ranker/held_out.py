"""Scores of training classes by networks that have not seen their structures, for a stage that must not trust too much.

A network's scores of its own training classes are better than those it gives to new ones.
"""

from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.progress import Progress
from relion4plugin.ranker.inputs import network_features, without
from relion4plugin.ranker.samples import Samples
from relion4plugin.ranker.split import sample_groups
from relion4plugin.ranker.training import CHECKPOINT, TrainingSettings, train
from relion4plugin.ranker.weights import predict


def divide(samples: Samples, folds: int) -> np.ndarray:
    """Return a part, 0 to folds - 1, for each sample; no job and no structure is in two, and parts are about equal; int64 (n,).

    Raises
    ------
    UserError
        If there are fewer structures than parts.
    """
    groups, where, counts = np.unique(sample_groups(samples), return_inverse=True, return_counts=True)
    if len(groups) < folds:
        raise UserError(f"the training samples are of {len(groups)} structures, too few for {folds} parts: give a smaller --job_folds")
    part, size = np.empty(len(groups), np.int64), np.zeros(folds)
    for group in np.argsort(-counts, kind="stable"):
        part[group] = int(np.argmin(size))
        size[part[group]] += counts[group]
    return part[where]


def held_out_scores(
    samples: Samples, valid: Samples | None, part: np.ndarray, settings: TrainingSettings, folder: Path, progress: Progress, resume: bool
) -> tuple[np.ndarray, int]:
    """Score each sample by a network that is trained on the other parts.

    Parameters
    ----------
    samples, valid
        Training samples, and samples that are only looked at.
    part
        int (n,), of `divide`.
    settings
        How each network is trained.
    folder
        Existing folder; the state of each training is kept in a sub-folder.
    progress
        Receiver of progress.
    resume
        Go on with trainings that were begun.

    Returns
    -------
    tuple
        The scores float64 (n,), and how many networks ignore the images.
    """
    scores, blind = np.empty(len(samples)), 0
    for k in range(int(part.max()) + 1):
        rows = part == k
        place = folder / f"part{k + 1}"
        place.mkdir(exist_ok=True)
        begun = resume and (place / CHECKPOINT).is_file()
        trained = train(samples.select(~rows), valid, settings, place, progress, resume=begun)
        blind += trained.ignores_images
        left_out = samples.select(rows)
        scores[rows] = predict(trained.net, *without(left_out.images, network_features(left_out.features, settings.clip), settings.inputs))
    return scores, blind
