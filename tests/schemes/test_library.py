"""The files of the shipped schemes."""

import filecmp
import shutil
from dataclasses import replace

import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes.library.catalogue import CATALOGUE, shipped_folder, write_catalogue
from relion4plugin.schemes.library.template import read_template, write_template
from relion4plugin.schemes.lint import Surroundings, lint_scheme
from relion4plugin.schemes.paths import rewrite_paths
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.registered import registered_kinds
from relion4plugin.schemes.scheme_star import read_scheme_star

AROUND = Surroundings(find_program=lambda name: f"/bin/{name}", option_kinds=registered_kinds)


@pytest.fixture
def project(tmp_path):
    shutil.copytree(shipped_folder(), tmp_path / "Schemes")
    return Project(tmp_path)


def test_the_files_are_those_of_the_description(tmp_path):
    """`python -m relion4plugin.schemes.library` brings them up to date."""
    made = {path.relative_to(tmp_path) for path in write_catalogue(tmp_path)}
    shipped = {path.relative_to(shipped_folder()) for path in shipped_folder().rglob("*") if path.is_file()}
    assert made == shipped
    assert [name for name in made if not filecmp.cmp(tmp_path / name, shipped_folder() / name, shallow=False)] == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_no_findings(project, name):
    assert [str(finding) for finding in lint_scheme(project, name, AROUND)] == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_round_trip(tmp_path, name):
    made = CATALOGUE[name]()
    write_template(made, tmp_path / name)
    again = read_template(tmp_path / name)
    assert again.jobs == made.jobs
    assert replace(again.scheme, unknown=(), version=0) == replace(made.scheme, version=0)


@pytest.mark.parametrize("name", CATALOGUE)
def test_no_path_of_a_site(name):
    text = "\n".join(path.read_text() for path in (shipped_folder() / name).rglob("*.star"))
    assert not any(word in text for word in ("/public", "/home", "/usr", "/opt", "~/", "qsubscript"))


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_renamed_scheme_names_only_itself(project, name, tmp_path):
    renamed = read_template(project.scheme_directory(name)).renamed("mine")
    shutil.rmtree(project.scheme_directory(name))
    write_template(renamed, project.scheme_directory("mine"))
    text = "\n".join(path.read_text() for path in project.scheme_directory("mine").rglob("*.star"))
    assert f"Schemes/{name}/" not in text.replace("Schemes/prep/ctffind", "")
    assert [str(finding) for finding in lint_scheme(project, "mine", AROUND) if name != "prep" or "prep" not in finding.text] == []


def test_a_job_without_a_template_is_a_mistake(project):
    (project.scheme_directory("prep") / "ctffind" / "job.star").unlink()
    with pytest.raises(UserError, match="ctffind"):
        read_template(project.scheme_directory("prep"))


@pytest.mark.parametrize("name", CATALOGUE)
def test_relion_would_read_operators_and_paths_as_we_do(project, name):
    """No literal numbers, no paths of schemes in a second input, no path of an unknown job."""
    scheme = read_scheme_star(project.scheme_file(name))
    variables = {*scheme.floats, *scheme.bools, *scheme.strings, "undefined"}
    for operator in scheme.operators.values():
        assert {operator.input1, operator.input2, operator.output} <= variables
        assert "Schemes/" not in (scheme.strings[operator.input2].value if operator.input2 in scheme.strings else "")
    for template in read_template(project.scheme_directory(name)).jobs.values():
        for text in template.options.values():
            strict = rewrite_paths(text, scheme, lambda other: read_scheme_star(project.scheme_file(other)).jobs, strict=True)
            assert strict.remarks == ()
