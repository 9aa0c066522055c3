import threading
import time

import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.jobs.one_by_one import SET_ASIDE, Treated, require_some, treat, write_set_aside
from relion4plugin.progress import Silent


def test_results_are_written_in_order_whatever_the_time_they_take():
    written: list[int] = []

    def compute(item):
        time.sleep(0.02 if item % 2 else 0)
        return lambda: written.append(item)

    treated = treat(range(9), compute, Silent(), "Work", n_threads=4)
    assert written == list(range(9)) == list(treated.done)
    assert treated.n_left == 0


def test_a_bad_item_is_set_aside_and_the_rest_goes_on():
    def compute(item):
        if item == 2:
            raise UserError("movie 2 is truncated")
        return lambda: None

    treated = treat(range(5), compute, Silent(), "Work", n_threads=2)
    assert treated.done == (0, 1, 3, 4)
    assert treated.failed == {2: "movie 2 is truncated"}
    assert "1 movies set aside" in treated.remarks("movies")[0]


def test_no_more_than_the_given_number_is_treated():
    treated = treat([3, 4, 5, 6], lambda item: lambda: None, Silent(), "Work", at_most=3)
    assert (treated.done, treated.n_left) == ((3, 4, 5), 1)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_bad_items_do_not_count_so_that_the_others_get_their_turn(n_threads):
    def compute(item):
        if item < 60:
            raise UserError(f"movie {item} is not there")
        return lambda: None

    treated = treat(range(100), compute, Silent(), "Work", n_threads, at_most=5)
    assert treated.done == (60, 61, 62, 63, 64)
    assert (len(treated.failed), treated.n_left) == (60, 35)
    assert treat(range(100), compute, Silent(), "Work", n_threads, at_most=0).done == ()


def test_an_error_of_writing_ends_the_job_and_waits_for_running_work():
    running = threading.Semaphore(0)

    def compute(item):
        running.release()

        def write():
            raise UserError("the disk is full")

        return write

    with pytest.raises(UserError, match="disk is full"):
        treat(range(100), compute, Silent(), "Work", n_threads=2)
    started = sum(1 for _ in iter(lambda: running.acquire(blocking=False), False))
    assert started < 10


def test_few_results_wait_to_be_written():
    alive, most = 0, 0
    lock = threading.Lock()

    def compute(item):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)

        def write():
            nonlocal alive
            time.sleep(0.002)
            alive -= 1

        return write

    treat(range(40), compute, Silent(), "Work", n_threads=3)
    assert most <= 6


def test_the_list_of_items_set_aside_appears_and_goes(tmp_path):
    write_set_aside(tmp_path, "rlnMicrographMovieName", [("Movies/0001.tiff", "it is\ntruncated")])
    table = read_star(tmp_path / SET_ASIDE)["set_aside"]
    assert list(table["rlnMicrographMovieName"]) == ["Movies/0001.tiff"]
    assert list(table["r4pReason"]) == ["it is truncated"]
    write_set_aside(tmp_path, "rlnMicrographMovieName", [])
    assert not (tmp_path / SET_ASIDE).exists()


def test_that_everything_failed_is_an_error():
    with pytest.raises(UserError, match="none of 1 movies"):
        require_some(0, Treated((), {0: "truncated"}, 0), "movies")
    require_some(3, Treated((), {0: "truncated"}, 0), "movies")
    require_some(0, Treated((), {}, 0), "movies")
