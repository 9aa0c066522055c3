"""What is said of an initial model, by the evidence for it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from relion4plugin.files.initial_model import read_verdict
from relion4plugin.refinement.initial_verdict import AGREEMENT_SHARE, HALVES_GAIN, Evidence, judge

DIAMETER = 100.0
STARTS = [{"seed": 7, "log_likelihood": -1.5, "resolution": 12.0}, {"seed": 8, "log_likelihood": -2.5, "resolution": 20.0}]
BARE = Evidence(starts=STARTS, particle_diameter=DIAMETER)
NEAR, FAR = AGREEMENT_SHARE * DIAMETER - 1, AGREEMENT_SHARE * DIAMETER + 1
FINE = HALVES_GAIN * 20.0 - 0.1  # A, just enough
RESOLVED = replace(BARE, half_fsc=np.linspace(1, 0, 17), half_resolution=FINE, lowpass=20.0)
UNRESOLVED = replace(RESOLVED, half_resolution=FINE + 0.2)


@pytest.mark.parametrize(
    ("evidence", "reliable", "words"),
    [
        (RESOLVED, True, (f"A structure was found: independent halves agree to {FINE:.1f} A", "only to 20 A")),
        (replace(RESOLVED, agreement={8: NEAR}), True, ("A structure was found:", "1 of 1 other starts agree")),
        (replace(RESOLVED, agreement={8: FAR}), True, ("by one start only", "0 of 1 other starts agree")),
        (UNRESOLVED, False, ("No structure was found",)),
        # starts may agree on the same artefact: halves have the last word
        (replace(UNRESOLVED, agreement={8: NEAR}), False, ("No structure was found", "1 of 1 other starts agree")),
        (replace(BARE, agreement={8: NEAR, 9: FAR}), True, ("A structure was found", "1 of 2 other starts agree", "(the best to 29 A)")),
        (replace(BARE, agreement={8: FAR}), False, ("No structure was found",)),
        (replace(BARE, agreement={8: FAR}, round=3), False, ("No structure was found", "round 3 of starts, after none in 2 before")),
        (BARE, False, ("Not judged",)),
    ],
)
def test_halves_first_then_starts(evidence, reliable, words):
    verdict = judge(evidence)
    assert verdict.reliable is reliable
    for part in words:
        assert part in verdict.text
    assert "\n" not in verdict.text


def test_agreement_by_seed_or_none():
    assert judge(BARE).agreement is None
    assert judge(replace(BARE, agreement={8: 20.0})).agreement == {"8": 20.0}


def test_the_file_is_read_back(tmp_path):
    evidence = replace(RESOLVED, agreement={8: NEAR}, agreement_fsc=(1.0, 0.5), symmetry="D2", symmetry_score=3.5, possible_symmetry="D4")
    verdict = judge(evidence)
    (tmp_path / "initial_model.json").write_text(json.dumps(verdict.as_json(3), allow_nan=False))
    read = read_verdict(tmp_path)
    assert (read.text, read.reliable, read.symmetry, read.symmetry_score, read.selected_class) == (verdict.text, True, "D2", 3.5, 3)
    assert [(r.seed, r.log_likelihood, r.resolution, r.agreement_resolution) for r in read.restarts] == [
        (7, -1.5, 12.0, None),
        (8, -2.5, 20.0, NEAR),
    ]
    assert read.agreement_fsc == (1.0, 0.5)
    assert read.evidence == {
        "resolution of independent halves (A)": FINE, "halves are independent beyond (A)": 20.0, "possible symmetry": "D4",
    }  # fmt: skip


def test_a_start_that_agrees_nowhere_is_written_without_a_number():
    values = judge(replace(RESOLVED, agreement={8: float("inf")})).as_json(1)
    assert values["restarts"][1]["agreement_resolution"] is None
    json.dumps(values, allow_nan=False)
