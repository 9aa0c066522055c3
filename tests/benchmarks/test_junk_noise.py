"""Two kinds of noise compared: which rows of a particle table are true, and what is said of the classes of a run."""

from pathlib import Path

import junk_noise
import numpy as np
import outcome_table
import pandas as pd
import pytest

from relion4plugin.files.star import write_star
from relion4plugin.simulation.known_truth import KnownTruth

ROWS = pd.DataFrame({
    "rlnMicrographName": [f"{name}.mrc" for name in "babaab"],
    "rlnCoordinateX": [10.0, 100.0, 52.0, 200.0, 500.0, 400.0],
    "rlnCoordinateY": [10.0, 100.0, 50.0, 203.0, 500.0, 400.0],
    "rlnClassNumber": [1, 1, 2, 1, 2, 3],
})  # fmt: skip


@pytest.fixture
def truth():
    """Three particles: two in micrograph a, one in b."""
    particles = pd.DataFrame({
        "key": ["a", "a", "b"], "rlnSimulatedIsParticle": 1, "rlnCoordinateX": [100.0, 200.0, 50.0], "rlnCoordinateY": [100.0, 200.0, 50.0],
    })  # fmt: skip
    return KnownTruth(Path(), pd.DataFrame({"key": ["a", "b"]}), particles, 2.0)


def test_rows_keep_their_order_whatever_micrograph_they_are_of(truth):
    assert outcome_table.true_rows(truth, ROWS, 10.0).tolist() == [False, True, True, True, False, False]


def test_classes_are_judged_by_their_true_particles(truth, tmp_path):
    write_star(tmp_path / "run_it005_data.star", {"particles": ROWS})
    spectrum = pd.DataFrame({"rlnResolution": [0.0, 0.02, 0.04, 0.06], "rlnSigma2Noise": [9.0, 2.0, 4.0, 100.0]})
    write_star(tmp_path / "run_it005_model.star", {
        "model_classes": pd.DataFrame({"rlnReferenceImage": ["1@c", "2@c", "3@c"]}), "model_optics_group_1": spectrum,
    })  # fmt: skip
    (tmp_path / "rank").mkdir()
    write_star(tmp_path / "rank" / "backup_selection.star", {"": pd.DataFrame({"rlnSelected": [0, 1, 1]})})
    found = junk_noise.judge(tmp_path, truth, 10.0)
    assert (found["classes"], found["selected"], found["noise"]) == (3, 3, 3.0)  # 50 and 25 A, without the mean
    assert found["fpr"] == pytest.approx(2 / 3) and found["fnr"] == pytest.approx(2 / 3)
    # class 1 alone: two of three found, two of three right; classes 1 and 2: three of three, three of five
    assert found["best_f1"] == pytest.approx(max(2 * 2 / (3 + 3), 2 * 3 / (5 + 3)))


def test_a_line_has_both_kinds_in_every_cell():
    one = {"selected": 1000, "fpr": 0.1, "fnr": 0.2, "best_f1": 0.9, "noise": 4.0}
    line = junk_noise.row("bgal", 2000, 1500, {"mean": one, "robust": one | {"noise": 2.0, "fnr": 0.1}})
    assert line == ["bgal", "2,000", "0.75", "2.0", "1,000, 1,000", "0.10, 0.10", "0.20, 0.10", "0.90, 0.90"]
    assert np.all([isinstance(cell, str) for cell in line])
