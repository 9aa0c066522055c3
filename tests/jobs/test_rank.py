"""Selection by scores as a job and as a command."""

import json
import math
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from relion4plugin.cli.main import main
from relion4plugin.errors import UserError
from relion4plugin.files.particles import read_particles
from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs import rank
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.progress import Silent
from relion4plugin.ranker.network import ClassRankerNet
from tests.ranker.linear_ranker import SCORES, write_linear_weights
from tests.ranker.vectors import write_run

OPTIMISER = "Class2D/job001/run_it025_optimiser.star"
TOTAL = 1000


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "Class2D/job001"
    folder.mkdir(parents=True)
    write_run(folder, total=TOTAL)
    write_linear_weights(tmp_path / "net.safetensors")
    return tmp_path


def command(*words: str) -> list[str]:
    return ["rank", "--i", OPTIMISER, "--o", "Select/job002", "--weights", "net.safetensors", "--quiet", "--no_report", *words]


def outcome(capsys, *words: str) -> dict:
    assert main(command("--json", *words)) == 0
    return json.loads(capsys.readouterr().out)["outputs"]


def selected() -> list[int]:
    return (np.flatnonzero(read_star("Select/job002/backup_selection.star")[""]["rlnSelected"]) + 1).tolist()


def test_a_job(project):
    parameters = rank.RankParameters(fn_model=OPTIMISER, fn_weights="net.safetensors", select_by="score", rank_threshold=0.5)
    outputs = rank.run(parameters, project / "Select/job002", Silent())
    assert (outputs.n_classes, outputs.n_scored, outputs.n_selected) == (5, 4, 2) and outputs.threshold == 0.5
    assert outputs.n_selected_particles == len(read_particles(outputs.particles)) == 400
    assert outputs.remarks == ("1 of 5 classes have no score: they have 10 particles or fewer",)
    nodes = read_star(project / "Select/job002/job_pipeline.star")["pipeline_nodes"]
    assert nodes["rlnPipeLineNodeTypeLabel"].tolist() == [
        "ProcessData.star.relion.optimiser.class2d", "ParticlesData.star.relion", "ImagesData.star.relion.classaverages",
        "ProcessData.star.relion.optimiser.autoselect",
    ]  # fmt: skip
    written = read_job_star(project / "Select/job002/job.star")
    assert written.type_label == "relion.select.class2dauto" and rank.from_options(written.options) == parameters
    assert (project / "Select/job002/RELION_JOB_EXIT_SUCCESS").is_file()


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (["--min_score", "0.5"], [1, 3]),
        (["--min_score", "0.5", "--max_score", "0.7"], [3]),
        (["--min_score", "0.9", "--relative_thresholds"], [1]),
        (["--top_fraction", "0.4"], [1]),
        (["--top_fraction", "0.9"], [1, 2, 3, 4]),
        (["--select", "number", "--select_min_nr_classes", "3"], [1, 2, 3]),
        (["--select", "number", "--select_min_nr_particles", "401"], [1, 3]),
        (["--min_score", "2", "--select_min_nr_classes", "1"], [1]),
        ([], [1, 2, 3]),
    ],
)
def test_rules(project, capsys, words, classes):
    found = outcome(capsys, *words)
    assert selected() == classes and found["n_selected"] == len(classes)


def test_the_default_is_made_for_the_data_set(project, capsys):
    found = outcome(capsys)
    assert found["rule"] == "calibrated" and SCORES[3] < found["threshold"] < SCORES[1]


def test_an_empty_selection_is_said(project, capsys):
    assert main(command("--min_score", "2", "--json")) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["outputs"]["n_selected"] == 0
    assert "nothing is selected: the best score is 0.79" in printed.err
    assert read_star("Select/job002/particles.star").keys() == {"optics"}
    averages = read_star("Select/job002/class_averages.star")[""]
    assert len(averages) == 0 and "rlnPredictedClassScore" in averages


