"""Which files are written to their end."""

import os
from pathlib import Path

from relion4plugin.files.settled import SettledFiles, is_settled


def test_age_counts(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    os.utime(path, (1000, 1000))
    assert is_settled(path, 30, now=1030) and not is_settled(path, 30, now=1029)
    assert is_settled(path, 0, now=900)


def test_empty_missing_and_folders_are_not_settled(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert not is_settled(tmp_path / "a", 0, now=1e12)
    assert not is_settled(tmp_path / "b", 0, now=1e12) and not is_settled(tmp_path, 0, now=1e12)


def test_a_growing_file_settles_when_it_stops(tmp_path: Path) -> None:
    path, clock = tmp_path / "a", [0.0]
    watcher = SettledFiles(10, clock=lambda: clock[0])

    def settled_at(time: float, data: bytes | None = None) -> bool:
        clock[0] = time
        if data is not None:
            path.write_bytes(data)
            os.utime(path, ns=(0, len(data)))  # whatever clock the server has
        settled, waiting = watcher.look([path])
        assert settled + waiting == [path]
        return bool(settled)

    assert not settled_at(0, b"1") and not settled_at(9) and not settled_at(11, b"12") and not settled_at(20)
    assert settled_at(21)
    assert not settled_at(30, b"123")


def test_missing_files_are_left_out_and_forgotten(tmp_path: Path) -> None:
    path, clock = tmp_path / "a", [0.0]
    watcher = SettledFiles(5, clock=lambda: clock[0])
    path.write_bytes(b"x")
    watcher.look([path])
    watcher.look([])
    clock[0] = 6.0
    assert watcher.look([path, tmp_path / "b"]) == ([], [path])
