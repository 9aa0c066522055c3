"""Commands of the 3D refinement jobs; engine and report are replaced by ones that remember what they were asked."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from relion4plugin.cli.main import main
from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import JobStar, read_job_star, write_job_star
from tests.jobs.small_project import BOX, Engine3D, ModelMaker, N, install_engine, install_model_maker, make_project, write_particles_star

START = {
    "initialmodel": ["initialmodel", "--i", "particles.star", "--o", "out", "--quiet"],
    "class3d": ["class3d", "--i", "particles.star", "--o", "out", "--ref", "map.mrc", "--quiet"],
    "refine3d": ["refine3d", "--i", "particles.star", "--o", "out", "--ref", "map.mrc", "--quiet"],
}
JOBS = list(START)


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)
    return tmp_path


@pytest.fixture
def engine(monkeypatch) -> Engine3D:
    return install_engine(monkeypatch, Engine3D())


@pytest.fixture
def maker(monkeypatch) -> ModelMaker:
    return install_model_maker(monkeypatch, ModelMaker())


@pytest.fixture
def report(monkeypatch) -> list:
    calls = []

    def write_report(run_dir, out_path):
        calls.append((run_dir, out_path))
        return out_path

    monkeypatch.setitem(sys.modules, "relion4plugin.web.report3d", SimpleNamespace(write_report=write_report))
    return calls


def test_an_initial_model_ends_with_its_findings(project, maker, report, capsys):
    words = [*START["initialmodel"], "--iter", "10", "--K", "2", "--sym", "D2", "--restarts", "2", "--seed", "7", "--healpix_order", "2"]
    assert main(words) == 0
    settings, given = maker.calls[0]
    assert (settings.n_iterations, settings.n_classes, settings.seed, settings.healpix_order) == (10, 2, 7, 2)
    assert (given["symmetry"], given["restarts"]) == ("D2", 2)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "map: out/initial_model.mrc", "class: 1 of 2", "symmetry: D2", "particles: out/run_it010_data.star",
        "verdict: 3 of 3 starts agree to 18.5 A", "report: out/report.html",
    ]  # fmt: skip
    assert report == [(Path("out"), Path("out/report.html"))]


def test_names_of_relions_program_on_class3d(project, engine, report, capsys):
    words = [
        *START["class3d"], "--sym", "D2", "--healpix_order", "3", "--K", "2", "--iter", "4", "--tau2_fudge", "3", "--offset_step", "3",
        "--particle_diameter", "40", "--j", "2", "--gpu", "1", "--ini_high", "50", "--firstiter_cc", "--solvent_mask", "mask.mrc",
    ]  # fmt: skip
    assert main(words) == 0
    s = engine.calls[0][0]
    assert (s.symmetry, s.healpix_order, s.n_classes, s.n_iterations, s.tau2_fudge, s.offset_step) == ("D2", 3, 2, 4, 3.0, 3.0)
    assert (s.threads, s.gpu, s.initial_lowpass, s.firstiter_cc, s.solvent_mask) == (2, 1, 50.0, True, "mask.mrc")
    assert "class 2: out/run_it004_class002.mrc" in capsys.readouterr().out
    assert read_job_star(Path("out/job.star")).options["sampling"] == "3.7 degrees"


def test_a_width_of_the_prior_asks_for_a_local_search(project, engine, report):
    write_particles_star("particles.star", N, angles=True)
    assert main([*START["class3d"], "--sigma_ang", "2.5"]) == 0
    assert engine.calls[0][0].sigma_angles == pytest.approx(2.5)


def test_vdam_takes_the_iterations_given(project, engine, report):
    assert main([*START["class3d"], "--grad", "--iter", "60"]) == 0
    assert (engine.calls[0][0].algorithm.value, engine.calls[0][0].n_iterations) == ("vdam", 60)


def test_refine3d_names_its_maps(project, engine, report, capsys):
    assert main([*START["refine3d"], "--sym", "c12", "--auto_faster", "--auto_local_healpix_order", "5", "--sampling", "15"]) == 0
    s = engine.calls[0][0]
    assert (s.symmetry, s.auto_ignore_angles, s.auto_local_healpix_order, s.healpix_order) == ("c12", True, 5, 1)
    assert capsys.readouterr().out.splitlines() == [
        "map: out/run_class001.mrc",
        "half maps: out/run_half1_class001_unfil.mrc out/run_half2_class001_unfil.mrc",
        "particles: out/run_data.star",
        "report: out/report.html",
    ]


def test_a_run_that_did_not_converge_says_so(project, monkeypatch, report, capsys):
    install_engine(monkeypatch, Engine3D(converged=False))
    assert main([*START["refine3d"], "--iter", "3"]) == 0
    assert capsys.readouterr().out.startswith("not converged")


def test_the_summary_is_json(project, maker, engine, report, capsys):
    assert main([*START["initialmodel"], "--iter", "10", "--json", "--no_report"]) == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert (outputs["map"], outputs["reliable"], outputs["agreement"]["resolution"]) == ("out/initial_model.mrc", True, 18.5)
    assert outputs["maps"] == ["out/run_it010_class001.mrc"] and outputs["report"] is None
    assert report == []


def test_a_failing_report_does_not_spoil_the_run(project, engine, monkeypatch, capsys):
    def write_report(run_dir, out_path):
        raise UserError("no room")

    monkeypatch.setitem(sys.modules, "relion4plugin.web.report3d", SimpleNamespace(write_report=write_report))
    assert main(START["refine3d"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "note: no report: no room\n" and "report:" not in captured.out


def test_continuing_takes_the_options_of_the_run(project, engine, report):
    assert main([*START["class3d"], "--iter", "4", "--K", "2", "--sampling", "3.7 degrees"]) == 0
    assert main(["class3d", "--continue", "out/run_it004_optimiser.star", "--o", "out", "--iter", "8", "--quiet"]) == 0
    settings, particles, resume = engine.calls[1]
    assert (settings.n_classes, settings.n_iterations, settings.healpix_order, len(particles)) == (2, 8, 3, N)
    assert resume == Path("out/run_it004_optimiser.star")


def test_options_of_a_job_star_and_of_the_command_line(project, engine, report, capsys):
    options = {"fn_img": "particles.star", "fn_ref": "map.mrc", "sampling": "15__degrees", "sym_name": "D2"}
    write_job_star(Path("mine.star"), JobStar("relion.refine3d", options=options))
    assert main(["refine3d", "--job_star", "mine.star", "--o", "out", "--sym", "C2", "--quiet"]) == 0
    assert (engine.calls[0][0].symmetry, engine.calls[0][0].healpix_order) == ("C2", 1)
    assert main(["class3d", "--job_star", "mine.star", "--o", "other"]) == 2
    assert "is the job.star of a relion.refine3d job, expected relion.class3d" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "words", "expected"),
    [
        ("refine3d", ["--blush"], "--blush: Blush regularisation is not offered"),
        ("refine3d", ["--relax_sym", "C2"], "--relax_sym: symmetry relaxation is not offered"),
        ("class3d", ["--helix"], "--helix: helical segments"),
        ("class3d", ["--allow_coarser_sampling"], "--allow_coarser_sampling: coarser sampling"),
        ("class3d", ["--sym", "banana"], "sym_name: symmetry 'banana'"),
        ("class3d", ["--ref", "gone.mrc"], "reference map gone.mrc: no such file"),
        ("class3d", ["--healpix_order", "9"], "--healpix_order is '9'"),
        ("class3d", ["--sampling", "8"], "sampling is '8' but must be one of"),
        ("class3d", ["--K", "7"], "only 6 particles"),
        ("refine3d", ["--solvent_correct_fsc"], "there is no reference mask"),
        ("refine3d", ["--solvent_mask", "stack.mrcs"], "expected a cubic map"),
        ("refine3d", ["--continue", "run_it003_optimiser.star"], "no such file"),
        ("initialmodel", ["--sym", "D0"], "sym_name: symmetry 'D0'"),
        ("initialmodel", ["--restarts", "0"], "nr_restarts is 0"),
        ("initialmodel", ["--restarts", "some"], "nr_restarts is 'some'"),
        ("initialmodel", ["--select_class", "nice"], "select_class is 'nice'"),
        ("initialmodel", ["--particle_diameter", "0"], "particle_diameter is 0"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(project, engine, maker, capsys, command, words, expected):
    before = {p: p.read_bytes() for p in project.iterdir()}
    assert main([*START[command], *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert expected in captured.err and captured.out == ""
    assert engine.calls == [] and maker.calls == []
    assert {p: p.read_bytes() for p in project.iterdir()} == before


def missing_stack(project: Path) -> None:
    (project / "stack.mrcs").unlink()


def truncated_stack(project: Path) -> None:
    content = (project / "stack.mrcs").read_bytes()
    (project / "stack.mrcs").write_bytes(content[:-100])


def truncated_map(project: Path) -> None:
    content = (project / "map.mrc").read_bytes()
    (project / "map.mrc").write_bytes(content[:-100])


def no_particles(project: Path) -> None:
    text = (project / "particles.star").read_text()
    (project / "particles.star").write_text("\n".join(line for line in text.splitlines() if "@stack" not in line) + "\n")


def wrong_box(project: Path) -> None:
    write_particles_star("particles.star", N, box=BOX + 2)


def not_a_star_file(project: Path) -> None:
    (project / "particles.star").write_text("hello\n")


def output_is_a_file(project: Path) -> None:
    (project / "out").write_text("mine")


SPOILERS = [missing_stack, truncated_stack, truncated_map, no_particles, wrong_box, not_a_star_file, output_is_a_file]


@pytest.mark.parametrize(("command", "spoil"), [(c, s) for c in JOBS for s in SPOILERS if (c, s) != ("initialmodel", truncated_map)])
def test_bad_input_is_one_line_and_leaves_nothing(project, engine, maker, capsys, command, spoil):
    spoil(project)
    before = {p: p.read_bytes() for p in project.iterdir()}
    code = main(START[command])
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert code == 2
    assert len(error) == 1 and error[0].startswith("error: "), error
    assert engine.calls == [] and maker.calls == []
    assert {p: p.read_bytes() for p in project.iterdir()} == before


@pytest.mark.parametrize("command", JOBS)
def test_relions_command_is_printed_and_nothing_done(project, engine, maker, capsys, command):
    assert main([*START[command], "--relion_command"]) == 0
    assert "relion_refine" in capsys.readouterr().out
    assert not Path("out").exists() and engine.calls == [] and maker.calls == []
