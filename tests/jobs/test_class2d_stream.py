import threading
import time

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.particles import read_particles, write_particles
from relion4plugin.files.star import read_star
from relion4plugin.jobs import class2d, class2d_stream
from relion4plugin.jobs.class2d import Class2DParameters
from relion4plugin.jobs.class2d_parameters import STREAM
from relion4plugin.jobs.class2d_stream import newest_call
from relion4plugin.jobs.execution import load_job, run_job
from relion4plugin.jobs.job_star import JobStar, write_job_star
from relion4plugin.jobs.output_nodes import read_output_nodes
from relion4plugin.jobs.parameters import sections_of, to_job_options
from relion4plugin.progress import Silent
from relion4plugin.refinement.streaming import read_stream
from tests.refinement.simulated import simulate


@pytest.fixture
def growing(tmp_path, monkeypatch):
    """A project with 240 particles, and a function that writes the list of the first so many."""
    monkeypatch.chdir(tmp_path)
    truth = simulate(tmp_path / "all", 240, n_classes=2, noise=0.2, n_micrographs=8)

    def write(n):
        write_particles(tmp_path / "all" / "arrived.star", truth.particles.select(np.arange(n)))
        return "all/arrived.star"

    return write


def parameters(source, **changes):
    values = {
        "fn_img": source, "nr_classes": 2, "nr_iter_grad": 20, "particle_diameter": 72.0, "grad_ini_subset": 60, "grad_fin_subset": 60,
        "do_stream": True, "stream_first": 60,
    }  # fmt: skip
    return Class2DParameters(**(values | changes))


def test_the_same_job_takes_up_what_was_added(growing, tmp_path):
    out = tmp_path / "Class2D"
    first = class2d.run(parameters(growing(80)), out, Silent())
    second = class2d.run(parameters(growing(160)), out, Silent())
    third = class2d.run(parameters(growing(240), stream_last=True), out, Silent())
    assert [len(read_particles(outputs.data_star)) for outputs in (first, second, third)] == [80, 160, 240]
    assert read_stream(third.optimiser_star).position == 20
    assert list(read_output_nodes(out)) == [third.data_star.as_posix(), third.optimiser_star.as_posix()]
    edges = read_star(out / "job_pipeline.star")["pipeline_input_edges"]
    assert edges["rlnPipeLineEdgeFromNode"].tolist() == ["all/arrived.star"]
    assert read_star(out / "job.star")["job"]["rlnJobIsContinue"] == 1


def n_classes(outputs):
    return read_star(outputs.model_star)["model_general"]["rlnNrClasses"]


def test_few_particles_are_put_into_few_classes_and_the_stream_keeps_them(growing, tmp_path):
    asked = {"nr_classes": 10, "parts_per_class": 50}
    for n in (80, 240):
        assert n_classes(class2d.run(parameters(growing(n), **asked), tmp_path / "Class2D", Silent())) == 4
    offline = class2d.run(parameters(growing(150), do_stream=False, nr_iter_grad=4, **asked), tmp_path / "offline", Silent())
    assert n_classes(offline) == 3


def test_a_stream_that_ends_with_far_fewer_or_more_particles_than_expected_begins_anew(growing, tmp_path):
    asked = {"nr_classes": 12, "parts_per_class": 20}
    assert n_classes(class2d.run(parameters(growing(80), **asked), tmp_path / "Class2D", Silent())) == 10
    ended = class2d.run(parameters(growing(100), stream_last=True, **asked), tmp_path / "Class2D", Silent())
    assert (n_classes(ended), len(read_particles(ended.data_star)), newest_call(tmp_path / "Class2D")) == (5, 100, ended.optimiser_star)
    for n, expected in ((140, 5), (240, 12)):
        more = class2d.run(parameters(growing(n), stream_last=True, **asked), tmp_path / "Class2D", Silent())
        assert n_classes(more) == expected


