"""The parts of the 3D scripts: options, commands, records, tables. The programs themselves are not run here."""

import argparse
import json
from pathlib import Path

import initial_model
import numpy as np
import parity3d
import pytest
import rank_cost
import refine3d
import runs3d
from runs3d import Refinement3D
from stacks3d import Stack3D

from relion4plugin.cli.main import command_parser
from relion4plugin.cli.refinement import given_parameters
from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_header, write_stack
from relion4plugin.files.particle_images import ParticleImages
from relion4plugin.files.particles import read_particles
from relion4plugin.files.star import write_star
from relion4plugin.jobs import class3d, initialmodel
from relion4plugin.jobs import refine3d as refine3d_job
from tests.benchmarks.test_volume_metrics3d import _table

STACK = Stack3D("bgal_d2", Path("/stacks/bgal_d2"), "D2", 4.4, 64, 201.0)
TASK = Refinement3D(Path("/p/particles.star"), Path("/p/map.mrc"), 180.0, "D2", initial_lowpass=40.0, seed=7)


def settings_of(command, job, cls, words):
    """Engine settings that our command makes of options."""
    args = command_parser(command)[0].parse_args(words)
    return job.settings_of(given_parameters(args, job, cls))


def test_refinement_means_the_same_to_both_programs(tmp_path):
    words = [*TASK.ours(), "--auto_local_healpix_order", "4", "--norm", "Yes", "--scale", "Yes", "--o", str(tmp_path)]
    ours = settings_of("refine3d", refine3d_job, refine3d_job.Refine3DParameters, words)
    assert ours.auto_refine and ours.symmetry == "D2" and ours.initial_lowpass == 40.0 and ours.firstiter_cc
    assert (ours.healpix_order, ours.offset_range, ours.offset_step, ours.padding, ours.seed) == (2, 5.0, 2.0, 2, 7)
    assert ours.norm_correction and ours.scale_correction and ours.zero_mask and ours.flatten_solvent
    theirs = runs3d.relion_refinement_command(TASK, tmp_path, ("mpirun", "relion_refine_mpi"))
    for name, value in {"--healpix_order": "2", "--offset_range": "5", "--offset_step": "2", "--pad": "2", "--sym": "D2",
                        "--ini_high": "40", "--particle_diameter": "180", "--random_seed": "7"}.items():  # fmt: skip
        assert theirs[theirs.index(name) + 1] == value
    assert {"--norm", "--scale", "--zero_mask", "--flatten_solvent", "--firstiter_cc", "--ctf_corrected_ref"} <= set(theirs)


def test_one_step_means_the_same_to_both_programs(tmp_path, monkeypatch):
    options = parity3d.arguments(["--models", "m", "--out", str(tmp_path)])
    task = parity3d.task_of(STACK, 2, options)
    seen = []
    cost = parity3d.Cost(1.0, 1.0, 1.0)
    monkeypatch.setattr(parity3d, "run_ours", lambda command, out, words: (seen.append([command, *words]), cost)[1])
    monkeypatch.setattr(parity3d, "run_measured", lambda words, log, cwd: (seen.append(words), cost)[1])
    parity3d.run_both(task, STACK.pixel_size, tmp_path, "relion_refine")
    ours = settings_of("class3d", class3d, class3d.Class3DParameters, [*seen[0][1:], "--o", str(tmp_path)])
    assert (ours.n_iterations, ours.perturbation, ours.healpix_order, ours.offset_range, ours.flatten_solvent) == (1, 0.0, 2, 6.0, False)
    assert ours.initial_lowpass == pytest.approx(64 * 4.4 / 11, rel=1e-5) and not ours.firstiter_cc
    assert "--flatten_solvent" not in seen[1] and "--firstiter_cc" not in seen[1]
    assert seen[1][seen[1].index("--offset") + 1] == "44"


