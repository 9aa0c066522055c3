import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import write_star
from relion4plugin.progress import Silent
from relion4plugin.ranker.class_run import read_class_run
from relion4plugin.ranker.features import compute_features
from relion4plugin.ranker.samples import write_samples
from relion4plugin.ranker.training_set import read_training_set
from tests.ranker.samples_for_tests import toy_samples
from tests.ranker.vectors import write_run

LABELS = [1, 2, 5, 3, 0]


def read(*paths, root=None):
    return read_training_set(list(paths), Silent(), root)


def labelled(folder, labels=LABELS, score="0.9"):
    folder.mkdir(parents=True)
    optimiser = write_run(folder)
    write_star(folder / "backup_selection.star", {"": pd.DataFrame({"rlnSelected": labels})})
    if score is not None:
        (folder / "job_score.txt").write_text(f"{score}\n")
    return optimiser


def merged(folder, samples, name="normalized_class_features"):
    stacks = []
    for i in range(len(samples)):
        path = folder / samples.job[i] / f"subimages_class{i:06d}.mrcs"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_stack(path, samples.images[i : i + 1], 4.0)
        stacks.append(path.relative_to(folder).as_posix())
    table = {
        "rlnReferenceImage": samples.reference,
        "rlnClassScore": samples.score,
        "rlnSubImageStack": stacks,
        "rlnNormalizedFeatureVector": ["[" + ",".join(f"{v:.12g}" for v in row) + "]" for row in samples.features],
    }
    write_star(folder / "features_normalized.star", {name: pd.DataFrame(table)})
    return folder / "features_normalized.star"


def test_archives_are_joined(tmp_path):
    for i in range(2):
        write_samples(tmp_path / f"{i}.npz", toy_samples(5, seed=i))
    samples, remarks = read(tmp_path / "0.npz", tmp_path / "1.npz")
    assert len(samples) == 10 and remarks == ()


@pytest.mark.parametrize("name", ["normalized_class_features", "", "normalized_features"])
def test_merged_table(tmp_path, name):
    wanted = toy_samples(6, n_jobs=2)
    samples, remarks = read(merged(tmp_path, wanted, name))
    assert np.allclose(samples.images, wanted.images) and np.allclose(samples.features, wanted.features)
    assert np.allclose(samples.score, wanted.score, atol=1e-6) and remarks == ()
    assert samples.job.tolist() == wanted.job.tolist() == samples.structure.tolist()


def test_merged_table_elsewhere_with_many_slices_and_unlabelled_rows(tmp_path):
    wanted = toy_samples(3, n_jobs=3)
    wanted.score[1] = -1.0
    star = merged(tmp_path / "root", wanted)
    write_stack(tmp_path / "root" / "job002" / "subimages_class000002.mrcs", np.stack([wanted.images[2], wanted.images[0]]), 4.0)
    shutil.move(star, tmp_path / "features.star")
    samples, remarks = read(tmp_path / "features.star", root=tmp_path / "root")
    assert samples.job.tolist() == ["job000", "job002", "job002"] and "1 classes without a score" in remarks[0]
    assert np.allclose(samples.images[2], wanted.images[0]) and np.allclose(samples.features[2], wanted.features[2])


def test_broken_tables(tmp_path):
    star = merged(tmp_path, toy_samples(2))
    whole = star.read_text()
    star.write_text(whole.replace("[", "[0,", 1))
    with pytest.raises(UserError, match="labelled row 1"):
        read(star)
    star.write_text(whole.replace("rlnSubImageStack", "rlnOther"))
    with pytest.raises(UserError, match="no table with the columns"):
        read(star)
    star.write_text(whole)
    write_stack(tmp_path / "job000" / "subimages_class000000.mrcs", np.zeros((1, 32, 32), np.float32), 4.0)
    with pytest.raises(UserError, match="32 px, expected 64"):
        read(star)


def test_training_dictionary(tmp_path):
    samples = toy_samples(6, n_jobs=3)
    content = {}
    for split, rows in (("train", slice(0, 4)), ("valid", slice(4, 6))):
        content[f"{split}_x"] = torch.from_numpy(samples.images[rows])[:, None]
        content[f"{split}_xp"] = torch.from_numpy(samples.features[rows])
        content[f"{split}_y"] = torch.from_numpy(samples.score[rows])[:, None]
        content[f"{split}_referenceImage"] = samples.reference[rows].tolist()
        content[f"{split}_subImageStack"] = samples.reference[rows].tolist()
    torch.save(content, tmp_path / "set.pt")
    found, _ = read(tmp_path / "set.pt")
    assert found.digest() == samples.digest() and found.extra["split"].tolist() == ["train"] * 4 + ["valid"] * 2
    del content["valid_xp"]
    torch.save(content, tmp_path / "set.pt")
    with pytest.raises(UserError, match="valid_xp"):
        read(tmp_path / "set.pt")


