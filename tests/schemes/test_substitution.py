import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.class2d_parameters import Class2DParameters
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.schemes.model import SchemeJob
from relion4plugin.schemes.paths import rewrite_paths
from relion4plugin.schemes.store import load_scheme
from relion4plugin.schemes.substitution import OptionKind, expand_variables, option_kinds, substitute_job
from tests.schemes.world import toy

SCHEME = toy(
    floats={"n": 1665273, "size": 0.885, "b": 1},
    bools={"yes": True, "b": True},
    strings={"s": "a b", "nested": "x$$s", "loop": "$$loop", "twice": "$$twice $$twice", "empty": "", "path": "Schemes/toy/extract/$$s"},
    jobs=[("extract", "Extract/job006/"), "later", ("ghost", "")],
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--at_most $$n", "--at_most 1665273"),
        ("$$size", "0.885"),
        ("a $$s  c   d", "a a b c d"),
        ("$$nested", "xa b"),
        ("$$size $$n", "0.885 1665273"),
        ("x$$empty y", "x y"),
        ("$SHELL_NAME", "$SHELL_NAME"),
        ("$$yes", "Yes"),
        ("$$b", "Yes"),
    ],
)
def test_variables_are_put_in(text, expected):
    assert expand_variables("other_args", text, SCHEME) == expected


def test_relions_own_form_of_large_numbers():
    assert expand_variables("x", "$$n", SCHEME, strict=True) == "1.66527e+06"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("$$size.mrc", None, r"there is no variable 'size.mrc'"),
        ("$$ n", None, "there is no variable ''"),
        ("$$", None, "there is no variable ''"),
        ("$$loop", None, "in a circle"),
        ("$$twice", None, "in a circle"),
        ("$$yes", OptionKind.NUMBER, "is a boolean variable"),
        ("$$yes", OptionKind.TEXT, "is a boolean variable"),
        ("$$n", OptionKind.BOOLEAN, "is no boolean variable"),
        ("$$s", OptionKind.BOOLEAN, "is no boolean variable"),
        ("$$s", OptionKind.NUMBER, "is a string variable"),
    ],
)
def test_what_does_not_fit_is_refused(text, kind, message):
    with pytest.raises(UserError, match=f"Schemes/toy/: option .*{message}"):
        expand_variables("option", text, SCHEME, kind)


def nowhere(name):
    raise UserError(f"asked for {name}")


@pytest.mark.parametrize(
    ("text", "expected", "strict"),
    [
        ("Schemes/toy/extract/particles.star", "Extract/job006/particles.star", None),
        ("Schemes/toy/later/particles.star", "laterparticles.star", None),
        ("Schemes/toy/ghost/model.sav", "model.sav", None),
        ("Schemes/toy/none/model.sav", "model.sav", None),
        ("Schemes/toy/FILE", "Schemes/toy/FILE", None),
        ("Schemes/toy", "Schemes/toy", None),
        ("plain.star", "plain.star", None),
        ("Schemes/toy/extract/sub/x.star", "Extract/job006/sub/x.star", "x.star"),
        ("--a Schemes/toy/extract/x --b Schemes/toy/later/y", "--a Extract/job006/x --b latery", "--a y"),
    ],
)
def test_paths_of_the_own_scheme(text, expected, strict):
    assert rewrite_paths(text, SCHEME, nowhere).text == expected
    assert rewrite_paths(text, SCHEME, nowhere, strict=True).text == (expected if strict is None else strict)


def test_an_unknown_job_is_remarked_and_makes_no_row():
    rewritten = rewrite_paths("Schemes/toy/train_topaz/model_epoch10.sav", SCHEME, nowhere)
    assert rewritten.text == "model_epoch10.sav"
    assert rewritten.remarks[0].startswith("no job 'train_topaz' in Schemes/toy/")
    assert "train_topaz" not in SCHEME.jobs


def test_paths_of_another_scheme(world):
    world.save(toy(name="Schemes/prep/", jobs=[("ctffind", "CtfFind/job003/"), "later"]))
    context = world.context()

    def rewritten(text):
        return rewrite_paths(text, SCHEME, context.jobs_of).text

    assert rewritten("Schemes/prep/ctffind/micrographs_ctf.star") == "CtfFind/job003/micrographs_ctf.star"
    assert rewritten("Schemes/prep/later/x.star") == "later/x.star"
    assert rewritten("Schemes/prep/nojob/x") == "undefined/x"
    assert rewritten("Schemes/prep/RELION_JOB_EXIT_SUCCESS") == "Schemes/prep/RELION_JOB_EXIT_SUCCESS"
    with pytest.raises(UserError, match="no such file"):
        rewritten("Schemes/none/ctffind/x")
    assert world.slept == []


def test_another_scheme_without_jobs_is_waited_for(world):
    world.save(toy(name="Schemes/prep/"))
    with pytest.raises(UserError, match="has no jobs"):
        world.context().jobs_of("prep")
    assert world.slept == [1.0] * 5


def test_job_names_that_hold_paths_of_schemes_end():
    scheme = SCHEME.with_job(SchemeJob("evil", "Schemes/toy/evil/Schemes/toy/evil/", "new", True))
    with pytest.raises(UserError, match="without end"):
        rewrite_paths("Schemes/toy/evil/x", scheme, nowhere)


def test_variables_come_before_paths(world):
    options = {"fn_img": "$$path", "nr": "$$n", "plain": "3"}
    assert substitute_job(SCHEME, options, world.context()) == {"fn_img": "Extract/job006/a b", "nr": "1665273", "plain": "3"}
    assert " + in fn_img: Schemes/toy/extract/a b -> Extract/job006/a b" in world.lines


def test_kinds_of_options_come_from_the_declaration(world):
    kinds = option_kinds(Class2DParameters)
    assert (kinds["do_grad"], kinds["nr_classes"], kinds["fn_img"]) == (OptionKind.BOOLEAN, OptionKind.NUMBER, OptionKind.TEXT)
    assert substitute_job(SCHEME, {"do_grad": "$$yes"}, world.context(), kinds) == {"do_grad": "Yes"}
    with pytest.raises(UserError, match="nr_classes must be a number"):
        substitute_job(SCHEME, {"nr_classes": "$$s"}, world.context(), kinds)


def test_a_published_template(cnio, world):
    scheme = load_scheme(cnio, "prep")
    job = read_job_star(cnio.template("prep", "motioncorr"))
    options = substitute_job(scheme.with_job(SchemeJob("importmovies", "Import/job001/", "continue", True)), job.options, world.context())
    assert options["other_args"] == "--skip_logfile --do_at_most 1"
    assert options["input_star_mics"] == "Import/job001/movies.star"
    assert options["gain_rot"] == "No rotation (0)"
