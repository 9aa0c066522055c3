"""Plans and launches: nothing is written before, each session goes once, a launch that was cut off is finished."""

import json
import os
import stat
import sys
from dataclasses import replace

import pytest

from relion4plugin.acquisition import launch as launch_module
from relion4plugin.acquisition.acquisition_record import read_acquisition_record, write_acquisition_record
from relion4plugin.acquisition.group_table import group_text, write_groups
from relion4plugin.acquisition.launch import launch, write_files
from relion4plugin.acquisition.launches import LEDGER, State, launch_lock, note_launch, read_launches
from relion4plugin.acquisition.plan import errors_of, make_launch_plan
from relion4plugin.acquisition.preset import read_preset
from relion4plugin.acquisition.record import AcquisitionRecord, Finding, Value
from relion4plugin.acquisition.scipion_launch import said_by_scipion, scipion_commands
from relion4plugin.acquisition.session_facts import SessionFacts, safe_name
from relion4plugin.acquisition.session_reading import facts_of, read_session
from relion4plugin.acquisition.target import AlreadyLaunched, target_for
from relion4plugin.acquisition.user_values import user_values
from relion4plugin.errors import UserError
from relion4plugin.files.star_text import read_tables

from .small_sessions import launches, small_session, tree, write_preset


@pytest.fixture
def facts(tmp_path):
    return facts_of(read_session(small_session(tmp_path / "root" / "my session"))[0])


@pytest.fixture
def plan(tmp_path, facts):
    def make(*words, again=False, pipeline="", more="", root=tmp_path / "projects", **changes):
        preset = read_preset(write_preset(tmp_path / "p.toml", more=more))
        known = replace(facts, **changes)
        return make_launch_plan(known, preset, user_values(words), target_for(known, root, again), pipeline)

    return make


def test_a_plan_writes_nothing_and_says_everything(tmp_path, plan):
    before = tree(tmp_path / "root")
    made = plan("symmetry=D2")
    assert tree(tmp_path / "root") == before and not (tmp_path / "projects").exists()
    changes = {change.key: change for change in made.changes}
    assert (changes["prep__importmovies__angpix"].old, changes["prep__importmovies__angpix"].new) == ("1.4", "1.06")
    assert "mdoc" in changes["prep__importmovies__angpix"].source
    assert changes["proc__refine3d__sym_name"].source == "user"
    assert changes["proc__extract__extract_size"].source.startswith("computed from particle_diameter, preset")
    assert [words[-1] for words in made.commands] == ["prep", "proc"]
    assert all(path.is_relative_to(made.target.project) for path in made.files)


def test_a_launch_writes_what_the_plan_says_and_starts_both(tmp_path, plan, runners, both_started):
    made = plan()
    done = launch(made)
    both_started()
    assert sorted(scheme for _, scheme, _ in runners.started()) == ["prep", "proc"]
    assert all(path.exists() or path.is_symlink() for path in made.files)
    assert (done.project / "Movies").resolve() == made.facts.path
    assert done.record.name == "SerialEM_session_params"
    text = done.record.read_text().splitlines()
    assert text[0].startswith("Movies dir: ") and text[1] == "" and text[2:] == sorted(text[2:])
    assert "voltage_kV = 300.0" in text
    record, details = read_acquisition_record(done.record.with_name(done.record.name + ".json"))
    assert record == made.record and details["preset"]["sha256"] == made.preset.checksum
    assert [item["state"] for item in launches(tmp_path / "projects")] == ["launched"]


def test_a_second_launch_is_refused(tmp_path, plan, runners, both_started):
    first = plan()
    launch(first)
    both_started()
    with pytest.raises(AlreadyLaunched, match="--again"):
        plan()
    with pytest.raises(AlreadyLaunched):  # planned before the first one was carried out
        launch(first)
    again = plan(again=True)
    assert again.target.project.name == f"{first.target.project.name}_2"
    launch(again, again=True)
    both_started(4)
    assert len(launches(tmp_path / "projects")) == 2


def test_the_same_session_under_another_path_is_known(tmp_path, plan, runners, facts):
    launch(plan())
    with pytest.raises(AlreadyLaunched):
        target_for(replace(facts, path=tmp_path), tmp_path / "projects")
    other = replace(facts, movies=(tmp_path / "another.tif",))
    with pytest.raises(AlreadyLaunched):  # the same folder
        target_for(other, tmp_path / "projects")
    assert target_for(replace(other, path=tmp_path), tmp_path / "projects").unfinished is None