def test_poses_are_compared_by_the_fine_step(tmp_path):
    from relion4plugin.geometry.euler import euler_to_matrix, random_rotations

    truth = random_rotations(4, np.random.default_rng(0))
    ours = np.stack([euler_to_matrix(0.0, tip, 0.0) @ one for tip, one in zip((0.0, 7.0, 8.0, 40.0), truth, strict=True)])
    zero = {"rlnOriginXAngst": 0.0, "rlnOriginYAngst": 0.0}
    write_star(tmp_path / "truth.star", {"particles": _table(truth, 4, rlnSimulatedIsParticle=1)})
    write_star(tmp_path / "relion.star", {"particles": _table(truth, 4, **zero).iloc[::-1]})
    write_star(tmp_path / "ours.star", {"particles": _table(ours, 4, rlnOriginXAngst=[0.0, 4.4, 9.0, 0.0], rlnOriginYAngst=0.0)})
    stack = Stack3D("s", tmp_path, "C1", 4.4, 64, 200.0)
    found = parity3d.compare_poses(tmp_path / "ours.star", tmp_path / "relion.star", stack, 2)
    assert (found["same_pose"], found["identical_pose"], found["same_shift"]) == (0.5, 0.25, 0.75)
    assert (found["true_ours"], found["true_relion"]) == (0.75, 1.0)


def test_parity_needs_relion(monkeypatch, tmp_path):
    monkeypatch.setattr(parity3d, "relion_program", lambda: None)
    with pytest.raises(UserError, match="relion_refine"):
        parity3d.main(["--models", "m", "--out", str(tmp_path)])


def test_initial_model_options_are_accepted(tmp_path):
    options = initial_model.arguments(["--models", "m", "--out", str(tmp_path), "--options", "--tau2_fudge 3"])
    words = [*initial_model.run_options(STACK, 5, options), "--o", str(tmp_path)]
    ours = settings_of("initialmodel", initialmodel, initialmodel.InitialModelParameters, words)
    assert (ours.seed, ours.particle_diameter, ours.n_iterations, ours.tau2_fudge, ours.symmetry) == (5, 201.0, 200, 3.0, "C1")
    assert words[words.index("--sym") + 1] == "D2"
    assert "--sym" not in initial_model.run_options(STACK, 5, initial_model.arguments(["--models", "m", "--out", "o", "--no-symmetry"]))


def record(stack, seed, resolution):
    return {"stack": stack, "seed": seed, "resolution": resolution, "target": 17.6, "reliable": resolution < 20, "cpu_seconds": 90.0,
            "peak_rss_mib": 300.0, "pose_within_15": 0.8, "true_in_class": 1.0}  # fmt: skip


def test_stopped_benchmark_goes_on(monkeypatch, tmp_path):
    """Finished seeds are not repeated, and a line that a kill has cut off is made again."""
    ran = []

    def run_one(stack, seed, options):
        ran.append(seed)
        return record(stack.name, seed, np.float32(12.0 if seed < 4 else 30.0))

    monkeypatch.setattr(initial_model, "run_one", run_one)
    monkeypatch.setattr(initial_model, "chosen_stacks", lambda options: [STACK])
    log = tmp_path / "initial_model.jsonl"
    log.write_text(json.dumps(record("bgal_d2", 1, 11.0)) + "\n" + '{"stack": "bgal_d2", "se')
    words = ["--models", "m", "--out", str(tmp_path), "--stacks", "bgal_d2", "--seeds", "4"]
    assert initial_model.main(words) == 0 and ran == [2, 3, 4]
    assert [one["seed"] for one in initial_model.finished(log)] == [1, 2, 3, 4]
    assert initial_model.main([*words, "--markdown"]) == 0 and ran == [2, 3, 4]
    table = initial_model.table(initial_model.finished(log))
    assert "| 3 of 4 | 0.8 |" in table and "11.0, 12.0, 12.0, 30.0" in table


def test_failed_run_ends_the_benchmark_and_keeps_the_others(monkeypatch, tmp_path):
    def run_one(stack, seed, options):
        if seed == 2:
            raise UserError("seed 2 has failed")
        return record(stack.name, seed, 12.0)

    monkeypatch.setattr(initial_model, "run_one", run_one)
    monkeypatch.setattr(initial_model, "chosen_stacks", lambda options: [STACK])
    with pytest.raises(UserError, match="seed 2"):
        initial_model.main(["--models", "m", "--out", str(tmp_path), "--stacks", "bgal_d2", "--seeds", "3"])
    assert 1 in [one["seed"] for one in initial_model.finished(tmp_path / "initial_model.jsonl")]


