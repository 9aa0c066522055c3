"""Filling and writing the schemes of a session."""

import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes.findings import Severity
from relion4plugin.schemes.it.choices import Choices, with_keys
from relion4plugin.schemes.it.movies import movies_in_project
from relion4plugin.schemes.it.options import ItOptions
from relion4plugin.schemes.it.plan import Existing, lint_plan, make_plan, write_plan
from relion4plugin.schemes.library.catalogue import shipped_folder
from relion4plugin.schemes.library.template import read_template, write_template
from relion4plugin.schemes.locks import scheme_lock
from relion4plugin.schemes.model import Variable
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.store import load_scheme


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    return Project(root)


def choices(*keys: str, **changes) -> Choices:
    options = ItOptions(**{"angpix": 0.885, "dose_per_frame": 1.277, "particle_diameter": 180.0, "threads": 4, **changes})
    return with_keys(Choices(options), keys)


def plan(project, *keys, existing=Existing.REFUSE, **changes):
    return make_plan(project, choices(*keys, **changes), shipped_folder(), existing)


def errors(findings):
    return [str(finding) for finding in findings if finding.severity is Severity.ERROR]


@pytest.mark.parametrize("picker", ["log", "topaz", "cryolo"])
@pytest.mark.parametrize("gpus", ["", "0,1"])
@pytest.mark.parametrize("is_multiframe", [True, False])
def test_filled_schemes_have_no_mistakes(project, picker, gpus, is_multiframe):
    made = plan(project, picker=picker, gpus=gpus, is_multiframe=is_multiframe, symmetry="D2")
    written = write_plan(project, made)
    assert errors(lint_plan(project, made)) == []
    assert project.scheme_names() == ["prep", "proc"] and project.marker.exists()
    assert all(path.is_file() for path in written)
    jobs = read_template(project.scheme_directory("proc")).jobs
    assert jobs["refine3d"].options["sym_name"] == jobs["inimodel3d"].options["sym_name"] == "D2"
    assert jobs["extract"].options["extract_size"] == "306" and jobs["extract"].options["rescale"] == "96"
    assert load_scheme(project, "prep").bools["is_multiframe"] == Variable(is_multiframe, is_multiframe)


def test_keys_of_variables_jobs_and_options_taken_from_variables(project):
    made = plan(project, "proc__min_nr_parts_3d=77", "proc__class2d__do_center=False", "prep__importmovies__is_multiframe=No")
    scheme = made.schemes["proc"].scheme
    assert scheme.floats["min_nr_parts_3d"] == Variable(77.0, 77.0)
    assert made.schemes["proc"].jobs["class2d"].options["do_center"] == "No"
    assert made.schemes["prep"].jobs["importmovies"].options["is_multiframe"] == "$$is_multiframe"
    assert made.schemes["prep"].scheme.bools["is_multiframe"].value is False


def test_variables_of_a_submission_script_can_be_set(project):
    made = plan(project, "proc__class2d__qsub_extra1=gpu:2", "prep__motioncorr__qsub_extra12=long job")
    assert made.schemes["proc"].jobs["class2d"].options["qsub_extra1"] == "gpu:2"
    assert made.schemes["prep"].jobs["motioncorr"].options["qsub_extra12"] == "long job"
    write_plan(project, made)
    assert not [str(finding) for finding in lint_plan(project, made) if "qsub_extra" in str(finding)]
    for key in ("qsub_extra", "qsub_extras1"):
        with pytest.raises(UserError, match=f"has no option '{key}'"):
            plan(project, f"proc__class2d__{key}=1", existing=Existing.UPDATE)


