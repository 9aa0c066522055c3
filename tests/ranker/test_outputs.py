"""Files of a selection against those that RELION 4.0.2 writes, and what is done to particles and averages."""

import subprocess

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.particles import read_particles
from relion4plugin.files.star import read_star, write_star
from relion4plugin.progress import Silent
from relion4plugin.ranker.class_run import read_class_run
from relion4plugin.ranker.features import compute_features
from relion4plugin.ranker.kept_jobs import guessed_job_score, keep_job
from relion4plugin.ranker.labelled_jobs import read_labelled_jobs
from relion4plugin.ranker.outputs import read_backup, reference_names, write_outputs
from relion4plugin.ranker.ranked_run import NO_SCORE, SelectionRule, apply_labels, apply_rule, score_classes
from relion4plugin.ranker.recentre import centres_of_mass
from relion4plugin.ranker.selection import Minimum
from relion4plugin.ranker.weights import load_weights
from tests.ranker.linear_ranker import JOB_SCORES, SCORES, stage, write_linear_weights
from tests.ranker.vectors import write_run

TOTAL = 1000


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "Class2D/job001"
    folder.mkdir(parents=True)
    optimiser = write_run(folder, total=TOTAL, rlnAnglePsi=np.linspace(-170, 170, TOTAL))
    write_linear_weights(tmp_path / "net.safetensors")
    (tmp_path / "Select").mkdir()
    return optimiser


def ranked(optimiser, rule=None):
    run = read_class_run(optimiser)
    features = compute_features(run)
    return apply_rule(run, features, score_classes(run, features, load_weights("net.safetensors")), rule or SelectionRule("score", 0.5))


def test_scores_are_the_networks(project):
    found = ranked(project)
    np.testing.assert_allclose(found.scores[:4], SCORES, atol=2e-3)
    assert found.scores[4] == NO_SCORE and (found.selected + 1).tolist() == [1, 3]


def test_files_are_relions(project, tmp_path):
    files = write_outputs(ranked(project, SelectionRule("score", 0.7, minimum=Minimum(classes=3))), tmp_path / "Select")
    averages = read_star(files.class_averages)[""]
    assert list(averages.columns) == [
        "rlnReferenceImage", "rlnPredictedClassScore", "rlnClassDistribution", "rlnAccuracyRotations", "rlnAccuracyTranslationsAngst",
        "rlnEstimatedResolution",
    ]  # fmt: skip
    assert averages["rlnReferenceImage"].tolist() == [f"{k:06d}@Class2D/job001/run_it025_classes.mrcs" for k in (1, 3, 2)]
    model = read_star(files.model)
    assert list(model) == ["model_classes"] and model["model_classes"]["rlnClassScore"].iloc[4] == -999
    assert model["model_classes"].columns[:3].tolist() == ["rlnReferenceImage", "rlnClassScore", "rlnClassDistribution"]
    assert read_star(files.backup)[""]["rlnSelected"].tolist() == [1, 1, 1, 0, 0]
    general = read_star(files.optimiser)["optimiser_general"]
    assert general["rlnModelStarFile"] == (tmp_path / "Select/rank_model.star").as_posix()
    assert general["rlnExperimentalDataStarFile"] == (tmp_path / "Select/rank_data.star").as_posix()


def ranked_in_job(optimiser):
    ranker = load_weights(write_linear_weights(optimiser.with_name("with_stage.safetensors"), stage()))
    run = read_class_run(optimiser)
    features = compute_features(run)
    return apply_rule(run, features, score_classes(run, features, ranker), SelectionRule("number", minimum=Minimum(classes=2)))


def test_scores_in_the_job_are_columns_of_their_own(project, tmp_path):
    files = write_outputs(ranked_in_job(project), tmp_path / "Select")
    model, averages = read_star(files.model)["model_classes"], read_star(files.class_averages)[""]
    np.testing.assert_allclose(model["r4pJobScore"], [*JOB_SCORES, NO_SCORE], atol=1e-6)
    np.testing.assert_allclose(model["rlnClassScore"][:4], SCORES, atol=2e-3)
    assert averages["rlnReferenceImage"].str[:6].tolist() == ["000003", "000002"]
    np.testing.assert_allclose(averages["r4pJobScore"], JOB_SCORES[[2, 1]], atol=1e-6)


@pytest.mark.relion
def test_relion_takes_files_with_our_own_column(project, tmp_path):
    files = write_outputs(ranked_in_job(project), tmp_path / "Select")
    for path, table in ((files.class_averages, ""), (files.model, "model_classes")):
        printed = subprocess.run(
            ["relion_star_printtable", str(path), f"data_{table}", "rlnReferenceImage"], capture_output=True, text=True, check=True
        ).stdout
        assert printed.split() == read_star(path)[table]["rlnReferenceImage"].tolist()


def test_particles_keep_order_and_optics(project, tmp_path):
    files = write_outputs(ranked(project), tmp_path / "Select")
    everything, kept = read_particles(files.data), read_particles(files.particles)
    assert len(everything) == TOTAL and everything.table.equals(read_particles(project.with_name("run_it025_data.star")).table)
    numbers = np.arange(TOTAL) % 5 + 1
    expected = everything.table[np.isin(numbers, (1, 3))].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept.table, expected)
    pd.testing.assert_frame_equal(kept.optics_table, everything.optics_table)


