import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.coordinates import read_coordinate_list, read_coordinates
from relion4plugin.files.mrc import read_header, read_mrc
from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs import micrograph_job
from relion4plugin.jobs.extract import ExtractParameters, from_options, run, settings_of, validate
from relion4plugin.jobs.job_type import Execution
from relion4plugin.jobs.registry import job_type
from relion4plugin.progress import Silent
from tests.jobs.extract_project import (
    COORDINATES,
    MICROGRAPHS,
    NAMES,
    PIXEL,
    make_project,
    micrograph,
    optics,
    write_micrographs,
    write_refined,
)

OUT = Path("Extract/job006")
PLAIN = ExtractParameters(star_mics=MICROGRAPHS, coords_suffix=COORDINATES, extract_size=32, do_rescale=True, rescale=16)


@pytest.fixture(autouse=True)
def extraction_project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_project()
    return tmp_path


def particles(out: Path = OUT) -> pd.DataFrame:
    return read_star(out / "particles.star")["particles"]


def changed(**options) -> ExtractParameters:
    return dataclasses.replace(PLAIN, **options)


def test_files_of_a_job():
    outputs = run(PLAIN, OUT, Silent())
    assert (outputs.n_particles, outputs.n_micrographs, outputs.n_new, outputs.n_set_aside) == (75, 3, 3, 0)
    table = particles()
    assert table["rlnImageName"].iloc[25] == "000001@Extract/job006/Movies/m2.mrcs"
    assert table["rlnMicrographName"].iloc[25] == micrograph(1)
    assert table["rlnCtfMaxResolution"].iloc[0] == 4.5 and table["rlnPhaseShift"].iloc[0] == 0
    group = read_star(OUT / "particles.star")["optics"].iloc[0]
    assert (group["rlnImagePixelSize"], group["rlnImageSize"], group["rlnImageDimensionality"]) == (2 * PIXEL, 16, 2)
    assert "rlnMicrographPixelSize" not in group
    header = read_header(OUT / "Movies/m2.mrcs")
    assert (header.nz, header.nx, header.dtype, header.pixel_size) == (25, 16, np.dtype("<f2"), 2 * PIXEL)
    assert not (OUT / "set_aside.star").exists() and not (OUT / "extractpick.star").exists()


def test_threads_make_no_difference():
    run(changed(white_dust=2.0), OUT, Silent())
    run(changed(white_dust=2.0, nr_mpi=3), Path("Extract/job007"), Silent())
    for name in NAMES:
        assert np.array_equal(read_mrc(OUT / f"Movies/{name}.mrcs")[0], read_mrc(f"Extract/job007/Movies/{name}.mrcs")[0])


def test_only_picks_above_the_threshold():
    run(changed(do_fom_threshold=True, minimum_pick_fom=0.5), OUT, Silent())
    picks = [read_coordinates(f"AutoPick/job005/Movies/{name}_autopick.star") for name in NAMES]
    wanted = pd.concat([table[table["rlnAutopickFigureOfMerit"] >= 0.5] for table in picks])
    np.testing.assert_allclose(particles()["rlnCoordinateX"], wanted["rlnCoordinateX"])
    assert 0 < len(wanted) < 75


def test_new_micrographs_are_added_and_finished_ones_kept():
    write_micrographs([0, 2])
    run(PLAIN, OUT, Silent())
    times = {name: (OUT / f"Movies/{name}.mrcs").stat().st_mtime_ns for name in ("m1", "m3")}
    write_micrographs()
    outputs = run(PLAIN, OUT, Silent(), is_continue=True)
    assert (outputs.n_particles, outputs.n_micrographs, outputs.n_new) == (75, 3, 1)
    assert {name: (OUT / f"Movies/{name}.mrcs").stat().st_mtime_ns for name in times} == times
    whole = run(PLAIN, Path("Extract/job007"), Silent())
    pd.testing.assert_frame_equal(particles().drop(columns="rlnImageName"), particles(whole.particles.parent).drop(columns="rlnImageName"))


def test_a_micrograph_whose_star_was_removed_is_done_again():
    run(PLAIN, OUT, Silent())
    (OUT / "Movies/m2_extract.star").unlink()
    coordinates = Path("AutoPick/job005/Movies/m2_autopick.star")
    write_star(coordinates, {"": read_coordinates(coordinates).iloc[:4]})
    outputs = run(PLAIN, OUT, Silent(), is_continue=True)
    assert (outputs.n_new, outputs.n_particles) == (1, 54)
    assert particles()["rlnMicrographName"].value_counts()[micrograph(1)] == 4


