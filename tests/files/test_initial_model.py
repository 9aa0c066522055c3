"""The verdict on an initial model."""

import json

import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.initial_model import NAME, read_verdict
from tests.web.fake3d import add_verdict


def test_all_fields(tmp_path):
    assert read_verdict(tmp_path) is None
    add_verdict(tmp_path)
    verdict = read_verdict(tmp_path)
    assert verdict.reliable and verdict.symmetry == "D2" and verdict.symmetry_score == 0.93 and verdict.selected_class == 1
    assert [r.seed for r in verdict.restarts] == [0, 1, 2]
    assert [r.agreement_resolution for r in verdict.restarts] == [None, 16.5, 16.5]
    assert verdict.agreement_fsc[0] > 0.9 and verdict.evidence["restarts that agree"] == 3


def test_only_what_is_necessary(tmp_path):
    (tmp_path / NAME).write_text(json.dumps({"verdict": "No structure was found.", "reliable": False}))
    verdict = read_verdict(tmp_path)
    assert not verdict.reliable and verdict.symmetry == "C1" and verdict.restarts == () and verdict.selected_class is None


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"verdict": "x", "reliable": true, "restarts": [{}]}'])
def test_damaged_file_is_one_line(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(UserError, match="initial model"):
        read_verdict(tmp_path)
