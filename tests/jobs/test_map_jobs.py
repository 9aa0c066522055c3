"""Mask, post-processing and local resolution as jobs and commands."""

import json

import numpy as np
import pytest

from relion4plugin.cli.main import main
from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc, write_volume
from relion4plugin.files.star import read_star
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.jobs import localres, maskcreate, postprocess
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.progress import Silent
from tests.postprocessing.simulated import BOX, PIXEL, particle, write_halves


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_halves(tmp_path, particle(), 0.03)
    write_volume(tmp_path / "mask.mrc", soft_sphere(BOX, 20, 6), PIXEL)
    return tmp_path


HALF = "run_half1_class001_unfil.mrc"


def test_options_of_real_jobs(shared_data):
    folder = shared_data / "star/relion31_tutorial_bgal"
    mask = maskcreate.from_options(read_job_star(folder / "MaskCreate/job020/job.star").options)
    assert mask.fn_in == "Refine3D/job019/run_class001.mrc"
    assert (mask.inimask_threshold, mask.extend_inimask, mask.width_mask_edge) == (0.005, 0, 6)
    post = postprocess.from_options(read_job_star(folder / "PostProcess/job030/job.star").options)
    assert (post.fn_mask, post.angpix, post.do_auto_bfac, post.fn_mtf) == ("MaskCreate/job020/mask.mrc", 1.244, True, "")
    local = localres.from_options(read_job_star(folder / "LocalRes/job031/job.star").options)
    assert (local.adhoc_bfac, local.angpix) == (-30.0, 1.244)


def test_relions_commands(shared_data, tmp_path):
    folder = shared_data / "star/relion31_tutorial_bgal/PostProcess/job030"
    post = postprocess.from_options(read_job_star(folder / "job.star").options)
    recorded = next(line for line in (folder / "postprocess.star").read_text().splitlines() if line.startswith("# --mask"))
    ours = postprocess.relion_command(post, tmp_path)[1:]
    theirs = recorded[2:].split()
    theirs = theirs[: theirs.index("--pipeline_control")]
    theirs[theirs.index("--o") + 1] = (tmp_path / "postprocess").as_posix()
    assert ours == theirs
    mask = maskcreate.MaskCreateParameters(fn_in="map.mrc")
    words = "relion_mask_create --i map.mrc --o M/mask.mrc --lowpass 15 --ini_threshold 0.02 --extend_inimask 3 --width_soft_edge 3"
    assert " ".join(maskcreate.relion_command(mask, type(tmp_path)("M"))) == words


@pytest.mark.parametrize(
    ("job", "options"), [(maskcreate, {"do_helix": "Yes"}), (localres, {"do_resmap_locres": "Yes"}), (postprocess, {"angpix": "wide"})]
)
def test_options_that_are_not_offered_are_refused(job, options):
    with pytest.raises(UserError):
        job.from_options(options)


def test_a_mask_job(project):
    parameters = maskcreate.MaskCreateParameters(fn_in=HALF, do_auto_threshold=True)
    outputs = maskcreate.run(parameters, project / "MaskCreate/job001", Silent())
    mask, pixel = read_mrc(outputs.mask)
    assert pixel == PIXEL and 0.05 < outputs.fraction < 0.3 and mask.min() == 0 and mask.max() == 1
    nodes = read_star(project / "MaskCreate/job001/job_pipeline.star")["pipeline_nodes"]
    assert "Mask3D.mrc.relion" in set(nodes["rlnPipeLineNodeTypeLabel"])
    assert (project / "MaskCreate/job001/RELION_JOB_EXIT_SUCCESS").is_file()
    assert maskcreate.from_options(read_job_star(project / "MaskCreate/job001/job.star").options) == parameters


