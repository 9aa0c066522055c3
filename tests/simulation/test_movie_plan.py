"""Truth of simulated movies: places, motion, independence of other movies."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from relion4plugin.errors import UserError
from relion4plugin.simulation.movie_motion import draw_motion
from relion4plugin.simulation.movie_places import scattered
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import prepare_session

SMALL = MovieSpec(width=256, height=192, n_frames=6, pixel_size=4.0, n_particles=12)


def test_scattered_points_keep_their_distance_and_come_first() -> None:
    points = scattered(0, (500.0, 300.0), 20.0, np.random.default_rng(0))
    assert pdist(points).min() >= 20.0
    assert len(points) * np.pi * 10.0**2 / (500 * 300) > 0.4  # random sequential addition ends at 0.55
    assert len(scattered(50, (500.0, 300.0), 20.0, np.random.default_rng(0))) == 50
    assert len(scattered(70, (50.0, 50.0), 0.0, np.random.default_rng(0))) == 70

    tried = np.random.default_rng(1).uniform(0.0, 1.0, (12 * 20, 2)) * (200.0, 100.0)
    greedy: list[np.ndarray] = []
    for one in tried:
        if all(np.hypot(*(one - other)) > 15.0 for other in greedy):
            greedy.append(one)
    assert scattered(20, (200.0, 100.0), 15.0, np.random.default_rng(1)) == pytest.approx(np.array(greedy[:20]))


def test_motion_starts_at_rest_is_fast_first_and_a_polynomial_describes_its_regular_part() -> None:
    spec = replace(SMALL, n_frames=20, drift=20.0, local_motion=6.0, odd_motion=0.0)
    motion = draw_motion(spec, np.random.default_rng(3))
    points = np.random.default_rng(4).uniform(0, 1, (60, 2)) * [256, 192]
    moved = motion.at(points)
    assert np.abs(moved[0]).max() == 0
    speed = np.hypot(*np.diff(motion.whole, axis=0).T)
    assert speed[:3].mean() > 2 * speed[-5:].mean()
    local = motion.local(points)
    x, y = (points / [256, 192] - 0.5).T
    space = np.stack([np.ones_like(x), x, x * x, y, y * y, x * y], axis=-1)
    t = np.arange(20) / 19
    basis = (np.stack([t, t**2, t**3], axis=-1)[:, None, :, None] * space[None, :, None]).reshape(20 * 60, 18)
    flat = local.reshape(-1, 2)
    fitted = basis @ np.linalg.lstsq(basis, flat, rcond=None)[0]
    assert np.abs(fitted - flat).max() < 1e-9
    even = np.stack(np.meshgrid(np.linspace(0, 256, 30), np.linspace(0, 192, 30)), axis=-1).reshape(-1, 2)
    assert np.sqrt((motion.local(even)[-1] ** 2).sum(axis=1).mean()) * 4.0 == pytest.approx(6.0, rel=0.15)

    odd = draw_motion(replace(spec, odd_motion=3.0), np.random.default_rng(3)).local(points).reshape(-1, 2)
    assert np.abs(basis @ np.linalg.lstsq(basis, odd, rcond=None)[0] - odd).max() * 4.0 > 0.5


def test_origins_undo_the_motion() -> None:
    motion = draw_motion(replace(SMALL, drift=60.0, local_motion=20.0, odd_motion=5.0), np.random.default_rng(5))
    points = np.random.default_rng(6).uniform(0, 190, (50, 2))
    for frame in (1, 5):
        found = motion.origins(frame, points)
        assert found + motion.at(found)[frame] == pytest.approx(points, abs=0.02)


def test_a_movie_does_not_depend_on_the_others() -> None:
    few, many = (prepare_session(replace(SMALL, n_movies=n, shuffled=n > 5)) for n in (2, 50))
    alone, among = few.plan(1), many.plan(1)
    assert np.array_equal(alone.places, among.places) and np.array_equal(alone.angles, among.angles)
    assert np.array_equal(few.frames(alone).count(3), many.frames(among).count(3))
    assert not np.array_equal(few.plan(0).places[:3], alone.places[:3])


def test_numbers_and_kinds_are_those_asked_for() -> None:
    session = prepare_session(replace(SMALL, width=640, height=640, n_particles=60, junk_fraction=0.5, spacing=1.0))
    counts = [plan.kinds[plan.in_frame] for plan in map(session.plan, range(8))]
    particles = np.mean([(kinds == "particle").sum() for kinds in counts])
    assert particles == pytest.approx(60, rel=0.1)
    assert np.mean([(kinds != "particle").sum() for kinds in counts]) == pytest.approx(30, rel=0.2)
    plan = session.plan(0)
    assert pdist(plan.places).min() >= session.maps.diameters[0] / 4.0 - 1e-6
    assert set(np.unique(plan.molecules.owner)) == set(
        np.flatnonzero(np.isin(plan.kinds, ["particle", "broken", "denatured", "aggregate"]))
    )
    seen = session.frames(plan).expected(0)
    assert np.isfinite(seen).all() and seen.min() > 0


def test_preferred_views_are_those_of_the_session() -> None:
    session = prepare_session(replace(SMALL, view_kappa=200.0, n_views=1, n_particles=40, spacing=0.0))
    views = [np.stack([np.cos(np.deg2rad(a[:, 1])), np.sin(np.deg2rad(a[:, 1]))]) for a in (session.plan(i).angles for i in (0, 1))]
    assert np.abs(views[0].mean(axis=1) - views[1].mean(axis=1)).max() < 0.05
    assert max(v.std(axis=1).max() for v in views) < 0.15


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"width": 100 + 1}, "width"),
        ({"n_frames": 0}, "n_frames"),
        ({"dose_per_frame": 0.0}, "dose_per_frame"),
        ({"defocus_max": 100.0}, "defocus_max"),
        ({"junk_kinds": ("dust",)}, "junk_kinds"),
        ({"bits": 12}, "bits"),
        ({"file_format": "dm4"}, "file_format"),
        ({"layout": "tree"}, "layout"),
        ({"start": "today"}, "start"),
        ({"file_format": "eer", "super_resolution": True}, "super_resolution"),
        ({"sources": (("/nowhere/a.pdb", 1.0),)}, "/nowhere/a.pdb"),
        ({"n_particles": 0, "spacing": 0.0}, "spacing"),
    ],
)
def test_values_that_make_no_sense_are_named(change: dict, named: str) -> None:
    with pytest.raises(UserError, match=named):
        replace(SMALL, **change).validate()
