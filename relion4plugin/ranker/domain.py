"""How far the features of a training set lie from those of real class averages."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.ranker.features import SLOTS

WIDEST = 0.5  # real standard deviations between the means
SPREADS = (0.5, 2.0)  # ratio of the standard deviations


@dataclass(frozen=True)
class SlotComparison:
    """One feature of a training set beside real class averages."""

    name: str
    real_mean: float
    real_sd: float
    mean: float
    sd: float

    @property
    def difference(self) -> float:
        """Difference of the means in real standard deviations."""
        return (self.mean - self.real_mean) / self.real_sd

    @property
    def ratio(self) -> float:
        """Ratio of the standard deviations."""
        return self.sd / self.real_sd

    @property
    def close(self) -> bool:
        """Whether both are within what training on simulated data asks for."""
        return abs(self.difference) <= WIDEST and SPREADS[0] <= self.ratio <= SPREADS[1]


def compare_domain(features: np.ndarray) -> tuple[SlotComparison, ...]:
    """Compare a training set with the real one whose mean and standard deviation normalise the features.

    Parameters
    ----------
    features : numpy.ndarray
        float (n, 24), normalised.

    Returns
    -------
    tuple of SlotComparison
        Of the slots with fixed constants that are in use: not those normalised by job, nor the granulometry.
    """
    found = []
    for i, slot in enumerate(SLOTS):
        if slot.mean is None or slot.stddev is None or slot.name.startswith("granulometry"):
            continue
        column = np.asarray(features[:, i], dtype=np.float64)
        found.append(SlotComparison(slot.name, slot.mean, slot.stddev, slot.mean + slot.stddev * column.mean(), slot.stddev * column.std()))
    return tuple(found)


def domain_table(features: np.ndarray) -> str:
    """Return the comparison as a table in Markdown; features as in `compare_domain`."""
    lines = ["| Feature | Real mean | Real sd | Mean | Sd | Difference (sd) | Ratio of sd | Close |", "|---|---|---|---|---|---|---|---|"]
    for slot in compare_domain(features):
        numbers = (slot.real_mean, slot.real_sd, slot.mean, slot.sd, slot.difference, slot.ratio)
        cells = " | ".join(f"{number:.3g}" for number in numbers)
        lines.append(f"| {slot.name} | {cells} | {'yes' if slot.close else 'no'} |")
    return "\n".join(lines)
