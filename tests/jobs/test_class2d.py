import dataclasses
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs import class2d
from relion4plugin.jobs.class2d import Class2DParameters, from_options, relion_command, settings_of, validate
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.refinement.settings import Algorithm, RefinementSettings


def test_defaults_are_relions_with_fifty_classes():
    expected = {
        "do_ctf_correction": True, "ctf_intact_first_peak": False, "nr_classes": 50, "tau_fudge": 2.0, "do_em": False,
        "nr_iter_em": 25, "do_grad": True, "nr_iter_grad": 200, "particle_diameter": 200.0, "do_zero_mask": True,
        "highres_limit": -1.0, "do_center": True, "dont_skip_align": True, "psi_sampling": 6.0, "offset_range": 5.0,
        "offset_step": 1.0, "use_gpu": False, "gpu_ids": "", "nr_threads": 1,
    }  # fmt: skip
    declared = {f.name: f.default for f in fields_of(Class2DParameters) if f.relion and f.name not in ("fn_img", "fn_cont")}
    assert declared == expected


def test_settings_of_the_defaults_are_the_engines_defaults():
    assert settings_of(Class2DParameters()) == RefinementSettings()


def test_every_parameter_reaches_the_engine():
    parameters = Class2DParameters()
    same = []
    for field in fields_of(Class2DParameters):
        if field.name in ("fn_img", "fn_cont", "do_em", "nr_iter_em", "gpu_ids", "parts_per_class") or field.section == "Streaming":
            continue
        value = not field.default if field.type is bool else "1" if field.type is str else field.default + 1
        if settings_of(dataclasses.replace(parameters, **{field.name: value})) == settings_of(parameters):
            same.append(field.name)
    assert same == []


def test_settings_count_coarse_steps():
    settings = settings_of(Class2DParameters(psi_sampling=5.0, offset_step=0.5))
    assert (settings.psi_step, settings.offset_step) == (10.0, 1.0)


def test_em_uses_its_own_number_of_iterations():
    settings = settings_of(Class2DParameters(do_em=True, do_grad=False, nr_iter_em=7, use_gpu=True, gpu_ids="2"))
    assert (settings.algorithm, settings.n_iterations, settings.gpu) == (Algorithm.EM, 7, 2)


@pytest.mark.parametrize(
    ("options", "em", "iterations"),
    [
        ({"nr_iter": "30"}, True, 30),
        ({"do_grad": "No", "nr_iter": "25"}, True, 25),
        ({"do_grad": "Yes"}, False, 200),
        ({"do_em": "Yes", "do_grad": "No", "nr_iter_em": "12"}, True, 12),
        ({"do_em": "No", "do_grad": "Yes", "nr_iter_grad": "100"}, False, 100),
    ],
)
def test_options_of_each_relion_version_choose_the_algorithm(options, em, iterations):
    parameters = from_options(options)
    assert (parameters.do_em, parameters.do_grad, class2d.n_iterations(parameters)) == (em, not em, iterations)


@pytest.mark.parametrize("name", ["do_helix", "allow_coarser"])
def test_options_that_are_not_offered_are_refused(name):
    from_options({name: "No"})
    with pytest.raises(UserError, match=name):
        from_options({name: "Yes"})


@pytest.fixture
def star(tmp_path: Path) -> str:
    path = tmp_path / "particles.star"
    path.touch()
    return str(path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fn_img": ""}, "no input particles"),
        ({"fn_img": "/nowhere/p.star"}, "/nowhere/p.star: no such file"),
        ({"do_em": True}, "both switched on"),
        ({"do_grad": False}, "neither switched on"),
        ({"nr_classes": 0}, "nr_classes is 0"),
        ({"tau_fudge": 0.0}, "tau_fudge is 0"),
        ({"offset_step": 6.0}, "larger than offset_range"),
        ({"use_gpu": True, "gpu_ids": "first"}, "gpu_ids is 'first'"),
        ({"fn_ref": "/nowhere/r.mrcs"}, "starting averages"),
        ({"fn_cont": "/nowhere/run_it010_optimiser.star"}, "no such file"),
        ({"fn_cont": "/nowhere/model.star"}, "expected a file named like"),
    ],
)
def test_mistakes_are_one_line(star, changes, expected):
    with pytest.raises(UserError) as caught:
        validate(Class2DParameters(**{"fn_img": star, **changes}))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_finished_run_cannot_be_continued(tmp_path):
    path = tmp_path / "run_it200_optimiser.star"
    path.touch()
    with pytest.raises(UserError, match="iteration 200 is already done"):
        validate(Class2DParameters(fn_cont=str(path)))
    assert validate(Class2DParameters(fn_cont=str(path), nr_iter_grad=250)) == ()


def test_several_gpus_are_remarked(star):
    remarks = validate(Class2DParameters(fn_img=star, use_gpu=True, gpu_ids="1:2"))
    assert len(remarks) == 1 and "GPU 1" in remarks[0]


def test_relion_command_of_the_defaults():
    # The options that RELION 4.0's GUI gives for a default VDAM job, in any order.
    words = relion_command(Class2DParameters(fn_img="p.star", nr_classes=1), Path("Class2D/job007"))
    text = " ".join(words)
    for part in (
        "--i p.star", "--o Class2D/job007/run", "--grad", "--class_inactivity_threshold 0.1", "--grad_write_iter 10", "--iter 200",
        "--pad 2", "--ctf", "--tau2_fudge 2", "--particle_diameter 200", "--K 1", "--flatten_solvent", "--zero_mask", "--center_classes",
        "--oversampling 1", "--psi_step 12", "--offset_range 5", "--offset_step 2", "--norm", "--scale", "--j 1",
    ):  # fmt: skip
        assert f" {part} " in f" {text} ", part
    assert len([w for w in words if w.startswith("--")]) == 21


def test_relion_command_when_continuing_leaves_out_what_is_read_back():
    words = relion_command(Class2DParameters(fn_img="p.star", fn_cont="a/run_it010_optimiser.star"), Path("out"))
    assert not {"--i", "--ctf", "--K", "--flatten_solvent", "--zero_mask", "--norm", "--scale"} & set(words)
    assert words[1:3] == ["--continue", "a/run_it010_optimiser.star"]


def test_relion_command_without_alignment_has_no_sampling():
    words = relion_command(Class2DParameters(dont_skip_align=False, do_em=True, do_grad=False), Path("out"))
    assert "--skip_align" in words
    assert not {"--psi_step", "--offset_range", "--offset_step", "--grad", "--grad_write_iter", "--mu"} & set(words)
