"""Wheel and sdist hold everything under the right names, and an installed copy is found without the checkout."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import relion4plugin

if importlib.util.find_spec("build") is None or importlib.util.find_spec("wheel") is None:
    pytest.skip("the packages build and wheel are not installed", allow_module_level=True)

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
PROBE = """
import importlib, json, sys
import relion4plugin
names = {}
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    names[module.__name__] = module.__file__
print(json.dumps(names))
"""


def in_fresh_python(code: str, *words: str, path: Path, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    answer = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory, repository) -> tuple[Path, Path]:
    """Build sdist, and the wheel from it, in a copy of the checkout: (sdist, wheel)."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "scipion-em-relion4plugin"
    ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", "build", "dist", "demo", "*.egg-info", ".*_cache")
    shutil.copytree(repository, source, ignore=ignored)
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(source)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    return next((folder / "dist").glob("*.tar.gz")), next((folder / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory, built) -> Path:
    """Install the wheel into a throw-away folder."""
    target = tmp_path_factory.mktemp("target")
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(built[1])]
    subprocess.run(words, capture_output=True, check=True)
    return target


def test_the_wheel_holds_the_mapped_folders_and_data(built):
    names = set(zipfile.ZipFile(built[1]).namelist())
    for name in (
        "protocols/__init__.py",
        "protocols/protocol_classify_2d.py",
        "templates/__init__.py",
        "tests/conftest.py",
        "tests/jobs/test_parameters.py",
        "protocols.conf",
        "icon.png",
        "cli/main.py",
    ):
        assert f"relion4plugin/{name}" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"relion4plugin", f"scipion_em_relion4plugin-{relion4plugin.__version__}.dist-info"}
    assert not any(name.endswith(".pyc") for name in names)


def test_every_module_of_the_checkout_is_in_the_wheel(built, repository):
    names = set(zipfile.ZipFile(built[1]).namelist())
    modules = {p.relative_to(repository).as_posix() for p in (repository / "relion4plugin").rglob("*.py")}
    modules -= {"relion4plugin/tests/__init__.py"}  # the stand-in of checkouts; the real tests take its place
    for folder in ("protocols", "templates", "tests"):
        modules |= {f"relion4plugin/{p.relative_to(repository).as_posix()}" for p in (repository / folder).rglob("*.py")}
    assert sorted(modules - names) == []


def test_the_metadata_names_entry_points_and_dependencies(built):
    wheel = zipfile.ZipFile(built[1])
    info = f"scipion_em_relion4plugin-{relion4plugin.__version__}.dist-info"
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "[pyworkflow.plugin]\nrelion4plugin = relion4plugin" in entry_points
    assert "relion4plugin = relion4plugin.cli.main:run" in entry_points
    metadata = wheel.read(f"{info}/METADATA").decode()
    for line in ("Requires-Python: >=3.10", "Requires-Dist: numpy>=1.26", 'Requires-Dist: numpy<2; extra == "scipion"'):
        assert line in metadata


def test_the_sdist_can_be_built_and_tested(built):
    names = {name.partition("/")[2] for name in tarfile.open(built[0]).getnames()}
    for name in (
        "setup.py",
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "constraints.txt",
        "Makefile",
        "protocols/__init__.py",
        "templates/__init__.py",
        "tests/conftest.py",
        "docs/architecture.md",
        "relion4plugin/protocols.conf",
    ):
        assert name in names


def test_an_installed_copy_is_complete(installed, tmp_path):
    wanted = ["relion4plugin.templates", "relion4plugin.tests", "relion4plugin.tests.jobs", "relion4plugin.jobs.class2d"]
    if HAS_SCIPION:
        wanted.append("relion4plugin.protocols")
    found = json.loads(in_fresh_python(PROBE, *wanted, path=installed, cwd=tmp_path))
    assert sorted(found) == sorted(wanted)
    assert all(Path(file).is_relative_to(installed) for file in found.values()), found


@pytest.mark.skipif(not HAS_SCIPION, reason="Scipion is not installed")
def test_scipion_discovers_an_installed_copy(installed, tmp_path):
    code = "from relion4plugin.cli.scipion_probe import main; main()"
    found = json.loads(in_fresh_python(code, path=installed, cwd=tmp_path))
    assert found["errors"] == []
    assert "ProtR4pClassify2D" in found["protocols"]


def test_the_checkout_resolves_to_its_top_level_folders(repository, tmp_path):
    found = json.loads(in_fresh_python(PROBE, "relion4plugin.templates", "relion4plugin.tests", path=repository, cwd=tmp_path))
    assert found["relion4plugin.templates"] == str(repository / "templates" / "__init__.py")
    inside = "import relion4plugin.tests.jobs.test_parameters as m; print(m.__name__, m.__file__)"
    name, file = in_fresh_python(inside, path=repository, cwd=tmp_path).split()
    assert (name, file) == ("relion4plugin.tests.jobs.test_parameters", str(repository / "tests" / "jobs" / "test_parameters.py"))


def test_importing_the_package_is_light(repository, tmp_path):
    code = "import sys, relion4plugin; print(sorted({'numpy', 'pwem', 'pyworkflow', 'scipy', 'pandas'} & set(sys.modules)))"
    assert in_fresh_python(code, path=repository, cwd=tmp_path) == "[]"


def test_without_scipion_the_plugin_class_is_absent(repository, tmp_path):
    code = (
        "import importlib.util as u; there = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'pwem' else there(name, *a)\n"
        "import relion4plugin; print(hasattr(relion4plugin, 'Plugin'))"
    )
    assert in_fresh_python(code, path=repository, cwd=tmp_path) == "False"


@pytest.mark.skipif(not HAS_SCIPION, reason="Scipion is not installed")
def test_with_scipion_the_plugin_class_belongs_to_the_package(repository, tmp_path):
    code = "import relion4plugin; print(relion4plugin.Plugin.__module__, relion4plugin.Plugin().getPath())"
    assert in_fresh_python(code, path=repository, cwd=tmp_path) == f"relion4plugin {repository / 'relion4plugin'}"


def test_version_changelog_and_citation_agree(repository):
    version = relion4plugin.__version__
    assert f"## [{version}]" in (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in (repository / "CITATION.cff").read_text(encoding="utf-8")
    licence = (repository / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in licence and "END OF TERMS AND CONDITIONS" in licence


@pytest.mark.slow
def test_the_environment_is_consistent():
    answer = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
