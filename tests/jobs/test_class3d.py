import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.jobs import class3d
from relion4plugin.jobs.class3d import Class3DParameters, from_options, relion_command, settings_of, validate
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.progress import Silent
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from tests.jobs.small_project import BOX, Engine3D, N, install_engine, write_map, write_particles_star


def test_defaults_are_relions():
    expected = {
        "fn_mask": "", "ref_correct_greyscale": False, "trust_ref_size": True, "ini_high": 60.0, "sym_name": "C1",
        "do_ctf_correction": True, "ctf_intact_first_peak": False, "nr_classes": 1, "tau_fudge": 4.0, "nr_iter": 25,
        "do_fast_subsets": False, "particle_diameter": 200.0, "do_zero_mask": True, "highres_limit": -1.0, "dont_skip_align": True,
        "sampling": "7.5 degrees", "offset_range": 5.0, "offset_step": 1.0, "do_local_ang_searches": False, "sigma_angles": 5.0,
        "do_pad1": False, "use_gpu": False, "gpu_ids": "", "nr_threads": 1,
    }  # fmt: skip
    declared = {f.name: f.default for f in fields_of(Class3DParameters) if f.relion}
    assert declared == {"fn_img": "", "fn_cont": "", "fn_ref": "", **expected}


def test_settings_of_the_defaults():
    assert settings_of(Class3DParameters(fn_ref="map.mrc")) == RefinementSettings(
        dimension=3, algorithm=Algorithm.EM, n_classes=1, n_iterations=25, tau2_fudge=4.0, center_classes=False, initial_lowpass=60.0,
        inactivity_threshold=0.0, reference="map.mrc", healpix_order=2, firstiter_cc=True,
    )  # fmt: skip


def test_vdam_has_its_own_number_of_iterations():
    settings = settings_of(Class3DParameters(do_grad=True, nr_iter_grad=90))
    assert (settings.algorithm, settings.n_iterations) == (Algorithm.VDAM, 90)


def test_a_local_range_is_three_standard_deviations():
    assert settings_of(Class3DParameters(do_local_ang_searches=True, sigma_angles=6.0)).sigma_angles == 2.0
    assert settings_of(Class3DParameters(do_local_ang_searches=True, dont_skip_align=False)).sigma_angles == -1.0


def test_every_parameter_reaches_the_engine():
    base = Class3DParameters(do_local_ang_searches=True)
    # the last two are looked at before the engine: the reference is rescaled there in any case
    elsewhere = ("fn_img", "fn_cont", "nr_iter_grad", "gpu_ids", "trust_ref_size")
    same = []
    for field in fields_of(Class3DParameters):
        value = "3.7 degrees" if field.choices else "1" if field.type is str else field.default + 1
        value = not getattr(base, field.name) if field.type is bool else value
        if field.name not in elsewhere and settings_of(dataclasses.replace(base, **{field.name: value})) == settings_of(base):
            same.append(field.name)
    assert same == []


def test_a_real_job_star_of_relion_31(shared_data):
    path = shared_data / "star/relion31_tutorial_bgal/Class3D/job016/job.star"
    job = read_job_star(path)
    assert job.type_label == class3d.JOB_TYPE
    p = from_options(job.options, str(path))
    assert (p.nr_classes, p.sampling, p.ini_high, p.ref_correct_greyscale, p.tau_fudge) == (4, "7.5 degrees", 50.0, True, 4.0)
    assert p.fn_ref == "InitialModel/job015/run_it150_class001_symD2.mrc"
    assert settings_of(p).healpix_order == 2


@pytest.mark.parametrize(
    ("text", "order"), [("30 degrees", 0), ("7.5__degrees", 2), ("7.5", 2), ("1.8 degrees", 4), ("0.1", 8), ("3.7 Degrees", 3)]
)
def test_sampling_is_menu_text_or_degrees(text, order):
    assert settings_of(from_options({"sampling": text})).healpix_order == order


@pytest.mark.parametrize("name", ["do_helix", "allow_coarser", "do_blush"])
def test_options_that_are_not_offered_are_refused(name):
    from_options({name: "No"})
    with pytest.raises(UserError, match=name):
        from_options({name: "Yes"})


