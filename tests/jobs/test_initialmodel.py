import dataclasses
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs import initialmodel
from relion4plugin.jobs.initialmodel import InitialModelParameters, from_options, relion_command, settings_of, validate
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.progress import Silent
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from tests.jobs.small_project import BOX, PIXEL, ModelMaker, install_model_maker, write_particles_star


def test_defaults_are_relions():
    expected = {
        "nr_iter": 200, "tau_fudge": 4.0, "nr_classes": 1, "sym_name": "C1", "do_run_C1": True, "particle_diameter": 200.0,
        "do_solvent": True, "do_ctf_correction": True, "ctf_intact_first_peak": False, "use_gpu": False, "gpu_ids": "", "nr_threads": 1,
    }  # fmt: skip
    declared = {f.name: f.default for f in fields_of(InitialModelParameters) if f.relion}
    assert declared == {"fn_img": "", "fn_cont": "", **expected}


def test_settings_of_the_defaults():
    assert settings_of(InitialModelParameters()) == RefinementSettings(
        dimension=3, algorithm=Algorithm.VDAM, n_classes=1, n_iterations=200, tau2_fudge=4.0, norm_correction=False,
        scale_correction=False, center_classes=True, non_negative=True, inactivity_threshold=0.0, padding=1, auto_sampling=True,
        auto_ignore_angles=True, healpix_order=1, max_healpix_order=2, offset_range=6.0, offset_step=2.0, adaptive_fraction=0.9,
        symmetry="C1",
    )  # fmt: skip


def test_symmetry_is_imposed_only_where_asked():
    assert settings_of(InitialModelParameters(sym_name="D2")).symmetry == "C1"
    assert settings_of(InitialModelParameters(sym_name="D2", do_run_C1=False)).symmetry == "D2"


def test_every_parameter_reaches_engine_or_model_maker():
    base = InitialModelParameters(do_run_C1=False)
    elsewhere = ("fn_img", "fn_cont", "gpu_ids", "nr_restarts", "nr_rounds", "nr_iter_halves", "select_class", "find_symmetry")
    same = []
    for field in fields_of(InitialModelParameters):
        value = "D2" if field.type is str else field.default + 1
        value = not getattr(base, field.name) if field.type is bool else value
        if field.name == "do_run_C1":
            base, value = dataclasses.replace(base, sym_name="D2"), True
        if field.name not in elsewhere and settings_of(dataclasses.replace(base, **{field.name: value})) == settings_of(base):
            same.append(field.name)
    assert same == []


def test_a_real_job_star_of_relion_4(shared_data):
    path = shared_data / "star/schemes_cnio_relion4/proc/inimodel3d/job.star"
    p = from_options(read_job_star(path).options, str(path))
    assert (p.nr_classes, p.nr_iter, p.particle_diameter, p.do_run_C1, p.nr_threads) == (3, 200, 198.0, True, 48)


def test_a_real_job_star_of_relion_31_keeps_our_schedule(shared_data):
    path = shared_data / "star/relion31_tutorial_bgal/InitialModel/job015/job.star"
    job = read_job_star(path)
    assert job.type_label == initialmodel.JOB_TYPE
    p = from_options(job.options, str(path))
    assert p == dataclasses.replace(
        InitialModelParameters(), fn_img="Select/job014/particles.star", use_gpu=True, gpu_ids="4:5:6:7", nr_threads=6
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fn_img": ""}, "no input particles"),
        ({"fn_img": "gone.star"}, "no such file"),
        ({"sym_name": "X"}, "sym_name: symmetry 'X'"),
        ({"nr_restarts": 0}, "nr_restarts is 0"),
        ({"select_class": "best"}, "select_class is 'best' but must be one of quality, largest"),
        ({"healpix_order": 7}, "healpix_order is 7"),
        ({"nr_iter": 0}, "nr_iter is 0"),
        ({"offset_step": 7.0}, "larger than offset_range"),
        ({"fn_cont": "run_it200_optimiser.star"}, "no such file"),
    ],
)
def test_mistakes_are_one_line(project, changes, expected):
    with pytest.raises(UserError) as caught:
        validate(InitialModelParameters(**{"fn_img": "particles.star", **changes}))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_surprises_are_remarked(project):
    good = InitialModelParameters(fn_img="particles.star")
    assert validate(good) == ()
    assert "find_symmetry has no effect" in validate(dataclasses.replace(good, sym_name="D2", find_symmetry=True))[0]
    assert "one start only" in validate(dataclasses.replace(good, nr_restarts=1))[0]


def test_relion_commands_of_the_defaults():
    # The options that RELION 4.0's job gives, in any order; --grad_write_iter 10 is its program's default.
    text = " ".join(relion_command(InitialModelParameters(fn_img="p.star", sym_name="D2", nr_classes=3), Path("InitialModel/job015")))
    refine, align = text.split(" && ")
    for part in (
        "--i p.star", "--o InitialModel/job015/run", "--iter 200", "--grad", "--denovo_3dref", "--ctf", "--K 3", "--sym C1",
        "--flatten_solvent", "--zero_mask", "--pad 1", "--particle_diameter 200", "--oversampling 1", "--healpix_order 1",
        "--offset_range 6", "--offset_step 2", "--auto_sampling", "--tau2_fudge 4", "--j 1", "--grad_write_iter 10",
    ):  # fmt: skip
        assert f" {part} " in f" {refine} ", part
    assert refine.count(" --") == 20
    assert align == (
        "relion_align_symmetry --i InitialModel/job015/run_it200_model.star --o InitialModel/job015/initial_model.mrc "
        "--sym D2 --apply_sym --select_largest_class"
    )


