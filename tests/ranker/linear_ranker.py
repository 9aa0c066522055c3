"""A ranker whose score is a straight line in one feature, so that it is known beforehand."""

from pathlib import Path

import numpy as np
import torch

from relion4plugin.ranker.boosting import BoostedTrees
from relion4plugin.ranker.job_stage import JobStage, OddsThreshold
from relion4plugin.ranker.network import ClassRankerNet
from relion4plugin.ranker.weights import save_weights

SLOT, BIAS, SLOPE = 14, 0.9, 0.5  # maximum of the low-passed average
SCORES = BIAS + SLOPE * np.array([-0.2182, -1.0005, -0.5772, -1.6642])  # of the first four classes of `vectors`

JOB_SCORES = 1 / (1 + np.exp(-np.array([-0.5, 1.0, 1.5, 1.0])))  # by the two trees of `stage`


def stage() -> JobStage:
    """A job stage with two questions: scores from 0.7 on lose, those from 0.5 on win, so that another class is the best."""
    two = np.zeros((2, 1))
    trees = BoostedTrees(np.zeros(1), two.astype(np.int64), np.array([[0.7], [0.5]]), np.array([[1.0, -1.0], [0.0, 0.5]]))
    return JobStage(trees, ("score",), OddsThreshold(), {})


def write_linear_weights(path: Path, job_stage: JobStage | None = None) -> Path:
    net = ClassRankerNet(4, 4)
    with torch.no_grad():
        for values in net.parameters():
            values.zero_()
        first, last = net.classifier_images_and_features[1], net.classifier_images_and_features[4]
        first.weight[0, 4 + SLOT], first.bias[0], last.weight[0, 0] = SLOPE, BIAS, 1
    save_weights(path, net, {"clip": 8.0}, job_stage)
    return path
