import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.motion_star import read_motion
from relion4plugin.files.movie_write import write_movie
from relion4plugin.files.mrc import read_header, read_mrc, write_stack
from relion4plugin.files.star import read_star
from relion4plugin.jobs import motioncorr
from relion4plugin.jobs.execution import run_job
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.motioncorr import MotionCorrParameters
from relion4plugin.progress import Silent
from tests.preprocessing.motion.synthetic import distance, movie, movies_star

MADE = movie((160, 192), n_frames=8)


@pytest.fixture
def movies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Movies").mkdir()
    for name in ("a", "b", "c"):
        write_movie(tmp_path / f"Movies/{name}.tiff", MADE.counts, 1.2)
    movies_star(tmp_path / "movies.star", ["Movies/a.tiff", "Movies/b.tiff", "Movies/c.tiff"], 1.2)
    return tmp_path


def parameters(**changes):
    return MotionCorrParameters(input_star_mics="movies.star", **changes)


def run(where, is_continue=False, overwrite=False, **changes):
    return motioncorr.run(parameters(**changes), where / "MotionCorr/job002", Silent(), is_continue=is_continue, overwrite=overwrite)


def rows_of(where):
    return read_star(where / "MotionCorr/job002/corrected_micrographs.star")["micrographs"]


def test_files_of_relions_names_and_formats(movies):
    outputs = run(movies, do_save_noDW=True)
    assert (outputs.n_micrographs, outputs.n_new, outputs.n_set_aside, outputs.remarks) == (3, 3, 0, ())
    place = movies / "MotionCorr/job002/Movies"
    assert sorted(path.name for path in place.glob("a*")) == ["a.mrc", "a.star", "a_PS.mrc", "a_noDW.mrc"]
    for name, shape in (("a.mrc", (160, 192)), ("a_noDW.mrc", (160, 192)), ("a_PS.mrc", (512, 512))):
        header = read_header(place / name)
        assert (header.ny, header.nx, header.dtype.name) == (*shape, "float16")
    assert read_header(place / "a.mrc").pixel_size == pytest.approx(1.2)
    record = read_motion(place / "a.star")
    assert distance(record.shifts, MADE.shifts) < 0.3
    assert (record.movie, record.pixel_size, record.dose_rate, record.coefficients) == ("Movies/a.tiff", 1.2, 1.0, None)
    table = rows_of(movies)
    assert table["rlnMicrographName"].tolist()[0].endswith("MotionCorr/job002/Movies/a.mrc")
    assert list(table.columns) == [
        "rlnMicrographNameNoDW", "rlnCtfPowerSpectrum", "rlnMicrographName", "rlnMicrographMetadata", "rlnOpticsGroup",
        "rlnAccumMotionTotal", "rlnAccumMotionEarly", "rlnAccumMotionLate",
    ]  # fmt: skip
    assert table["rlnAccumMotionTotal"][0] == pytest.approx(np.hypot(*np.diff(MADE.shifts, axis=0).T).sum(), rel=0.15)
    optics = read_star(movies / "MotionCorr/job002/corrected_micrographs.star")["optics"]
    assert optics["rlnMicrographPixelSize"].tolist() == [1.2]


def test_without_dose_weights_the_micrograph_is_the_plain_sum(movies):
    run(movies, do_dose_weighting=False, do_float16=False, do_save_ps=False, do_save_noDW=True, bin_factor=2.0)
    place = movies / "MotionCorr/job002/Movies"
    assert sorted(path.name for path in place.glob("a*")) == ["a.mrc", "a.star"]
    image, pixel_size = read_mrc(place / "a.mrc")
    assert image.shape == (1, 80, 96) and pixel_size == pytest.approx(2.4)
    assert image.mean() == pytest.approx(MADE.counts.sum(axis=0).mean(), rel=1e-3)
    assert "rlnMicrographNameNoDW" not in rows_of(movies).columns


def test_finished_movies_are_kept_and_damaged_files_made_again(movies):
    assert run(movies, do_at_most=1).n_left == 2
    place = movies / "MotionCorr/job002/Movies"
    before = (place / "a.mrc").stat().st_mtime_ns
    outputs = run(movies, is_continue=True, do_at_most=1)
    assert (outputs.n_micrographs, outputs.n_new, outputs.n_left) == (2, 1, 1)
    assert (place / "a.mrc").stat().st_mtime_ns == before
    (place / "b_PS.mrc").unlink()
    (place / "a.star").write_text("data_general\n\n_rlnImageSizeX 3\n")
    outputs = run(movies, is_continue=True)
    assert (outputs.n_micrographs, outputs.n_new, outputs.n_left) == (3, 3, 0)
    with pytest.raises(UserError, match="results of an earlier run"):
        run(movies)
    assert run(movies, overwrite=True).n_new == 3


