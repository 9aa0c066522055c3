"""Random starts that are compared, halved and compared again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.progress import Silent
from relion4plugin.refinement import contest
from relion4plugin.refinement.contest import Start, hold_contest
from relion4plugin.refinement.engine import Refinement
from relion4plugin.refinement.schedules import Phases
from relion4plugin.refinement.settings import RefinementSettings
from tests.refinement.projections import BOX, DIAMETER, ball_volume, molecule, project

SETTINGS = RefinementSettings(
    dimension=3, n_classes=1, n_iterations=20, particle_diameter=DIAMETER, padding=1, norm_correction=False, scale_correction=False,
    healpix_order=0, offset_range=3.0, offset_step=2.0, ini_subset=20, fin_subset=30, threads=2, seed=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    return project(tmp_path_factory.mktemp("contest"), 60, structures=[molecule(5)], noise=0.5, signal=2.0).particles


class Remembers(Silent):
    """Keeps what it is told."""

    def __init__(self):
        self.phases, self.steps = [], 0

    def start(self, label, total):
        self.phases.append((label, total))

    def advance(self, n=1, note=""):
        self.steps += n


def stubbed(monkeypatch, likelihoods):
    """Give each start, by its number, the likelihood of each round; return how many were judged in each."""
    judged = []

    def judge(run, starts):
        seeds = sorted(start.seed for start in starts)
        base = judged[0][1] if judged else seeds
        judged.append((len(starts), base))
        for start in starts:
            start.log_likelihood = likelihoods[len(judged) - 1][base.index(start.seed)]

    monkeypatch.setattr(contest, "_judge", judge)
    return judged


def test_the_better_half_and_then_the_best_goes_on(monkeypatch, particles, tmp_path):
    judged = stubbed(monkeypatch, [[-3.0, -1.0, -2.0, -4.0, -5.0], [-1.0, -9.0, -2.0]])
    told = Remembers()
    winner, starts = hold_contest(SETTINGS, particles, tmp_path, 5, told)
    assert [count for count, _ in judged] == [5, 3]
    seeds = judged[0][1]
    assert seeds[0] == SETTINGS.seed and len(set(seeds)) == 5
    assert winner.seed == seeds[0]  # third of the first round, best of the second
    # best first; those of the last round before those that were dropped earlier
    assert [seeds.index(start.seed) for start in starts] == [0, 2, 1, 3, 4]
    phase = Phases.of(SETTINGS).initial
    assert [start.state.iteration for start in starts] == [phase, phase, phase, phase // 2, phase // 2]
    for start in starts:
        assert [record["iteration"] for record in start.records] == list(range(1, start.state.iteration + 1))
    assert told.steps == sum(total for _, total in told.phases) == 3 * phase + 2 * (phase // 2)
    assert [label for label, _ in told.phases][:2] == [f"start {k} of 5, to iteration {phase // 2}" for k in (1, 2)]
    assert not list(tmp_path.iterdir())


def test_a_single_start_wins(monkeypatch, particles, tmp_path):
    stubbed(monkeypatch, [[-1.0], [-1.0]])
    winner, starts = hold_contest(SETTINGS, particles, tmp_path, 1, Silent())
    assert starts == [winner]


def test_the_last_iteration_is_left_to_the_winner(monkeypatch, particles, tmp_path):
    for n_iterations in (1, 2):
        stubbed(monkeypatch, [[-1.0, -2.0], [-1.0]])
        winner, _ = hold_contest(replace(SETTINGS, n_iterations=n_iterations), particles, tmp_path, 2, Silent())
        assert winner.state.iteration == n_iterations - 1


def test_the_map_that_the_particles_show_is_the_most_likely(particles, tmp_path):
    """The molecule itself beats one with other domains, a shrunken one, and the blobs that runs begin with."""
    run = Refinement(SETTINGS, particles, tmp_path, Silent())
    starts = [Start(seed, run.begin(seed)) for seed in range(4)]
    for start, centres in zip(starts, (molecule(5), molecule(9), molecule(5) * 0.5), strict=False):
        start.state.model.references[:] = 2.0 * ball_volume(centres, BOX)
    contest._judge(run, starts)
    run.close()
    values = [start.log_likelihood for start in starts]
    assert values[0] > max(values[1:]) + 1.0


def test_judging_leaves_the_starts_as_they_were(particles, tmp_path):
    run = Refinement(SETTINGS, particles, tmp_path, Silent())
    start = Start(3, run.begin(3))
    run.step(start.state, 3)
    before = start.state.model.copy()
    poses, sampling = start.state.poses.copy(), start.state.sampling
    contest._judge(run, [start])
    run.close()
    assert np.isfinite(start.log_likelihood)
    for name, value in vars(before).items():
        np.testing.assert_array_equal(getattr(start.state.model, name), value, err_msg=name)
    np.testing.assert_array_equal(start.state.poses.angles, poses.angles)
    assert (start.state.sampling, start.state.iteration) == (sampling, 1)


def held(settings, particles, folder: Path):
    winner, starts = hold_contest(settings, particles, folder, 3, Silent())
    return winner.state.model.references, [(start.seed, start.log_likelihood) for start in starts]


def test_same_seed_same_contest_whatever_the_threads(particles, tmp_path):
    first = held(SETTINGS, particles, tmp_path)
    again = held(replace(SETTINGS, threads=1), particles, tmp_path)
    assert np.array_equal(first[0], again[0])
    assert first[1] == again[1]
    likelihoods = [value for _, value in first[1]]
    assert likelihoods[0] >= likelihoods[1]
    assert len(set(likelihoods)) == 3
    other = held(replace(SETTINGS, seed=4), particles, tmp_path)
    assert not np.allclose(first[0], other[0])


def test_a_start_is_the_run_of_its_seed(particles, tmp_path):
    """A start that is stepped is what a run of its own with that seed does."""
    run = Refinement(SETTINGS, particles, tmp_path, Silent())
    state = run.begin(77)
    for _ in range(3):
        run.step(state, 77)
    assert run.settings == SETTINGS and run.inputs.settings == SETTINGS
    run.close()
    alone = Refinement(replace(SETTINGS, seed=77), particles, tmp_path, Silent())
    own = alone.begin(77)
    for _ in range(3):
        alone.step(own, 77)
    alone.close()
    assert np.array_equal(state.model.references, own.model.references)
    assert np.array_equal(state.poses.angles, own.poses.angles)