def test_table_without_runs_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no finished runs"):
        initial_model.main(["--models", "m", "--out", str(tmp_path), "--markdown"])


def test_float32_copy_has_the_same_images_beside_it(tmp_path):
    (tmp_path / "deep").mkdir()
    images = np.random.default_rng(0).normal(size=(3, 16, 16)).astype(np.float32)
    write_stack(tmp_path / "deep" / "s.mrcs", images, 4.0)
    optics = {"rlnOpticsGroup": 1, "rlnVoltage": 300.0, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1,
              "rlnImagePixelSize": 4.0, "rlnImageSize": 16, "rlnImageDimensionality": 2, "rlnOpticsGroupName": "g"}  # fmt: skip
    import pandas as pd

    names = [f"{i + 1}@deep/s.mrcs" for i in range(3)]
    particles = pd.DataFrame({"rlnImageName": names, "rlnOpticsGroup": 1, "rlnDefocusU": 1e4, "rlnDefocusV": 1e4, "rlnDefocusAngle": 0.0})
    write_star(tmp_path / "particles.star", {"optics": pd.DataFrame([optics]), "particles": particles})
    copy = runs3d.float32_copy(tmp_path / "particles.star", tmp_path / "copy")
    assert read_header(tmp_path / "copy" / "s.mrcs").dtype == np.float32
    np.testing.assert_array_equal(ParticleImages(read_particles(copy)).read(np.arange(3)), images)


def test_refinement_needs_something_to_refine(tmp_path, capsys):
    for words, missing in (([], "nothing"), (["--particles", "p.star"], "--reference"), (["--stacks", "bgal_d2"], "--models")):
        with pytest.raises(SystemExit):
            refine3d.arguments(["--out", str(tmp_path), *words])
        assert missing in capsys.readouterr().err


def test_finished_refinements_are_judged_and_not_repeated(monkeypatch, tmp_path):
    costs = {"cpu_seconds": 3.0}
    monkeypatch.setattr(refine3d, "_run", lambda task, program, out: costs)
    monkeypatch.setattr(refine3d, "judge", lambda case, out: {"iterations": 9})
    case = refine3d.Case("x", TASK, refine3d.KnownStructure(Path("m")), None)
    assert refine3d.run_case(case, "ours", tmp_path, False) == {"cpu_seconds": 3.0, "iterations": 9}
    costs["cpu_seconds"] = 5.0
    assert refine3d.run_case(case, "ours", tmp_path, False)["cpu_seconds"] == 3.0
    assert refine3d.run_case(case, "ours", tmp_path, True)["cpu_seconds"] == 5.0


def test_summary_is_found_among_other_output(tmp_path):
    (tmp_path / "run.log").write_text('note: x\n{"command": "refine3d", "outputs": {"map": "a.mrc"}}\n')
    assert runs3d.summary_of(tmp_path / "run") == {"map": "a.mrc"}
    (tmp_path / "run.log").write_text("nothing\n")
    with pytest.raises(UserError, match="no summary"):
        runs3d.summary_of(tmp_path / "run")


def test_cost_of_a_rank(tmp_path, monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "2")
    assert rank_cost.main([str(tmp_path), "sh", "-c", "exit 3"]) == 3
    assert json.loads((tmp_path / "rank2.json").read_text())["cpu_seconds"] >= 0


def test_case_names_and_known_maps(monkeypatch, tmp_path):
    monkeypatch.setattr(refine3d, "float32_copy", lambda star, folder: folder / star.name)
    monkeypatch.setattr(refine3d, "chosen_stacks", lambda options: [STACK])
    words = ["--particles", "data/bgal/p.star", "--reference", "ref.mrc", "--diameter", "190", "--seed", "3"]
    options = refine3d.arguments(["--models", "m", "--out", str(tmp_path), "--stacks", "bgal_d2", *words])
    assert isinstance(options, argparse.Namespace)
    real, simulated = refine3d.cases(options)
    assert (real.name, real.known.map, real.known.diameter, real.task.seed, real.poses) == ("bgal", Path("ref.mrc"), 190.0, 3, None)
    assert (simulated.name, simulated.known.map, simulated.poses) == ("bgal_d2", STACK.map, STACK.truth)
