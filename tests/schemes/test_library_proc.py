"""The order of execution in the shipped schemes proc."""

import pytest

from tests.schemes.play import Ended

PROC_JOBS = {
    "select_mics": ("micrographs.star", "micrographs", 4),
    "autopick": ("autopick.star", "coordinate_files", 4),
    "extract": ("particles.star", "particles", 3000),
    "class2d": ("run_it200_optimiser.star", "optimiser_general", 1),
    "select_parts": ("particles.star", "particles", 6000),
    "inimodel3d": ("initial_model.mrc", "map", 1),
    "refine3d": ("run_class001.mrc", "map", 1),
}

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


@pytest.mark.parametrize(("n_last", "again"), [(10_000, [9]), (9800, [])])
def test_a_map_is_made_again_where_it_pays_and_at_the_end(arrive, n_last, again):
    """At the end for a tenth more particles, not for fewer."""
    proc, more = arrive
    assert "refine3d" not in more(5, 6000, 4999)
    assert "refine3d" in more(6, 8000, 6000)
    assert more(7, 12_000, 8999)[-4:] == ["SET_worth_3d", "CHECK_more_3d", "CHECK_final_3d", "SET_nr_classified"]
    assert "refine3d" in more(8, 15_000, 9000)
    assert "refine3d" not in more(9, 20_000, n_last)
    passes = [proc.until("WAIT") for _ in range(12)]
    assert [k for k, nodes in enumerate(passes) if "refine3d" in nodes] == again


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