def test_a_data_set_of_junk_selects_nothing(project, capsys):
    write_run(project / "Class2D/job001", np.zeros((5, 70, 70), np.float32), total=TOTAL)
    assert main(command("--json")) == 0
    printed = capsys.readouterr()
    outputs = json.loads(printed.out)["outputs"]
    assert outputs["n_selected"] == 0 and outputs["threshold"] is None and outputs["best_score"] == pytest.approx(0.05, abs=0.01)
    assert "no class looks good" in printed.err and "nothing is selected" in printed.err


def test_a_correction_by_hand_is_applied_and_kept(project, capsys):
    write_star("mine.star", {"": pd.DataFrame({"rlnSelected": [0, 5, 1, 0, 0]})})
    found = outcome(capsys, "--selection", "mine.star", "--keep_training", "training", "--job_score", "0.6")
    assert found["rule"] == "mine.star" and found["threshold"] is None and selected() == [2, 3]
    kept = project / found["kept"]
    names = {"run_class.mrcs", "run_model.star", "run_data.star", "run_optimiser.star", "backup_selection.star", "job_score.txt"}
    assert names == {path.name for path in kept.iterdir()} and (kept / "job_score.txt").read_text() == "0.6000\n"
    assert read_star(kept / "backup_selection.star")[""]["rlnSelected"].tolist() == [0, 5, 1, 0, 0]


def test_one_class(project, capsys):
    write_run(project / "Class2D/job001", read_first_class(), total=TOTAL)
    assert outcome(capsys, "--min_score", "0.5")["n_classes"] == 1
    assert selected() == [1]


def read_first_class() -> np.ndarray:
    from tests.ranker.vectors import images

    return images()[:1]


def test_results_are_not_mixed(project, capsys):
    assert main(command()) == 0
    assert main(command()) == 2
    assert "earlier run" in capsys.readouterr().err
    assert main(command("--overwrite")) == 0


def test_options_of_relions_jobs():
    options = {"fn_model": "a_optimiser.star", "do_class_ranker": "Yes", "rank_threshold": "0.45", "python_exe": "python",
               "select_nr_parts": "500", "select_nr_classes": "4", "do_recenter": "No"}  # fmt: skip
    parameters = rank.from_options(options)
    assert (parameters.select_by, parameters.rank_threshold) == ("score", 0.45)
    assert (parameters.select_nr_parts, parameters.select_nr_classes) == (500, -1)
    for wrong in ({"do_class_ranker": "No"}, {"do_split": "Yes"}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            rank.from_options(options | wrong)


def test_relions_command(project, capsys):
    words = ["rank", "--i", OPTIMISER, "--o", "Select/job002", "--min_score", "0.25", "--select_min_nr_classes", "7", "--relion_command"]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == (
        f"relion_class_ranker --opt {OPTIMISER} --o Select/job002/ --fn_sel_parts particles.star --fn_sel_classavgs class_averages.star "
        "--select_min_nr_classes 7 --fn_root rank --do_granularity_features --auto_select --min_score 0.25"
    )


def spoil_run(project, what: str) -> None:
    folder = project / "Class2D/job001"
    if what == "data":
        (folder / "run_it025_data.star").unlink()
    elif what == "empty":
        write_run(folder, total=20)
    elif what == "column":
        blocks = read_star(folder / "run_it025_data.star")
        write_star(folder / "run_it025_data.star", {**blocks, "particles": blocks["particles"].drop(columns="rlnClassNumber")})
    elif what == "ctf":
        write_run(folder, total=TOTAL, rlnDoCorrectCtf=0)
    elif what == "foreign":
        state = ClassRankerNet(4, 4).state_dict()
        state["cnn_layers.0.weight"] = torch.zeros(8, 1, 3, 3)
        torch.save(state, "net.safetensors")
    elif what == "pickle":
        with open("net.safetensors", "wb") as stream:
            pickle.dump({"model_state_dict": math.sin}, stream)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("data", "run_it025_data.star: no such file"),
        ("empty", "no class has more than 10 particles"),
        ("column", "no column rlnClassNumber"),
        ("ctf", "did not correct for the CTF"),
        ("foreign", "of another network"),
        ("pickle", "refused"),
    ],
)
def test_bad_input_is_one_line(project, capsys, what, expected):
    spoil_run(project, what)
    assert main(command()) == 2
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 1 and printed[0].startswith("error: ") and expected in printed[0]
    assert not (project / "Select").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--i", "none_optimiser.star"], "no such file"),
        (["--i", "Class2D/job001/run_it025_model.star"], "give its run_itNNN_optimiser.star"),
        (["--weights", "none.pt"], "no such file"),
        (["--select", "best"], "must be one of"),
        (["--select", "number"], "needs a number"),
        (["--min_score", "0.9", "--max_score", "0.2"], "exchange them"),
        (["--keep_training", "T"], "--selection"),
        (["--top_fraction", "1.5"], "at most 1"),
        (["--do_class_ranker", "No"], "selects by scores only"),
    ],
)
def test_mistakes_in_options_are_one_line(project, capsys, words, expected):
    assert main(command(*words)) == 2
    printed = capsys.readouterr().err
    assert expected in printed and printed.count("\n") == 1