def test_a_postprocess_job(project):
    outputs = postprocess.run(postprocess.PostprocessParameters(fn_in=HALF, fn_mask="mask.mrc"), project / "Post", Silent())
    general = read_star(outputs.star)["general"]
    assert general["rlnFinalResolution"] == pytest.approx(outputs.resolution, rel=1e-5) and outputs.resolution < 6
    assert outputs.bfactor < -20
    masked, _ = read_mrc(outputs.masked)
    np.testing.assert_allclose(masked, read_mrc(outputs.map)[0] * soft_sphere(BOX, 20, 6), atol=1e-6)
    with pytest.raises(UserError, match="earlier run"):
        postprocess.run(postprocess.PostprocessParameters(fn_in=HALF), project / "Post", Silent())
    (project / "Post" / "report.html").write_text("of the first run")
    again = postprocess.run(postprocess.PostprocessParameters(fn_in=HALF), project / "Post", Silent(), overwrite=True)
    assert again.masked is None and not (project / "Post/postprocess_masked.mrc").exists()


def test_a_localres_job(project):
    outputs = localres.run(localres.LocalResParameters(fn_in=HALF, fn_mask="mask.mrc"), project / "Local", Silent())
    resolution, _ = read_mrc(outputs.locres)
    assert outputs.locres.name == "relion_locres.mrc" and outputs.filtered.is_file()
    assert 2 * PIXEL - 1e-3 <= resolution[32, 32, 32] < 8
    assert outputs.quantiles[0] <= outputs.quantiles[1] <= outputs.quantiles[2]


def test_remarks_of_choices(project):
    remarks = postprocess.validate(postprocess.PostprocessParameters(fn_in=HALF))
    assert any("no mask" in remark for remark in remarks)
    with pytest.raises(UserError, match="both Yes"):
        postprocess.validate(postprocess.PostprocessParameters(fn_in=HALF, do_adhoc_bfac=True))
    assert "soft edge" in maskcreate.validate(maskcreate.MaskCreateParameters(fn_in=HALF, width_mask_edge=0))[0]


def test_the_commands_work_together(project, capsys):
    assert main(["mask", "--i", HALF, "--o", "M", "--ini_threshold", "0.03", "--width_soft_edge", "6", "--quiet"]) == 0
    assert main(["postprocess", "--i", HALF, "--mask", "M/mask.mrc", "--o", "P", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "threshold: 0.03" in printed and "resolution: 4.00 A" in printed
    page = (project / "P/report.html").read_text(encoding="utf-8")
    assert "phases random, masked" in page and "Guinier plot" in page and page.count("data:image/png") == 3
    assert main(["localres", "--i", HALF, "--mask", "M/mask.mrc", "--o", "L", "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"]["spheres"] > 5


def test_giving_a_value_means_using_it(project, capsys):
    common = ["postprocess", "--i", HALF, "--o", "P", "--relion_command"]
    assert main([*common, "--adhoc_bfac", "-80", "--low_pass", "7"]) == 0
    command = capsys.readouterr().out
    assert "--adhoc_bfac -80 --skip_fsc_weighting --low_pass 7" in command and "--auto_bfac" not in command


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["mask", "--i", "none.mrc", "--o", "X"], "no such file"),
        (["mask", "--o", "X"], "no input map"),
        (["mask", "--i", HALF, "--o", "X", "--ini_threshold", "99"], "no voxel"),
        (["postprocess", "--i", "mask.mrc", "--o", "X"], "neither half1 nor half2"),
        (["postprocess", "--i", HALF, "--mask", "none.mrc", "--o", "X"], "no such file"),
        (["postprocess", "--i", HALF, "--mtf", "none.star", "--o", "X"], "no such file"),
        (["postprocess", "--i", HALF, "--adhoc_bfac", "-9", "--auto_bfac", "--o", "X"], "both Yes"),
        (["localres", "--i", HALF, "--locres_sampling", "90", "--o", "X"], "too small"),
        (["localres", "--i", HALF, "--i2", HALF, "--o", "X"], "same map"),
    ],
)
def test_mistakes_are_one_line(words, expected, project, capsys):
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert expected in printed and printed.splitlines()[-1].startswith("error: ")
