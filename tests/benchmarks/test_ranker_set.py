"""The training set of the ranker: which jobs, and that a job that fails does not stop the others."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import ranker_jobs
import ranker_real
import ranker_set
from ranker_label import relabel

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import write_star
from relion4plugin.ranker.samples import Samples, read_samples
from relion4plugin.ranker.target import LabelRules
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.simulation.mixture_spec import INTACT, PARTICLE_KINDS, MixtureSpec

JOBS = 272
DRAWN = 672  # the kept parts hold jobs before this one


def some_samples(job: str, n: int = 3) -> Samples:
    return Samples(
        images=np.zeros((n, 64, 64), np.float32), features=np.zeros((n, 24), np.float32), score=np.linspace(0, 1, n).astype(np.float32),
        job=np.full(n, job), reference=np.array([f"{i + 1:06d}@{job}/run_classes.mrcs" for i in range(n)]), structure=np.full(n, "x"),
        extra={name: np.asarray(values)[:n] for name, values in MEASURED.items()},
    )  # fmt: skip


MEASURED = {
    "purity": [0.1, 1.0, 1.0], "d_true": [999.0, 27.0, 10.0], "offset": [0.0] * 3, "contamination": [0.0] * 3, "true_members": [20] * 3,
    "resolution": [30.0, 12.0, 10.0], "job_score": [0.8] * 3,
}  # fmt: skip


def test_no_structure_is_in_two_splits():
    splits = defaultdict(set)
    for number in range(JOBS):
        structure = ranker_jobs.structure_of(number)
        assert structure.split == ranker_jobs.split_of(number)
        splits[structure.name].add(structure.split)
        splits[structure.source].add(structure.split)
        if structure.partner:
            splits[structure.partner].add(structure.split)
    assert all(len(found) == 1 for found in splits.values())
    assert splits["bgal"] == {"train"}  # real particles of it are trained on


def test_every_beginning_is_a_balanced_mix():
    for n in (34, 68, JOBS):
        counts = Counter(ranker_jobs.split_of(number) for number in range(n))
        assert counts["train"] / n == pytest.approx(0.70, abs=0.03)
        assert counts["validation"] / n == pytest.approx(0.12, abs=0.03)
        assert counts["test"] / n == pytest.approx(0.18, abs=0.03)
    assert len({ranker_jobs.structure_of(number).name for number in range(JOBS)}) >= 20


def test_eight_test_jobs_show_five_proteins_one_densely_packed(tmp_path):
    first = [n for n in range(JOBS) if ranker_jobs.split_of(n) == "test"][:8]
    structures = [ranker_jobs.structure_of(n) for n in first]
    assert len({s.name for s in structures}) >= 5
    assert any(s.dense for s in structures)
    assert sum(not s.source.startswith("pseudo:") for s in structures) >= 5


def test_a_job_depends_on_its_number_alone(tmp_path):
    one, again, other = (ranker_jobs.draw_job(n, tmp_path, tmp_path) for n in (7, 7, 24))
    assert one == again
    assert one.spec != other.spec


def test_jobs_differ_as_real_ones_do(tmp_path):
    jobs = [ranker_jobs.draw_job(n, tmp_path, tmp_path) for n in range(JOBS)]
    good = [sum(j.spec.kinds.get(kind, 0.0) for kind in PARTICLE_KINDS) / sum(j.spec.kinds.values()) for j in jobs]
    assert 0.4 < np.median(good) < 0.75
    assert 0.03 < np.mean(np.array(good) == 0.0) < 0.11
    assert any(j.spec.neighbours[0] >= 2 for j in jobs)
    assert any(len(j.spec.sources) > 1 for j in jobs)
    assert {run[1].algorithm for j in jobs for run in j.runs} == {Algorithm.EM, Algorithm.VDAM}
    assert all(run[1].n_classes * 30 <= j.spec.n_particles for j in jobs for run in j.runs[:1])
    assert all(48 <= j.spec.box_size <= 80 for j in jobs)


def test_conformations_are_of_one_protein():
    sources = ("pseudo:7:0", "pseudo:7:1", "pseudo:8", "/data/ribosome70S_state0.pdb.gz", "/data/ribosome70S_state1.pdb.gz")
    assert ranker_jobs.proteins(sources) == (1, 1, 3, 4, 4)


def test_facility_jobs_are_whole_runs_of_new_proteins(tmp_path):
    jobs = [ranker_jobs.draw_job(n, tmp_path, tmp_path) for n in range(ranker_jobs.FACILITY, ranker_jobs.FACILITY + JOBS)]
    assert all(3000 <= j.spec.n_particles <= 8000 and 0.05 <= j.spec.snr <= 0.3 and j.runs[0][1].n_classes >= 40 for j in jobs)
    defaults = RefinementSettings()
    test = [j.runs[0][1] for j in jobs if j.split == "test"]
    assert {(s.n_iterations, s.tau2_fudge, s.algorithm) for s in test} == {(defaults.n_iterations, defaults.tau2_fudge, Algorithm.VDAM)}
    good = [sum(j.spec.kinds.get(kind, 0.0) for kind in PARTICLE_KINDS) for j in jobs]
    assert all(sum(j.spec.kinds.values()) == pytest.approx(1.0) for j in jobs)
    assert 0.55 < np.median(good) < 0.8
    earlier = {ranker_jobs.structure_of(n).name for n in range(ranker_jobs.FACILITY)}
    assert {j.structure for j in jobs if j.split == "train" and j.structure.startswith("pseudo")}.isdisjoint(earlier)


def test_soluble_proteins_bring_no_detergent(tmp_path):
    jobs = [ranker_jobs.draw_job(n, tmp_path, tmp_path) for n in range(ranker_jobs.SOLUBILISED, ranker_jobs.SOLUBILISED + JOBS)]
    with_detergent = [job for job in jobs if not set(ranker_jobs.DETERGENT).isdisjoint(job.spec.kinds)]
    assert with_detergent and all(job.spec.belt for job in with_detergent)
    before = {"empty": 0.1, "micelle": 0.2, "rod": 0.1, "intact": 0.6}
    after = ranker_jobs.without_detergent(before)
    assert after == pytest.approx({"empty": 0.2, "rod": 0.2, "intact": 0.6})


def test_detergent_lies_beside_proteins_that_carry_some(tmp_path):
    jobs = [ranker_jobs.draw_job(n, tmp_path, tmp_path) for n in range(ranker_jobs.BELTED, ranker_jobs.BELTED + JOBS)]
    assert all(job.spec.belt and not job.spec.sources[0][0].endswith(".mrc") for job in jobs if job.split == "train")
    shares = [sum(job.spec.kinds.get(kind, 0.0) for kind in ranker_jobs.DETERGENT) for job in jobs if job.spec.belt]
    assert np.quantile(shares, 0.1) > 0.02 and np.median(shares) > 0.1  # enough for classes of their own
    earlier = {ranker_jobs.structure_of(n).name for n in range(ranker_jobs.BELTED)}
    assert {job.structure for job in jobs if job.split == "train" and job.structure.startswith("pseudo")}.isdisjoint(earlier)


def test_a_run_of_conformations_is_labelled_anew():
    """As if made when each conformation counted as another protein: pure classes of two conformations become good ones."""
    columns = {
        "purity": [0.5, 0.5], "d_true": [10.0, 10.0], "offset": [0.0, 0.0], "contamination": [0.0, 0.0], "true_members": [50, 50],
        "members": [100, 100], "particles": [100.0, 100.0], "resolution": [10.0, 10.0], "job_score": [0.8, 0.8],
        "share_intact": [0.9, 0.45], "share_neighbours": [0.1, 0.0], "share_broken": [0.0, 0.1], "share_empty": [0.0, 0.45],
        "selected": [0, 0], "category": [0, 0], "q": [0.0, 0.0],
    }  # fmt: skip
    extra = {name: np.array(values) for name, values in columns.items()}
    words = np.array(["a", "a"])
    samples = Samples(np.zeros((2, 64, 64), np.float32), np.zeros((2, 24), np.float32), np.zeros(2, np.float32), words, words, words, extra)
    assert relabel(samples, proteins=(1, 2)).extra["purity"].tolist() == [0.5, 0.5]
    again = relabel(samples, proteins=(1, 1)).extra
    np.testing.assert_allclose(again["purity"], [1.0, 0.48])
    assert again["true_members"].tolist() == [100, 45]
    assert again["selected"].tolist() == [1, 0]
    np.testing.assert_allclose(again["true_particles"], [100.0, 48.0])


def test_a_small_job_from_stack_to_samples(tmp_path):
    spec = MixtureSpec((("pseudo:203", 1.0),), {INTACT: 0.7, "empty": 0.3}, n_particles=300, box_size=48, pixel_size=4.0, snr=0.4, seed=3)
    settings = RefinementSettings(n_classes=4, n_iterations=8, write_every=1000, seed=1)
    job = ranker_jobs.SimulatedJob(5, "train", "pseudo_0", spec, 1.1, (("", settings), ("short", replace(settings, n_iterations=3))))
    assert ranker_set.make_job(job, tmp_path) == sum(len(read_samples(tmp_path / f"job005{s}.npz")) for s in ("", "_short"))
    samples = read_samples(tmp_path / "job005.npz")
    record = json.loads((tmp_path / "job005.json").read_text())
    assert record["split"] == "train"
    assert 0.5 < record["true_fraction"] < 0.9
    assert len(samples) == record["classes"] >= 2
    assert (samples.score >= 0).all() and (samples.score <= 1).all()
    assert set(samples.extra["label_version"]) == {LabelRules().version}
    assert not (tmp_path / "work" / "job005").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_fails_is_counted_and_named(tmp_path, workers):
    (tmp_path / "done.json").write_text("{}")
    tasks = {"good": int, "bad": _fail, "done": _fail, "last": int}
    assert ranker_set.run_all(tasks, tmp_path, workers) == 1
    assert "bad: no such protein" in (tmp_path / ranker_set.FAILURES).read_text()


def _fail() -> int:
    raise UserError("no such protein")


def test_jobs_are_joined_by_split(tmp_path):
    for name, split in (("job000", "train"), ("job001", "train"), ("job001_short", "train"), ("job002", "test")):
        ranker_set.save(tmp_path, name, some_samples(name), {"split": split})
    report = ranker_set.collect(tmp_path, compact=True)
    assert "train: 6 classes of 2 jobs" in report
    assert "validation: no job" in report
    assert "solvent_mean" in report
    assert len(read_samples(tmp_path / "set_train.npz")) == 6
    joined = read_samples(tmp_path / "set_test.npz")
    assert "train: 9 classes of 3 jobs" in ranker_set.collect(tmp_path)
    assert joined.extra["category"].tolist() == [0, 3, 1] and joined.extra["selected"].tolist() == [0, 1, 1]
    assert joined.score[0] == 0 < joined.score[1] < joined.score[2] == np.float32(0.8)


def test_options(tmp_path):
    assert ranker_set.numbers("0-3,7") == [0, 1, 2, 3, 7]
    with pytest.raises(UserError, match="a-b"):
        ranker_set.numbers("a-b")
    with pytest.raises(UserError, match="no finished job"):
        ranker_set.collect(tmp_path)
    with pytest.raises(SystemExit):
        ranker_set.arguments(["--out", str(tmp_path)])


def test_the_kept_training_part_is_what_the_card_says():
    kept = read_samples(ranker_jobs.KEPT / "set_train.npz")
    assert (len(kept), len(np.unique(kept.job)), len(np.unique(kept.structure))) == (8035, 229, 107)
    assert set(kept.extra["split"]) == {"train"}
    assert set(kept.extra["label_version"]) == {LabelRules().version}
    others = {ranker_jobs.structure_of(n).name for n in range(DRAWN) if ranker_jobs.split_of(n) != "train"}
    assert others and not others & set(kept.structure)
    valid, test = (read_samples(ranker_jobs.KEPT / f"set_{split}.npz") for split in ("validation", "test"))
    parts = [set(part.structure) for part in (kept, valid, test)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert {"proteasome", "pseudo_457"} <= parts[2] and len(parts[2]) == 8


def micrographs(folder: Path, picks: np.ndarray) -> None:
    folder.mkdir(parents=True)
    write_stack(folder / "one.mrc", np.random.default_rng(0).standard_normal((1, 600, 700)).astype(np.float32), 1.5)
    write_star(folder / "one_manualpick.star", {"": pd.DataFrame(picks, columns=["rlnCoordinateX", "rlnCoordinateY"])})


def test_crops_between_particles_hold_none(tmp_path, monkeypatch):
    """One particle in the middle of a corner: all crops are at least `CLEAR` from it, and normalised as particles are."""
    micrographs(tmp_path / "m", np.array([[350.0, 300.0]]))
    cut = []
    monkeypatch.setattr(ranker_real, "_cut", lambda micrograph, centres, box, size, most: cut.append(centres) or np.zeros((0, size, size)))
    ranker_real.crops_between(tmp_path / "m", 64)
    distance = np.hypot(*(cut[0] - [350, 300]).T) * ranker_real.BETWEEN_PIXEL
    assert len(cut[0]) > 20 and distance.min() >= ranker_real.CLEAR
    monkeypatch.undo()
    (crops,) = ranker_real.crops_between(tmp_path / "m", 64)
    assert crops.shape[1:] == (64, 64) and len(crops) == min(len(cut[0]), ranker_real.MOST // 5)
    np.testing.assert_allclose(crops[:, :4].std(), 1.0, atol=0.1)


def test_crops_are_no_particles_in_the_truth(shared_data):
    truth = ranker_real.bgal_truth(shared_data / ranker_real.BGAL_FOLDER, 7)
    crops = truth[truth["rlnSimulatedKind"] == ranker_real.CROPPED]
    assert len(crops) == 7 and not crops["rlnSimulatedIsParticle"].any()
    assert crops["rlnImageName"].iloc[-1] == "000007@crops.mrcs"
    assert len(truth) == 2374 + 7 and not truth.isna().any().any()
