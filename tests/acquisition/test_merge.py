"""Precedence of values, and what is kept of those that lose."""

import pytest

from relion4plugin.acquisition.merge import merge
from relion4plugin.acquisition.preset import NO_PRESET, read_preset
from relion4plugin.acquisition.record import AcquisitionRecord, Conflict, Value
from relion4plugin.acquisition.user_values import user_values
from relion4plugin.errors import UserError

from .small_sessions import write_preset

NONE = user_values([])


def k3_record():
    """Super-resolution frames, as saved: half the physical pixel."""
    movie = Value(0.53, "A", "image XML", "a.xml", "pixelSize")
    return AcquisitionRecord(
        {
            "magnification": Value(81000, "", "image XML"),
            "physical_px_A": Value(1.06, "A", "image XML"),
            "movie_px_A": movie,
            "cs_mm": Value(1.0, "mm", "mdoc"),
        },
        conflicts=(Conflict("movie_px_A", movie, (Value(0.6, "A", "session"),)),),
    )


def test_calibration_beats_files_and_they_are_kept(tmp_path):
    preset = read_preset(write_preset(tmp_path / "p.toml", more="[microscope.calibration]\n81000 = 1.1\n"))
    merged = merge(k3_record(), preset, NONE)
    assert merged.get("physical_px_A") == 1.1 and merged.get("movie_px_A") == pytest.approx(0.55)
    assert merged.values["movie_px_A"].source == "preset" and merged.values["movie_px_A"].path == "microscope.calibration"
    (conflict,) = [item for item in merged.conflicts if item.field == "movie_px_A"]
    assert [loser.value for loser in conflict.losers] == [0.53, 0.6]
    assert merged.get("cs_mm") == 2.7 and any(item.field == "cs_mm" for item in merged.conflicts)


def test_a_person_beats_all(tmp_path):
    preset = read_preset(write_preset(tmp_path / "p.toml", more="[microscope.calibration]\n81000 = 1.1\n"))
    merged = merge(k3_record(), preset, user_values(["angpix=0.5", "Cs=0.01"]))
    assert (merged.get("movie_px_A"), merged.get("cs_mm")) == (0.5, 0.01)
    assert merged.values["movie_px_A"].source == "user"
    assert merged.get("physical_px_A") == pytest.approx(1.0)  # stays twice the pixel of the frames
    (conflict,) = [item for item in merged.conflicts if item.field == "movie_px_A"]
    assert [loser.source for loser in conflict.losers] == ["preset", "image XML", "session"]


def test_defaults_fill_gaps_only():
    merged = merge(k3_record(), NO_PRESET, NONE)
    assert merged.get("cs_mm") == 1.0 and merged.get("amplitude_contrast") == 0.1
    assert merged.values["amplitude_contrast"].confidence == "default"
    assert AcquisitionRecord.from_json(merged.to_json()) == merged


def test_words_of_a_person():
    user = user_values(["phase_plate=yes", "movie_size_px=10,20", "particle_size_A=120", "box_px=256", "proc__class2d__do_center=No"])
    assert user.fields["phase_plate"].value is True and user.fields["movie_size_px"].value == (10, 20)
    assert user.options == {"particle_diameter": 120.0, "box_size": 256} and user.keys == {"proc__class2d__do_center": "No"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("angpix", "is no setting"),
        ("angpix=wide", "movie_px_A is 'wide' but must be a number (A)"),
        ("voltage_kV=inf", "voltage_kV is 'inf'"),
        ("n_frames=2.5", "n_frames is '2.5' but must be a whole number"),
        ("phase_plate=maybe", "phase_plate is 'maybe' but must be yes or no"),
        ("symetry=C1", "did you mean symmetry"),
        ("mask_px=3", "there is no setting 'mask_px'"),
        ("nr_classes=many", "nr_classes is 'many'"),
    ],
)
def test_wrong_words(word, message):
    with pytest.raises(UserError) as error:
        user_values([word])
    assert message in str(error.value)