def test_the_list_is_written_while_the_job_runs(monkeypatch):
    monkeypatch.setattr(micrograph_job, "_LISTS_EVERY", -1.0)
    monkeypatch.setattr(micrograph_job, "_LISTS_SHARE", 0)
    seen = []

    class Watch(Silent):
        def advance(self, n=1, note=""):
            seen.append(len(particles()))

    run(PLAIN, OUT, Watch())
    assert seen == [25, 50, 75]


def test_results_are_not_overwritten_unasked():
    run(PLAIN, OUT, Silent())
    with pytest.raises(UserError, match="results of an earlier run"):
        run(PLAIN, OUT, Silent())
    write_micrographs([1])
    assert run(PLAIN, OUT, Silent(), overwrite=True).n_particles == 25


def test_bad_micrographs_are_set_aside():
    Path(micrograph(0)).write_bytes(Path(micrograph(0)).read_bytes()[:5000])
    Path("AutoPick/job005/Movies/m3_autopick.star").unlink()
    outputs = run(PLAIN, OUT, Silent())
    assert (outputs.n_particles, outputs.n_set_aside) == (25, 2)
    table = read_star(OUT / "set_aside.star")["set_aside"]
    assert table["rlnMicrographName"].tolist() == [micrograph(0), micrograph(2)]
    assert "truncated micrograph" in table["r4pReason"].iloc[0] and "no such file" in table["r4pReason"].iloc[1]
    assert any("2 micrographs set aside" in remark for remark in outputs.remarks)


def test_nothing_but_bad_micrographs_is_an_error():
    shutil.rmtree("MotionCorr")
    with pytest.raises(UserError, match=r"none of 3 micrographs could be used; first: .*m1\.mrc: no such file"):
        run(PLAIN, OUT, Silent())


def test_positions_outside_and_micrographs_without_picks_are_said():
    path = Path("AutoPick/job005/Movies/m1_autopick.star")
    table = read_coordinates(path)
    table.loc[[0, 3], "rlnCoordinateX"] = [-17.0, 1e5]
    write_star(path, {"": table})
    write_star("AutoPick/job005/Movies/m2_autopick.star", {"": table.iloc[:0]})
    outputs = run(PLAIN, OUT, Silent())
    assert outputs.n_particles == 48 and not (OUT / "Movies/m2_extract.star").exists()
    assert any(remark.startswith("2 positions lie outside") for remark in outputs.remarks)
    assert any(remark.startswith("1 micrographs have no particles") for remark in outputs.remarks)
    assert particles()["rlnImageName"].iloc[22] == "000023@Extract/job006/Movies/m1.mrcs"


def test_unknown_micrographs_and_a_missing_ctf_are_said():
    write_micrographs([0], columns={})
    outputs = run(PLAIN, OUT, Silent())
    assert any("coordinates of 2 micrographs are not used" in remark and "Movies/m2.mrc" in remark for remark in outputs.remarks)
    assert any("has no CTF" in remark for remark in outputs.remarks)
    assert "rlnDefocusU" not in particles().columns


def test_no_positions_at_all_is_an_error():
    write_star(COORDINATES, {"": pd.DataFrame({"rlnMicrographName": ["other.mrc"], "rlnMicrographCoordinates": ["other.star"]})})
    with pytest.raises(UserError, match=r"no particles: none of 3 micrographs .*first: other\.mrc"):
        run(PLAIN, OUT, Silent())


def test_recentred_particles_keep_their_place_and_their_ctf():
    run(PLAIN, OUT, Silent())
    write_refined("Extract/job006/particles.star", "refined.star")
    again = changed(coords_suffix="", do_reextract=True, fndata_reextract="refined.star", do_recenter=True, rescale=24)
    outputs = run(again, Path("Extract/job018"), Silent())
    refined = read_star("refined.star")["particles"]
    refined = refined.iloc[np.argsort(refined["rlnMicrographName"].to_numpy(), kind="stable")].reset_index(drop=True)
    table = particles(Path("Extract/job018"))
    assert outputs.n_particles == 75
    pd.testing.assert_series_equal(table["rlnDefocusU"], refined["rlnDefocusU"])
    for axis in "XY":
        coordinate, origin = f"rlnCoordinate{axis}", f"rlnOrigin{axis}Angst"
        np.testing.assert_allclose(table[coordinate] * PIXEL - table[origin], refined[coordinate] * PIXEL - refined[origin], atol=1e-4)
        assert table[origin].abs().max() <= PIXEL / 2 + 1e-6
    found = read_coordinate_list("Extract/job018/extractpick.star")
    again_at = read_coordinates(found.file_of(micrograph(0)))
    np.testing.assert_allclose(again_at["rlnCoordinateX"], table["rlnCoordinateX"][table["rlnMicrographName"] == micrograph(0)])


