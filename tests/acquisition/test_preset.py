"""Presets: the shipped ones, the schema, and mistakes with file and line."""

import pytest

from relion4plugin.acquisition.preset import examine, find_preset, read_preset, shipped_presets
from relion4plugin.acquisition.preset_check import check_preset
from relion4plugin.acquisition.preset_match import fits, preset_for
from relion4plugin.acquisition.preset_schema import KEYS, schema_table
from relion4plugin.acquisition.record import AcquisitionRecord, Value
from relion4plugin.errors import UserError
from relion4plugin.schemes.findings import Severity

from .small_sessions import write_preset


@pytest.mark.parametrize("path", shipped_presets(), ids=lambda path: path.stem)
def test_shipped_presets_have_no_mistake(path):
    assert [str(finding) for finding in check_preset(path)] == []
    preset = find_preset(path.stem)
    assert preset.name == path.stem and preset.get("microscope.Cs") == 2.7 and len(preset.checksum) == 64
    assert preset.place("microscope.Cs").startswith(f"{path.name}, line ") and preset.place("gain.file") == "default"


def test_there_are_those_that_are_promised():
    names = ["facility_scipion", "glacios_falcon4i", "krios_falcon4i", "krios_k3", "talos_falcon3"]
    assert [path.stem for path in shipped_presets()] == names
    assert find_preset("facility_scipion").get("processing.pipeline") == "scipion"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Cz = 2.7", "line 3: there is no key microscope.Cz; did you mean microscope.Cs?"),
        ('Cs = "2.7"', "line 3: microscope.Cs is '2.7' but must be a number (mm)"),
        ("Cs = -1", "line 3: microscope.Cs is -1 mm but must be at least 0 mm"),
        ("Cs = true", "line 3: microscope.Cs is True but must be a number (mm)"),
        ("Cs = nan", "line 3: microscope.Cs is nan mm but must be at least 0 mm"),
        ("voltages = 300", "line 3: microscope.voltages is 300 but must be a list of numbers (kV)"),
        ("Cs = ", "line 3: this is not TOML"),
    ],
)
def test_mistakes_name_file_line_and_key(tmp_path, line, message):
    path = tmp_path / "mine.toml"
    path.write_text(f"version = 1\n[microscope]\n{line}\n")
    with pytest.raises(UserError) as error:
        read_preset(path)
    assert str(error.value).startswith(f"{path}, {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 2", "line 1: version is 2 but must be at most 1"),
        ('[processing]\npicker = "hand"', "line 2: processing.picker is 'hand' but must be one of log, topaz, cryolo"),
        ("[detector]\npatches = [7]", "line 2: detector.patches has 1 values but must have 2"),
        ("[detector]\npatches = [7, 5.5]", "line 2: detector.patches is [7, 5.5] but must be a list of whole numbers"),
        ("[processing]\nangpix = 1.0", "line 2: there is no key processing.angpix"),
        ("[microscope.calibration]\nhigh = 1.0", "line 1: microscope.calibration is {'high': 1.0} but must be numbers by number"),
        ("[keys]\nnothing = 1", "line 2: keys.nothing is no key of a scheme"),
        ("[nothing]\na = 1", "line 1: there is no key nothing"),
        ("# comment = 3\n\n[gain]\nrotation = 4", "line 4: gain.rotation is 4 but must be at most 3"),
    ],
)
def test_more_mistakes(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text + "\n")
    with pytest.raises(UserError) as error:
        read_preset(path)
    assert f"{path}, {message}" in str(error.value)


def test_all_mistakes_of_a_file_are_found_in_order(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[watch]\nmin_movies = 0\n[queue]\nsubmit = "yes"\n')
    assert [line for line, _ in examine(path)[1]] == [2, 4]
    findings = check_preset(path)
    assert [(item.severity, item.line) for item in findings] == [(Severity.ERROR, 2), (Severity.ERROR, 4)]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 5000])
def test_files_that_are_no_text(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.toml"):
        read_preset(path)


def test_a_preset_that_does_not_exist():
    with pytest.raises(UserError, match=r"there is no preset nothing; expected a \.toml file, or one of facility_scipion, glacios"):
        find_preset("nothing")


def test_values_and_defaults(tmp_path):
    more = "[microscope.calibration]\n81000 = 1.1\n[keys]\nproc__class2d__nr_iter_grad = 50\n"
    preset = read_preset(write_preset(tmp_path / "a.toml", more=more))
    assert preset.get("microscope.calibration") == {"81000": 1.1} and preset.keys == {"proc__class2d__nr_iter_grad": 50}
    assert preset.get("microscope.Q0") == 0.1 and "microscope.Q0" not in preset.given
    assert {KEYS[full].table for full in preset.given} == {"", "microscope", "gain", "processing", "watch"}


@pytest.mark.parametrize(
    ("more", "line", "message"),
    [
        ("[keys]\nproc__class2d__nothing = 1\n", 15, "has no option 'nothing'"),
        ('[paths]\nprojects = "/nowhere"\n', 15, "there is no folder /nowhere now"),
        ('[paths]\nschemes = "/nowhere"\n', 15, "/nowhere"),
        ("[queue]\nsubmit = true\n", 15, "queue.script is empty"),
        ("[microscope.calibration]\n10000 = 1.0\n20000 = 2.0\n", 14, "is not smaller"),
    ],
)
def test_checks_beyond_the_schema(tmp_path, more, line, message):
    findings = check_preset(write_preset(tmp_path / "a.toml", more=more))
    assert any(message in item.text and item.line == line for item in findings), [str(item) for item in findings]


def test_a_scipion_preset_needs_a_workflow(tmp_path):
    path = write_preset(tmp_path / "a.toml")
    path.write_text(path.read_text().replace('picker = "log"', 'picker = "cryolo"\npipeline = "scipion"'))
    (finding,) = check_preset(path)
    assert finding.severity is Severity.ERROR and "streaming_cryolo" in finding.text and finding.line == 9


def test_the_documentation_has_the_table_of_all_keys(repository):
    assert schema_table() in (repository / "docs" / "mdcatch.md").read_text()


def record(**values):
    return AcquisitionRecord({name: Value(value) for name, value in values.items()})


def test_the_first_preset_that_fits_is_taken(tmp_path):
    krios = read_preset(write_preset(tmp_path / "krios.toml", more='[match]\ninstrument = ["3299"]\ndetector = ["k3"]\n'))
    other = read_preset(write_preset(tmp_path / "other.toml", more='[match]\nsoftware = ["EPU"]\npath = ["/data/*"]\n'))
    k3 = record(scope_id="3299", detector="EF-CCD", detector_model="K3", software="EPU")
    assert preset_for([krios, other], k3, tmp_path) is krios
    assert not fits(krios, record(scope_id="3299"), tmp_path)  # the detector is not known
    assert preset_for([krios, other], record(software="EPU"), tmp_path.__class__("/data/x")) is other
    with pytest.raises(UserError, match=r"no preset fits .* \(1, unknown, unknown\); looked at krios, other"):
        preset_for([krios, other], record(scope_id="1"), tmp_path)
    assert preset_for([], k3, tmp_path).name == "no preset"
