"""The outcome table: records of simulated and real sets together, and what is judged of real data."""

from types import SimpleNamespace

import numpy as np
import outcome
import outcome_real
import outcome_table
import pandas as pd
import pytest
from class_picture import write_class_picture
from PIL import Image

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import write_star
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.schemes.project import open_project
from relion4plugin.schemes.store import load_scheme

RECORD = {key: 1.0 for _, key in outcome_table.COLUMNS} | {"set": "one", "right": "yes", "particles": 2374}


def test_records_of_both_scripts_make_one_table(tmp_path, capsys):
    outcome_table.keep_record(tmp_path, RECORD)
    outcome_table.keep_record(tmp_path, RECORD | {"set": "two", "resolution": float("nan"), "right": "no map"})
    assert [record["set"] for record in outcome_table.read_records(tmp_path)] == ["one", "two"]
    capsys.readouterr()
    outcome_table.finish(tmp_path, docs=False)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 4 and lines[0].startswith("| Data set | Micrographs")
    assert "| 2,374 |" in lines[2] and "| - |" in lines[3] and "no map" in lines[3]


def test_finished_sets_are_not_run_again(tmp_path, monkeypatch):
    for module, script in ((outcome, ["--models", "m"]), (outcome_real, ["--data", "d"])):
        name = next(iter(module.SETS))
        outcome_table.keep_record(tmp_path, RECORD | {"set": name})
        assert module.main([*script, "--out", str(tmp_path), "--sets", name]) == 0


def test_rates_are_parts_of_the_good_particles():
    """150 selected, 120 of them right, of 200 good ones."""
    assert outcome_table.selection(150, 120, 200) == {"selected": 150, "fpr": 0.15, "fnr": pytest.approx(0.4)}


def test_beta_galactosidase_is_judged_by_the_matched_particles(tmp_path):
    names = [f"{i:06d}@a.mrcs" for i in range(1, 11)]
    folder = tmp_path / "data" / outcome_real.BGAL
    folder.mkdir(parents=True)
    for file, part in (("particles.star", names), ("particles_reference_poses.star", names[:6])):
        write_star(folder / file, {"particles": pd.DataFrame({"rlnImageName": part})})
    select = tmp_path / "project" / "Select" / "job002"
    select.mkdir(parents=True)
    write_star(select / "particles.star", {"particles": pd.DataFrame({"rlnImageName": [*names[:3], *names[8:]]})})
    found = outcome_real.judge_bgal(tmp_path / "data", tmp_path / "project")
    assert (found["particles"], found["selected"], found["right"]) == (10, 5, "no map")
    assert found["fpr"] == pytest.approx(2 / 6) and found["fnr"] == pytest.approx(0.5)


def test_the_scheme_begins_at_its_classification(tmp_path):
    args = SimpleNamespace(min_parts_2d=300, min_parts_3d=500, threads=1)
    project = tmp_path / "project"
    project.mkdir()
    told = {"do_prep": "No", "ctffind_mics": "none.star", "angpix": 1.0, "dose_per_frame": 1, "particle_diameter": 100}
    outcome_real._plugin(["it", "--onlysave", *outcome_real._options(args, project, told)], tmp_path / "it.log")
    write_star(project / "p.star", {"particles": pd.DataFrame({"rlnImageName": ["1@a.mrcs", "2@a.mrcs"]})})
    outcome_real.start_with_particles(project, "p.star")
    opened = open_project(project)
    scheme = load_scheme(opened, "proc")
    assert scheme.current_node == "class2d" and scheme.bools["is_idle"].value is True
    assert scheme.floats["nr_extracted"].value == 2 and scheme.strings["extracted_parts"].value == "p.star"
    assert read_job_star(opened.template("proc", "class2d")).options["fn_img"] == "p.star"


def test_picks_by_hand_are_a_truth(tmp_path):
    for name, x in (("a", [1.0, 2.0]), ("b", [3.0])):
        write_star(tmp_path / f"{name}_manualpick.star", {"": pd.DataFrame({"rlnCoordinateX": x, "rlnCoordinateY": x})})
    truth = outcome_real.hand_picks(tmp_path, 1.5)
    assert truth.pixel_size == 1.5 and {key: len(places) for key, places in truth.places.items()} == {"a": 2, "b": 1}
    with pytest.raises(UserError, match="manualpick"):
        outcome_real.hand_picks(tmp_path / "empty", 1.5)


def test_classes_are_drawn_by_score_with_selected_ones_framed(tmp_path):
    run, select = tmp_path / "run", tmp_path / "select"
    run.mkdir()
    select.mkdir()
    write_stack(run / "run_it001_classes.mrcs", np.random.default_rng(0).normal(size=(3, 16, 16)).astype(np.float32), 2.0)
    classes = pd.DataFrame(
        {
            "rlnReferenceImage": [f"{k:06d}@run_it001_classes.mrcs" for k in (1, 2, 3)],
            "rlnClassDistribution": [0.5, 0.3, 0.2],
            "rlnEstimatedResolution": 9.0,
        }
    )
    general = {"rlnPixelSize": 2.0, "rlnCurrentResolution": 9.0, "rlnReferenceDimensionality": 2}
    write_star(run / "run_it001_model.star", {"model_general": general, "model_classes": classes})
    write_star(run / "run_it001_data.star", {"particles": pd.DataFrame({"rlnClassNumber": [1, 1, 2, 3]})})
    write_star(select / "rank_model.star", {"model_classes": classes.assign(rlnClassScore=[0.1, 0.9, -999.0])})
    write_star(select / "backup_selection.star", {"": pd.DataFrame({"rlnSelected": [0, 1, 0]})})
    write_class_picture(tmp_path / "p.png", run, select, columns=3)
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.getpixel((0, 0)) == (34, 139, 84) and picture.getpixel((picture.width // 3 + 1, 0)) == (255, 255, 255)
