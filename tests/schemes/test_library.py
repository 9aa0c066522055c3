"""The shipped schemes: files, graph and order of execution, with jobs that only leave their files."""

import filecmp
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.registry import job_type
from relion4plugin.schemes.library.catalogue import CATALOGUE, shipped_folder, write_catalogue
from relion4plugin.schemes.library.template import read_template, write_template
from relion4plugin.schemes.lint import Surroundings, lint_scheme
from relion4plugin.schemes.model import Scheme, next_node
from relion4plugin.schemes.operators import Exit, evaluate
from relion4plugin.schemes.paths import rewrite_paths
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.registered import registered_kinds
from relion4plugin.schemes.scheme_star import read_scheme_star
from relion4plugin.schemes.substitution import substitute_job
from tests.schemes.world import World

STAR = """# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnMicrographPixelSize #4
1 300 2.7 1

# version 30001

data_{table}

loop_
_rlnOpticsGroup #1
{rows}
"""


AROUND = Surroundings(find_program=lambda name: f"/bin/{name}", option_kinds=registered_kinds)


class Ended(Exception):
    """The scheme has stopped."""


@dataclass
class Play:
    """Executes a scheme whose jobs leave what `made` says: job -> (file, table, number of rows)."""

    world: World
    scheme: Scheme
    made: dict[str, tuple[str, str, int]]
    fails: Callable[[str], bool] = lambda node: False
    trace: list[str] = field(default_factory=list)
    options: dict[str, dict[str, str]] = field(default_factory=dict)
    counter: int = 0

    def __post_init__(self):
        self.context = self.world.context()

    def step(self) -> bool:
        """Execute the current node and go on; False at the end."""
        node = self.scheme.current_node
        self.trace.append(node)
        if node in self.scheme.jobs:
            if self.fails(node):
                return False
            self.run_job(node)
        else:
            result = evaluate(self.scheme.operators[node], self.scheme, self.context)
            if isinstance(result, Exit):
                return False
            self.scheme = result
        self.scheme = self.scheme.with_current_node(next_node(self.scheme, node))
        return True

    def run_job(self, node: str) -> None:
        job = self.scheme.jobs[node]
        template = read_template(self.world.root / self.scheme.name).jobs[node]
        kind = job_type(template.type_label)
        if job.mode == "new" or not job.has_started:
            self.counter += 1
            job = replace(job, name=f"{kind.folder}/job{self.counter:03d}/", has_started=True)
        self.options[node] = substitute_job(self.scheme, template.options, self.context, registered_kinds(template.type_label))
        assert kind.relion_command(self.options[node], Path(job.name), is_continue=False)
        self.scheme = self.scheme.with_job(job)
        name, table, rows = self.made[node]
        self.world.file(job.name + name, STAR.format(table=table, rows="1\n" * rows) if rows else "data_none\n\n_rlnVoltage 1\n")
        self.world.save(self.scheme)

    def until(self, node: str, passes: int = 1) -> list[str]:
        """Go on until a node has been passed so many times; return the nodes on the way."""
        start = len(self.trace)
        for _ in range(1000):
            if not self.step():
                raise Ended(self.trace[start:])
            if self.scheme.current_node == node:
                passes -= 1
                if not passes:
                    return self.trace[start:]
        raise AssertionError("no end")


PROC_JOBS = {
    "select_mics": ("micrographs.star", "micrographs", 4),
    "autopick": ("autopick.star", "coordinate_files", 4),
    "extract": ("particles.star", "particles", 3000),
    "class2d": ("run_it200_optimiser.star", "optimiser_general", 1),
    "select_parts": ("particles.star", "particles", 6000),
    "inimodel3d": ("initial_model.mrc", "map", 1),
    "refine3d": ("run_class001.mrc", "map", 1),
}


@pytest.fixture
def project(tmp_path):
    shutil.copytree(shipped_folder(), tmp_path / "Schemes")
    return Project(tmp_path)


@pytest.fixture
def play(project, world):
    def make(name: str, made: dict, **changes) -> Play:
        scheme = read_scheme_star(project.scheme_file(name))
        for key, value in changes.items():
            scheme = scheme.with_bool(key, value) if isinstance(value, bool) else scheme.with_string(key, value)
        return Play(world, scheme, dict(made))

    return make


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


PREP_JOBS = {
    "importmovies": ("movies.star", "movies", 3),
    "motioncorr": ("corrected_micrographs.star", "micrographs", 3),
    "ctffind": ("micrographs_ctf.star", "micrographs", 3),
}


