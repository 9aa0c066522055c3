"""Figures of a class selection: what is drawn, against the files."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs import rank
from relion4plugin.progress import Silent
from relion4plugin.ranker.outputs import read_backup
from relion4plugin.scipion.rank_files import ORDERS, SUMMARY, read_ranked, write_by_hand
from tests.ranker.linear_ranker import JOB_SCORES, SCORES, stage, write_linear_weights
from tests.ranker.vectors import images, write_run

pytest.importorskip("matplotlib", reason="matplotlib comes with Scipion")

from matplotlib.figure import Figure

from relion4plugin.viewers import rank_figures as figures


def selection(project, job_stage=None, **options):
    (project / "Class2D/job001").mkdir(parents=True)
    optimiser = write_run(project / "Class2D/job001", total=1000)
    weights = str(write_linear_weights(project / "net.safetensors", job_stage))
    parameters = rank.RankParameters(fn_model=str(optimiser), fn_weights=weights, **options)
    outputs = rank.run(parameters, project / "extra", Silent(), job_star=False)
    (project / "extra" / SUMMARY).write_text(json.dumps(outputs.summary()))
    return project / "extra"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return selection(tmp_path, select_by="score", rank_threshold=0.5)


def test_what_is_read(folder):
    ranked = read_ranked(folder)
    np.testing.assert_allclose(ranked.scores[:4], SCORES, atol=1e-4)
    assert ranked.scored.tolist() == [True] * 4 + [False]
    assert ranked.labels.tolist() == [1, 0, 1, 0, 0] and ranked.order().tolist() == [0, 2, 1, 3, 4]
    assert ranked.sizes.tolist() == [200] * 5 and ranked.threshold == 0.5 and ranked.rule == "score"
    assert ranked.resolution.tolist() == pytest.approx([9.0, 14.2, 11.1, 27.5, 40.0])
    np.testing.assert_allclose(ranked.images, images(), atol=1e-6)


def test_a_folder_without_results_is_one_line(folder):
    (folder / SUMMARY).unlink()
    with pytest.raises(UserError, match=r"rank\.json: cannot be read"):
        read_ranked(folder)


def test_scores_in_the_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ranked = read_ranked(selection(tmp_path, stage()))
    np.testing.assert_allclose(ranked.job_scores, [*JOB_SCORES, -999], atol=1e-6)
    assert ranked.deciding is ranked.job_scores and ranked.order().tolist() == [2, 1, 3, 0, 4]
    assert ranked.order("score").tolist() == [0, 2, 1, 3, 4]
    assert figures.caption(ranked, 0).splitlines()[0] == "1: 0.79 / 0.38" and figures.caption(ranked, 4).startswith("5: –\n")
    figure = Figure()
    figures.draw_histogram(figure, ranked)
    assert figure.axes[0].get_xlabel() == "score in this job"
    assert [bar.get_x() for bar in figure.axes[0].containers[0] if bar.get_height()] == pytest.approx([0.35, 0.7, 0.8])
    assert dataclasses.replace(ranked, rule="score").deciding is ranked.scores


def test_orders(folder):
    ranked = dataclasses.replace(read_ranked(folder), sizes=np.array([1, 5, 3, 9, 7]), resolution=np.array([5, 4, np.nan, 9, 8.0]))
    assert ranked.order("particles").tolist() == [3, 4, 1, 2, 0]
    assert ranked.order("resolution").tolist() == [1, 0, 4, 3, 2]
    with pytest.raises(UserError, match="no score in the job"):
        ranked.order("score in this job")
    assert next(iter(ORDERS)) == "the score that decided"


def test_gallery(folder):
    ranked = read_ranked(folder)
    figure = Figure(figsize=(11, 7))
    tiles = figures.draw_gallery(figure, ranked, ranked.labels, ranked.order())
    assert [tile.number for tile in tiles] == [0, 2, 1, 3, 4]
    assert [tile.picture.get_alpha() for tile in tiles] == [1, 1, 0.6, 0.6, 0.6]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[0] == "1: 0.79\n200 · 9.0 Å" and texts[4] == "5: –\n200 · 40.0 Å"
    for one, two in itertools.pairwise(tiles):
        assert one.holds(one.x + 0.5, one.y + 0.5) and not one.holds(two.x + 0.5, two.y + 0.5)
    tiles[0].show(False)
    assert tiles[0].picture.get_alpha() == 0.6


def test_many_classes_do_not_overlap(folder):
    ranked = read_ranked(folder)
    many = dataclasses.replace(ranked, **{name: np.tile(getattr(ranked, name), 20) for name in ("scores", "labels", "sizes", "resolution")},
                               images=np.tile(ranked.images, (20, 1, 1)))  # fmt: skip
    figure = Figure(figsize=(11, 7))
    tiles = figures.draw_gallery(figure, many, many.labels, many.order())
    corners = {(round(tile.x, 6), round(tile.y, 6)) for tile in tiles}
    assert len(corners) == 100
    right, bottom = figure.axes[0].get_xlim()[1], figure.axes[0].get_ylim()[0]
    assert all(x + 1 <= right and y + 1 + figures.CAPTION <= bottom for x, y in corners)


def test_what_a_selection_is_said_to_hold(folder):
    ranked = read_ranked(folder)
    assert figures.told(ranked, ranked.labels) == "2 of 5 classes, 400 of 1,000 particles (40.0 %)"
    assert figures.told(ranked, np.array([1, 1, 0, 0, 0])) == "2 of 5 classes, 400 of 1,000 particles (40.0 %); 2 changed"


def test_histogram(folder):
    figure = Figure()
    figures.draw_histogram(figure, read_ranked(folder))
    (axes,) = figure.axes
    chosen, left = axes.containers
    assert sum(bar.get_height() for bar in chosen) == 400 and sum(bar.get_height() for bar in left) == 400  # class 5 has no score
    filled = [bar.get_x() for bar in chosen if bar.get_height()]
    assert filled == pytest.approx([0.6, 0.75])
    assert axes.get_lines()[0].get_xdata()[0] == 0.5


def test_a_selection_by_hand_is_one_that_the_job_reads(folder):
    path = write_by_hand(folder, np.array([0, 1, 1, 0, 1]))
    np.testing.assert_array_equal(read_backup(path, 5), [0, 1, 1, 0, 1])