def test_a_selection_of_another_run_is_refused(project, capsys):
    write_star("mine.star", {"": pd.DataFrame({"rlnSelected": [1, 0]})})
    assert main(command("--selection", "mine.star")) == 2
    assert "mine.star: 2 rows" in capsys.readouterr().err


def test_rules_of_form_and_ranker_are_the_same():
    from relion4plugin.jobs.rank_parameters import RULES
    from relion4plugin.ranker import ranked_run

    assert RULES == ranked_run.RULES


@pytest.mark.parametrize(
    ("run", "n_classes"), [("bgal_relion4_vdam_k25/run_it200", 25), ("bgal_empiar10204_relion5_em/run_it025", None)]
)
def test_real_runs_of_relion(shared_data, project, run, n_classes):
    optimiser = shared_data / f"class2d/{run}_optimiser.star"
    parameters = rank.RankParameters(fn_model=str(optimiser), fn_weights="net.safetensors", select_by="top", do_recenter=True)
    outputs = rank.run(parameters, project / "Select/job002", Silent())
    assert n_classes in (None, outputs.n_classes)
    assert len(read_particles(outputs.particles)) == outputs.n_selected_particles
    assert 0.4 < outputs.n_selected_particles / outputs.n_particles < 0.8
    again = rank.RankParameters(fn_model=str(outputs.optimiser), fn_weights="net.safetensors")
    with pytest.raises(UserError, match=r"rank_model\.star"):
        rank.run(again, project / "Select/job003", Silent())


def test_the_shipped_weights_judge_within_the_job(project, capsys):
    words = ["rank", "--i", OPTIMISER, "--quiet", "--json"]
    assert main([*words, "--o", "Select/job002"]) == 0
    printed = capsys.readouterr()
    page = (project / "Select/job002/report.html").read_text()
    assert "in this job" in page and "no stage" not in printed.err
    parameters = rank.RankParameters(fn_model=OPTIMISER, select_by="number", select_nr_classes=1)
    ranked = rank.run(parameters, project / "Select/job003", Silent()).ranked
    assert ranked is not None and ranked.job_scores is not None and ranked.job_scores[4] == ranked.scores[4] == -999
    assert ranked.selected.tolist() == [int(np.argmax(ranked.job_scores))]
    by_score = rank.run(rank.RankParameters(fn_model=OPTIMISER, select_by="score"), project / "Select/job004", Silent()).ranked
    assert by_score is not None and by_score.selected.tolist() == np.flatnonzero(by_score.scores >= 0.15).tolist()


def test_weights_without_a_job_stage_say_so(project, capsys):
    assert main(command()) == 0
    assert "made from the scores alone" in capsys.readouterr().err