def test_prep_goes_through_all_jobs_and_then_only_looks(play):
    prep = play("prep", PREP_JOBS)
    check = ["WAIT", "EXIT_maxtime", "importmovies", "COUNT_movies", "COUNT_done", "HAS_unfinished"]
    work = ["CHECK_multiframe", "motioncorr", "SET_corrected", "ctffind"]
    idle = ["COUNT_idle", "CHECK_idle", "CHECK_end"]
    counted = ["COUNT_finished", "HAS_progress"]
    assert prep.until("WAIT") == [*check, *work, *counted, "RESET_idle"]
    assert prep.until("WAIT") == check + idle
    prep.made["importmovies"] = ("movies.star", "movies", 5)
    assert prep.until("WAIT") == check + work + counted + idle
    assert [job.name for job in prep.scheme.jobs.values()] == ["CtfFind/job003/", "Import/job001/", "MotionCorr/job002/"]
    assert prep.options["motioncorr"]["other_args"] == "--do_at_most 50"
    assert prep.options["ctffind"] | {"input_star_mics": "MotionCorr/job002/corrected_micrographs.star", "use_given_ps": "Yes"} == (
        prep.options["ctffind"]
    )


def test_prep_leaves_motion_correction_out_for_single_images(play):
    made = {**PREP_JOBS, "importmovies": ("micrographs.star", "micrographs", 3)}
    prep = play("prep", made, is_multiframe=False)
    nodes = prep.until("WAIT")
    assert "motioncorr" not in nodes and nodes[-5:-3] == ["SET_imported", "ctffind"]
    assert prep.options["ctffind"]["input_star_mics"] == "Import/job001/micrographs.star"
    assert prep.options["ctffind"]["use_given_ps"] == "No"
    assert prep.options["importmovies"]["is_multiframe"] == "No"
    assert prep.until("WAIT")[-4:] == ["HAS_unfinished", "COUNT_idle", "CHECK_idle", "CHECK_end"]


@pytest.mark.parametrize("n_failing", [0, 1])
def test_prep_ends_when_nothing_more_can_be_done(play, n_failing):
    """Also where a movie fails in every pass."""
    prep = play("prep", {**PREP_JOBS, "importmovies": ("movies.star", "movies", 3 + n_failing)}, end_when_idle=True)
    for _ in range(10):
        prep.until("WAIT")
    with pytest.raises(Ended):
        prep.until("WAIT")
    assert prep.trace[-1] == "EXIT_idle"


def test_prep_ends_after_the_longest_time(play, world):
    prep = play("prep", PREP_JOBS)
    prep.until("WAIT")
    world.now += 48 * 3600 + 1
    with pytest.raises(Ended):
        prep.until("WAIT")
    assert prep.trace[-1] == "EXIT_maxtime"


WAITING = ["WAIT", "EXIT_maxtime", "LOOK_prep", "HAS_ctffind"]
LOOK = [*WAITING, "select_mics", "COUNT_mics", "HAS_mics_increased"]
PICK = ["SET_do_topaz", "SET_pick_on_gpu", "autopick"]
EXTRACT = ["extract", "SET_prev_nr_mics", "RESET_idle", "COUNT_extracted", "CHECK_enough_2d"]
GROWN = ["CHECK_idle", "SET_needed", "CHECK_grown"]
LAST = ["CHECK_idle", "CHECK_unfinished", "CHECK_end", "CHECK_prep"]
FEW = ["LOOK_idle"]
CLASSIFY = ["class2d", "FIND_optimisers", "LAST_optimiser", "select_parts", "COUNT_parts", "CHECK_do_3d"]
PAYS = ["SET_needed_3d", "CHECK_grown_3d"]
INIMODEL = [*PAYS, "CHECK_iniref", "inimodel3d", "SET_myref_inimodel", "refine3d", "SET_nr_refined", "SET_nr_classified"]
IDLE = [*LOOK, "COUNT_idle", "COUNT_extracted", "CHECK_enough_2d"]


@pytest.fixture
def micrographs(world):
    world.file("micrographs_ctf.star")
    return "micrographs_ctf.star"


def test_proc_waits_for_prep(play):
    proc = play("proc-log", PROC_JOBS)
    assert proc.until("WAIT") == [*WAITING, "CHECK_nothing"]


