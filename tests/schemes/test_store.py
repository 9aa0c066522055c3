import time

import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import Edge, Operator, SchemeJob
from relion4plugin.schemes.operators import evaluate
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import read_scheme_star
from relion4plugin.schemes.store import back_up_scheme, load_scheme, save_scheme
from tests.schemes.world import toy

EDGES = (Edge("A", "B"),)


def test_an_undefined_node_becomes_the_start(world):
    world.save(toy(edges=EDGES))
    assert load_scheme(Project(world.root), "toy").current_node == "A"
    assert load_scheme(Project(world.root), "Schemes/toy/").current_node == "A"


def test_a_started_job_without_directory_starts_afresh(world):
    scheme = toy(edges=EDGES).with_job(SchemeJob("a", "a", "continue", True)).with_job(SchemeJob("b", "Import/job001/", "new", True))
    scheme = scheme.with_job(SchemeJob("c", "CtfFind/job002/", "new", True))
    (world.root / "CtfFind/job002").mkdir(parents=True)
    world.save(scheme)
    lines = []
    loaded = load_scheme(Project(world.root), "toy", lines.append)
    assert loaded.jobs["a"] == SchemeJob("a", "a", "continue", False)
    assert loaded.jobs["b"] == SchemeJob("b", "b", "new", False)
    assert loaded.jobs["c"] == scheme.jobs["c"]
    assert len(lines) == 2 and "job a is said to have started" in lines[0]


def test_a_copied_folder_is_refused_or_renamed(world):
    text = world.save(toy(edges=EDGES)).read_text()
    world.file("Schemes/copy/scheme.star", text)
    with pytest.raises(UserError, match="line 6: the file says it is Schemes/toy/"):
        load_scheme(Project(world.root), "copy")
    assert load_scheme(Project(world.root), "copy", take_name=True).name == "Schemes/copy/"


def test_a_scheme_that_is_not_there(world):
    world.save(toy(edges=EDGES))
    with pytest.raises(UserError, match=r"no scheme none .* schemes here: toy"):
        load_scheme(Project(world.root), "none")


@pytest.mark.parametrize("durable", [True, False])
def test_saving_leaves_no_other_files(world, durable):
    path = world.save(toy(edges=EDGES))
    back_up_scheme(Project(world.root), toy())
    before = path.read_text()
    save_scheme(Project(world.root), toy(floats={"n": 3}, edges=EDGES), durable)
    assert read_scheme_star(path).floats["n"].value == 3
    assert path.with_name("scheme.star.bck").read_text() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["scheme.star", "scheme.star.bck"]


@pytest.mark.parametrize("durable", [True, False])
def test_a_folder_that_is_gone_is_one_clear_line(world, durable):
    with pytest.raises(UserError, match="cannot write"):
        save_scheme(Project(world.root), toy(), durable)


@pytest.mark.parametrize("name", ["", "a/b", "..", "Schemes/", ".hidden", "two words"])
def test_names_that_are_none(world, name):
    with pytest.raises(UserError, match="is no name of a scheme"):
        load_scheme(Project(world.root), name)


def test_evaluating_and_saving_is_fast(world, cnio):
    """The target is 0.5 ms a step; the time is that of the processor, so that a busy machine passes."""
    project = cnio
    scheme = load_scheme(project, "proc").with_float("one", 1.0)
    context, operator = world.context(), Operator("COUNT", "float=plus", "prev_nr_mics", "prev_nr_mics", "one")
    start = time.process_time()
    for _ in range(300):
        scheme = evaluate(operator, scheme, context)
        save_scheme(project, scheme, durable=False)
    assert read_scheme_star(project.scheme_file("proc")).floats["prev_nr_mics"].value == 300
    assert (time.process_time() - start) / 300 < 5e-3