def refined_with(change) -> ExtractParameters:
    run(PLAIN, OUT, Silent())
    write_refined("Extract/job006/particles.star", "refined.star")
    blocks = read_star("refined.star")
    change(blocks)
    write_star("refined.star", blocks)
    return changed(do_reextract=True, fndata_reextract="refined.star", do_recenter=True, recenter_z=3.0)


def without(label):
    def change(blocks):
        blocks["particles"] = blocks["particles"].drop(columns=label)

    return change


def two_pixel_sizes(blocks):
    blocks["optics"] = pd.concat([blocks["optics"]] * 2).assign(
        rlnOpticsGroup=[1, 2], rlnOpticsGroupName=["og1", "og2"], rlnImagePixelSize=[3.0, 4.0]
    )
    blocks["particles"]["rlnOpticsGroup"] = 1 + np.arange(75) % 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("rlnOriginXAngst"), "no column rlnOriginXAngst"),
        (without("rlnAngleTilt"), "no column rlnAngleTilt"),
        (without("rlnCoordinateX"), "no column rlnCoordinateX"),
        (without("rlnMicrographName"), "no column rlnMicrographName"),
        (two_pixel_sizes, "different pixel sizes"),
        (lambda blocks: blocks["optics"].update({"rlnOpticsGroupName": ["other"]}), "optics group other is not in mics.star"),
    ],
)
def test_refined_particles_that_cannot_be_used(change, message):
    parameters = refined_with(change)
    with pytest.raises(UserError, match=message):
        run(parameters, Path("Extract/job018"), Silent())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"star_mics": ""}, "no micrographs: give a file with --i"),
        ({"star_mics": "no.star"}, "micrographs no.star: no such file"),
        ({"coords_suffix": ""}, "no coordinates"),
        ({"extract_size": 33}, "must be even: give 34"),
        ({"rescale": 40}, "rescale is 40 px, more than the box of 32 px"),
        ({"bg_diameter": 33.0}, "bg_diameter is 33 px, more than the box"),
        ({"do_reextract": True}, "no refined particles"),
        ({"do_reextract": True, "fndata_reextract": MICROGRAPHS, "do_reset_offsets": True, "do_recenter": True}, "choose one"),
        ({"nr_mpi": 0}, "nr_mpi is 0"),
    ],
)
def test_mistakes_in_options(options, message):
    with pytest.raises(UserError, match=message):
        validate(changed(**options))


def test_mistakes_in_the_list_of_micrographs():
    table = pd.DataFrame({"rlnMicrographName": [micrograph(0)], "rlnOpticsGroup": [1]})
    for blocks, message in [
        ({"micrographs": table}, "data_optics has no rlnOpticsGroup"),
        ({"optics": optics().drop(columns="rlnMicrographPixelSize"), "micrographs": table}, "has no rlnMicrographPixelSize"),
        ({"optics": optics(-1.0), "micrographs": table}, "must be a number above 0"),
        ({"optics": optics(), "micrographs": table.assign(rlnOpticsGroup=2)}, "optics group 2"),
        ({"optics": optics(), "micrographs": table.drop(columns="rlnMicrographName")}, "no column rlnMicrographName"),
        ({"optics": optics(), "micrographs": pd.concat([table, table])}, "would write the same particles"),
    ]:
        write_star(MICROGRAPHS, blocks)
        with pytest.raises(UserError, match=message):
            run(PLAIN, OUT, Silent())


def test_scores_that_are_not_there_are_missed():
    for name in NAMES:
        path = f"AutoPick/job005/Movies/{name}_autopick.star"
        write_star(path, {"": read_coordinates(path).drop(columns="rlnAutopickFigureOfMerit")})
    with pytest.raises(UserError, match="has no scores"):
        run(changed(do_fom_threshold=True), OUT, Silent())


def test_odd_scaled_size_is_made_even():
    parameters = changed(rescale=15)
    assert settings_of(parameters).size == 16
    assert "16 px is taken" in validate(parameters)[0]


def test_as_a_job_of_a_project():
    kind = job_type("relion.extract")
    options = {"star_mics": MICROGRAPHS, "coords_suffix": COORDINATES, "extract_size": "32", "do_rescale": "Yes", "rescale": "16"}
    runner = kind.runner(options)
    assert runner is not None
    OUT.mkdir(parents=True)
    for is_continue in (False, True):
        runner(Execution(kind.text(options).values, OUT, is_continue, Silent()))
        assert len(particles()) == 75
    for missing in ({"do_extract_helix": "Yes"}, {"other_args": "--premultiply_ctf"}):
        assert kind.runner({**options, **missing}) is None
    with pytest.raises(UserError, match="filaments are not extracted here"):
        from_options({"do_extract_helix": "Yes"})
