import json
from dataclasses import replace

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.particles import read_particles
from relion4plugin.refinement import streaming
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.schedules import step_size
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.streaming import StreamState, after_growth, classify_stream, paced, read_stream, stream_file
from tests.refinement.simulated import purity, simulate

PLAIN = RefinementSettings()
LAST = PLAIN.n_iterations - 1


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("stream"), 480, n_classes=3, noise=0.3, seed=11, n_micrographs=8)


def first(truth, n):
    return truth.particles.select(np.arange(n))


def records(folder):
    return [json.loads(line) for line in (folder / "run_iterations.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def streamed(truth, tmp_path_factory):
    """Three calls, of 120, 240 and 480 particles."""
    folder = tmp_path_factory.mktemp("run")
    settings = RefinementSettings(n_classes=3, n_iterations=60, particle_diameter=72.0, ini_subset=60, fin_subset=120, threads=2, seed=3)
    results, resume = [], None
    for n in (120, 240, 480):
        resume = classify_stream(settings, first(truth, n), folder, resume=resume, last=n == 480).optimiser_star
        results.append(resume)
    return settings, folder, results


def waiting(n):
    """A stream that has done all for n particles."""
    return StreamState(float(LAST), annealed=float(n), joined=float(n))


def n_steps(stream):
    """Iterations up to the end of the schedules."""
    return round((LAST - stream.position) / stream.stride)


def test_a_set_that_has_doubled_is_loosened_and_annealed_in_long_strides():
    for n in (2000, 2500, 10**6):
        stream = after_growth(PLAIN, waiting(1000), n)
        assert step_size(PLAIN, round(stream.position)) > 0.7 > 0.31 > step_size(PLAIN, LAST)
        assert n_steps(stream) == round(streaming.LOOSENED_LENGTH * PLAIN.n_iterations)
        assert (stream.annealed, stream.joined) == (n, n)


@pytest.mark.parametrize("growth", [1.003, 1.02, 1.3])
def test_many_small_arrivals_cost_as_much_as_a_large_one(growth):
    stream, n, done = waiting(1000), 1000.0, 0
    while n * growth < 2000:
        n *= growth
        stream = after_growth(PLAIN, stream, n)
        done += n_steps(stream)
        stream = replace(stream, position=float(LAST))
    once = n_steps(after_growth(PLAIN, waiting(1000), n))
    assert once - 1 <= done <= once and once > 2
    assert stream.annealed == 1000.0 and 0.8 * n < stream.joined <= n * 1.001


@pytest.mark.parametrize("n", [1000, 1900, 8000])
def test_a_run_stopped_on_its_way_goes_on_from_there(n):
    stream = StreamState(71.5, 3.0, 1000.0, 1000.0)
    assert after_growth(PLAIN, stream, n) == stream


def test_with_fewer_particles_nothing_is_repeated():
    assert after_growth(PLAIN, waiting(1000), 900) == waiting(1000)


@pytest.mark.parametrize(("n", "size"), [(100, 100), (600, 200), (2000, 500), (4000, 1000), (100_000, 5000)])
def test_mini_batches_of_a_set_that_has_only_begun_are_smaller(n, size):
    now = paced(PLAIN, n)
    assert streaming.schedules.subset_size(now, LAST, n) == size


def test_a_given_size_of_mini_batches_is_kept():
    assert paced(replace(PLAIN, fin_subset=777), 1000).fin_subset == 777


def test_every_call_gives_every_particle_a_class(streamed):
    _, _, results = streamed
    for optimiser, n in zip(results, (120, 240, 480), strict=True):
        data = read_particles(optimiser.with_name(optimiser.name.replace("_optimiser", "_data")))
        assert len(data) == n
        assert (data.column("rlnClassNumber") >= 1).all() and (data.column("rlnNrOfSignificantSamples") >= 1).all()


def test_the_classes_are_those_of_an_offline_run(truth, streamed, tmp_path):
    settings, _, results = streamed
    data = read_particles(results[-1].with_name(results[-1].name.replace("_optimiser", "_data")))
    truth_of = dict(zip(truth.particles.table["rlnImageName"], truth.classes, strict=True))
    classes = np.array([truth_of[name] for name in data.table["rlnImageName"]])
    offline = read_particles(refine(settings, truth.particles, tmp_path).data_star)
    reached = purity(offline.column("rlnClassNumber").astype(int), np.array([truth_of[name] for name in offline.table["rlnImageName"]]))
    assert purity(data.column("rlnClassNumber").astype(int), classes) > max(0.95, reached - 0.02)


def test_each_doubling_is_annealed_and_iterations_count_on(streamed):
    settings, folder, results = streamed
    lines = records(folder)
    assert [line["iteration"] for line in lines] == list(range(1, len(lines) + 1))
    positions = [line["position"] for line in lines]
    assert positions[:30] == [*range(2, 60, 2), 59]
    # a tenth into the in-between phase of 30 iterations, then 15 long strides
    again = [21 + 38 / 15 * i for i in range(1, 16)]
    assert positions[30:-1] == pytest.approx([*again, *again]) and positions[-1] == 60
    stream = read_stream(results[-1])
    assert stream.position == settings.n_iterations and stream.annealed == 480
    assert lines[-1]["subset_size"] == 480 and stream.n_visits == lines[-1]["n_visits"]
    assert stream.n_visits >= sum(line["subset_size"] for line in lines)


def test_new_particles_come_first(truth, streamed, tmp_path, monkeypatch):
    settings, _, results = streamed
    drawn = []
    run = streaming._Streaming(settings, first(truth, 480), tmp_path, streaming.Silent())
    run.out_dir = tmp_path
    state = run.open(results[1])
    unseen = state.poses.n_significant == 0
    assert unseen.sum() == 240
    rows = run._draw(state, 100)
    assert unseen[rows].sum() == 50 and len(np.unique(rows)) == 100
    drawn = run._draw(state, 100)
    assert np.array_equal(rows, drawn)
    state.poses.n_significant[unseen.nonzero()[0][:-7]] = 1
    assert (state.poses.n_significant[run._draw(state, 100)] == 0).sum() == 7
    assert len(run._draw(state, 1000)) == 480
    run.close()


def test_an_interrupted_call_goes_on_to_the_same_classes(truth, streamed, tmp_path, monkeypatch):
    """Stopped in the second call after iteration 40 was written; the next call goes on from there."""
    settings, folder, results = streamed
    for path in (*folder.glob("run_it030*"), folder / "run_iterations.jsonl"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    start = tmp_path / results[0].name

    class Stop(Exception):
        pass

    def advance(self, n=1, note=""):
        if (tmp_path / "run_it040_optimiser.star").exists():
            raise Stop

    monkeypatch.setattr(streaming.Silent, "advance", advance)
    with pytest.raises(Stop):
        classify_stream(settings, first(truth, 240), tmp_path, resume=start)
    monkeypatch.undo()
    resumed = classify_stream(settings, first(truth, 240), tmp_path, resume=tmp_path / "run_it040_optimiser.star")
    assert resumed.iteration == int(results[1].name.removeprefix("run_it")[:3])
    ours, theirs = (read_particles(path) for path in (resumed.data_star, folder / resumed.data_star.name))
    assert np.array_equal(ours.column("rlnClassNumber"), theirs.column("rlnClassNumber"))


def test_a_call_that_only_assigns_gets_files_of_its_own(truth, streamed, tmp_path):
    settings, _, _ = streamed
    one = classify_stream(settings, first(truth, 240), tmp_path)
    two = classify_stream(settings, first(truth, 250), tmp_path, resume=one.optimiser_star)
    assert two.iteration == one.iteration + 1
    assert [len(read_particles(result.data_star)) for result in (one, two)] == [240, 250]
    three = classify_stream(settings, truth.particles, tmp_path, resume=two.optimiser_star)
    assert len(read_particles(three.data_star)) == 480 and three.iteration > two.iteration


def test_more_particles_may_come_after_the_last_call(truth, streamed, tmp_path):
    settings, _, _ = streamed
    done = classify_stream(settings, first(truth, 240), tmp_path, last=True)
    assert done.finished
    more = classify_stream(settings, truth.particles, tmp_path, resume=done.optimiser_star, last=True)
    assert len(read_particles(more.data_star)) == 480


def test_other_kinds_of_runs_are_refused(truth, small, tmp_path):
    with pytest.raises(UserError, match="VDAM"):
        classify_stream(small(algorithm=Algorithm.EM), truth.particles, tmp_path)
    done = refine(small(n_iterations=2), first(truth, 120), tmp_path / "offline")
    assert not stream_file(done.optimiser_star).exists()
    with pytest.raises(UserError, match="none of growing particles"):
        classify_stream(small(), truth.particles, tmp_path / "offline", resume=done.optimiser_star)