def test_an_option_that_an_operator_computes_is_overruled(project):
    made = plan(project, "proc__autopick__use_gpu=False", "proc__refine3d__sampling=3.7")
    assert made.schemes["proc"].jobs["autopick"].options["use_gpu"] == "No"
    assert made.schemes["proc"].jobs["refine3d"].options["sampling"] == "3.7 degrees"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("pork__x=1", "there is no scheme 'pork'; there are prep, proc"),
        ("proc__min_parts=1", "has no variable 'min_parts'"),
        ("proc__min_nr_parts_3d=many", "variable min_nr_parts_3d cannot be 'many'"),
        ("proc__do_log=maybe", "proc__do_log: variable do_log cannot be 'maybe'"),
        ("proc__class3d__nr_pool=1", "has no job 'class3d'; did you mean class2d"),
        ("proc__class2d__nr_pools=1", "has no option 'nr_pools'; did you mean nr_pool"),
        ("proc__class2d__nr_pool=few", "proc__class2d__nr_pool is 'few' but must be a whole number"),
        ("proc__class2d__do_center=perhaps", "must be Yes or No"),
        ("proc__refine3d__sampling=4 degrees", "must be one of 30 degrees"),
        ("proc__a__b__c=1", "is no key"),
    ],
)
def test_wrong_keys(project, key, message):
    with pytest.raises(UserError, match=r"^[^\n]*$") as caught:
        plan(project, key)
    assert message in str(caught.value)
    assert list(project.root.iterdir()) == []


def test_without_prep(project):
    made = plan(project, do_prep=False, ctffind_mics="CtfFind/job003/micrographs_ctf.star")
    assert list(made.schemes) == ["proc"]
    assert made.schemes["proc"].scheme.strings["ctffind_mics"].value == "CtfFind/job003/micrographs_ctf.star"
    assert any("ctffind_mics" in remark for remark in made.remarks)
    write_plan(project, made)
    assert errors(lint_plan(project, made)) == []


def test_schemes_that_exist(project):
    write_plan(project, plan(project))
    with pytest.raises(UserError, match=r"prep/scheme\.star exists: --update"):
        plan(project)
    scheme = read_template(project.scheme_directory("proc"))
    write_template(scheme.with_scheme(scheme.scheme.with_float("prev_nr_mics", 9)), project.scheme_directory("proc"))
    updated = plan(project, existing=Existing.UPDATE, particle_diameter=200.0)
    write_plan(project, updated)
    assert load_scheme(project, "proc").floats["prev_nr_mics"].value == 9
    assert read_template(project.scheme_directory("proc")).jobs["class2d"].options["particle_diameter"] == "220"
    assert (project.scheme_directory("proc") / "scheme.star.bck").exists()
    write_plan(project, plan(project, existing=Existing.REPLACE))
    assert load_scheme(project, "proc").floats["prev_nr_mics"].value == 0


def test_a_running_scheme_is_not_touched(project):
    write_plan(project, plan(project))
    before = {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
    with scheme_lock(project, "proc", "test"), pytest.raises(UserError, match="scheme proc is running"):
        write_plan(project, plan(project, existing=Existing.UPDATE, angpix=2.0))
    assert before == {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
    assert not project.scheme_lock("prep").exists()


def test_movies_outside_the_project(project, tmp_path):
    session = tmp_path / "session"
    session.mkdir()
    made = plan(project, fn_in_raw=f"{session}/grid*/*.eer")
    write_plan(project, made)
    link = project.root / "Movies"
    assert link.resolve() == session
    assert read_template(project.scheme_directory("prep")).jobs["importmovies"].options["fn_in_raw"] == "Movies/grid*/*.eer"
    assert movies_in_project(project.root, "../session/*.tiff") == ("Movies/*.tiff", None)
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="does not lead to"):
        movies_in_project(project.root, f"{tmp_path}/other/*.tiff")


def test_movies_in_the_project_need_no_link(project):
    (project.root / "raw").mkdir()
    assert movies_in_project(project.root, "raw/*.tiff") == ("raw/*.tiff", None)
    assert movies_in_project(project.root, f"{project.root}/raw/*.tiff") == ("raw/*.tiff", None)
    with pytest.raises(UserError, match="there is no folder /nowhere"):
        movies_in_project(project.root, "/nowhere/*.tiff")


def test_templates_of_a_facility(project, tmp_path):
    mine = tmp_path / "mine"
    template = read_template(shipped_folder() / "prep")
    write_template(template.with_option("motioncorr", "do_queue", "Yes"), mine / "prep")
    made = make_plan(project, choices(do_proc=False), mine)
    assert made.schemes["prep"].jobs["motioncorr"].options["do_queue"] == "Yes"
    with pytest.raises(UserError, match=r"holds no scheme\.star"):
        make_plan(project, choices(), mine)
