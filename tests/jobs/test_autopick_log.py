import subprocess
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs import autopick_log
from relion4plugin.jobs.autopick_files import read_micrographs
from relion4plugin.jobs.autopick_parameters import LogPickParameters
from relion4plugin.jobs.execution import run_job
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.registry import job_type
from relion4plugin.preprocessing.picking.picks import read_picks
from relion4plugin.progress import Silent
from tests.jobs.picking_project import NAMES, make_micrographs

OUT = Path("AutoPick/job006")
PARAMETERS = LogPickParameters(fn_input_autopick="mics.star", log_diam_min=130.0, log_diam_max=175.0, fn_truth="known.star")


@pytest.fixture
def micrographs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_micrographs(tmp_path)
    return tmp_path


def run(is_continue=False, parameters=PARAMETERS, **changes):
    return autopick_log.run(parameters, OUT, Silent(), is_continue=is_continue, **changes)


def test_files_are_those_of_relion(micrographs):
    outputs = run()
    table = read_star(OUT / "autopick.star")["coordinate_files"]
    assert table["rlnMicrographName"].tolist() == list(NAMES)
    assert table["rlnMicrographCoordinates"].tolist() == [f"AutoPick/job006/Movies/m{i}_autopick.star" for i in (1, 2, 3)]
    summary = read_star(OUT / "summary.star")[""]
    counts = [len(read_picks(path)) for path in table["rlnMicrographCoordinates"]]
    assert summary["rlnGroupNrParticles"].astype(int).tolist() == counts
    assert (outputs.n_micrographs, outputs.n_new, outputs.n_picks) == (3, 3, sum(counts))
    assert outputs.recall > 0.8 and outputs.precision > 0.7


def test_finished_micrographs_are_kept(micrographs):
    first = run()
    made_by_hand = OUT / "Movies/m2_autopick.star"
    before = made_by_hand.stat().st_mtime_ns
    (OUT / "Movies/m3_autopick.star").unlink()
    again = run(is_continue=True)
    assert (again.n_new, again.n_micrographs, again.n_picks) == (1, 3, first.n_picks)
    assert made_by_hand.stat().st_mtime_ns == before
    assert (again.precision, again.recall) == (first.precision, first.recall)
    with pytest.raises(UserError, match="holds results of an earlier run"):
        run()
    assert run(overwrite=True).n_new == 3


def test_threads_change_nothing(micrographs):
    run()
    picks = [read_picks(OUT / f"Movies/m{i}_autopick.star").centres for i in (1, 2, 3)]
    run(overwrite=True, parameters=LogPickParameters(**{**vars(PARAMETERS), "nr_mpi": 3}))
    for i, centres in zip((1, 2, 3), picks, strict=True):
        np.testing.assert_array_equal(read_picks(OUT / f"Movies/m{i}_autopick.star").centres, centres)


def test_bad_micrographs_are_set_aside_and_the_rest_goes_on(micrographs):
    Path(NAMES[0]).write_bytes(Path(NAMES[0]).read_bytes()[:5000])
    write_stack(NAMES[2], np.full((1, 480, 512), np.nan, np.float32), 4.0)
    outputs = run()
    assert (outputs.n_micrographs, outputs.n_set_aside) == (1, 2)
    aside = read_star(OUT / "set_aside.star")["set_aside"]
    assert aside["rlnMicrographMovieName" if "rlnMicrographMovieName" in aside else "rlnMicrographName"].tolist() == [NAMES[0], NAMES[2]]
    assert "truncated" in aside["r4pReason"].iloc[0] and "not numbers" in aside["r4pReason"].iloc[1]
    assert "2 micrographs set aside" in outputs.remarks[0]


def test_no_picks_are_a_finished_micrograph(micrographs):
    write_stack(NAMES[1], np.random.default_rng(0).normal(size=(1, 480, 512)).astype(np.float32), 4.0)
    strict = LogPickParameters(**{**vars(PARAMETERS), "log_adjust_thr": 20.0})
    outputs = run(parameters=strict)
    assert (outputs.n_micrographs, outputs.n_picks) == (3, 0)
    assert "3 of 3 micrographs have no picks" in outputs.remarks[0]
    assert len(read_picks(OUT / "Movies/m2_autopick.star")) == 0
    assert run(is_continue=True, parameters=strict).n_new == 0


def test_pictures_are_drawn_on_demand(micrographs):
    run()
    assert not list(OUT.rglob("*.png"))
    run(overwrite=True, parameters=LogPickParameters(**{**vars(PARAMETERS), "do_overlay": True}))
    assert sorted(path.name for path in OUT.rglob("*.png")) == [f"m{i}_autopick.png" for i in (1, 2, 3)]


