"""The job around the engine: what is checked before, what is left behind; the engine itself is replaced."""

import errno
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from relion4plugin.cli.main import main
from relion4plugin.errors import UserError
from relion4plugin.jobs.class2d import Class2DParameters, needed_bytes, run
from relion4plugin.progress import Silent
from tests.jobs.small_project import BOX, N, let_all_pass, write_particles_star


class Engine:
    """Stands in for the engine and remembers what it was asked."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error, self.calls = error, []

    def __call__(self, settings, particles, out_dir, progress, *, resume=None, stop_after=None):
        self.calls.append((settings, particles, resume))
        progress.start("2D classification", 1)
        progress.advance(1, "done")
        if self.error is not None:
            raise self.error
        (Path(out_dir) / "run_it010_optimiser.star").write_text("state")
        progress.finish()


def install(monkeypatch, stand_in: Engine) -> Engine:
    let_all_pass(monkeypatch)
    monkeypatch.setitem(sys.modules, "relion4plugin.refinement.engine", SimpleNamespace(refine=stand_in))
    return stand_in


@pytest.fixture
def refine(monkeypatch) -> Engine:
    return install(monkeypatch, Engine())


def parameters(**changes) -> Class2DParameters:
    return Class2DParameters(**{"fn_img": "particles.star", "nr_classes": 2, "nr_iter_grad": 10, "particle_diameter": 40.0, **changes})


def test_a_run_leaves_a_job_directory_and_names_its_outputs(project, refine):
    outputs = run(parameters(), Path("Class2D/job001"), Silent())
    assert outputs.data_star == Path("Class2D/job001/run_it010_data.star")
    assert outputs.classes == Path("Class2D/job001/run_it010_classes.mrcs")
    settings, particles, resume = refine.calls[0]
    assert (settings.n_classes, len(particles), resume) == (2, N, None)
    present = {p.name for p in Path("Class2D/job001").iterdir()}
    assert {"job.star", "job_pipeline.star", "note.txt", "run.out", "run.err", "RELION_JOB_EXIT_SUCCESS"} <= present


def test_without_job_files_only_the_engine_writes(project, refine):
    run(parameters(), Path("out"), Silent(), job_star=False)
    assert [p.name for p in Path("out").iterdir()] == ["run_it010_optimiser.star"]


def test_results_are_kept_unless_overwritten(project, refine):
    run(parameters(), Path("out"), Silent())
    with pytest.raises(UserError, match="results of an earlier run"):
        run(parameters(), Path("out"), Silent())
    assert len(refine.calls) == 1
    run(parameters(), Path("out"), Silent(), overwrite=True)
    assert len(refine.calls) == 2


def test_continuing_takes_the_options_of_the_run(project, refine):
    run(parameters(), Path("out"), Silent())
    assert main(["class2d", "--continue", "out/run_it010_optimiser.star", "--o", "out", "--iter", "20", "--no_report", "--quiet"]) == 0
    settings, particles, resume = refine.calls[1]
    assert (settings.n_classes, settings.n_iterations, len(particles), resume) == (2, 20, N, Path("out/run_it010_optimiser.star"))


def test_continuing_elsewhere_does_not_mix_with_other_results(project, refine):
    run(parameters(), Path("first"), Silent())
    run(parameters(), Path("second"), Silent())
    again = parameters(fn_cont="first/run_it010_optimiser.star", nr_iter_grad=20)
    with pytest.raises(UserError, match="results of an earlier run"):
        run(again, Path("second"), Silent())
    run(again, Path("third"), Silent())
    assert len(refine.calls) == 3


def test_a_full_disk_while_running_is_one_line(project, monkeypatch):
    install(monkeypatch, Engine(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(UserError, match="No space left on device"):
        run(parameters(), Path("out"), Silent())
    assert Path("out/RELION_JOB_EXIT_FAILURE").exists()


def test_an_interrupted_run_is_marked_aborted(project, monkeypatch, capsys):
    install(monkeypatch, Engine(KeyboardInterrupt()))
    words = ["class2d", "--i", "particles.star", "--o", "out", "--K", "2", "--quiet"]
    assert main(words) == 130
    assert Path("out/RELION_JOB_EXIT_ABORTED").exists()
    assert capsys.readouterr().err.count("\n") == 1


def test_the_summary_is_json(project, refine, capsys):
    words = ["class2d", "--i", "particles.star", "--o", "out", "--K", "2", "--iter", "10", "--json", "--quiet", "--no_report"]
    assert main(words) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["outputs"]["data_star"] == "out/run_it010_data.star"
    assert summary["outputs"]["report"] is None


def missing_stack(project: Path) -> None:
    (project / "stack.mrcs").unlink()


def truncated_stack(project: Path) -> None:
    content = (project / "stack.mrcs").read_bytes()
    (project / "stack.mrcs").write_bytes(content[:-100])


def no_particles(project: Path) -> None:
    text = (project / "particles.star").read_text()
    rows = [line for line in text.splitlines() if "@stack" not in line]
    (project / "particles.star").write_text("\n".join(rows) + "\n")


def wrong_box(project: Path) -> None:
    write_particles_star("particles.star", N, box=BOX + 2)


def too_few_images(project: Path) -> None:
    write_particles_star("particles.star", N + 1)


def not_a_star_file(project: Path) -> None:
    (project / "particles.star").write_text("hello\n")


def not_a_stack(project: Path) -> None:
    (project / "stack.mrcs").write_text("x" * 5000)


def no_optics(project: Path) -> None:
    text = (project / "particles.star").read_text()
    (project / "particles.star").write_text("# version 30001\n\ndata_particles" + text.split("data_particles")[1])


def output_is_a_file(project: Path) -> None:
    (project / "out").write_text("mine")


@pytest.mark.parametrize(
    "spoil",
    [missing_stack, truncated_stack, no_particles, wrong_box, too_few_images, not_a_star_file, not_a_stack, no_optics, output_is_a_file],
)
def test_bad_input_is_one_line_and_leaves_nothing(project, refine, capsys, spoil):
    spoil(project)
    before = {p: p.read_bytes() for p in project.iterdir()}
    code = main(["class2d", "--i", "particles.star", "--o", "out", "--K", "2", "--quiet"])
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("error: ") and error.count("\n") == 1, error
    assert refine.calls == []
    assert {p: p.read_bytes() for p in project.iterdir()} == before


def test_more_classes_than_particles_are_refused(project, refine, capsys):
    assert main(["class2d", "--i", "particles.star", "--o", "out", "--K", "7"]) == 2
    assert "only 6 particles" in capsys.readouterr().err
    assert not Path("out").exists()


def test_the_estimate_of_disk_space_covers_the_images():
    small = needed_bytes(parameters(nr_classes=10), 1000, 64)
    images = 10 * 64 * 64 * 4
    assert 2 * images < small < 2**30
    assert needed_bytes(parameters(nr_classes=20), 1000, 64) > small
