"""Which page the command writes for which folder, and what it says where there is none."""

import numpy as np
import pandas as pd
import pytest

from relion4plugin.cli.main import main
from relion4plugin.files.mrc import write_volume
from relion4plugin.files.star import write_star
from relion4plugin.jobs.job_star import JobStar, write_job_star


@pytest.fixture
def job(tmp_path):
    """Make the folder of a finished job of a type."""

    def make(label):
        folder = tmp_path / label / "job003"
        folder.mkdir(parents=True)
        write_job_star(folder / "job.star", JobStar(label))
        return folder

    return make


@pytest.mark.parametrize("label", ["relion.maskcreate", "relion.ctffind", "relion.select.class2dauto", "relion.motioncorr"])
def test_a_job_without_a_report_is_one_line(job, label, capsys):
    folder = job(label)
    assert main(["report", "--i", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {folder} is a job of type {label}, of which there is no report: give a 2D classification, ")
    assert "or a project (--i PROJECT)" in error and error.count("\n") == 1


def test_a_run_that_has_only_begun(job, capsys):
    assert main(["report", str(job("relion.class2d"))]) == 2
    assert "no finished iteration" in capsys.readouterr().err


@pytest.mark.parametrize("has_map", [True, False])
def test_a_post_processing(job, has_map, capsys, tmp_path):
    folder = job("relion.postprocess")
    inverse = np.linspace(0, 0.25, 17)
    fsc = pd.DataFrame({"rlnResolution": inverse, "rlnFourierShellCorrelationCorrected": np.linspace(1, 0, 17)})
    general = {"rlnFinalResolution": 4.4, "rlnBfactorUsedForSharpening": -80.0}
    write_star(folder / "postprocess.star", {"general": general, "fsc": fsc})
    if has_map:
        write_volume(folder / "postprocess.mrc", np.random.default_rng(1).normal(size=(32, 32, 32)).astype(np.float32), 2.0)
    page = tmp_path / "page.html"
    assert main(["report", "--i", str(folder), "--o", str(page), "--quiet"]) == 0
    assert capsys.readouterr().out == f"{page}\n" and not (folder / "report.html").exists()
    text = page.read_text()
    assert "<h1>Post-processing</h1>" in text and "4.40 Å" in text and ("Central slices" in text) == has_map
    assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").is_file()
