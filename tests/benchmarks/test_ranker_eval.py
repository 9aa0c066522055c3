"""The evaluation of the ranker on classes whose errors can be counted by hand."""

import dataclasses
import math

import numpy as np
import pytest
import ranker_eval

from relion4plugin.ranker.calibrated import CalibrationSettings
from relion4plugin.ranker.job_stage import OddsThreshold
from relion4plugin.ranker.samples import Samples, concatenate

FIXED = CalibrationSettings(low=0.3, high=0.3, fraction=0.3, top_share=0.0)  # 0.3 of the best score


def a_job(name: str, quality: list[float], particles: list[float]) -> Samples:
    n = len(quality)
    q = np.array(quality)
    return Samples(
        images=np.zeros((n, 64, 64), np.float32), features=np.zeros((n, 24), np.float32), score=q.astype(np.float32),
        job=np.full(n, name), reference=np.array([f"{i + 1:06d}@{name}.mrcs" for i in range(n)]), structure=np.full(n, "x"),
        extra={"q": q, "category": np.where(q >= 0.4, 2, 0), "particles": np.array(particles), "resolution": 20 - q, "pdf": np.ones(n)},
    )  # fmt: skip


def without_stage(job: Samples, scores: list[float]) -> ranker_eval.Judged:
    return ranker_eval.Judged(job, np.array(scores), np.array(scores))


def test_the_threshold_in_the_job_decides_where_there_is_one():
    job = a_job("one", [1.0, 0.8, 0.1, 0.0], [100, 300, 200, 50])
    scores = np.array([0.9, 0.1, 0.4, 0.0])
    rule = OddsThreshold(top_share=0.0, slope=0.0, offset=0.0, least=0.5)  # from 0.5 on
    known = ranker_eval.Judged(job, scores, scores, np.array([0.9, 0.6, 0.4, 0.1]), rule)
    found = ranker_eval.judge(known, FIXED)[0]
    assert (found["calibrated_false_positive"], found["calibrated_false_negative"]) == (0.0, 0.0)
    assert (found["default_false_positive"], found["default_false_negative"]) == (0.5, 0.75)
    assert known.error == pytest.approx(0.01 / 4 + 0.49 / 4 + 0.09 / 4)


def test_errors_of_one_job_by_hand():
    job = a_job("one", [1.0, 0.8, 0.1, 0.0], [100, 300, 200, 50])
    found = ranker_eval.judge(without_stage(job, [0.9, 0.1, 0.4, 0.0]), FIXED)[0]
    # 0.15 and 0.27 both select the first and third class: 200 of 400 too many, 300 of 400 missed
    for rule in ("default", "calibrated"):
        assert (found[f"{rule}_false_positive"], found[f"{rule}_false_negative"]) == (0.5, 0.75)
    assert found["good"] == pytest.approx(400 / 650) and found["selected"] == pytest.approx(300 / 650)
    assert found["mse"] == pytest.approx((0.01 + 0.49 + 0.09) / 4)


def test_a_job_without_good_classes_has_no_rates_but_counts_what_is_selected():
    job = a_job("none", [0.1, 0.0], [30, 70])
    found = ranker_eval.judge(without_stage(job, [0.5, 0.0]), FIXED)[0]
    assert math.isnan(found["default_false_positive"]) and found["selected"] == pytest.approx(0.3)
    assert ranker_eval._pair(found, "default") == "none good"


def test_what_a_selection_means_for_the_particles():
    job = a_job("one", [1.0, 0.8, 0.1], [100, 300, 200])
    job = dataclasses.replace(job, extra={**job.extra, "purity": np.array([1.0, 0.8, 0.1])})
    found = ranker_eval.particle_shares(job, np.array([True, True, False]))
    assert found == pytest.approx({"true_before": 360 / 600, "true_after": 340 / 400, "true_kept": 340 / 360})
    nothing = ranker_eval.particle_shares(job, np.zeros(3, bool))
    assert math.isnan(nothing["true_after"]) and nothing["true_kept"] == 0


def test_tuning_prefers_rules_that_part_good_from_bad(monkeypatch):
    monkeypatch.setattr(
        ranker_eval, "RULES",
        {"top_share": (0.0,), "fraction": (0.1, 0.5), "low": (0.96,), "high": (0.97,), "floor": (0.03,), "ceiling": (0.9,), "junk": (0.1,)},
    )  # fmt: skip
    job = a_job("one", [1.0, 0.9, 0.2, 0.1], [100, 100, 100, 100])
    best, worst = ranker_eval.tune(job, np.array([1.0, 0.9, 0.3, 0.2]))
    assert best[0] == 0 and best[1].fraction == 0.5
    assert worst[1].fraction == 0.1 and worst[0] > best[0]


def test_sets_of_jobs_are_told_by_their_numbers():
    names = ("job118", "job119_short", "job007", "real_bgal_1", "job300", "job400", "job600")
    samples = concatenate([a_job(name, [0.9], [10.0]) for name in names])
    found = [ranker_eval.of_set(without_stage(samples, [0.9] * 7), numbers).samples.job.tolist() for numbers in ranker_eval.SETS.values()]
    assert found == [["job118", "job119_short", "job007"], ["job300"], ["job400"], ["job600"]]


def test_a_summary_parts_jobs_of_junk_from_jobs_that_show_nothing():
    names = {"good": ([1.0, 0.0], [0.9, 0.1]), "junk": ([0.0, 0.0], [0.0, 0.01]), "unseen": ([0.0, 0.0], [0.9, 0.8])}
    jobs = [a_job(name, quality, [300.0, 100.0]) for name, (quality, _) in names.items()]
    purity = [{"purity": np.array(values)} for _, values in names.values()]
    samples = concatenate([dataclasses.replace(job, extra=job.extra | more) for job, more in zip(jobs, purity, strict=True)])
    known = without_stage(samples, [0.9, 0.0, 0.5, 0.0, 0.0, 0.0])
    text = "\n".join(ranker_eval.summary("All", known, ranker_eval.judge(known, FIXED)))
    assert "1 jobs hold nothing but junk; of their particles 0.75 are selected" in text
    assert "1 jobs hold particles but show none; of their particles 0.00 are selected" in text
    assert "calibrated (default): mean FPR 0.000, mean FNR 0.000, largest of all 0.00; 0 of 1 jobs above 0.25" in text
