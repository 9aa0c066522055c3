"""The same extraction by RELION's program: pixels, tables and names of files."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs.extract import ExtractParameters, run
from relion4plugin.progress import Silent
from tests.jobs.extract_project import MICROGRAPHS, POINTER, compare, make_project, relion, write_micrographs, write_refined

pytestmark = pytest.mark.relion
BARE = ExtractParameters(
    star_mics=MICROGRAPHS, coords_suffix=POINTER, extract_size=32, do_float16=False, do_invert=False, do_norm=False
)
PICKED = ("--coord_dir", "AutoPick/job005/", "--coord_suffix", "_autopick.star", "--extract_size", "32")


@pytest.fixture(autouse=True)
def extraction_project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_project(last=np.uint16)  # RELION 3.1 does not read 16-bit floats
    return tmp_path


@pytest.mark.parametrize(
    ("options", "words", "tolerance"),
    [
        ({}, (), 0.0),
        ({"do_invert": True}, ("--invert_contrast",), 0.0),
        ({"do_norm": True}, ("--norm", "--bg_radius", "12"), 1e-4),
        ({"do_norm": True, "bg_diameter": 20.0}, ("--norm", "--bg_radius", "10"), 1e-4),
        ({"do_rescale": True, "rescale": 14}, ("--scale", "14"), 1e-4),
        (
            {"do_rescale": True, "rescale": 20, "do_norm": True, "do_invert": True},
            ("--scale", "20", "--norm", "--bg_radius", "7", "--invert_contrast"), 1e-4,
        ),
        ({"do_norm": True, "do_float16": True}, ("--norm", "--bg_radius", "12"), 2e-3),
    ],
)
def test_picks(options, words, tolerance):
    run(dataclasses.replace(BARE, **options), Path("Extract/job006"), Silent())
    relion("relion", *PICKED, *words)
    assert compare("Extract/job006", "relion", tolerance) == 75


def test_without_ctf_and_with_half_of_one():
    for columns in ({}, {"rlnDefocusU": 12345.6, "rlnPhaseShift": 33.0}):
        write_micrographs([0, 2], columns)
        run(BARE, Path("Extract/job006"), Silent(), overwrite=True)
        relion("relion", *PICKED)
        assert compare("Extract/job006", "relion", 0.0) == 50


def test_columns_that_only_some_picks_have():
    path = "AutoPick/job005/Movies/m2_autopick.star"
    table = read_star(path)[""].drop(columns=["rlnAutopickFigureOfMerit"]).assign(rlnHelicalTubeID=4)
    write_star(path, {"": table})
    run(BARE, Path("Extract/job006"), Silent())
    relion("relion", *PICKED)
    assert compare("Extract/job006", "relion", 0.0) == 75


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ()),
        ({"do_reset_offsets": True}, ("--reset_offsets",)),
        ({"do_recenter": True}, ("--recenter",)),
        (
            {"do_recenter": True, "recenter_x": 0.5, "recenter_y": -0.4, "recenter_z": 0.6},
            ("--recenter", "--recenter_x", "0.5", "--recenter_y", "-0.4", "--recenter_z", "0.6"),
        ),
    ],
)
def test_refined_particles(options, words):
    run(dataclasses.replace(BARE, do_rescale=True, rescale=16), Path("Extract/job006"), Silent())
    write_refined("Extract/job006/particles.star", "refined.star")
    write_micrographs([2, 0])
    again = dataclasses.replace(BARE, do_reextract=True, fndata_reextract="refined.star", **options)
    run(again, Path("Extract/job018"), Silent())
    relion("relion", "--reextract_data_star", "refined.star", "--extract_size", "32", *words)
    assert compare("Extract/job018", "relion", 0.0) == 50


def test_real_micrographs(shared_data):
    folder = shared_data / "micrographs" / "apoferritin_empiar10146"
    Path("Movies").symlink_to(folder)
    blocks = read_star(folder / "micrographs_ctf.star")
    blocks["micrographs"]["rlnMicrographName"] = "Movies/" + blocks["micrographs"]["rlnMicrographName"]
    write_star(MICROGRAPHS, blocks)
    Path("coords_suffix_manualpick.star").write_text(f"{MICROGRAPHS}\n")
    parameters = dataclasses.replace(
        BARE, coords_suffix="coords_suffix_manualpick.star", extract_size=128, do_rescale=True, rescale=48, do_norm=True, do_invert=True
    )
    run(parameters, Path("Extract/job006"), Silent())
    words = ("--coord_dir", "./", "--coord_suffix", "_manualpick.star", "--extract_size", "128")
    relion("relion", *words, "--scale", "48", "--norm", "--bg_radius", "18", "--invert_contrast")
    assert compare("Extract/job006", "relion") == 807


def test_real_micrograph_with_picks_and_contaminant(shared_data):
    folder = shared_data / "micrographs" / "ucsf_stack_1142"
    Path("Movies").symlink_to(folder)
    blocks = read_star(MICROGRAPHS)
    blocks["micrographs"] = blocks["micrographs"].iloc[:1].assign(rlnMicrographName="Movies/Ucsf_stack_1142_DW.mrc")
    write_star(MICROGRAPHS, blocks)
    Path("coords_suffix_autopick.star").write_text(f"{MICROGRAPHS}\n")
    parameters = dataclasses.replace(BARE, coords_suffix="coords_suffix_autopick.star", extract_size=64, do_norm=True)
    run(parameters, Path("Extract/job006"), Silent())
    relion("relion", "--coord_dir", "./", "--coord_suffix", "_autopick.star", "--extract_size", "64", "--norm", "--bg_radius", "24")
    assert compare("Extract/job006", "relion") > 10
