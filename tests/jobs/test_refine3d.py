import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.jobs import refine3d
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.jobs.refine3d import Refine3DParameters, from_options, relion_command, settings_of, validate
from relion4plugin.progress import Silent
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from tests.jobs.small_project import Engine3D, N, install_engine, write_particles_star


def test_defaults_are_relions():
    expected = {
        "fn_mask": "", "ref_correct_greyscale": False, "trust_ref_size": True, "ini_high": 60.0, "sym_name": "C1",
        "do_ctf_correction": True, "ctf_intact_first_peak": False, "particle_diameter": 200.0, "do_zero_mask": True,
        "do_solvent_fsc": False, "sampling": "7.5 degrees", "offset_range": 5.0, "offset_step": 1.0,
        "auto_local_sampling": "1.8 degrees", "auto_faster": False, "do_pad1": False, "use_gpu": False, "gpu_ids": "", "nr_threads": 1,
    }  # fmt: skip
    declared = {f.name: f.default for f in fields_of(Refine3DParameters) if f.relion}
    assert declared == {"fn_img": "", "fn_cont": "", "fn_ref": "", **expected}


def test_settings_of_the_defaults():
    assert settings_of(Refine3DParameters(fn_ref="map.mrc")) == RefinementSettings(
        dimension=3, algorithm=Algorithm.EM, n_classes=1, n_iterations=999, tau2_fudge=1.0, center_classes=False, initial_lowpass=60.0,
        inactivity_threshold=0.0, reference="map.mrc", healpix_order=2, auto_refine=True, auto_local_healpix_order=4,
        low_resol_join=40.0, firstiter_cc=True,
    )  # fmt: skip


def test_finer_sampling_faster_sets_both_ways():
    settings = settings_of(Refine3DParameters(auto_faster=True))
    assert settings.auto_ignore_angles and settings.auto_resol_angles


def test_every_parameter_reaches_the_engine():
    same = []
    for field in fields_of(Refine3DParameters):
        value = "3.7 degrees" if field.choices else "1" if field.type is str else field.default + 1
        value = not field.default if field.type is bool else value
        changed = settings_of(Refine3DParameters(**{field.name: value}))
        if field.name not in ("fn_img", "fn_cont", "gpu_ids", "trust_ref_size") and changed == settings_of(Refine3DParameters()):
            same.append(field.name)
    assert same == []


@pytest.mark.parametrize(
    ("name", "mask", "solvent", "greyscale"),
    [("job019", "", False, False), ("job029", "MaskCreate/job020/mask.mrc", True, True)],
)
def test_real_job_stars_of_relion_31(shared_data, name, mask, solvent, greyscale):
    path = shared_data / f"star/relion31_tutorial_bgal/Refine3D/{name}/job.star"
    job = read_job_star(path)
    assert job.type_label == refine3d.JOB_TYPE
    p = from_options(job.options, str(path))
    assert (p.sym_name, p.fn_mask, p.do_solvent_fsc, p.ref_correct_greyscale) == ("D2", mask, solvent, greyscale)
    assert (p.sampling, p.auto_local_sampling, p.gpu_ids) == ("7.5 degrees", "1.8 degrees", "4:5:6:7" if name == "job019" else "0:1:2:3")


def test_a_real_job_star_of_relion_4(shared_data):
    path = shared_data / "star/schemes_cnio_relion4/proc/refine3d/job.star"
    p = from_options(read_job_star(path).options, str(path))
    assert (p.fn_ref, p.ini_high, p.sampling, p.nr_threads) == ("$$myref", 40.0, "7.5 degrees", 9)


@pytest.mark.parametrize(("name", "value"), [("do_blush", "Yes"), ("do_helix", "Yes"), ("relax_sym", "D2")])
def test_options_that_are_not_offered_are_refused(name, value):
    from_options({name: "No"})
    with pytest.raises(UserError, match=f"{name} is {value}"):
        from_options({name: value})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fn_img": ""}, "no input particles"),
        ({"fn_ref": ""}, "no reference"),
        ({"fn_ref": "gone.mrc"}, "no such file"),
        ({"do_solvent_fsc": True}, "there is no reference mask"),
        ({"fn_mask": "stack.mrcs"}, "expected a cubic map"),
        ({"sym_name": "C0"}, "sym_name: symmetry 'C0'"),
        ({"sym_name": "D2h"}, "sym_name: symmetry 'D2h'"),
        ({"auto_local_sampling": "2"}, "auto_local_sampling is '2' but must be one of"),
        ({"offset_step": 6.0}, "larger than offset_range"),
    ],
)
def test_mistakes_are_one_line(project, changes, expected):
    with pytest.raises(UserError) as caught:
        validate(Refine3DParameters(**{"fn_img": "particles.star", "fn_ref": "map.mrc", **changes}))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_surprises_are_remarked(project):
    good = Refine3DParameters(fn_img="particles.star", fn_ref="map.mrc")
    assert validate(good) == ()
    assert validate(dataclasses.replace(good, sym_name="C12")) == ()
    assert "local searches from the first" in validate(dataclasses.replace(good, sampling="1.8 degrees"))[0]