def test_relion_commands_with_symmetry_from_the_start():
    refine, align = " ".join(relion_command(InitialModelParameters(sym_name="D2", do_run_C1=False), Path("out"))).split(" && ")
    assert "--sym D2" in refine and "--sym C1" in align


@pytest.fixture
def maker(monkeypatch) -> ModelMaker:
    return install_model_maker(monkeypatch, ModelMaker())


def test_a_run_passes_everything_on_and_names_its_findings(project, maker):
    p = InitialModelParameters(
        fn_img="particles.star", nr_classes=2, nr_iter=10, sym_name="D2", nr_restarts=4, nr_rounds=3, nr_iter_halves=3,
        select_class="largest",
    )
    outputs = initialmodel.run(p, Path("InitialModel/job015"), Silent())
    settings, given = maker.calls[0]
    assert settings == settings_of(p)
    assert given == {
        "symmetry": "D2", "restarts": 4, "rounds": 3, "select": "largest", "find": False, "refine_iterations": 3, "resume": None,
    }  # fmt: skip
    assert outputs.map == Path("InitialModel/job015/initial_model.mrc")
    assert (outputs.class_number, outputs.reliable, len(outputs.maps), outputs.agreement["resolution"]) == (1, True, 2, 18.5)
    edges = read_star("InitialModel/job015/job_pipeline.star")["pipeline_output_edges"]["rlnPipeLineEdgeToNode"]
    names = ("initial_model.mrc", "run_it010_class001.mrc", "run_it010_class002.mrc")
    assert list(edges) == [f"InitialModel/job015/{name}" for name in names]


def test_symmetry_is_looked_for_only_in_c1(project, maker):
    for symmetry in ("C1", "C3"):
        p = InitialModelParameters(fn_img="particles.star", sym_name=symmetry, find_symmetry=True)
        initialmodel.run(p, Path(symmetry), Silent())
    assert [given["find"] for _, given in maker.calls] == [True, False]


def test_an_initial_model_is_not_overwritten(project, maker):
    p = InitialModelParameters(fn_img="particles.star", nr_iter=10)
    Path("out").mkdir()
    Path("out/initial_model.mrc").write_text("mine")
    with pytest.raises(UserError, match="results of an earlier run"):
        initialmodel.run(p, Path("out"), Silent())
    assert Path("out/initial_model.mrc").read_text() == "mine"
    initialmodel.run(p, Path("out"), Silent(), overwrite=True)
    assert len(maker.calls) == 1


@pytest.mark.parametrize("name", ["initial_model_start01.mrc", "initial_model_starts.json", "initial_model.json", "halves"])
def test_everything_an_initial_model_leaves_counts_as_results(project, maker, name):
    p = InitialModelParameters(fn_img="particles.star", nr_iter=10)
    path = Path("out") / name
    path.parent.mkdir()
    if path.suffix:
        path.write_text("mine")
    else:
        path.mkdir()
        (path / "run_it001_half1_class001.mrc").write_text("mine")
    (path.parent / "notes").mkdir()
    with pytest.raises(UserError, match="results of an earlier run"):
        initialmodel.run(p, Path("out"), Silent())
    assert path.exists()
    initialmodel.run(p, Path("out"), Silent(), overwrite=True)
    assert not path.exists() and (path.parent / "notes").is_dir()


def test_a_run_is_continued(project, maker):
    p = InitialModelParameters(fn_img="particles.star", nr_iter=10)
    initialmodel.run(p, Path("out"), Silent())
    again = dataclasses.replace(p, fn_cont="out/run_it010_optimiser.star", nr_iter=20)
    initialmodel.run(again, Path("out"), Silent())
    assert maker.calls[1][1]["resume"] == Path("out/run_it010_optimiser.star")


def test_more_classes_than_particles_are_refused(project, maker):
    with pytest.raises(UserError, match="only 6 particles"):
        initialmodel.run(InitialModelParameters(fn_img="particles.star", nr_classes=7), Path("out"), Silent())


def test_the_estimate_of_disk_space_counts_starts_and_halves():
    p = InitialModelParameters(nr_classes=2, nr_restarts=1, nr_iter_halves=0)
    volume = 64**3 * 4
    one = initialmodel.needed_bytes(p, 1000, 64)
    assert 22 * 2 * volume < one < 2**30
    # of a start that is dropped one map stays, of each iteration of the halves two, and there may be three times as many iterations
    assert 4 * volume <= initialmodel.needed_bytes(dataclasses.replace(p, nr_restarts=5), 1000, 64) - one < 8 * volume
    assert 18 * volume <= initialmodel.needed_bytes(dataclasses.replace(p, nr_iter_halves=3), 1000, 64) - one < 24 * volume


def test_a_wrong_column_of_halves_is_found_before_the_model_is_made(project, maker):
    write_particles_star("many.star", 24, stack="many.mrcs")
    with mrcfile.new("many.mrcs", data=np.zeros((24, BOX, BOX), np.float32)) as mrc:
        mrc.voxel_size = PIXEL
    tables = read_star("many.star")
    tables["particles"]["rlnRandomSubset"] = 1
    write_star("many.star", tables)
    p = InitialModelParameters(fn_img="many.star", particle_diameter=40.0, nr_iter_halves=3)
    with pytest.raises(UserError, match="rlnRandomSubset holds"):
        initialmodel.run(p, Path("out"), Silent())
    assert not Path("out").exists() and not maker.calls
    initialmodel.run(dataclasses.replace(p, nr_iter_halves=0), Path("out"), Silent())  # no halves: the column means nothing
    assert len(maker.calls) == 1