def test_a_launch_that_was_cut_off_is_finished(tmp_path, plan, runners, both_started, monkeypatch):
    real = launch_module.write_files

    def killed(made):
        real(made)
        raise KeyboardInterrupt

    monkeypatch.setattr(launch_module, "write_files", killed)
    with pytest.raises(KeyboardInterrupt):
        launch(plan())
    monkeypatch.setattr(launch_module, "write_files", real)
    assert [item["state"] for item in launches(tmp_path / "projects")] == ["started"] and runners.started() == []
    made = plan()
    assert made.target.unfinished is not None
    done = launch(made)
    both_started()
    assert done.record.name == "SerialEM_session_params_2"
    assert [item["state"] for item in launches(tmp_path / "projects")] == ["launched"]


def test_cut_off_after_the_runners_started_nothing_starts_twice(tmp_path, plan, runners, both_started):
    done = launch(plan())
    both_started()
    (entry,) = read_launches(tmp_path / "projects")
    note_launch(tmp_path / "projects", entry.now(State.STARTED))
    again = launch(plan())
    assert again.runners == () and len(runners.started()) == 2 and again.project == done.project


def test_errors_forbid_a_launch_unless_accepted(tmp_path, plan, facts, runners):
    wrong = facts.record.with_warnings((Finding("V03", "error", "dose_total_eA2", "the dose is wrong"),))
    made = plan(record=wrong)
    with pytest.raises(UserError, match=r"1 error\(s\), first: the dose is wrong \(V03\)"):
        launch(made)
    assert not (tmp_path / "projects").exists()
    assert errors_of(made, ["v03"]) == []
    assert errors_of(plan("dose_total_eA2=6", record=wrong)) == []
    launch(made, accepted=["V03"])


def test_missing_values_are_named(plan, facts):
    values = {name: value for name, value in facts.record.values.items() if name != "movie_px_A"}
    with pytest.raises(UserError, match="angpix is not given"):
        plan(record=AcquisitionRecord(values))
    with pytest.raises(UserError, match="has no movies"):
        plan(pattern="", movies=())


def test_findings_of_the_preset(plan):
    made = plan(more="[microscope.calibration]\n81000 = 1.5\n[detector]\ndose_rate = [20.0, 40.0]\n")
    rules = {(item.rule, item.field) for item in made.findings}
    assert ("V09", "physical_px_A") in rules
    assert made.settings.choices.options.angpix == pytest.approx(1.5)


def test_a_project_directory_of_someone_else_is_left_alone(tmp_path, facts):
    folder = tmp_path / "projects" / facts.project_name
    folder.mkdir(parents=True)
    (folder / "mine").write_text("")
    with pytest.raises(UserError, match="is not empty"):
        target_for(facts, tmp_path / "projects")


def test_a_damaged_ledger_is_not_overwritten(tmp_path, plan):
    (tmp_path / "projects").mkdir()
    (tmp_path / "projects" / LEDGER).write_text("[{")
    with pytest.raises(UserError, match="is not a list of launches"):
        plan()


def test_the_lock_is_held(tmp_path, plan):
    made = plan()
    (tmp_path / "projects").mkdir()
    with launch_lock(tmp_path / "projects"), pytest.raises(UserError, match="is held by"):
        launch_lock(tmp_path / "projects", 0.1).acquire()
    assert read_launches(made.target.root) == []


@pytest.mark.parametrize("name", ["../../etc", "a b; rm -rf /", "$HOME`x`", "", "...", "x" * 300, "séance 1"])
def test_names_are_safe(name):
    made = safe_name(name)
    assert made and len(made) <= 60 and not set(made) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not made.startswith(("-", "."))


def test_optics_groups_go_through_the_link(tmp_path):
    movies = tmp_path / "data"
    (movies / "sub").mkdir(parents=True)
    project = tmp_path / "project"
    project.mkdir()
    (project / "Movies").symlink_to(movies)
    groups = {str(movies / "sub" / "b c.tif"): "opticsGroup2", str(movies / "a.tif"): "opticsGroup1"}
    groups[str(tmp_path / "other.tif")] = "opticsGroup3"
    assert write_groups(groups, project, "Movies/*.tif") and not write_groups(groups, project, "Movies/*.tif")
    table = read_tables(project / "Acquisition" / "movie_groups.star")["movie_groups"]
    assert table.rows == (("Movies/a.tif", "opticsGroup1"), ("Movies/sub/b c.tif", "opticsGroup2"))
    assert "Movies/" not in group_text({str(project / "x.tif"): "opticsGroup1"}, project, "x*.tif")


def test_records_are_numbered(tmp_path):
    record = AcquisitionRecord({"software": Value("EPU"), "beam_shift": Value((1.0, 2.0))})
    names = [write_acquisition_record(tmp_path, "/m", record, {})[0].name for _ in range(3)]
    assert names == ["EPU_session_params", "EPU_session_params_2", "EPU_session_params_3"]
    assert (tmp_path / names[0]).read_text() == "Movies dir: /m\n\nbeam_shift = 1.0, 2.0\nsoftware = EPU\n"