def test_relion_command_of_the_defaults():
    # The options that RELION 4.0's job gives, in any order, and --trust_ref_size, which is RELION 5's default.
    text = " ".join(relion_command(Refine3DParameters(fn_img="p.star", fn_ref="m.mrc"), Path("Refine3D/job019")))
    for part in (
        "--i p.star", "--o Refine3D/job019/run", "--auto_refine", "--split_random_halves", "--ref m.mrc", "--firstiter_cc",
        "--ini_high 60", "--pad 2", "--ctf", "--particle_diameter 200", "--flatten_solvent", "--zero_mask", "--oversampling 1",
        "--healpix_order 2", "--auto_local_healpix_order 4", "--offset_range 5", "--offset_step 2", "--sym C1",
        "--low_resol_join_halves 40", "--norm", "--scale", "--j 1", "--trust_ref_size",
    ):  # fmt: skip
        assert f" {part} " in f" {text} ", part
    assert text.count(" --") == 23
    assert text.startswith("mpirun -n 3 relion_refine_mpi ")


def test_relion_command_with_a_mask_when_continuing():
    base = Refine3DParameters(fn_img="p", fn_ref="m", fn_mask="k.mrc", do_solvent_fsc=True, auto_faster=True)
    p = dataclasses.replace(base, fn_cont="a/run_it010_optimiser.star")
    options = [word for word in relion_command(p, Path("out")) if word.startswith("--")]
    assert sorted(options) == sorted(
        ["--continue", "--o", "--pad", "--auto_ignore_angles", "--auto_resol_angles", "--particle_diameter", "--solvent_mask",
         "--solvent_correct_fsc", "--j"]
    )  # fmt: skip


def parameters(**changes) -> Refine3DParameters:
    return Refine3DParameters(**{"fn_img": "particles.star", "fn_ref": "map.mrc", "particle_diameter": 40.0, **changes})


def test_a_converged_run_names_the_final_files(project, monkeypatch):
    refine = install_engine(monkeypatch, Engine3D())
    outputs = refine3d.run(parameters(), Path("Refine3D/job019"), Silent())
    assert outputs == refine3d.output_files(parameters(), Path("Refine3D/job019"))
    assert outputs.converged and outputs.half2.name == "run_half2_class001_unfil.mrc"
    assert refine.calls[0][0].auto_refine
    nodes = read_star("Refine3D/job019/job_pipeline.star")["pipeline_output_edges"]["rlnPipeLineEdgeToNode"]
    names = ("data.star", "optimiser.star", "half1_class001_unfil.mrc", "class001.mrc")
    assert set(nodes) == {f"Refine3D/job019/run_{name}" for name in names}


def test_a_run_that_reached_its_last_iteration_says_so(project, monkeypatch):
    install_engine(monkeypatch, Engine3D(converged=False))
    outputs = refine3d.run(parameters(nr_iter=4), Path("out"), Silent())
    assert not outputs.converged
    assert (outputs.map.name, outputs.half2.name) == ("run_it004_half1_class001.mrc", "run_it004_half2_class001.mrc")
    assert outputs.data_star.name == "run_it004_data.star"


def test_results_of_an_auto_refinement_are_not_overwritten(project, monkeypatch):
    refine = install_engine(monkeypatch, Engine3D())
    refine3d.run(parameters(), Path("out"), Silent())
    (Path("out") / "run_it999_optimiser.star").unlink()
    with pytest.raises(UserError, match="results of an earlier run"):
        refine3d.run(parameters(), Path("out"), Silent())
    refine3d.run(parameters(), Path("out"), Silent(), overwrite=True)
    assert len(refine.calls) == 2


def test_one_particle_has_no_halves(project, monkeypatch):
    install_engine(monkeypatch, Engine3D())
    write_particles_star("particles.star", 1)
    with pytest.raises(UserError, match="needs two halves"):
        refine3d.run(parameters(), Path("out"), Silent())
    assert not Path("out").exists()


def test_local_searches_from_the_start_need_poses(project, monkeypatch):
    refine = install_engine(monkeypatch, Engine3D())
    with pytest.raises(UserError, match="has no rlnAngleRot"):
        refine3d.run(parameters(sampling="1.8 degrees"), Path("out"), Silent())
    write_particles_star("particles.star", N, angles=True)
    refine3d.run(parameters(sampling="1.8 degrees"), Path("out"), Silent())
    assert len(refine.calls) == 1


def test_the_estimate_of_disk_space_covers_the_half_maps():
    assert 31 * 2 * 64**3 * 4 < refine3d.needed_bytes(parameters(), 1000, 64) < 2**30


@pytest.mark.relion
@pytest.mark.parametrize("changes", [{}, {"fn_mask": "k.mrc", "do_solvent_fsc": True, "auto_faster": True, "random_seed": 4}])
def test_relions_program_knows_every_option(changes):
    help_text = subprocess.run(["relion_refine", "--help"], capture_output=True, text=True, check=False).stdout
    words = relion_command(Refine3DParameters(fn_img="p", fn_ref="m", **changes), Path("out"))
    assert [word for word in words if word.startswith("--") and not re.search(rf"{word} \(", help_text)] == []
