from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import read_star
from relion4plugin.jobs import autopick_topaz
from relion4plugin.jobs.autopick_parameters import TopazPickParameters
from relion4plugin.jobs.execution import run_job
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.preprocessing.picking.picks import read_picks
from relion4plugin.progress import Silent
from tests.jobs.picking_project import NAMES, make_micrographs
from tests.preprocessing.picking.imitated_topaz import imitated_topaz

OUT = Path("AutoPick/job007")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_micrographs(tmp_path)
    return tmp_path


def parameters(project, **changes):
    given = {"fn_input_autopick": "mics.star", "topaz_particle_diameter": 160.0, "fn_topaz_exec": imitated_topaz(project)[0]}
    return TopazPickParameters(**{**given, **changes})


def test_batches_are_picked_and_kept(project):
    p = parameters(project, topaz_batch=2)
    outputs = autopick_topaz.run(p, OUT, Silent())
    assert (outputs.n_micrographs, outputs.n_new, outputs.n_picks) == (3, 3, 3)
    assert [line.split()[0] for line in Path("words.txt").read_text().splitlines()] == ["normalize", "extract"] * 2
    table = read_star(OUT / "autopick.star")["coordinate_files"]
    assert table["rlnMicrographName"].tolist() == list(NAMES)
    (OUT / "Movies/m2_autopick.star").unlink()
    assert autopick_topaz.run(p, OUT, Silent(), is_continue=True).n_new == 1
    assert len(read_picks(OUT / "Movies/m2_autopick.star")) == 1


def test_a_bad_micrograph_leaves_its_batch_alone(project):
    Path(NAMES[0]).unlink()
    write_stack(NAMES[1], np.ones((1, 480, 512), np.float32), 4.0)
    outputs = autopick_topaz.run(parameters(project), OUT, Silent())
    assert (outputs.n_micrographs, outputs.n_set_aside) == (1, 2)
    assert read_star(OUT / "set_aside.star")["set_aside"]["rlnMicrographName"].tolist() == list(NAMES[:2])


def test_a_failure_of_topaz_sets_its_batch_aside(project):
    p = parameters(project)
    Path(p.fn_topaz_exec).write_text("#!/bin/sh\necho no memory >&2\nexit 1\n")
    with pytest.raises(UserError, match=r"none of 3 micrographs could be used; first: Topaz \(normalize\) failed: no memory"):
        autopick_topaz.run(p, OUT, Silent())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"topaz_particle_diameter": -1.0}, "give --particle_diameter"),
        ({"fn_topaz_exec": "/nowhere/topaz"}, "pip install topaz-em"),
        ({"topaz_model": "own.sav"}, r"Topaz network own\.sav: no such file"),
        ({"topaz_other_args": "-t 'a"}, "close the quote"),
        ({"topaz_downscale": 0.5}, "must be at least 1"),
        ({"use_gpu": True, "gpu_ids": "x"}, "must be the number of a GPU"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(project, changes, message):
    with pytest.raises(UserError, match=message):
        autopick_topaz.validate(parameters(project, **changes))


def test_options_reach_topaz(project):
    p = parameters(project, use_gpu=True, gpu_ids="1", topaz_model="resnet8_u32", topaz_other_args="-t -2", nr_mpi=2, topaz_downscale=4.0)
    autopick_topaz.run(p, OUT, Silent())
    words = Path("words.txt").read_text().splitlines()[1]
    assert words.startswith("extract --device 1 --radius 5 --threshold -6 --num-threads 2 --output ")
    assert " --model resnet8_u32 -t -2 " in words


def test_it_runs_from_job_star(project):
    OUT.mkdir(parents=True)
    options = {"fn_input_autopick": "mics.star", "do_topaz": "Yes", "do_topaz_pick": "Yes", "topaz_particle_diameter": "160"}
    run_job(OUT, JobStar("relion.autopick", options={**options, "fn_topaz_exec": imitated_topaz(project)[0]}), False, Silent())
    assert len(read_star(OUT / "autopick.star")["coordinate_files"]) == 3
    words = autopick_topaz.relion_command(parameters(project), OUT, False)
    assert "--topaz_extract" in words and words[words.index("--particle_diameter") + 1] == "160"