def test_symmetry_relaxation_is_refused():
    from_options({"relax_sym": ""})
    with pytest.raises(UserError, match="relax_sym is C2, but symmetry relaxation is not offered"):
        from_options({"relax_sym": "C2"})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fn_img": ""}, "no input particles"),
        ({"fn_ref": ""}, "no reference"),
        ({"fn_ref": "None"}, "no reference"),
        ({"fn_ref": "gone.mrc"}, "reference map gone.mrc: no such file"),
        ({"fn_ref": "stack.mrcs"}, "expected a cubic map"),
        ({"fn_mask": "gone.mrc"}, "mask gone.mrc: no such file"),
        ({"fn_mask": "stack.mrcs"}, "expected a cubic map"),
        ({"sym_name": "Q7"}, "sym_name: symmetry 'Q7'"),
        ({"sampling": "8 degrees"}, "sampling is '8 degrees' but must be one of 30 degrees, 15 degrees"),
        ({"do_grad": True, "do_fast_subsets": True}, "do_fast_subsets"),
        ({"do_local_ang_searches": True, "sigma_angles": 0.0}, "sigma_angles is 0"),
        ({"offset_step": 6.0}, "larger than offset_range"),
        ({"tau_fudge": 0.0}, "tau_fudge is 0"),
        ({"fn_cont": "run_it025_optimiser.star"}, "no such file"),
        ({"use_gpu": True, "gpu_ids": "first"}, "gpu_ids is 'first'"),
    ],
)
def test_mistakes_are_one_line(project, changes, expected):
    with pytest.raises(UserError) as caught:
        validate(Class3DParameters(**{"fn_img": "particles.star", "fn_ref": "map.mrc", **changes}))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_surprises_are_remarked(project):
    good = Class3DParameters(fn_img="particles.star", fn_ref="map.mrc")
    assert validate(good) == ()
    assert "initial low-pass" in validate(dataclasses.replace(good, ini_high=-1.0))[0]
    local = dataclasses.replace(good, do_local_ang_searches=True, dont_skip_align=False)
    assert "do_local_ang_searches has no effect" in validate(local)[0]


def test_as_many_references_as_classes(project):
    for name in ("a.mrc", "b.mrc"):
        write_map(name)
    Path("refs.star").write_text("data_\nloop_\n_rlnReferenceImage\na.mrc\nb.mrc\n")
    base = Class3DParameters(fn_img="particles.star", fn_ref="refs.star", nr_classes=2)
    assert validate(base) == ()
    with pytest.raises(UserError, match=r"names 2 reference maps .* give --K 2"):
        validate(dataclasses.replace(base, nr_classes=3))
    Path("b.mrc").unlink()
    with pytest.raises(UserError, match=r"reference map b\.mrc: no such file"):
        validate(base)


def test_relion_command_of_the_defaults():
    # The options that RELION 4.0's job gives, in any order, and --trust_ref_size, which is RELION 5's default.
    text = " ".join(relion_command(Class3DParameters(fn_img="p.star", fn_ref="m.mrc", nr_classes=3), Path("Class3D/job009")))
    for part in (
        "--i p.star", "--o Class3D/job009/run", "--ref m.mrc", "--firstiter_cc", "--ini_high 60", "--pad 2", "--ctf", "--iter 25",
        "--tau2_fudge 4", "--particle_diameter 200", "--K 3", "--flatten_solvent", "--zero_mask", "--oversampling 1",
        "--healpix_order 2", "--offset_range 5", "--offset_step 2", "--sym C1", "--norm", "--scale", "--j 1", "--trust_ref_size",
    ):  # fmt: skip
        assert f" {part} " in f" {text} ", part
    assert text.count(" --") == 22


def test_relion_command_of_a_local_search():
    words = relion_command(Class3DParameters(do_local_ang_searches=True, fn_mask="m.mrc", do_pad1=True), Path("out"))
    assert words[words.index("--sigma_ang") + 1].startswith("1.6666")
    assert words[words.index("--solvent_mask") + 1] == "m.mrc"
    assert words[words.index("--pad") + 1] == "1"


def test_relion_command_when_continuing_leaves_out_what_is_read_back():
    words = relion_command(Class3DParameters(fn_img="p", fn_ref="m", fn_cont="a/run_it010_optimiser.star"), Path("out"))
    gone = {"--i", "--ref", "--ctf", "--K", "--firstiter_cc", "--ini_high", "--sym", "--norm", "--scale", "--trust_ref_size"}
    assert not gone & set(words)