def test_bad_movies_are_set_aside_and_the_rest_goes_on(movies):
    whole = (movies / "Movies/a.tiff").read_bytes()
    (movies / "Movies/cut.tiff").write_bytes(whole[: len(whole) // 2])
    write_movie(movies / "Movies/short.tiff", MADE.counts[:2], 1.2)
    write_movie(movies / "Movies/small.tiff", MADE.counts[:, :100], 1.2)
    frames = MADE.counts.astype(np.float32)
    frames[5, 0, 0] = np.nan
    write_movie(movies / "Movies/nan.mrc", frames, 1.2)
    write_movie(movies / "Movies/bright.mrc", MADE.counts.astype(np.float32) * 50000, 1.2)
    write_stack(movies / "gain.mrc", np.ones((1, 160, 192), dtype=np.float32), 1.2)
    names = ["cut.tiff", "short.tiff", "a.tiff", "small.tiff", "nan.mrc", "bright.mrc", "none.tiff"]
    movies_star(movies / "movies.star", [f"Movies/{name}" for name in names], 1.2)
    outputs = run(movies, fn_gain_ref="gain.mrc", first_frame_sum=3)
    assert (outputs.n_micrographs, outputs.n_set_aside) == (1, 6)
    table = read_star(movies / "MotionCorr/job002/set_aside.star")["set_aside"]
    reasons = dict(zip(table["rlnMicrographMovieName"], table["r4pReason"], strict=True))
    expected = {
        "cut.tiff": "cut", "short.tiff": "2 frames, but frames 3 to 3 are wanted", "small.tiff": "gain", "nan.mrc": "no numbers",
        "bright.mrc": "too large for 16 bits", "none.tiff": "no such file",
    }  # fmt: skip
    for name, words in expected.items():
        assert words in reasons[f"Movies/{name}"]
    movies_star(movies / "movies.star", ["Movies/none.tiff"], 1.2)
    with pytest.raises(UserError, match="none of 1 movies could be used"):
        run(movies, overwrite=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_save_ps": False}, "do_float16 is Yes, which needs power spectra"),
        ({"dose_per_frame": 0.0}, "dose weighting needs dose_per_frame above 0"),
        ({"dose_per_frame": 0.0, "do_dose_weighting": False}, "power spectra need dose_per_frame"),
        ({"first_frame_sum": 5, "last_frame_sum": 5}, "last_frame_sum 5 must be above first_frame_sum 5"),
        ({"fn_gain_ref": "none.mrc"}, "gain reference none.mrc: no such file"),
        ({"fn_defect": "none.txt"}, "defect file none.txt: no such file"),
        ({"use_gpu": True, "gpu_ids": "x"}, "gpu_ids is 'x'"),
        ({"patch_x": 0}, "patch_x"),
    ],
)
def test_mistakes_are_found_before_anything_is_read(changes, message):
    with pytest.raises(UserError, match=message):
        motioncorr.validate(parameters(**changes))


@pytest.mark.parametrize(("label", "value"), [("rlnVoltage", 0.0), ("rlnMicrographOriginalPixelSize", -1.0)])
def test_optics_must_make_sense(movies, label, value):
    blocks = read_star(movies / "movies.star")
    blocks["optics"][label] = value
    from relion4plugin.files.star import write_star

    write_star(movies / "movies.star", blocks)
    with pytest.raises(UserError, match=f"optics group 1 has {label}"):
        run(movies)


def test_options_of_a_scheme():
    options = {
        "input_star_mics": "m.star",
        "other_args": "--do_at_most 50 --eer_upsampling 2",
        "patch_x": "5",
        "gain_rot": "90 degrees (1)",
    }
    read = motioncorr.from_options(options)
    assert (read.do_at_most, read.eer_upsampling, read.patch_x, read.gain_rot) == (50, 2, 5, "90 degrees (1)")
    assert motioncorr.from_options({"other_args": '""'}).do_at_most == -1
    with pytest.raises(UserError, match="other_args has '--archive', which is not known here"):
        motioncorr.from_options({"other_args": "--archive X"})
    with pytest.raises(UserError, match="UCSF MotionCor2 is not called from here"):
        motioncorr.from_options({"do_own_motioncor": "No"})


def test_a_job_directory_runs_natively_and_goes_on(movies):
    place = movies / "MotionCorr/job002"
    place.mkdir(parents=True)
    job = JobStar("relion.motioncorr.own", options={"input_star_mics": "movies.star", "other_args": "--do_at_most 2"})
    for expected, is_continue in ((2, False), (3, True)):
        run_job(place.relative_to(movies), job, is_continue, Silent())
        table = rows_of(movies)
        assert len(table) == expected and (place / "RELION_JOB_EXIT_SUCCESS").is_file()
    assert table["rlnMicrographName"].tolist() == [f"MotionCorr/job002/Movies/{name}.mrc" for name in "abc"]
