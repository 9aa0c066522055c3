"""Histogram of scores with the cut, and what each score was made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.ranker.features import FEATURE_NAMES, MASKED_SLOTS
from relion4plugin.ranker.percentiles import CARD_KEY, percentiles
from relion4plugin.ranker.ranked_run import RankedRun
from relion4plugin.web.axes import number_text, ticks
from relion4plugin.web.page import card, escape
from relion4plugin.web.rank_gallery import score_text

BIN = 0.05
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _FLOOR = 820, 240, 52, 14, 20, 200  # SVG units

FEATURES_KEY = (
    "What the network was told about each class besides its image: the value, and below it the percentage of training classes that lie "
    "lower. Blue is unusually low, red unusually high. The sums depend on the data set and are compared within it."
)
FEATURE_WORDS = {
    "accuracy_rotation": "Accuracy rotation (°)",
    "accuracy_translation": "Accuracy translation (Å)",
    "weighted_resolution": "1/(d² ln particles) (Å⁻²)",
    "relative_resolution": "d / box",
    "ring_mean": "Edge ring: mean",
    "ring_stddev": "Edge ring: sd",
    "protein_stddev": "Protein: sd",
    "solvent_mean": "Solvent: mean",
    "solvent_stddev": "Solvent: sd",
    "scattered_signal": "Scattered signal",
    "edge_signal": "Signal at the edge",
    "lowpass_mean": "25 Å: mean",
    "lowpass_stddev": "25 Å: sd",
    "lowpass_min": "25 Å: minimum",
    "lowpass_max": "25 Å: maximum",
    "protein_sum": "Protein: sum",
    "solvent_sum": "Solvent: sum",
    "relative_signal_intensity": "Relative signal",
}
SHOWN = tuple(i for i in range(len(FEATURE_NAMES)) if i not in MASKED_SLOTS)


def histogram(ranked: RankedRun) -> str:
    """Particles per interval of score, those of selected classes apart, with the threshold."""
    rows = ranked.features.classes
    scores, particles, chosen = ranked.deciding[rows], ranked.features.particles, ranked.labels[rows] > 0
    first, last = int(np.floor(min(scores.min(), 0.0) / BIN)), int(np.floor(max(scores.max(), 0.999) / BIN))
    bins, n = np.floor(scores / BIN).astype(int) - first, last - first + 1
    kept, left = (np.bincount(bins[pick], particles[pick], n) for pick in (chosen, ~chosen))
    frame = _Frame(first, n, tuple(ticks(0.0, float((kept + left).max()))))
    counts = np.bincount(bins, minlength=n)
    name = "score" if ranked.deciding is ranked.scores else "score in this job"
    drawn = [*_axes(frame, name), *(_bar(frame, i, int(counts[i]), float(kept[i]), float(left[i])) for i in range(n))]
    if np.isfinite(ranked.threshold):
        x = frame.x(min(max(ranked.threshold, first * BIN), (last + 1) * BIN))
        drawn.append(f'<line class="cut" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{_FLOOR}"/>')
        drawn.append(f'<text x="{x + 5:.1f}" y="{_TOP + 2}">{ranked.threshold:.3f}</text>')
    label = "Histogram of scores, weighted by particles"
    svg = f'<svg class="chart wide" role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(drawn)}</svg>'
    legend = (
        '<ul class="legend"><li><span class="swatch s2"></span>particles of selected classes</li>'
        '<li><span class="swatch"></span>particles of other classes</li></ul>'
    )
    return card("Scores and the cut", svg + legend, wide=True)


@dataclass(frozen=True)
class _Frame:
    """Mapping of scores and particles to SVG units: `n` intervals from number `first` on."""

    first: int
    n: int
    levels: tuple[float, ...]

    @property
    def step(self) -> float:
        return (_WIDTH - _LEFT - _RIGHT) / self.n

    def x(self, score: float) -> float:
        return _LEFT + (score / BIN - self.first) * self.step

    def height(self, particles: float) -> float:
        return particles / self.levels[-1] * (_FLOOR - _TOP)


def _bar(frame: _Frame, i: int, count: int, kept: float, left: float) -> str:
    low = (frame.first + i) * BIN
    hint = f"score {low:.2f} to {low + BIN:.2f}: {count} classes, {kept:.0f} particles selected, {left:.0f} left out"
    heights = (frame.height(kept), frame.height(left))
    tops = (_FLOOR - heights[0], _FLOOR - heights[0] - heights[1])
    return "".join(
        f'<rect class="count {kind}" x="{frame.x(low) + 1:.1f}" y="{top:.1f}" width="{frame.step - 2:.1f}" height="{height:.1f}">'
        f"<title>{hint}</title></rect>"
        for kind, top, height in zip(("chosen", "left"), tops, heights, strict=True)
    )


def _axes(frame: _Frame, name: str) -> list[str]:
    parts = []
    for level in frame.levels:
        y = _FLOOR - frame.height(level)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number_text(level)}</text>')
    for number in range(frame.first, frame.first + frame.n + 1):
        if number % 2 == 0:  # every tenth
            parts.append(f'<text x="{frame.x(number * BIN):.1f}" y="{_FLOOR + 17}" text-anchor="middle">{number * BIN:.1f}</text>')
    parts.append(f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 5}" text-anchor="middle">{name}</text>')
    turned = f'x="12" y="{_FLOOR / 2}" text-anchor="middle" transform="rotate(-90 12 {_FLOOR / 2})"'
    return [*parts, f"<text {turned}>particles</text>"]


def feature_table(ranked: RankedRun, training: Mapping[str, Any]) -> str:
    """Features of all scored classes with their percentiles among the training classes; `training` is the model card."""
    features = ranked.features
    levels = percentiles(features.normalised, training)
    head = "".join(f"<th>{escape(FEATURE_WORDS[FEATURE_NAMES[i]])}</th>" for i in SHOWN)
    order = np.argsort(-ranked.deciding[features.classes], kind="stable")
    lines = []
    for row in order:
        k = int(features.classes[row])
        cells = "".join(_cell(float(features.raw[row, i]), float(levels[row, i])) for i in SHOWN)
        lines.append(f"<tr><td>#{k + 1}</td><td>{score_text(float(ranked.scores[k]))}</td>{cells}</tr>")
    source = "" if CARD_KEY in training else " Percentiles are those of a normal distribution with the training set's mean and spread."
    table = f'<table class="features"><thead><tr><th>Class</th><th>Score</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    return f'<p class="key">{escape(FEATURES_KEY + source)}</p><div class="scroll">{table}</div>'


def _cell(value: float, level: float) -> str:
    return f'<td class="p{min(int(level // 10), 9)}">{value:.3g}<br><small>{level:.0f} %</small></td>'