def test_proc_ends_where_prep_has_ended_without_micrographs(play):
    proc = play("proc-log", PROC_JOBS, end_when_idle=True)
    proc.until("WAIT")
    proc.world.file("Schemes/prep/RELION_JOB_EXIT_SUCCESS")
    with pytest.raises(Ended):
        proc.until("WAIT")
    assert proc.trace[-1] == "EXIT_idle"


@pytest.mark.parametrize("picker", ["log", "topaz", "cryolo"])
def test_the_first_pass_of_proc(play, micrographs, picker):
    proc = play(f"proc-{picker}", PROC_JOBS, ctffind_mics=micrographs)
    pick = ["autopick"] if picker == "cryolo" else PICK
    assert proc.until("WAIT") == LOOK + pick + EXTRACT + GROWN + CLASSIFY + INIMODEL
    folder = "External" if picker == "cryolo" else "AutoPick"
    names = [f"{folder}/job002/", "Class2D/job004/", "Extract/job003/", "InitialModel/job006/", "Refine3D/job007/"]
    assert [proc.scheme.jobs[key].name for key in ("autopick", "class2d", "extract", "inimodel3d", "refine3d")] == names
    assert proc.options["select_parts"]["fn_model"] == "Class2D/job004/run_it200_optimiser.star"
    assert proc.options["select_parts"]["rank_threshold"] == "0.15"
    assert proc.options["refine3d"]["fn_ref"] == "InitialModel/job006/initial_model.mrc"
    assert proc.options["extract"]["coords_suffix"] == f"{folder}/job002/autopick.star"
    assert proc.options["extract"]["do_fom_threshold"] == ("Yes" if picker == "topaz" else "No")
    assert proc.until("WAIT") == IDLE + GROWN


@pytest.mark.parametrize(("do_log", "use_gpu"), [(True, "No"), (False, "Yes")])
def test_only_topaz_picks_on_a_gpu(play, micrographs, do_log, use_gpu):
    proc = play("proc-log", PROC_JOBS, ctffind_mics=micrographs, has_gpu=True, do_log=do_log)
    proc.until("WAIT")
    options = proc.options["autopick"]
    assert (options["use_gpu"], options["do_topaz"]) == (use_gpu, "No" if do_log else "Yes")
    assert proc.options["class2d"]["use_gpu"] == proc.options["refine3d"]["use_gpu"] == "Yes"


@pytest.fixture
def arrive(play, micrographs):
    """A scheme whose first pass is done, and a function that does one more with so many micrographs and particles there."""
    proc = play("proc-log", {**PROC_JOBS, "extract": ("particles.star", "particles", 1999)}, ctffind_mics=micrographs)
    assert proc.until("WAIT") == LOOK + PICK + EXTRACT + FEW

    def more(mics: int, particles: int, good: int = 0) -> list[str]:
        proc.made["select_mics"] = ("micrographs.star", "micrographs", mics)
        proc.made["extract"] = ("particles.star", "particles", particles)
        proc.made["select_parts"] = ("particles.star", "particles", good)
        return proc.until("WAIT")

    return proc, more


def test_classification_waits_for_enough_and_then_for_a_fifth_more(arrive):
    proc, more = arrive
    assert "class2d" in more(5, 2000)
    assert proc.scheme.floats["nr_classified"].value == 2000
    assert more(6, 2399)[-2:] == ["SET_needed", "CHECK_grown"]
    assert "class2d" in more(7, 2400)
    assert proc.options["class2d"] | {"do_stream": "Yes", "stream_last": "No"} == proc.options["class2d"]
    going_on = [job.name for job in proc.scheme.jobs.values() if job.mode == "continue"]
    assert going_on == ["AutoPick/job002/", "Class2D/job004/", "Extract/job003/", "Select/job001/"]


def test_all_are_visited_once_more_when_nothing_arrives_any_more(arrive):
    proc, more = arrive
    more(5, 2000)
    more(6, 2100)
    passes = [proc.until("WAIT") for _ in range(12)]
    assert [("class2d" in nodes) for nodes in passes] == [False] * 9 + [True, False, False]
    assert passes[9][-2:] == ["SET_nr_classified", "SET_nr_finished"] and passes[-1] == IDLE + LAST
    assert proc.options["class2d"]["stream_last"] == "Yes"
    assert proc.scheme.floats["nr_classified"].value == proc.scheme.floats["nr_finished"].value == 2100
    assert "class2d" not in more(7, 2200)
    assert "class2d" in more(8, 2600) and proc.options["class2d"]["stream_last"] == "No"