def test_what_was_there_is_kept_until_the_new_beginning_is_done(growing, tmp_path, monkeypatch):
    asked, out = {"nr_classes": 10, "parts_per_class": 20}, tmp_path / "Class2D"
    class2d.run(parameters(growing(80), **asked), out, Silent())
    with monkeypatch.context() as broken:
        broken.setattr(class2d_stream, "classify_stream", lambda *_, **__: (_ for _ in ()).throw(UserError("disk full")))
        with pytest.raises(UserError, match="disk full"):
            class2d.run(parameters(growing(100), stream_last=True, **asked), out, Silent())
    assert newest_call(out / class2d_stream.FORMER) is not None
    assert n_classes(class2d.run(parameters(growing(100), stream_last=True, **asked), out, Silent())) == 5
    assert not (out / class2d_stream.FORMER).exists()


def test_another_number_of_classes_is_refused(growing, tmp_path):
    class2d.run(parameters(growing(80)), tmp_path / "Class2D", Silent())
    with pytest.raises(UserError, match="2 classes"):
        class2d.run(parameters(growing(160), nr_classes=3), tmp_path / "Class2D", Silent())


def test_only_what_needs_a_stream_stands_in_its_section():
    names = [field.name for field in sections_of(Class2DParameters)[STREAM]]
    assert names == ["do_stream", "stream_first", "stream_wait", "stream_last"]


def test_files_of_old_calls_and_of_the_way_are_removed(growing, tmp_path):
    out = tmp_path / "Class2D"
    for n in (60, 100, 140, 180, 240):
        class2d.run(parameters(growing(n)), out, Silent())
    assert len(list(out.glob("run_it*_optimiser.star"))) == class2d_stream.KEPT_CALLS


def test_a_wait_takes_what_arrives_and_ends_with_all_particles(growing, tmp_path, monkeypatch):
    monkeypatch.setattr(class2d_stream, "POLL_SECONDS", 0.05)
    source = growing(30)  # too few to begin
    arrivals = threading.Thread(target=lambda: [(time.sleep(0.5), growing(n)) for n in (90, 240)])
    arrivals.start()
    outputs = class2d.run(parameters(source, stream_wait=2 / 60), tmp_path / "run", Silent())
    arrivals.join()
    assert len(read_particles(outputs.data_star)) == 240
    assert read_stream(outputs.optimiser_star).position == 20


def test_too_few_particles_are_told(growing, tmp_path):
    with pytest.raises(UserError, match="has 30 particles, a stream begins with 60"):
        class2d.run(parameters(growing(30)), tmp_path / "run", Silent())


def test_a_wait_without_particles_ends_with_an_error(growing, tmp_path, monkeypatch):
    monkeypatch.setattr(class2d_stream, "POLL_SECONDS", 0.05)
    with pytest.raises(UserError, match="too few to begin"):
        class2d.run(parameters(growing(30), stream_wait=0.3 / 60), tmp_path / "run", Silent())


def test_only_vdam_takes_a_stream(growing):
    with pytest.raises(UserError, match="needs VDAM"):
        class2d.validate(parameters(growing(60), do_grad=False, do_em=True))


def test_the_job_of_a_scheme_goes_on_in_its_directory(growing, tmp_path):
    out = tmp_path / "Class2D" / "job007"
    out.mkdir(parents=True)
    for n, is_continue in ((80, False), (200, True)):
        options = to_job_options(parameters(growing(n))) | {"do_stream": "Yes", "stream_first": "60"}
        write_job_star(out / "job.star", JobStar("relion.class2d", is_continue, options=options))
        run_job(out, load_job(out), is_continue, Silent())
    newest = newest_call(out)
    assert newest is not None
    assert len(read_particles(newest.with_name(newest.name.replace("_optimiser", "_data")))) == 200
    assert newest.as_posix() in read_output_nodes(out)


def test_a_job_that_was_killed_before_its_first_iteration_begins_again(growing, tmp_path):
    out = tmp_path / "Class2D" / "job007"
    out.mkdir(parents=True)
    options = to_job_options(parameters(growing(80))) | {"do_stream": "Yes", "stream_first": "60"}
    write_job_star(out / "job.star", JobStar("relion.class2d", is_continue=True, options=options))
    (out / "run_iterations.jsonl").write_text('{"iteration": 1}\n')
    run_job(out, load_job(out), True, Silent())
    assert newest_call(out) is not None
