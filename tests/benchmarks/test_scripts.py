"""The scripts' own parts: options, commands, gallery, synthetic load. The programs themselves are not run here."""

import importlib.util

import class2d
import device_stack
import gpu_class2d
import numpy as np
import pytest
import quality
import real_bgal
import runs
import scaling
from gallery import write_gallery

from relion4plugin.errors import UserError
from relion4plugin.files.model_star import read_class2d_results
from relion4plugin.files.particle_images import ParticleImages
from relion4plugin.files.particles import read_particles
from relion4plugin.geometry.euler import random_rotations
from relion4plugin.refinement.settings import RefinementSettings


@pytest.mark.parametrize("script", [class2d, quality, scaling, gpu_class2d])
def test_defaults_are_complete(script, tmp_path):
    options = script.arguments(["--out", str(tmp_path)])
    assert options.out == tmp_path and options.docs is False


def test_missing_real_particles_are_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        real_bgal.main(["--particles", str(tmp_path / "no.star"), "--out", str(tmp_path)])


def test_runs_are_chosen_by_name(monkeypatch):
    monkeypatch.setattr(class2d, "relion_program", lambda: None)
    assert list(class2d.runners([])) == ["VDAM, ours", "EM, ours"]
    monkeypatch.setattr(class2d, "relion_program", lambda: "/usr/bin/relion_refine")
    assert list(class2d.runners(["em"])) == ["VDAM, ours", "EM, RELION 3.1"]


def test_commands_ask_all_programs_for_the_same(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(runs, "run_measured", lambda command, log, cwd: seen.append((command, cwd)))
    stack = runs.Stack(tmp_path / "particles.star", runs.Truth(tmp_path / "truth.star", None, 180.0))
    task = runs.Task(n_classes=7, tau2_fudge=2.0, threads=2, seed=5)
    runs.run_vdam(stack, task, tmp_path / "v")
    runs.run_em(stack, task, tmp_path / "e")
    runs.run_relion_em(stack, task, tmp_path / "r", "relion_refine")
    words = [" ".join(map(str, command)) for command, _ in seen]
    shared = "--K 7 --tau2_fudge 2 --particle_diameter 180 --pad 2 --j 2 --random_seed 5"
    assert all(shared in text for text in words)
    assert "--grad --iter 200" in words[0] and "--em --iter 25" in words[1] and "--iter 25" in words[2]
    assert all(cwd == tmp_path for _, cwd in seen)


def test_search_is_the_same_in_both_languages(monkeypatch, tmp_path):
    """RELION's command that our own job writes for our options has SEARCH in it."""
    from relion4plugin.cli.class2d import parameters_from
    from relion4plugin.cli.main import command_parser
    from relion4plugin.jobs.class2d import relion_command

    words = ["--i", "particles.star", "--o", "x", *runs.SEARCH]
    command = relion_command(parameters_from(command_parser("class2d")[0].parse_args(words)), tmp_path)
    for name, value in zip(runs.SEARCH[::2], runs.SEARCH[1::2], strict=True):
        assert float(command[command.index(name) + 1]) == float(value)


def test_our_command_line_accepts_the_options(tmp_path):
    from relion4plugin.cli.class2d import parameters_from
    from relion4plugin.cli.main import command_parser

    stack = runs.Stack(tmp_path / "particles.star", runs.Truth(tmp_path / "truth.star", None, 180.0))
    words = runs.our_options(stack, runs.Task(7, 2.0, 2, 5), tmp_path / "v", "--em", 25)
    parameters = parameters_from(command_parser("class2d")[0].parse_args(words))
    assert (parameters.do_em, parameters.do_grad, parameters.nr_iter_em, parameters.nr_classes) == (True, False, 25, 7)
    assert (parameters.psi_sampling, parameters.offset_step, parameters.random_seed) == (6.0, 1.0, 5)


def test_gallery_has_a_block_per_run(shared_data, tmp_path):
    from PIL import Image

    one = read_class2d_results(shared_data / "class2d" / "bgal_relion4_vdam_k25")
    write_gallery(tmp_path / "one.png", [("a", one)])
    write_gallery(tmp_path / "two.png", [("a", one), ("b", one)])
    with Image.open(tmp_path / "one.png") as a, Image.open(tmp_path / "two.png") as b:
        assert b.width > 2 * a.width and a.height == b.height
        assert np.asarray(a.convert("L")).std() > 20


def test_ball_projection_is_the_closed_form():
    rotation = random_rotations(1, np.random.default_rng(0))
    ball = np.array([[3.0, -5.0, 7.0]])
    image = device_stack.project_balls(ball, rotation, 32, np)[0]
    x, y, _ = rotation[0] @ ball[0]
    axis = np.arange(32) - 16
    expected = np.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * (device_stack.BALL_WIDTH * 32) ** 2))
    np.testing.assert_allclose(image, expected, atol=1e-5)


def test_synthetic_load_is_readable_and_has_its_noise(tmp_path):
    star = device_stack.write_device_stack(device_stack.StackDefinition(50, 32, 4.0, per_stack=20), tmp_path, np)
    particles = read_particles(star)
    images = ParticleImages(particles).read(np.arange(50))
    assert images.shape == (50, 32, 32) and particles.pixel_size == 4.0 and len(particles.stack_paths) == 3
    assert images[:, :4].std() == pytest.approx(1.0, abs=0.1)
    assert images.var() == pytest.approx(1.0 + device_stack.SNR, abs=0.05)


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="cupy is installed here")
def test_without_a_gpu_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="GPU 0 was asked for"):
        gpu_class2d.main(["--out", str(tmp_path), "--n", "10"])
    assert not list(tmp_path.iterdir())


def test_coarse_operations_of_one_iteration():
    """At a current size below the coarse limit: visits x 4 x K x angles x shifts x components."""
    settings = RefinementSettings(n_classes=3, particle_diameter=200.0)
    got = gpu_class2d.coarse_operations(settings, 64, 3.54, [{"subset_size": 10, "current_size": 16}])
    assert got == pytest.approx(10 * 4 * 3 * 30 * 21 * np.pi / 8 * 16**2)


def test_small_device_run_on_the_cpu(tmp_path):
    words = ["--cpu", "--out", str(tmp_path), "--n", "60", "--box", "32", "--pixel", "6", "--k", "2", "--iter", "3", "--threads", "1"]
    assert gpu_class2d.main([*words, "--memory", "0.5"]) == 0
    assert "CPU (numpy)" in (tmp_path / "gpu_class2d.md").read_text()