@pytest.mark.parametrize("n_extracted", [199, 2100])
def test_it_ends_when_all_is_done(play, micrographs, n_extracted):
    """Also where there never are enough particles; never before prep has ended."""
    made = {**PROC_JOBS, "extract": ("particles.star", "particles", n_extracted)}
    proc = play("proc-log", made, ctffind_mics=micrographs, end_when_idle=True)
    proc.until("WAIT", 20)
    assert proc.trace[-1] == "CHECK_prep"
    proc.world.file("Schemes/prep/RELION_JOB_EXIT_SUCCESS")
    with pytest.raises(Ended):
        proc.until("WAIT")
    assert proc.trace[-1] == "EXIT_idle"
    assert ("refine3d" in proc.trace) == (n_extracted > 2000)


def test_a_map_is_made_again_where_it_pays_and_at_the_end(arrive):
    proc, more = arrive
    assert "refine3d" not in more(5, 6000, 4999)
    assert "refine3d" in more(6, 8000, 6000)
    assert more(7, 12_000, 8999)[-4:] == ["CHECK_grown_3d", "CHECK_more_3d", "CHECK_final_3d", "SET_nr_classified"]
    assert "refine3d" in more(8, 15_000, 9000)
    assert "refine3d" not in more(9, 20_000, 9100)
    passes = [proc.until("WAIT") for _ in range(12)]
    assert [("refine3d" in nodes) for nodes in passes] == [False] * 9 + [True, False, False]


def test_a_pass_that_failed_is_done_again_from_the_start(play, micrographs):
    proc = play("proc-log", PROC_JOBS, ctffind_mics=micrographs)
    proc.fails = lambda node: node == "refine3d"
    with pytest.raises(Ended):
        proc.until("WAIT")
    assert proc.scheme.floats["nr_classified"].value == 0
    proc.fails = lambda node: False
    proc.scheme = proc.scheme.with_current_node("WAIT")
    nodes = proc.until("WAIT")
    assert nodes == [*IDLE, *GROWN, *CLASSIFY, *INIMODEL]


def test_a_failed_extraction_is_done_again(play, micrographs):
    proc = play("proc-log", PROC_JOBS, ctffind_mics=micrographs)
    proc.fails = lambda node: node == "extract"
    with pytest.raises(Ended):
        proc.until("WAIT")
    proc.fails = lambda node: False
    proc.scheme = proc.scheme.with_current_node("WAIT")
    assert "extract" in proc.until("WAIT")


def test_too_few_good_particles_make_no_map(play, micrographs):
    proc = play("proc-log", {**PROC_JOBS, "select_parts": ("particles.star", "particles", 0)}, ctffind_mics=micrographs)
    assert proc.until("WAIT")[-4:] == ["CHECK_do_3d", "CHECK_last_3d", "SET_do_last_3d", "SET_nr_classified"]


@pytest.mark.parametrize(("n_extracted", "good", "nodes"), [(199, 0, ()), (200, 199, ("class2d",)), (1999, 500, ("class2d", "refine3d"))])
def test_what_there_is_must_do_when_nothing_arrives_any_more(play, micrographs, n_extracted, good, nodes):
    made = {**PROC_JOBS, "extract": ("particles.star", "particles", n_extracted), "select_parts": ("particles.star", "particles", good)}
    proc = play("proc-log", made, ctffind_mics=micrographs)
    passes = [proc.until("WAIT") for _ in range(13)]
    for node in ("class2d", "refine3d"):
        # the tenth pass without new micrographs; once
        assert [(node in trace) for trace in passes] == [n == 10 and node in nodes for n in range(13)]


def test_a_given_reference_is_used(play, micrographs, world):
    world.file("ref.mrc")
    proc = play("proc-log", PROC_JOBS, ctffind_mics=micrographs, iniref="ref.mrc")
    assert "inimodel3d" not in proc.until("WAIT")
    assert proc.options["refine3d"]["fn_ref"] == "ref.mrc"


def test_the_last_iteration_is_found_whatever_its_number(play, micrographs):
    proc = play("proc-log", {**PROC_JOBS, "class2d": ("run_it025_optimiser.star", "x", 1)}, ctffind_mics=micrographs)
    proc.world.file("Class2D/job004/run_it010_optimiser.star")
    proc.until("WAIT")
    assert proc.options["select_parts"]["fn_model"] == "Class2D/job004/run_it025_optimiser.star"


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
