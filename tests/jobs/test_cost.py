"""Estimates of processor time and memory, against measured runs and against what must hold."""

from dataclasses import replace

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.cost import Constants, Task, estimate, image_size, plane_terms

CLASSES = Task("class2d", 3000, 64, 25)

# processor seconds of whole processes on an AMD EPYC (docs/benchmarks.md)
MEASURED = [
    (Task("class2d", 2374, 64, 25), 39.9),
    (Task("class2d", 20000, 64, 25), 48.2),
    (Task("class2d-em", 1000, 64, 15, 25), 9.66),
    (Task("class2d-em", 20000, 64, 25, 25), 264.0),
    (Task("refine3d", 2374, 64), 208.0),
]


@pytest.mark.parametrize(("task", "seconds"), MEASURED, ids=lambda value: getattr(value, "job", ""))
def test_measured_runs_are_met_within_a_factor_of_one_and_a_half(task, seconds):
    assert seconds / 1.5 < estimate(task).cpu_seconds < seconds * 1.5


def test_visits_are_those_of_the_schedule():
    """200 particles for 60 mini-batches, up to 1,000 over 100, 1,000 for 39, and all in the last."""
    between = sum(200 + 8 * i for i in range(1, 101))
    assert estimate(CLASSES).visits == 60 * 200 + between + 39 * 1000 + 3000
    assert estimate(replace(CLASSES, job="class2d-em", n_iterations=25)).visits == 25 * 3000


def test_more_of_anything_costs_more():
    least = estimate(CLASSES)
    for change in ({"n_particles": 100_000}, {"box": 128}, {"n_classes": 100}):
        more = estimate(replace(CLASSES, **change))
        assert more.cpu_seconds > least.cpu_seconds and more.memory >= least.memory
    assert estimate(replace(CLASSES, n_iterations=400)).cpu_seconds > least.cpu_seconds
    assert estimate(replace(CLASSES, threads=4)).hours == pytest.approx(least.hours / 3.2)


def test_coarse_search_is_counted_by_its_samples():
    """30 angles, 21 shifts, and pixels of the coarse images, which no finer detail makes larger."""
    update, image, search = plane_terms(CLASSES, 64)
    assert update == pytest.approx(25 * 128**2 / 1e6) and image == pytest.approx(64**2 / 1e6)
    assert search == pytest.approx(25 * 30 * 21 * 3.14159265 * 36**2 / 8 / 1e9)
    assert plane_terms(CLASSES, 20)[2] < search


def test_images_reach_ten_shells_beyond_the_detail_but_not_the_box():
    assert image_size(replace(CLASSES, box=128)) == 2 * (32 + 10)
    assert image_size(replace(CLASSES, box=32)) == 32


def test_constants_of_another_processor():
    slow = Constants(update=0.2, image=0.046, search=0.048)
    assert estimate(CLASSES, slow).cpu_seconds == pytest.approx(2 * estimate(CLASSES).cpu_seconds)


def test_memory_of_a_large_refinement():
    assert 3.0 < estimate(Task("refine3d", 240, 256)).memory < 5.0  # 4.1 GiB measured


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"job": "polish"}, "no job polish"),
        ({"box": 2}, "box is 2"),
        ({"n_particles": 0}, "n_particles is 0"),
        ({"filled": 1.5}, "mask of 1.5"),
    ],
)
def test_wrong_tasks_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        replace(CLASSES, **change)
