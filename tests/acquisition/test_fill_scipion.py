"""Scipion workflows filled: types, pointers, escapes, and what is refused."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from relion4plugin.acquisition.fill_scipion import CLASS, check_pointers, fill_workflow, read_workflow, workflow_text
from relion4plugin.acquisition.merge import merge
from relion4plugin.acquisition.preset import NO_PRESET
from relion4plugin.acquisition.record import AcquisitionRecord, Value
from relion4plugin.acquisition.scipion_launch import scipion_commands
from relion4plugin.acquisition.scipion_values import PARAMETERS, workflow_values
from relion4plugin.acquisition.settings import make_settings
from relion4plugin.acquisition.user_values import user_values
from relion4plugin.acquisition.workflows import shipped_workflows
from relion4plugin.errors import UserError
from relion4plugin.jobs.class2d_parameters import Class2DParameters
from relion4plugin.jobs.initialmodel_parameters import InitialModelParameters
from relion4plugin.jobs.refine3d_parameters import Refine3DParameters
from relion4plugin.jobs.registry import job_type

RECORD = AcquisitionRecord(
    {
        "movie_px_A": Value(0.53, "A"), "physical_px_A": Value(1.06, "A"), "voltage_kV": Value(200.0, "kV"), "n_frames": Value(40),
        "dose_per_frame_eA2": Value(1.25, "e/A^2"), "magnification": Value(81000), "detector_model": Value("K3"),
        "frames_per_fraction": Value((3,) * 39 + (7,)),
    }
)  # fmt: skip
WORDS = ["particle_diameter=180", "symmetry=D2", "gpus=0,1", "threads=3", "prep__motioncorr__gain_rot=90 degrees (1)"]


def values(words=(), pattern="/data/my movies/Images-Disc*/GridSquare_*/Data/*.tiff", folder="/projects/a"):
    user = user_values([*WORDS, *words])
    record = merge(RECORD, NO_PRESET, user)
    settings = make_settings(record, NO_PRESET, user, Value(pattern), gain=Value("/data/g%ain~.tiff"))
    return workflow_values(settings, record, folder, 30.0)


@pytest.mark.parametrize("path", shipped_workflows(), ids=lambda path: path.name)
def test_shipped_workflows_are_filled_with_typed_values(path):
    protocols, filled = fill_workflow(read_workflow(path), values(), path.name)
    by_class = {item[CLASS]: item for item in protocols}
    movies = by_class["ProtImportMovies"]
    assert (movies["filesPath"], movies["filesPattern"]) == ("/data/my movies", "Images-Disc*/GridSquare_*/Data/*.tiff")
    assert (movies["voltage"], movies["samplingRate"], movies["dosePerFrame"], movies["magnification"]) == (200.0, 0.53, 1.25, 81000)
    assert type(movies["magnification"]) is int and movies["dataStreaming"] is True
    assert movies["gainFile"] == "/projects/a/Acquisition/g%ain~.tiff"
    motion = protocols[1]
    named = {alias: motion[name] for name, alias in PARAMETERS[motion[CLASS]].items()}
    assert (named["bin_factor"], named["patch_x"], named["patch_y"], named["last_frame"], named["gain_rot"]) == (2.0, 7, 5, 39, 1)
    assert motion["inputMovies"] == "2.outputMovies" and motion["numberOfThreads"] == 3
    assert {item.alias for item in filled} >= {"voltage", "pixel", "mask", "symmetry", "box"} or "relion" in path.name
    assert all("~" not in str(item.new) or item.alias == "gain" for item in filled)


@pytest.mark.parametrize("path", shipped_workflows(), ids=lambda path: path.name)
def test_the_text_is_json_and_a_template_at_once(path):
    protocols, _ = fill_workflow(read_workflow(path), values(), path.name)
    text = workflow_text(protocols)
    assert "~" not in text and "%" not in text and json.loads(text) == protocols
    assert text % os.environ == text
    again, filled = fill_workflow(text, {}, "again")
    assert again == protocols and filled == []


def test_names_of_parameters_are_those_of_the_jobs():
    jobs = {
        "ProtR4pMotionCorrection": job_type("relion.motioncorr").parameters, "ProtR4pCtfEstimation": job_type("relion.ctffind").parameters,
        "ProtR4pPickLog": job_type("relion.autopick").parameters, "ProtR4pPickTopaz": job_type("relion.autopick").parameters,
        "ProtR4pExtractParticles": job_type("relion.extract").parameters, "ProtR4pStreamClassify2D": Class2DParameters,
        "ProtR4pInitialModel": InitialModelParameters, "ProtR4pRefine3D": Refine3DParameters,
    }  # fmt: skip
    for name, parameters in jobs.items():
        own = set(PARAMETERS[name]) - {"numberOfThreads", "useGpu", "gpuList"}
        assert own <= {field.name for field in dataclasses.fields(parameters)}, name


def test_an_exported_workflow_is_filled_by_names():
    exported = [
        {CLASS: "ProtImportMovies", "object.id": "2", "filesPath": "/old", "voltage": 300.0, "gainFile": None},
        {CLASS: "ProtUnknown", "object.id": "7", "inputMovies": "2.outputMovies", "voltage": 300.0},
    ]
    protocols, filled = fill_workflow(json.dumps(exported), values(), "mine")
    assert protocols[0]["voltage"] == 200.0 and protocols[1] == exported[1]
    assert {(item.place, item.old, item.new) for item in filled} >= {("ProtImportMovies 2: voltage", 300.0, 200.0)}


def one(field):
    return "[\n {" + f'"object.className": "P", "object.id": "1", {field}' + "}\n]"


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ('"a": ~T|1|3|x~', {"x": 5}, 5),
        ('"a": ~T|1|3|x~', {"x": "5.0"}, 5),
        ('"a": ~T|1|3|x~', {}, 1),
        ('"a": ~T|1|4~', {}, 1.0),
        ('"a": ~T|no|1|x~', {"x": True}, True),
        ('"a": "~T|b|0|x~"', {"x": 'quote " back\\slash\nline'}, 'quote " back\\slash\nline'),
        ('"a": "100 %%"', {}, "100 %"),
        ('"a": "%(R4P_TEST)s"', {}, "here"),
    ],
)
def test_fields(monkeypatch, field, given, expected):
    monkeypatch.setenv("R4P_TEST", "here")
    protocols, _ = fill_workflow(one(field), given, "t")
    assert protocols[0]["a"] == expected and type(protocols[0]["a"]) is type(expected)


@pytest.mark.parametrize(
    ("field", "given", "message"),
    [
        ('"a": ~T|1|3|x~', {"x": 1.5}, "t: T is '1.5', which its type 3 does not allow"),
        ('"a": ~T|1|3|x~', {"x": "many"}, "t: T is 'many' but must be a number"),
        ('"a": ~T|1|4|x~', {"x": float("nan")}, "must be a number"),
        ('"a": ~T|1|1|x~', {"x": "perhaps"}, "type 1"),
        ('"a": ~T|1~', {}, "is no field"),
        ('"a": ~T|1|3|x', {}, "odd number of ~"),
        ('"a": "100 %"', {}, "a percent sign is not doubled"),
        ('"a": "%(R4P_NOT_THERE)s"', {}, "no environment variable R4P_NOT_THERE"),
        ('"inputX": "9.output"', {}, "P.inputX points to 9.output, but there is no protocol with id 9"),
        ('"a": }', {}, "is not JSON"),
    ],
)
def test_what_is_refused(field, given, message):
    with pytest.raises(UserError) as error:
        fill_workflow(one(field), given, "t")
    assert message in str(error.value)


def test_ids_must_be_there_once():
    with pytest.raises(UserError, match=r"object\.id of its own"):
        check_pointers([{CLASS: "A", "object.id": "1"}, {CLASS: "B", "object.id": "1"}], "t")


def test_paths_that_scipion_cannot_take():
    with pytest.raises(UserError, match="it takes no '#'"):
        values(pattern="/data/#1/*.tiff")
    with pytest.raises(UserError, match="Scipion cannot work in"):
        scipion_commands("", Path("/data/$(reboot)"))


def test_a_file_that_is_no_workflow(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(UserError, match="holds no list of protocols"):
        read_workflow(path)
