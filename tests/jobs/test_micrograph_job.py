"""The frame of jobs on many micrographs, with a job that writes the length of each name into a file."""

from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.jobs import micrograph_job
from relion4plugin.jobs.micrograph_job import JobKind, MicrographJob, naming
from relion4plugin.progress import Silent

NAMES = ("a", "bb", "ccc", "dddd")


class Lengths(MicrographJob[int]):
    """Items named in `bad` fail; those in `empty` have no result."""

    KIND = JobKind("Lengths", ("lengths.txt",), "names", "rlnMicrographName")

    def __init__(self, out_dir, bad=(), empty=()):
        super().__init__(out_dir, NAMES)
        self.bad, self.empty, self.lists = bad, empty, []

    def kept(self, item):
        path = self.out_dir / self.names[item]
        if path.is_file() and not path.read_text().isdigit():
            raise UserError("damaged")
        return int(path.read_text()) if path.is_file() else None

    def mark(self, item):
        return self.out_dir / self.names[item]

    def compute(self, item):
        name = self.names[item]
        with naming(name):
            if name in self.bad:
                raise UserError("bad")

        def write():
            (self.out_dir / name).write_text(str(len(name)))
            return None if name in self.empty else len(name)

        return write

    def write_lists(self, finished):
        self.lists.append(dict(finished))
        (self.out_dir / "lengths.txt").write_text(str(finished))


def execute(out_dir, is_continue=False, overwrite=False, at_most=-1, **kinds):
    job = Lengths(Path(out_dir), **kinds)
    job.prepare(is_continue, overwrite)
    return job, job.treat(job.compute, Silent(), n_threads=2, at_most=at_most)


def test_what_was_interrupted_while_all_was_made_anew_is_not_mixed_with_the_old(tmp_path):
    execute(tmp_path)
    execute(tmp_path, overwrite=True, at_most=2)
    job = Lengths(tmp_path)
    job.prepare(True, False)
    assert sorted(job.finished) == [0, 1]


def test_bad_items_and_those_without_a_result_are_left_out(tmp_path):
    job, ended = execute(tmp_path, bad=("bb",), empty=("ccc",))
    assert job.lists == [{0: 1, 3: 4}]
    assert (ended.n_finished, ended.n_new, ended.n_set_aside, ended.n_left) == (2, 2, 1, 0)
    assert read_star(tmp_path / "set_aside.star")["set_aside"].to_dict("records") == [{"rlnMicrographName": "bb", "r4pReason": "bb: bad"}]
    assert ended.remarks == ("1 names set aside, listed in set_aside.star; first: bb: bad",)


def test_going_on_keeps_what_is_finished_and_makes_damaged_items_again(tmp_path):
    execute(tmp_path, at_most=3)
    (tmp_path / "bb").write_text("half a f")
    written = (tmp_path / "a").stat().st_mtime_ns
    job, ended = execute(tmp_path, is_continue=True)
    assert (ended.n_finished, ended.n_new, ended.n_left) == (4, 2, 0)
    assert job.lists == [{0: 1, 1: 2, 2: 3, 3: 4}]
    assert list(job.lists[0]) == [0, 1, 2, 3]  # in the order of the input, not of the work
    assert (tmp_path / "a").stat().st_mtime_ns == written


def test_another_jobs_lists_are_not_overwritten_unasked(tmp_path):
    execute(tmp_path)
    with pytest.raises(UserError, match=r"results of an earlier run \(lengths.txt\)"):
        execute(tmp_path)
    assert execute(tmp_path, overwrite=True)[1].n_new == 4


def test_that_everything_failed_is_an_error_and_no_list_is_written(tmp_path):
    with pytest.raises(UserError, match="none of 4 names could be used; first: a: bad"):
        execute(tmp_path, bad=NAMES)
    assert not (tmp_path / "lengths.txt").exists()
    assert len(read_star(tmp_path / "set_aside.star")["set_aside"]) == 4


def test_lists_are_written_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(micrograph_job, "_LISTS_EVERY", -1.0)
    monkeypatch.setattr(micrograph_job, "_LISTS_SHARE", 0)
    job, _ = execute(tmp_path)
    assert [len(finished) for finished in job.lists] == [1, 2, 3, 4, 4]


def test_a_name_is_said_once():
    for text in ("bad", "a.mrc: bad"):
        with pytest.raises(UserError, match=r"^a\.mrc: bad$"), naming("a.mrc"):
            raise UserError(text)


def test_room_is_asked_for_what_is_not_finished(tmp_path, monkeypatch):
    """A long session that is nearly done goes on where only little room is left."""
    asked = []
    monkeypatch.setattr(micrograph_job, "prepare_map_output", lambda out_dir, names, needed_bytes, overwrite: asked.append(needed_bytes))
    for name in NAMES[:3]:
        (tmp_path / name).write_text(str(len(name)))
    for is_continue in (True, False):
        Lengths(tmp_path).prepare(is_continue, overwrite=True, needed_bytes=7, bytes_each=100)
    assert asked == [107, 407]