def test_without_a_pixel_size_nothing_is_guessed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_micrographs(tmp_path, pixel_size=None)
    with pytest.raises(UserError, match=r"none of 3 micrographs could be used; .*the pixel size is not known; give it with --angpix"):
        run()
    assert run(parameters=LogPickParameters(**{**vars(PARAMETERS), "angpix": 4.0}), overwrite=True).n_micrographs == 3


def test_pixel_sizes_of_old_files_are_read(micrographs):
    import pandas as pd

    table = pd.DataFrame({"rlnMicrographName": NAMES, "rlnDetectorPixelSize": 5.0, "rlnMagnification": 50000.0})
    write_star("old.star", {"": table})
    assert [m.pixel_size for m in read_micrographs(LogPickParameters(fn_input_autopick="old.star"))] == pytest.approx([1.0] * 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_diam_min": 200.0}, "must be above 0 and not above"),
        ({"log_upper_thr": 0.0}, "log_upper_thr is 0"),
        ({"fn_input_autopick": ""}, "no micrographs: give a STAR file with --i"),
        ({"fn_truth": "none.star"}, r"known particles none\.star: no such file"),
        ({"log_diam_max": 3000.0}, "more than half of this micrograph of 1920 A"),
    ],
)
def test_mistakes_are_told_in_one_line(micrographs, changes, message):
    with pytest.raises(UserError, match=message):
        run(parameters=LogPickParameters(**{**vars(PARAMETERS), **changes}))


def test_two_micrographs_never_share_a_file(micrographs):
    import pandas as pd

    names = ["MotionCorr/job002/Movies/m1.mrc", "MotionCorr/job009/Movies/m1.mrc"]
    write_star("two.star", {"micrographs": pd.DataFrame({"rlnMicrographName": names})})
    with pytest.raises(UserError, match="would have the same file"):
        read_micrographs(LogPickParameters(fn_input_autopick="two.star"))


def test_it_runs_from_job_star(micrographs):
    OUT.mkdir(parents=True)
    options = {"fn_input_autopick": "mics.star", "do_log": "Yes", "log_diam_min": "130", "log_diam_max": "175"}
    run_job(OUT, JobStar("relion.autopick", options=options), False, Silent())
    assert len(read_star(OUT / "autopick.star")["coordinate_files"]) == 3


def test_what_runs_here():
    base = {"fn_input_autopick": "m.star"}
    runs = job_type("relion.autopick").runner
    assert runs({**base, "do_log": "Yes"}) is not None
    assert runs({**base, "do_topaz": "Yes", "do_topaz_pick": "Yes"}) is not None
    assert runs({**base, "do_topaz": "Yes", "do_topaz_train": "Yes"}) is None
    assert runs({**base, "do_refs": "Yes"}) is not None
    assert runs({**base, "do_refs": "Yes", "do_ref3d": "Yes"}) is None
    assert runs({**base, "do_refs": "Yes", "do_write_fom_maps": "Yes"}) is None
    assert runs({**base, "do_log": "Yes", "do_refs": "Yes"}) is None
    assert runs({**base, "do_log": "Yes", "continue_manual": "Yes"}) is None
    with pytest.raises(UserError, match="use_gpu is Yes"):
        autopick_log.from_options({**base, "use_gpu": "Yes"})


def test_the_command_of_relion():
    words = autopick_log.relion_command(PARAMETERS, OUT, True)
    assert words[:4] == ["relion_autopick", "--i", "mics.star", "--odir"]
    assert words[words.index("--LoG_diam_max") + 1] == "175"


@pytest.mark.relion
def test_recall_is_no_worse_than_that_of_relion(micrographs):
    from relion4plugin.preprocessing.picking.agreement import Agreement, agreement

    ours = run()
    words = ["relion_autopick", "--i", "MotionCorr/job002/Movies/*.mrc", "--odir", "R/", "--pickname", "autopick", "--angpix", "4"]
    words += ["--LoG", "--LoG_diam_min", "130"]
    subprocess.run([*words, "--LoG_diam_max", "175", "--shrink", "0", "--lowpass", "20"], check=True, capture_output=True)
    theirs = Agreement(0, 0, 0)
    for i in (1, 2, 3):
        picks, truth = (read_picks(path).centres for path in (f"R/Movies/m{i}_autopick.star", f"Known/m{i}.star"))
        theirs += agreement(picks, truth, 175 / 2 / 4.0)
    assert 2 * ours.precision * ours.recall / (ours.precision + ours.recall) >= theirs.f1 - 0.02
