import re
from dataclasses import replace

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.class2d_parameters import Class2DParameters
from relion4plugin.jobs.job_star import JobStar, write_job_star
from relion4plugin.schemes.lint import Severity, Surroundings, lint_scheme
from relion4plugin.schemes.model import Edge, Operator, SchemeJob
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.substitution import option_kinds
from tests.schemes.world import toy

ALL_PROGRAMS = Surroundings(find_program=lambda name: f"/bin/{name}")
WAIT, MAXTIME, EXIT = Operator("WAIT", "wait", input1="n"), Operator("MAX", "exit_maxtime", input1="n"), Operator("EXIT", "exit")


def operators(*items):
    return {"operators": {item.name: item for item in items}}


def lint(world, scheme, templates=(), around=ALL_PROGRAMS):
    """Save a scheme and its templates (job -> type, options) and return the findings."""
    world.save(scheme)
    for job, (label, options) in dict(templates).items():
        folder = world.root / scheme.name / job
        folder.mkdir(parents=True, exist_ok=True)
        write_job_star(folder / "job.star", JobStar(label, options=options))
    return lint_scheme(Project(world.root), "toy", around)


def errors(findings):
    return [finding.text for finding in findings if finding.severity is Severity.ERROR]


def texts(findings):
    return " | ".join(finding.text for finding in findings)


def test_a_sound_loop_has_no_findings(world):
    edges = (Edge("WAIT", "MAX"), Edge("MAX", "import"), Edge("import", "WAIT"))
    scheme = toy(floats={"n": 1}, edges=edges, jobs=["import"], **operators(WAIT, MAXTIME))
    assert lint(world, scheme, {"import": ("relion.import", {"fn_in_raw": "Movies/*.tif"})}) == []


def test_published_schemes(cnio):
    """Faults that are really there: an unused operator, a variable that does not exist; no error stops them."""
    found = {name: lint_scheme(cnio, name, ALL_PROGRAMS) for name in ("prep", "proc", "png")}
    assert {name: errors(findings) for name, findings in found.items()} == {"prep": [], "proc": [], "png": []}
    assert [finding.text for finding in found["proc"]] == ["HAS_topaz_model cannot be reached from the start node WAIT"]
    assert "'do_log' is not a boolean variable" in texts(found["png"])
    lines = cnio.scheme_file("proc").read_text().split("\n")
    assert lines[found["proc"][0].line - 1].startswith("HAS_topaz_model")


def test_the_place_is_printed(cnio):
    (finding,) = lint_scheme(cnio, "proc", ALL_PROGRAMS)
    assert re.search(r"Schemes/proc/scheme\.star:79: warning: HAS_topaz_model", str(finding))


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ((), "the scheme has no edges"),
        ((Edge("WAIT", "NONE"),), "edge with NONE, which is neither an operator nor a job"),
        ((Edge("WAIT", "EXIT"), Edge("WAIT", "EXIT")), "a second edge leaves WAIT"),
        ((Edge("WAIT", "EXIT", True, "WAIT", "n"),), "the fork at WAIT depends on 'n', which is no boolean"),
        ((Edge("WAIT", "COUNT"),), "no edge leaves COUNT"),
        ((Edge("WAIT", "EXIT"),), "COUNT cannot be reached from the start node WAIT"),
        ((Edge("COUNT", "COUNT"),), "the loop COUNT runs for ever"),
        ((Edge("WAIT", "COUNT"), Edge("COUNT", "WAIT")), "the loop COUNT, WAIT has no way out"),
        ((Edge("COPY", "EXIT", True, "COPY", "yes"),), "only copies variables"),
    ],
)
def test_faults_of_the_graph(world, edges, message):
    count, copy = Operator("COUNT", "float=plus", "n", "n", "n"), Operator("COPY", "bool=set", "yes", "yes")
    scheme = toy(floats={"n": 1}, bools={"yes": True}, edges=edges, **operators(WAIT, EXIT, count, copy))
    assert message in texts(lint(world, scheme))


def test_a_counting_loop_with_a_way_out_is_no_fault(world):
    count, check = Operator("COUNT", "float=plus", "n", "n", "one"), Operator("CHECK", "bool=le", "more", "n", "one")
    edges = (Edge("COUNT", "CHECK"), Edge("CHECK", "EXIT", True, "COUNT", "more"))
    assert lint(world, toy(floats={"n": 1, "one": 1}, bools={"more": True}, edges=edges, **operators(count, check, EXIT))) == []


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (Operator("X", "float=pluss", "n", "n", "n"), "there is no type 'float=pluss'"),
        (Operator("X", "float=plus", "n", "s", "n"), "input1 's' is not a float variable, but a string variable"),
        (Operator("X", "float=plus", "s", "n", "n"), "output 's' is no float variable, but a string variable"),
        (Operator("X", "bool=gt", "yes", "n", "10"), "input2 10 is a number; RELION takes it as 0"),
        (Operator("X", "string=join", "s", "s", "p"), "RELION uses it in the place of input1 too"),
        (Operator("X", "string=nth_word", "s", "s", "minus"), "RELION gives 'undefined' for it"),
        (Operator("X", "float=star_table_max_idx", "n", "s"), "does not implement"),
        (Operator("X", "email", input1="n"), "no mail can be sent"),
        (Operator("X", "exit", input1="n"), "input1 'n' is not used"),
        (Operator("X", "bool=file_exists", "yes", "p"), "string p: no job 'none' in Schemes/toy/"),
        (Operator("X", "bool=file_exists", "yes", "other"), "no such file"),
    ],
)
def test_faults_of_operators_with_their_line(world, operator, message):
    strings = {"s": "x", "p": "Schemes/toy/none/x", "other": "Schemes/elsewhere/job/x"}
    floats, edges = {"n": 1, "minus": -1}, (Edge("X", "EXIT"),)
    scheme = toy(floats=floats, bools={"yes": True}, strings=strings, edges=edges, **operators(operator, EXIT))
    findings = [finding for finding in lint(world, scheme) if message in finding.text]
    assert len(findings) == 1
    line = findings[0].path.read_text().split("\n")[findings[0].line - 1].split()[0]
    assert line in ("X", "p", "other")


