"""Points and fit of the cost model: what is asked for, and that known constants are found again."""

import numpy as np
import pytest
from cost_model import check, classification, fit_classes
from cost_points import Point, arguments, part_of

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.jobs.cost import Constants, Task, estimate, image_size, plane_terms
from relion4plugin.progress import Silent
from relion4plugin.simulation.particles import simulate
from relion4plugin.simulation.spec import SimulationSpec

TRUE = Constants(update=0.2, image=0.05, search=0.01, em=3.0)


def _point(n, box, k, run="vdam", iterations=40):
    """A run that costs exactly what the model says."""
    task = Task("class2d-em" if run == "em" else "class2d", n, box, k, iterations)
    size, factor = image_size(task), TRUE.em if run == "em" else 1.0
    update, image, search = plane_terms(task, size)
    subsets = [n] * iterations if run == "em" else [estimate(task).visits / iterations] * iterations
    seconds = [factor * (TRUE.update * update + v * (TRUE.image * image + TRUE.search * search)) for v in subsets]
    done = {"subset_size": subsets, "current_size": [size] * iterations, "cpu_seconds": seconds}
    cost = {"cpu_seconds": sum(seconds), "peak_rss_mib": 400.0, "diameter": 0.8, "threads": 2, "load": 0.5, "iterations_done": done}
    return {"n": n, "box": box, "k": k, "run": run, "iterations": iterations, **cost}


POINTS = [_point(1000, 64, 10), _point(20000, 64, 50), _point(5000, 128, 20), _point(9000, 96, 100), _point(3000, 64, 20, "em", 10)]


def test_known_constants_are_found_again():
    found = fit_classes([classification(point) for point in POINTS])
    assert [found.update, found.image, found.search, found.em] == pytest.approx([0.2, 0.05, 0.01, 3.0], rel=1e-6)


def test_a_left_out_run_is_predicted_by_the_others():
    rows = check([classification(point) for point in POINTS[:4]], fit_classes)
    assert [row[8] for row in rows] == pytest.approx([1.0] * 4)
    wrong = [classification(point) for point in POINTS[:4]]
    wrong[0].seconds[:] *= 2
    assert check(wrong, fit_classes)[0][8] == pytest.approx(1.0)  # its own rows were not used
    assert check(wrong, fit_classes)[1][8] != pytest.approx(1.0)


def test_runs_at_busy_times_are_only_compared():
    busy = _point(4000, 64, 30) | {"load": 20.0}
    busy["iterations_done"]["cpu_seconds"] = [2 * one for one in busy["iterations_done"]["cpu_seconds"]]
    busy["cpu_seconds"] *= 2
    runs = [classification(point) for point in [*POINTS, busy]]
    assert fit_classes(runs).image == pytest.approx(0.05, rel=1e-6)
    assert check(runs, fit_classes)[-1][8] == pytest.approx(0.5)


def test_points_are_read_from_words():
    assert Point.of("n=1000,k=100") == Point(n=1000, k=100)
    assert Point.of("run=em,iterations=10") == Point(run="em", iterations=10)
    for text in ("n=many", "size=3", "run=sgd", ""):
        with pytest.raises(UserError, match="no point"):
            Point.of(text)
    assert arguments(["--out", "o", "--points", "n=5"]).stack is None


def test_a_stack_is_begun_again_where_it_has_too_few(tmp_path):
    simulate(SimulationSpec(n_particles=12, box_size=32, pixel_size=7.0), tmp_path / "s", Silent())
    stack, box, width = part_of(tmp_path / "s", 30, tmp_path / "part", 100.0)
    rows = read_star(stack.particles)["particles"]
    assert len(rows) == 30 and box == 32 and width == pytest.approx(224.0)
    assert np.array_equal(rows["rlnImageName"].iloc[:6], rows["rlnImageName"].iloc[12:18])
