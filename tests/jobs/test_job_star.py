import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import write_star
from relion4plugin.jobs.class2d import Class2DParameters, from_options
from relion4plugin.jobs.job_star import JobStar, read_job_star, write_job_star
from relion4plugin.jobs.parameters import fields_of, to_job_options


def test_round_trip_keeps_texts(tmp_path):
    options = {"fn_img": "", "nr_classes": "50", "other_args": "--a 1 --b", "tau_fudge": "2.50", "gpu_ids": "0,1:2", "x": "None"}
    job = JobStar("relion.class2d", is_continue=True, options=options)
    write_job_star(tmp_path / "job.star", job)
    assert read_job_star(tmp_path / "job.star") == job


def test_parameters_survive_job_star(tmp_path):
    parameters = Class2DParameters(fn_img="Extract/job007/particles.star", particle_diameter=177.5, do_zero_mask=False, gpu_ids="3")
    write_job_star(tmp_path / "job.star", JobStar("relion.class2d", options=to_job_options(parameters)))
    assert from_options(read_job_star(tmp_path / "job.star").options) == parameters


def test_every_real_job_star_round_trips(shared_data, tmp_path):
    paths = sorted((shared_data / "star").glob("**/job.star"))
    assert len(paths) > 30
    for path in paths:
        job = read_job_star(path)
        write_job_star(tmp_path / "job.star", job)
        assert read_job_star(tmp_path / "job.star") == job, path
        assert job.options, path


def test_real_class2d_jobs_are_parameter_sets(shared_data):
    paths = [*sorted((shared_data / "star").glob("**/job.star")), *sorted((shared_data / "class2d").glob("*/job.star"))]
    jobs = [(path, read_job_star(path)) for path in paths]
    jobs = [(path, job) for path, job in jobs if job.type_label.startswith("relion.class2d")]
    assert len(jobs) >= 4
    names = {f.name for f in fields_of(Class2DParameters)}
    for path, job in jobs:
        parameters = from_options(job.options, str(path))
        assert parameters.do_em != parameters.do_grad
        written = to_job_options(parameters)
        for name in names & set(job.options) - {"do_em", "do_grad"}:
            left, right = written[name], job.options[name]
            same = left == right or float(left) == float(right)
            assert same, (path, name, left, right)


def test_the_relion5_project_gives_its_values(shared_data):
    job = read_job_star(shared_data / "class2d" / "bgal_empiar10204_relion5_em" / "job.star")
    parameters = from_options(job.options)
    assert (parameters.do_em, parameters.nr_classes, parameters.nr_iter_em, parameters.nr_threads) == (True, 50, 25, 8)
    assert (parameters.fn_img, parameters.gpu_ids, parameters.use_gpu) == ("Extract/job009/particles.star", "", True)


def test_another_star_file_is_refused(tmp_path):
    path = tmp_path / "particles.star"
    write_star(path, {"particles": pd.DataFrame({"rlnImageName": ["1@a.mrcs"]})})
    with pytest.raises(UserError, match="no block data_job"):
        read_job_star(path)