SCIPION = """#!{python}
import json, os, sys
from pathlib import Path
words = sys.argv[1:]
with open({log!r}, "a") as stream:
    stream.write(json.dumps(words) + "\\n")
if "pyworkflow.project.scripts.create" in words:
    name, workflow, folder, comment = words[3:]
    json.loads(Path(workflow).read_text())
    os.mkdir(os.path.join(folder, name))
elif os.path.exists({log!r} + ".fail"):
    sys.exit("no such project")
"""


@pytest.fixture
def scipion(tmp_path):
    log = tmp_path / "scipion.log"
    program = tmp_path / "scipion program"
    program.write_text(SCIPION.format(python=sys.executable, log=str(log)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return log, f'[paths]\nscipion = "{program}"\n'


def commands(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_scipion_project_is_made_and_scheduled(tmp_path, plan, scipion):
    log, more = scipion
    made = plan(pipeline="scipion", more=more)
    done = launch(made)
    create, schedule = commands(log)
    folder = str(done.project)
    assert create == [
        "python", "-m", "pyworkflow.project.scripts.create", done.project.name, f"{folder}/workflow.json", folder,
        "made by relion4plugin mdcatch",
    ]  # fmt: skip
    assert schedule == ["python", "-m", "pyworkflow.project.scripts.schedule", done.project.name]
    with pytest.raises(AlreadyLaunched):
        plan(pipeline="scipion", more=more)


def test_a_schedule_that_fails_is_tried_again_without_a_second_project(tmp_path, plan, scipion):
    log, more = scipion
    (tmp_path / "scipion.log.fail").touch()
    with pytest.raises(UserError, match=r"ended with code 1: no such project; see .*launch\.log"):
        launch(plan(pipeline="scipion", more=more))
    os.remove(tmp_path / "scipion.log.fail")
    launch(plan(pipeline="scipion", more=more))
    assert [words[2].rpartition(".")[2] for words in commands(log)] == ["create", "schedule", "schedule"]


def test_a_schedule_in_doubt_is_left_to_a_person(tmp_path, plan, scipion, facts):
    launch(plan(pipeline="scipion", more=scipion[1]))
    (entry,) = read_launches(tmp_path / "projects")
    note_launch(tmp_path / "projects", entry.now(State.SCHEDULING))
    with pytest.raises(AlreadyLaunched, match="cut off while Scipion scheduled"):
        target_for(facts, tmp_path / "projects")


@pytest.fixture
def own_projects(tmp_path, monkeypatch):
    """Scipion's own folder of projects."""
    monkeypatch.setenv("SCIPION_USER_DATA", str(tmp_path / "user"))
    folder = tmp_path / "user" / "projects"
    folder.mkdir(parents=True)
    return folder


def test_a_launch_into_the_own_folder_of_scipion_is_refused(plan, scipion, own_projects):
    with pytest.raises(UserError, match=r"^[^\n]*lies in Scipion's own folder of projects, [^\n]*; choose another --project$"):
        plan(pipeline="scipion", more=scipion[1], root=own_projects)
    assert not list(own_projects.iterdir())


def test_a_name_that_scipion_has_already_is_refused(plan, scipion, own_projects):
    made = plan(pipeline="scipion", more=scipion[1])
    (own_projects / made.target.project.name).symlink_to("/nowhere")
    with pytest.raises(UserError, match=r"^Scipion has a project [^\n]* already, in [^\n]*choose a --project of another name$"):
        plan(pipeline="scipion", more=scipion[1])
    (made.target.project / made.target.project.name).mkdir(parents=True)  # of a launch that was cut off
    assert scipion_commands("", made.target.project)


def test_the_reason_stands_above_the_usage_of_a_script():
    text = "\n    ERROR: There is already a project with this name: \x1b[91mS\x1b[0m\n\n    Usage: NAME\n  It makes a project\n"
    assert said_by_scipion(text.splitlines()) == "ERROR: There is already a project with this name: S"
    assert said_by_scipion(["one", "two"]) == "two" and said_by_scipion([]) == "no message"


def test_a_program_that_is_not_there(plan):
    with pytest.raises(UserError, match="cannot run /nowhere/scipion: no such file"):
        launch(plan(pipeline="scipion", more='[paths]\nscipion = "/nowhere/scipion"\n'))


def test_files_only(tmp_path, plan, runners):
    made = plan()
    write_files(made)
    assert runners.started() == [] and (made.target.project / "Schemes" / "prep" / "scheme.star").is_file()


def test_the_fingerprint_is_of_name_first_movie_and_software(tmp_path):
    record = AcquisitionRecord({"session": Value("s"), "software": Value("EPU")})
    one = SessionFacts(tmp_path, record, movies=(tmp_path / "a.eer",))
    assert one.fingerprint == replace(one, path=tmp_path / "x", movies=(tmp_path / "b" / "a.eer", tmp_path / "c.eer")).fingerprint
    assert one.fingerprint != replace(one, movies=(tmp_path / "b.eer",)).fingerprint
