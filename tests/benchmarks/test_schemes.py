"""The benchmark of schemes does what it says: as many steps as asked for, and a pipeline that can be read."""

import schemes

from relion4plugin.files.star_text import count_rows
from relion4plugin.schemes.pipeline_star import read_pipeline, write_pipeline
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.store import load_scheme


def test_the_counting_scheme_takes_its_steps(tmp_path):
    assert schemes.seconds_of_steps(tmp_path, 40) > 0
    counted = load_scheme(Project(tmp_path), "count")
    assert counted.floats["n"].value == 20 and counted.current_node == "EXIT"


def test_the_pipeline_has_its_jobs(tmp_path):
    path = tmp_path / "default_pipeline.star"
    write_pipeline(path, schemes.many_jobs(30))
    pipeline = read_pipeline(path)
    assert len(pipeline.processes) == len(pipeline.outputs) == 30 and len(pipeline.inputs) == 29
    assert pipeline.inputs_of("Select/job030/") == ["Select/job029/particles.star"]
    assert count_rows(path, "pipeline_nodes") == 30
