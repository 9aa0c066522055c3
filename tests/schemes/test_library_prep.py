"""The order of execution in the shipped scheme prep."""

import pytest

from tests.schemes.play import Ended

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
