import errno
import os
import resource

import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path, atomic_write_text, remove_temporaries


def test_content_replaces_the_old_file(tmp_path):
    path = tmp_path / "a.star"
    path.write_text("old")
    atomic_write_text(path, "new\n")
    assert path.read_text() == "new\n"
    assert os.listdir(tmp_path) == ["a.star"]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.star"
    path.write_text("old")
    with pytest.raises(ValueError, match="mine"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ValueError("mine")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.star"]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    atomic_write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_new_files_obey_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        atomic_write_text(tmp_path / "a", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        atomic_write_text(tmp_path / "nowhere" / "a", "x")


def test_a_folder_cannot_be_overwritten(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        atomic_write_text(tmp_path, "x")


def test_full_disk_keeps_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(UserError, match=f"cannot write {path}: file too large"):
            atomic_write_text(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_disk_full_at_the_last_moment(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="no space left on device; make room on /"):
        atomic_write_text(tmp_path / "a", "x")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="permission denied"):
        atomic_write_text(tmp_path / "a", "x")


def test_read_only_file_system(tmp_path, monkeypatch):
    def read_only(*arguments):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(UserError, match="read-only file system; expected a writable folder"):
        atomic_write_text(tmp_path / "a", "x")


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "Movies").mkdir()
    kept = [tmp_path / name for name in ("a.tmp", ".a.star.tmp", "Movies/.b.0123456789ab.txt", "Movies/b.mrc")]
    for path in kept:
        path.touch()
    pid = os.fork()
    if not pid:
        with atomic_path(tmp_path / "Movies" / "b.mrc") as temporary:
            temporary.write_text("half")
            os._exit(0)
    os.waitpid(pid, 0)
    assert len(list(tmp_path.rglob("*.tmp"))) == 3
    assert remove_temporaries(tmp_path) == 1
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
