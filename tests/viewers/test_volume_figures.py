"""Figures of 3D runs: what is drawn, against the files."""

import numpy as np
import pytest

from relion4plugin.web.report3d_run import read_3d_run
from tests.web.fake3d import add_verdict, fsc_curve, make_class3d, make_refine3d

pytest.importorskip("matplotlib", reason="matplotlib comes with Scipion")

from matplotlib.figure import Figure

from relion4plugin.viewers import volume_figures as figures


def test_maps_of_runs(tmp_path):
    run = make_class3d(tmp_path / "a", n_classes=3)
    add_verdict(run)
    assert [name.split("\n")[0] for name in figures.run_maps(read_3d_run(run))] == ["initial model", "class 1", "class 2", "class 3"]
    assert next(iter(figures.run_maps(read_3d_run(run), [2]).values())).name == "run_it010_class003.mrc"
    assert list(figures.run_maps(read_3d_run(make_refine3d(tmp_path / "b", 2)))) == ["final map", "half 1", "half 2"]
    assert list(figures.run_maps(read_3d_run(make_refine3d(tmp_path / "c", 2, False)))) == ["half 1", "half 2"]


def test_volumes(tmp_path):
    figure = Figure()
    figures.draw_volumes(figure, figures.run_maps(read_3d_run(make_class3d(tmp_path, n_classes=8))))
    assert len(figure.axes) == 6 * 6
    assert figure.axes[0].get_title() == "slice across z" and figure.axes[5].get_title() == "projection along x"
    assert figure.axes[6].get_ylabel().startswith("class 2")
    assert figure.axes[0].get_images()[0].get_array().shape == (32, 32)


def test_fsc(tmp_path):
    run = read_3d_run(make_refine3d(tmp_path, 9))
    curves = figures.fsc_curves(run)
    assert list(curves)[-1] == "final" and len(curves) == 7
    figure = Figure()
    figures.draw_fsc(figure, run.frequencies, curves)
    lines = figure.axes[0].get_lines()
    np.testing.assert_allclose(lines[6].get_ydata(), fsc_curve(32, 32 / 2.6), atol=1e-5)
    assert figure.axes[0].get_title() == "FSC: 0.143 at 10.7 Å"
    model = make_class3d(tmp_path / "model")
    assert figures.fsc_curves(read_3d_run(model)) == {}
    add_verdict(model)
    assert list(figures.fsc_curves(read_3d_run(model))) == ["between restarts"]


def test_directions_classes_and_progress(tmp_path):
    run = read_3d_run(make_class3d(tmp_path, n_classes=3))
    figure = Figure()
    figures.draw_directions(figure, run, [0, 2])
    assert [axes.get_title().split(":")[0] for axes in figure.axes] == ["class 1", "class 3"]
    figures.draw_classes(figure, run)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == pytest.approx([50, 100 / 3, 100 / 6], abs=1e-3)
    assert [text.get_text() for text in figure.axes[0].texts] == ["30", "30", "30"]
    figures.draw_progress(figure, run)
    angles = next(axes for axes in figure.axes if axes.get_title() == "Angles (°)")
    assert angles.get_lines()[0].get_ydata().tolist() == [r["angular_step"] for r in run.records]
    assert figures.title(run) == "3D initial model, VDAM iteration 10 of 10"
