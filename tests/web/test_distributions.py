"""Histograms and points: heights and places against counts, many and odd values."""

import re

import numpy as np
import pytest

from relion4plugin.web.distributions import MOST_POINTS, Group, histogram, points


def bars(svg):
    """Height and hint of each bar."""
    return [(float(h), hint) for h, hint in re.findall(r'height="([\d.]+)"><title>(.*?)</title>', svg)]


def test_heights_are_counts():
    svg = histogram("t", [Group("", np.array([0.5, 0.5, 1.5, np.nan, np.inf]))], x_label="x", integers=True)
    (tall, first), (low, second) = bars(svg)
    assert tall == pytest.approx(2 * low, abs=0.2)
    assert first == "0 to 1: 2" and second == "1 to 2: 1"


def test_groups_stand_on_top_of_each_other():
    svg = histogram("t", [Group("a", np.zeros(3)), Group("b", np.zeros(1), "s4")], x_label="x", integers=True)
    below, above = re.findall(r'class="area (s\d)" x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', svg)
    assert (below[0], above[0]) == ("s0", "s4")
    assert float(above[1]) + float(above[2]) == pytest.approx(float(below[1]), abs=0.2)
    assert svg.count('class="swatch') == 2


def test_few_large_values_do_not_widen_the_intervals():
    values = np.append(np.linspace(3, 6, 999), 999.0)
    last = bars(histogram("t", [Group("", values)], x_label="x"))[-1]
    assert last[1].endswith("and above: 1") and float(last[1].split()[0]) < 20


def test_every_value_is_counted_once():
    values = np.random.default_rng(0).normal(size=500)
    assert sum(int(hint.rsplit(": ")[1]) for _, hint in bars(histogram("t", [Group("", values)], x_label="x"))) == 500


@pytest.mark.parametrize("values", [np.zeros(0), np.array([np.nan])])
def test_nothing_to_draw(values):
    assert histogram("t", [Group("", values)], x_label="x") == ""
    assert points("t", np.arange(len(values)), [Group("", values)], x_label="x", y_label="y") == ""


def test_points_lie_where_they_should():
    svg = points("t", np.array([0.0, 10.0]), [Group("", np.array([0.0, 10.0]))], x_label="x", y_label="y")
    assert 'd="M52.0 190.0h0M386.0 14.0h0"' in svg


def test_very_many_points_are_thinned():
    n = 10 * MOST_POINTS
    svg = points("t", np.arange(n), [Group("", np.arange(n) * 1.0)], x_label="x", y_label="y")
    assert 0.9 * MOST_POINTS < svg.count("h0") <= MOST_POINTS


def test_texts_are_escaped():
    svg = histogram("<t>", [Group("<a>", np.ones(2)), Group("b", np.ones(1))], x_label="<x>", y_label="<y>")
    assert "<t>" not in svg and "<a>" not in svg and "<x>" not in svg and "<y>" not in svg