def test_empty_selection_leaves_files_without_rows(project, tmp_path):
    files = write_outputs(ranked(project, SelectionRule("score", 2.0)), tmp_path / "Select", recentre=True, n_groups=2)
    assert list(read_star(files.particles)) == ["optics"]
    averages = read_star(files.class_averages)[""]
    assert len(averages) == 0 and averages.columns[:2].tolist() == ["rlnReferenceImage", "rlnPredictedClassScore"]


def test_averages_found_elsewhere_are_named_where_they_are(project, tmp_path, monkeypatch):
    run = read_class_run(project)
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert reference_names(run)[0] == f"000001@{project.with_name('run_it025_classes.mrcs')}"


def test_recentred_selection(project, tmp_path):
    found = ranked(project)
    files = write_outputs(found, tmp_path / "Select", recentre=True)
    averages = read_star(files.class_averages)[""]
    stack, pixel_size = read_mrc(tmp_path / "Select/class_averages.mrcs")
    assert averages["rlnReferenceImage"].tolist() == [f"{k:06d}@{tmp_path.as_posix()}/Select/class_averages.mrcs" for k in (1, 2)]
    assert pixel_size == pytest.approx(3.1) and np.abs(centres_of_mass(found.run.classes[[0, 2]])).max() > 2
    assert np.abs(centres_of_mass(stack)).max() < 0.3
    kept = read_particles(files.particles)
    moved = np.hypot(kept.column("rlnOriginXAngst"), kept.column("rlnOriginYAngst"))
    lengths = np.hypot(*centres_of_mass(found.run.classes).T) * 3.1
    np.testing.assert_allclose(moved, lengths[kept.column("rlnClassNumber").astype(int) - 1], atol=1e-4)


def with_groups(optimiser):
    model, data = optimiser.with_name("run_it025_model.star"), optimiser.with_name("run_it025_data.star")
    groups = pd.DataFrame({"rlnGroupNumber": range(1, 21), "rlnGroupName": [f"mic{i}" for i in range(20)],
                           "rlnGroupNrParticles": 50, "rlnGroupScaleCorrection": np.linspace(0.9, 1.1, 20)})  # fmt: skip
    write_star(model, {**read_star(model), "model_groups": groups})
    blocks = read_star(data)
    write_star(data, {**blocks, "particles": blocks["particles"].assign(rlnGroupNumber=np.arange(TOTAL) // 50 + 1)})


def test_regrouped_selection(project, tmp_path):
    with_groups(project)
    kept = read_particles(write_outputs(ranked(project), tmp_path / "Select", n_groups=4).particles)
    assert kept.table["rlnGroupNumber"].tolist() == np.repeat([1, 2, 3, 4], 100).tolist()
    assert kept.table["rlnGroupName"].iloc[-1] == "group_04"


def test_regrouping_needs_groups(project, tmp_path):
    with pytest.raises(UserError, match="model_groups"):
        write_outputs(ranked(project), tmp_path / "Select", n_groups=4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("data_\n\nloop_\n_rlnSelected #1\n1\n0\n7\n", "0 .*or 1 to 6"), ("data_\n\nloop_\n_rlnImageName #1\na\n", "no column rlnSelected")],
)  # fmt: skip
def test_wrong_selection_files(tmp_path, text, expected):
    (tmp_path / "s.star").write_text(text)
    with pytest.raises(UserError, match=expected):
        read_backup(tmp_path / "s.star", 3)


def by_hand(optimiser, labels):
    run = read_class_run(optimiser)
    features = compute_features(run)
    return apply_labels(run, features, score_classes(run, features, load_weights("net.safetensors")), np.array(labels), "hand.star")


def test_a_choice_by_hand_may_take_a_class_without_score(project):
    found = by_hand(project, [0, 5, 0, 0, 1])
    assert found.selected.tolist() == [1, 4] and np.isnan(found.threshold) and found.rule == "hand.star"
    assert "nothing is selected" in by_hand(project, [0] * 5).remarks[-1]


def test_kept_jobs_are_what_training_reads(project, tmp_path):
    run, labels = read_class_run(project), np.array([1, 0, 5, 0, 0])
    folder = keep_job(run, labels, 0.8, tmp_path / "training")
    assert len(folder.name) == 12 and (folder / "job_score.txt").read_text() == "0.8000\n"
    samples, remarks = read_labelled_jobs(tmp_path / "training", Silent())
    assert not remarks and samples.job.tolist() == [folder.name] * 4 and samples.extra["label"].tolist() == [1, 0, 5, 0]
    np.testing.assert_allclose(samples.score, [0.8, 0, 0.8 * (0.5 + 0.25 * (9 / 11.1) ** 2), 0], rtol=1e-5)
    np.testing.assert_allclose(samples.features, compute_features(run).normalised, atol=1e-4)


def test_a_plain_choice_is_kept_without_score_and_replaced(project, tmp_path):
    run = read_class_run(project)
    graded = keep_job(run, np.array([1, 0, 2, 0, 0]), None, tmp_path / "training")
    assert float((graded / "job_score.txt").read_text()) == pytest.approx(guessed_job_score(run, np.array([1, 0, 2, 0, 0])), abs=1e-4)
    plain = keep_job(run, np.array([1, 0, 1, 0, 0]), None, tmp_path / "training")
    assert plain == graded and not (plain / "job_score.txt").exists()
    assert guessed_job_score(run, np.zeros(5)) == 0
