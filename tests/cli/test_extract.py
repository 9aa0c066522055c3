import argparse
import json
from pathlib import Path

import pytest

from relion4plugin.cli import extract
from relion4plugin.cli.main import CommandParser
from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_header
from relion4plugin.files.star import read_star
from relion4plugin.jobs.job_star import JobStar, write_job_star
from tests.jobs.extract_project import COORDINATES, MICROGRAPHS, make_project, write_micrographs


@pytest.fixture(autouse=True)
def extraction_project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_project()
    return tmp_path


def parsed(words: str) -> argparse.Namespace:
    parser = CommandParser(prog="extract", allow_abbrev=False)
    extract.add_args(parser)
    return parser.parse_args(words.split())


def call(words: str) -> int:
    return extract.main(parsed(words))


PICKS = f"--i {MICROGRAPHS} --coord_list {COORDINATES} --o Extract/job006 --extract_size 32"


def test_a_scaled_size_means_scaling(capsys):
    assert call(f"{PICKS} --scale 16 --j 2 --quiet") == 0
    out, _ = capsys.readouterr()
    assert out.splitlines() == ["particles: 75 in Extract/job006/particles.star", "micrographs: 3, 3 of them now", "set aside: 0"]
    assert read_header("Extract/job006/Movies/m1.mrcs").nx == 16


def test_a_threshold_means_using_it_unless_no_is_said():
    assert extract.parameters_from(parsed(f"{PICKS} --minimum_pick_fom 0.5")).do_fom_threshold
    assert not extract.parameters_from(parsed(f"{PICKS} --minimum_pick_fom 0.5 --do_fom_threshold No")).do_fom_threshold
    assert not extract.parameters_from(parsed(PICKS)).do_rescale


def test_summary_as_json_and_going_on(capsys):
    write_micrographs([0])
    assert call(f"{PICKS} --quiet --json") == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert (outputs["n_particles"], outputs["particles"]) == (25, "Extract/job006/particles.star")
    write_micrographs()
    with pytest.raises(UserError, match="earlier run"):
        call(f"{PICKS} --quiet")
    assert call(f"{PICKS} --quiet --json --continue") == 0
    assert json.loads(capsys.readouterr().out)["outputs"]["n_new"] == 2
    assert len(read_star("Extract/job006/particles.star")["particles"]) == 75


def test_relion_command(capsys):
    assert call(f"{PICKS} --scale 16 --relion_command --only_do_unfinished") == 0
    words = capsys.readouterr().out.strip()
    assert words.startswith(f"relion_preprocess --i {MICROGRAPHS} --coord_list {COORDINATES} --part_star Extract/job006/particles.star")
    assert "--scale 16 --norm --bg_radius 6" in words and "--only_do_unfinished" in words
    assert not Path("Extract").exists()


def test_options_of_a_job_star():
    options = {"star_mics": MICROGRAPHS, "coords_suffix": COORDINATES, "extract_size": "64", "do_norm": "No"}
    write_job_star(Path("job.star"), JobStar("relion.extract", options=options))
    parameters = extract.parameters_from(parsed("--job_star job.star --o X --extract_size 32"))
    assert (parameters.extract_size, parameters.do_norm, parameters.coords_suffix) == (32, False, COORDINATES)