def test_dictionary_with_code_is_refused(tmp_path):
    made = tmp_path / "made"

    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(made)!r}, 'w').close()",))

    torch.save({"train_x": Evil()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Evil()))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(UserError, match="refused"):
            read(tmp_path / name)
    assert not made.exists()


def test_labelled_jobs_of_the_published_layout(tmp_path):
    optimiser = labelled(tmp_path / "tree" / "abcdef123456")
    labelled(tmp_path / "tree" / "sub" / "second", score="0.0")
    (tmp_path / "tree" / "sub" / "second" / "structure.txt").write_text("ribosome\n")
    samples, _ = read(tmp_path / "tree")
    expected = compute_features(read_class_run(optimiser))
    assert samples.job.tolist() == ["abcdef123456"] * 4 + ["sub/second"] * 4
    assert samples.structure.tolist() == ["abcdef123456"] * 4 + ["ribosome"] * 4
    assert np.allclose(samples.score[:4], [0.9, 0.315384, 0.597918, 0.024099], atol=1e-6) and (samples.score[4:] == 0).all()
    assert np.array_equal(samples.features[:4], expected.normalised) and np.array_equal(samples.images[:4], expected.images)
    assert samples.extra["particles"][:4].tolist() == [8000, 6000, 3000, 2992] and samples.extra["label"][:4].tolist() == LABELS[:4]


def selection_job(project, **options):
    labelled(project / "Class2D" / "job001", score=None)
    select = project / "Select" / "job002"
    select.mkdir(parents=True)
    shutil.move(project / "Class2D" / "job001" / "backup_selection.star", select / "backup_selection.star")
    write_star(select / "backup_selection.star", {"": pd.DataFrame({"rlnSelected": [1, 0, 1, 0, 0]})})
    name = next((project / "Class2D" / "job001").glob("*optimiser.star")).relative_to(project).as_posix()
    values = {"fn_model": name, **options}
    table = pd.DataFrame({"rlnJobOptionVariable": list(values), "rlnJobOptionValue": list(values.values())}, dtype=object)
    write_star(select / "job.star", {"job": {"rlnJobTypeLabel": "relion.select"}, "joboptions_values": table})
    return select


def test_selections_by_hand_of_a_project(tmp_path):
    selection_job(tmp_path)
    samples, _ = read(tmp_path / "Select")
    assert samples.extra["label"].tolist() == [2, 0, 2, 0]
    score = samples.extra["job_score"][0]
    assert 0 < score < 1
    assert np.allclose(samples.score, score * np.array([0.5, 0, 0.25 + 0.25 * (9 / 11.1) ** 2, 0]), atol=1e-6)


def test_selections_by_the_ranker_are_left_out(tmp_path):
    select = selection_job(tmp_path, do_class_ranker="Yes")
    labelled(tmp_path / "Select" / "hand")
    samples, remarks = read(tmp_path / "Select")
    assert set(samples.job) == {"hand"} and str(select) in remarks[0]


@pytest.mark.parametrize(
    ("labels", "score", "message"),
    [
        ([1, 0, 0], "0.9", "3 rows"),
        (LABELS, "fine", "its first line is 'fine'"),
        (LABELS, "7", "expected 0 to 1"),
        (LABELS, None, "need the score of the data set"),
        ([1, 2, 9, 0, 0], "0.9", "rlnSelected must be 0"),
    ],
)
def test_mistakes_in_labels(tmp_path, labels, score, message):
    labelled(tmp_path / "tree" / "job", labels, score)
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path / "tree")
    assert "\n" not in str(caught.value)


def test_nothing_to_train_on(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no labelled job"):
        read(tmp_path / "empty")
    with pytest.raises(UserError, match="no such file or folder"):
        read(tmp_path / "missing.npz")
    bad = toy_samples(3)
    bad.images[1, 2, 3] = np.nan
    write_samples(tmp_path / "bad.npz", bad)
    with pytest.raises(UserError, match="not numbers"):
        read(tmp_path / "bad.npz")
