"""Records: round trip through JSON, values of a person, what must be refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relion4plugin.acquisition.fields import FIELDS, TYPES
from relion4plugin.acquisition.record import CONFIDENCES, AcquisitionRecord, Conflict, Finding, Value, user_value
from relion4plugin.errors import UserError

_PLAIN = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20))
_VALUES = st.builds(
    Value,
    st.one_of(_PLAIN, st.lists(_PLAIN, max_size=4), st.lists(st.lists(_PLAIN, max_size=2), max_size=3)),
    st.sampled_from(["", "A", "e/A^2"]), st.text(max_size=8), st.text(max_size=8), st.text(max_size=8), st.sampled_from(CONFIDENCES),
)  # fmt: skip
_NAMES = st.sampled_from(sorted(FIELDS))
_RECORDS = st.builds(
    AcquisitionRecord,
    st.dictionaries(_NAMES, _VALUES, max_size=5),
    st.lists(st.builds(Conflict, _NAMES, _VALUES, st.lists(_VALUES, max_size=2).map(tuple)), max_size=2).map(tuple),
    st.lists(st.builds(Finding, st.just("V01"), st.sampled_from(["error", "info"]), _NAMES, st.text(max_size=9)), max_size=2).map(tuple),
)


@given(_RECORDS)
def test_round_trip(record):
    again = AcquisitionRecord.from_json(record.to_json())
    assert again == record
    assert again.to_json() == record.to_json()


def test_numbers_keep_their_type():
    record = AcquisitionRecord({"n_frames": Value(40), "dose_total_eA2": Value(40.0), "counting": Value(True)})
    again = AcquisitionRecord.from_json(record.to_json())
    assert [type(again.get(name)) for name in ("n_frames", "dose_total_eA2", "counting")] == [int, float, bool]


def test_what_is_not_known_is_absent():
    record = AcquisitionRecord()
    assert record.get("cs_mm") is None
    assert record.get("cs_mm", 2.7) == 2.7
    assert "cs_mm" not in record.values


def test_a_value_of_a_person_settles_the_conflict():
    one, other = Value(1.0, "A", "image XML"), Value(2.0, "A", "movie header")
    record = AcquisitionRecord({"movie_px_A": one}, (Conflict("movie_px_A", one, (other,)),))
    changed = record.with_value("movie_px_A", user_value("movie_px_A", 1.5))
    assert (changed.get("movie_px_A"), changed.values["movie_px_A"].confidence, changed.conflicts) == (1.5, "user", ())
    assert record.get("movie_px_A") == 1.0
    assert "image XML" in str(record.conflicts[0]) and "2 A (movie header)" in str(record.conflicts[0])


def test_unknown_fields_and_words_are_refused():
    with pytest.raises(UserError, match="unknown field 'colour'"):
        AcquisitionRecord().with_value("colour", Value(1))
    with pytest.raises(ValueError, match="confidence"):
        Value(1, confidence="certain")
    with pytest.raises(ValueError, match="level"):
        Finding("V01", "bad", "", "")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"values": {"a": 1}, "conflicts": [], "warnings": []}', "null"])
def test_text_that_is_no_record(text):
    with pytest.raises(UserError, match="not an acquisition record"):
        AcquisitionRecord.from_json(text)


def test_fields_have_a_label_and_a_type():
    assert all(field.label and field.type in TYPES for field in FIELDS.values())