AUTOPICK = {"fn_input_autopick": "a.star", "do_log": "Yes", "do_topaz": "No", "use_gpu": "No"}


@pytest.mark.parametrize(
    ("label", "options", "message"),
    [
        ("relion.class2d", {"fn_img": ""}, "the job has no input: give fn_img or fn_cont"),
        ("relion.class2d", {"fn_img": "a", "nr_mpi": "3"}, "VDAM runs as one process"),
        ("relion.class2d", {"fn_img": "$$none"}, "there is no variable 'none'"),
        ("relion.class2d", {"fn_img": "a", "nr_classes": "$$yes"}, "is a boolean variable"),
        ("relion.class2d", {"fn_img": "a", "colour": "red"}, "option colour is unknown to relion.class2d"),
        ("relion.class2d", {"fn_img": "Schemes/toy/none/x.star"}, "no job 'none' in Schemes/toy/"),
        ("relion.class2d", {"fn_img": "a", "use_gpu": "Yes", "gpu_ids": "first"}, "gpu_ids is 'first'"),
        ("relion.autopick", AUTOPICK | {"use_gpu": "Yes"}, "LoG does not use a GPU"),
        ("relion.autopick", AUTOPICK | {"do_topaz": "Yes"}, "exactly one of do_log, do_topaz and do_refs"),
        ("relion.select.class2dauto", {"fn_model": "a", "do_class_ranker": "Yes", "do_recenter": "Yes"}, "does not go with do_recenter"),
        ("relion.motioncorr", {"input_star_mics": "a", "do_float16": "Yes", "do_save_ps": "No"}, "need power spectra"),
        ("relion.external", {"fn_exe": "picker.py"}, "the program picker.py is not on this machine"),
        ("relion.nothing", {}, "there is no job type 'relion.nothing'"),
    ],
)
def test_faults_of_templates_with_their_line(world, label, options, message):
    kinds = option_kinds(Class2DParameters) | dict.fromkeys(("nr_mpi",), None)
    around = Surroundings(lambda name: None, lambda label: kinds if label == "relion.class2d" else None)
    scheme = toy(bools={"yes": True}, edges=(Edge("job", "EXIT"),), jobs=["job"], **operators(EXIT))
    findings = [finding for finding in lint(world, scheme, {"job": (label, options)}, around) if message in finding.text]
    assert len(findings) == 1
    if options and findings[0].line:
        assert findings[0].path.read_text().split("\n")[findings[0].line - 1].split()[0] in options


def test_this_program_is_there_as_an_external_one(world):
    scheme = toy(edges=(Edge("job", "EXIT"),), jobs=["job"], **operators(EXIT))
    around = Surroundings(lambda name: None, lambda label: None)
    findings = lint(world, scheme, {"job": ("relion.external", {"fn_exe": "relion4plugin cryolo"})}, around)
    assert not any("is not on this machine" in finding.text for finding in findings)


def test_the_iteration_of_the_producer(world):
    scheme = toy(edges=(Edge("class2d", "select"), Edge("select", "EXIT")), jobs=["class2d", "select"], **operators(EXIT))
    select = {"fn_model": "Schemes/toy/class2d/run_it200_optimiser.star"}
    class2d = {"fn_img": "a", "do_grad": "Yes", "nr_iter_grad": "100"}
    templates = {"class2d": ("relion.class2d", class2d), "select": ("relion.select", select)}
    assert "takes iteration 200 of class2d, whose nr_iter_grad is 100; use run_it100" in texts(lint(world, scheme, templates))
    class2d["nr_iter_grad"] = "200"
    assert lint(world, scheme, templates) == []


def test_faults_of_the_file(world):
    scheme = toy(floats={"x": 1}, strings={"x": "1"}, edges=(Edge("job", "EXIT"),), jobs=["job"], **operators(EXIT))
    scheme = scheme.with_job(SchemeJob("job", "job", "sometimes", True))
    found = texts(lint(world, scheme))
    for message in ("variable x is float and string", "mode 'sometimes'", "is said to have started", "job job has no template"):
        assert message in found
    world.file("Schemes/other/scheme.star", (world.root / "Schemes/toy/scheme.star").read_text())
    assert "the file says it is Schemes/toy/" in texts(lint_scheme(Project(world.root), "other"))


def test_a_scheme_that_cannot_be_read(world):
    with pytest.raises(UserError, match="no such file"):
        lint_scheme(Project(world.root), "toy")


def test_a_ghost_row_in_the_graph(world):
    scheme = toy(edges=(Edge("ghost", "EXIT"),), **operators(EXIT))
    scheme = replace(scheme, jobs={"ghost": SchemeJob("ghost", "", "")})
    assert "edge with job ghost, which has no mode" in texts(lint(world, scheme))
