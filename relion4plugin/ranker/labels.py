"""Target scores from manual labels of class averages."""

import numpy as np

from relion4plugin.errors import UserError

# Label (colour in RELION's viewer) -> floor of its score: red, magenta, green, blue, cyan. Yellow (6) and none (0) are worth 0.
BASE_SCORES = {1: 0.75, 5: 0.50, 2: 0.25, 3: 0.0, 4: 0.0}
SELECTED_LABEL = 2  # what "selected" of a yes-or-no selection is worth
WORTHLESS = (0, 6)
_RESOLUTION_SHARE = 0.25
_RANKS = ((1,), (5,), (2,), (3, 4))


def class_scores(labels: np.ndarray, resolution: np.ndarray, job_score: float) -> np.ndarray:
    """Target scores of the classes of one job (RELION-4.0 paper, section 3.2).

    A class gets ``J (base + w/4)`` with the base of its label and ``w = min(1, (d_min/d)^2)``, where d_min is the finest
    resolution of the classes with the best label that occurs. Worthless classes get 0.

    Parameters
    ----------
    labels
        Integers ``(K,)``, 0 to 6.
    resolution
        Estimated resolution d in A ``(K,)``.
    job_score
        J, quality of the data set, 0 to 1.

    Returns
    -------
    numpy.ndarray
        float64 ``(K,)``, 0 to 1.

    Raises
    ------
    UserError
        For a label or job score out of range.
    """
    labels, resolution = np.asarray(labels), np.asarray(resolution, np.float64)
    known = np.isin(labels, (*WORTHLESS, *BASE_SCORES))
    if not known.all():
        raise UserError(f"label {labels[~known][0]} of a class is unknown; expected 0 to 6")
    if not 0.0 <= job_score <= 1.0:
        raise UserError(f"job score {job_score:g} is out of range; expected 0 to 1")
    scores = np.zeros(len(labels))
    present = [rank for rank in _RANKS if np.isin(labels, rank).any()]
    if not present:
        return scores
    finest = resolution[np.isin(labels, present[0])].min()
    share = _RESOLUTION_SHARE * np.minimum(1.0, (finest / resolution) ** 2)
    for label, base in BASE_SCORES.items():
        chosen = labels == label
        scores[chosen] = job_score * (base + share[chosen])
    return scores
