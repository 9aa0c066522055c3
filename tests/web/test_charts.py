"""Axes and drawings."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from relion4plugin.web.axes import finite_range, number_text, reciprocal_ticks, ticks
from relion4plugin.web.charts import Mark, Series, line_chart, stacked_areas
from relion4plugin.web.images import grey_levels


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0), (3, 3), (-5, 12), (1e-4, 3e-4), (0, 987654), (-2, -1), (18.9, 56.6)])
def test_ticks_cover_the_interval_with_few_numbers(low, high):
    found = ticks(low, high)
    assert found[0] <= low + 1e-9 and found[-1] >= high - 1e-9
    assert 2 <= len(found) <= 8
    np.testing.assert_allclose(np.diff(found), found[1] - found[0], rtol=1e-6)


def test_integer_ticks_are_whole():
    assert all(float(t).is_integer() for t in ticks(0, 2, integers=True))


@pytest.mark.parametrize(("value", "text"), [(0.3, "0.3"), (25000, "25k"), (-4.5, "-4.5"), (3.4e6, "3.4M"), (1234, "1234"), (0, "0")])
def test_number_text(value, text):
    assert number_text(value) == text


def test_finite_range_skips_gaps():
    assert finite_range([None, float("inf"), 3, 1]) == (1, 3)
    assert finite_range([None, float("nan")]) is None


def test_line_positions():
    """With ticks 0..10 the value 10 is at the top of the plot and 0 at its bottom."""
    svg = line_chart("t", [0, 10], [Series("a", [0.0, 10.0])], size=(400, 230))
    path = re.search(r'class="line s0" d="([^"]+)"', svg)[1]
    assert path == "M52.0 190.0L386.0 14.0"


def test_gap_breaks_the_line():
    svg = line_chart("t", [1, 2, 3, 4], [Series("a", [1.0, None, 2.0, float("inf")])])
    assert re.search(r'class="line s0" d="([^"]+)"', svg)[1].count("M") == 2


def test_no_values_no_chart():
    assert line_chart("t", [1, 2], [Series("a", [None, None])]) == ""
    assert stacked_areas("t", [], []) == ""


def test_single_iteration_is_visible():
    assert "h0.1" in line_chart("t", [1], [Series("a", [3.0])])


def test_drawings_are_well_formed_and_escaped():
    svg = stacked_areas("<t>", [1, 2, 3], [Series("<b>", [1, 2, 3]), Series("c", [3, 2, 1], "s1")], marks=[Mark(2, "<i>")])
    root = ElementTree.fromstring(f"<div>{svg}</div>")
    assert root.find("svg").get("aria-label") == "<t>"
    assert [t.text for t in root.iter("title")][-1] == "<i>"


def test_stack_refuses_gaps_and_negative_values():
    for bad in ([1.0, None], [1.0, -0.5], [1.0]):
        with pytest.raises(ValueError, match="layer 'x'"):
            stacked_areas("t", [1, 2], [Series("x", bad)])


def test_grey_levels_between_percentiles():
    image = np.arange(1000, dtype=np.float32).reshape(20, 50)
    levels = grey_levels(image)
    assert levels.min() == 0 and levels.max() == 255
    assert (levels == 0).sum() == pytest.approx(5 + 2, abs=2) and abs(int(levels[10, 0]) - 128) <= 1
    assert (grey_levels(np.zeros((4, 4))) == 128).all()
    assert grey_levels(np.array([[np.nan, 0.0, 1.0]])).tolist()[0][0] == 0


def test_reciprocal_axis_is_labelled_with_lengths():
    x = [i / 200 for i in range(51)]  # up to 4 A
    text = line_chart("FSC", x, [Series("FSC", [1.0 - i / 50 for i in range(51)])], reciprocal=True, levels=(0.143, 7.0))
    labels = re.findall(r'text-anchor="middle">([0-9.]+)</text>', text)
    assert labels[-1] == "4" and [float(v) for v in labels] == sorted((float(v) for v in labels), reverse=True)
    assert "<title>20 Å: FSC 0.8</title>" in text and "<title>origin: FSC 1</title>" in text
    assert text.count('class="level"') == 1  # 7 is outside the frame
    y = float(re.search(r'class="level" x1="52" y1="([0-9.]+)"', text)[1])
    assert y == pytest.approx(230 - 40 - 0.143 * (230 - 54), abs=0.1)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.125), (0.0, 0.4), (0.01, 0.03), (0.0, 1.0)])
def test_reciprocal_ticks_lie_inside_and_apart(low, high):
    found = reciprocal_ticks(low, high)
    assert found == sorted(found) and low <= found[0] and found[-1] <= high * 1.000001 and 3 <= len(found) <= 8
    assert min(b - a for a, b in itertools.pairwise(found)) >= (high - low) / 7 * 0.999
    assert reciprocal_ticks(0.2, 0.2) == []