@pytest.fixture
def refine(monkeypatch) -> Engine3D:
    return install_engine(monkeypatch, Engine3D())


def parameters(**changes) -> Class3DParameters:
    given = {"fn_img": "particles.star", "fn_ref": "map.mrc", "nr_classes": 2, "nr_iter": 3, "particle_diameter": 40.0}
    return Class3DParameters(**{**given, **changes})


def test_a_run_leaves_a_job_directory_and_names_its_outputs(project, refine):
    outputs = class3d.run(parameters(fn_mask="mask.mrc"), Path("Class3D/job009"), Silent())
    assert outputs.maps == tuple(Path(f"Class3D/job009/run_it003_class00{k}.mrc") for k in (1, 2))
    settings, particles, resume = refine.calls[0]
    assert (settings.dimension, settings.solvent_mask, len(particles), resume) == (3, "mask.mrc", N, None)
    assert read_job_star(Path("Class3D/job009/job.star")).options["sampling"] == "7.5 degrees"
    nodes = read_star("Class3D/job009/job_pipeline.star")["pipeline_nodes"]
    kinds = dict(zip(nodes["rlnPipeLineNodeName"], nodes["rlnPipeLineNodeTypeLabel"], strict=True))
    assert kinds["map.mrc"] == "DensityMap.mrc" and kinds["mask.mrc"] == "Mask3D.mrc"
    assert kinds["Class3D/job009/run_it003_class002.mrc"] == "DensityMap.mrc.relion.class3d"
    assert kinds["Class3D/job009/run_it003_data.star"] == "ParticlesData.star.relion.class3d"


@pytest.mark.parametrize(("box", "pixel"), [(BOX + 2, 3.0), (BOX, 3.3)])
def test_a_mask_must_fit_and_a_reference_must_where_asked(project, refine, box, pixel):
    write_map("other.mrc", box, pixel)
    with pytest.raises(UserError, match=r"mask other\.mrc has"):
        class3d.run(parameters(fn_mask="other.mrc"), Path("out"), Silent())
    with pytest.raises(UserError, match="set --trust_ref_size Yes"):
        class3d.run(parameters(fn_ref="other.mrc", trust_ref_size=False), Path("out"), Silent())
    assert refine.calls == [] and not Path("out").exists()
    class3d.run(parameters(fn_ref="other.mrc"), Path("out"), Silent())
    assert refine.calls[0][0].reference == "other.mrc"


@pytest.mark.parametrize("changes", [{"dont_skip_align": False}, {"do_local_ang_searches": True}])
def test_what_needs_poses_asks_for_them(project, refine, changes):
    with pytest.raises(UserError, match="has no rlnAngleRot"):
        class3d.run(parameters(**changes), Path("out"), Silent())
    write_particles_star("particles.star", N, angles=True)
    class3d.run(parameters(**changes), Path("out"), Silent())
    assert len(refine.calls) == 1


def test_the_estimate_of_disk_space_covers_the_maps():
    maps = 4 * 64**3 * 4
    assert 26 * maps < class3d.needed_bytes(parameters(nr_classes=4, nr_iter=25), 1000, 64) < 2**30
    moments = class3d.needed_bytes(parameters(nr_classes=4, do_grad=True), 1000, 64)
    assert moments > 22 * maps + 2 * 4 * 20 * 128 * 128 * 65


@pytest.mark.relion
@pytest.mark.parametrize(
    "changes", [{}, {"do_local_ang_searches": True, "fn_mask": "k.mrc", "highres_limit": 8}, {"dont_skip_align": False}]
)
def test_relions_program_knows_every_option(changes):
    help_text = subprocess.run(["relion_refine", "--help"], capture_output=True, text=True, check=False).stdout
    words = relion_command(Class3DParameters(fn_img="p", fn_ref="m", **changes), Path("out"))
    assert [word for word in words if word.startswith("--") and not re.search(rf"{word} \(", help_text)] == []


@pytest.mark.parametrize(("changes", "message"), [({"particle_diameter": 60.0}, "does not fit the box"), ({"sym_name": "X9"}, "X9")])
def test_what_the_engine_refuses_leaves_no_folder(project, changes, message):
    with pytest.raises(UserError, match=message):
        class3d.run(parameters(**changes), Path("out"), Silent())
    assert not Path("out").exists()
