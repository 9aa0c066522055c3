"""The index of metadata: files are read once, changed files again, and what is kept equals what was read."""

import os
import sqlite3
import time

import pytest

from relion4plugin.acquisition.epu_image import read_epu_image
from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.layout import list_files
from relion4plugin.acquisition.serialem_mdoc import read_mdoc
from relion4plugin.errors import UserError
from tests.acquisition.samples import epu_session, image_xml


class _Counting:
    """A reader that counts."""

    def __init__(self, reader=lambda path: (read_epu_image(path),)):
        self.read, self.reader = [], reader

    def __call__(self, path):
        self.read.append(path.name)
        return self.reader(path)


def _files(folder):
    problems = []
    found = list(list_files(folder, problems))
    assert problems == []
    return found


@pytest.mark.parametrize("kept", [True, False])
def test_only_new_and_changed_files_are_read(tmp_path, kept):
    folder, path = epu_session(tmp_path, 4), tmp_path / "index.sqlite"
    index = MetadataIndex(path if kept else None)
    reader = _Counting()
    first = index.refresh(folder, _files(folder), reader)
    assert len(reader.read) == len(first) == 4
    if kept:
        index = MetadataIndex(path)
    assert index.refresh(folder, _files(folder), reader) == first
    assert len(reader.read) == 4
    changed = folder / next(iter(first))
    changed.write_text(image_xml(voltage=200000), encoding="utf-8")
    os.utime(changed, (time.time() + 5,) * 2)
    later = index.refresh(folder, _files(folder), reader)
    assert reader.read[4:] == [changed.name]
    assert later[next(iter(first))][0].get("voltage_kV") == 200.0


def test_a_half_written_file_is_read_again_when_it_has_grown(tmp_path):
    folder = epu_session(tmp_path, 1)
    (path,) = folder.rglob("*.xml")
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:500], encoding="utf-8")
    index = MetadataIndex(tmp_path / "i")
    reader = _Counting()
    assert index.refresh(folder, _files(folder), reader)[str(path.relative_to(folder))][0].problems
    path.write_text(whole, encoding="utf-8")
    assert index.refresh(folder, _files(folder), reader)[str(path.relative_to(folder))][0].get("voltage_kV") == 300.0


def test_what_is_kept_equals_what_was_read(shared_data, tmp_path):
    folder = shared_data / "acquisition"
    files = [entry for entry in _files(folder) if entry.name.endswith((".xml", ".mdoc")) and "_Fractions" not in entry.name]

    def read(path):
        return read_mdoc(path) if path.name.endswith(".mdoc") else (read_epu_image(path),)

    first = MetadataIndex(tmp_path / "i").refresh(folder, files, read)
    again = MetadataIndex(tmp_path / "i").refresh(folder, files, _Counting(read))
    assert len(first) == 94
    assert again == first
    for path, readings in first.items():
        assert [reading.record() for reading in again[path]] == [reading.record() for reading in readings]


def test_two_folders_share_an_index(tmp_path):
    one, two = epu_session(tmp_path, 2, "a"), epu_session(tmp_path, 2, "b", voltage=200000)
    index = MetadataIndex(tmp_path / "i")
    reader = _Counting()
    for _ in range(2):
        assert {item[0].get("voltage_kV") for item in index.refresh(one, _files(one), reader).values()} == {300.0}
        assert {item[0].get("voltage_kV") for item in index.refresh(two, _files(two), reader).values()} == {200.0}
    assert len(reader.read) == 4


def test_notes_stay(tmp_path):
    index = MetadataIndex(tmp_path / "i")
    assert index.note("a") is None
    index.keep("a", "text")
    assert MetadataIndex(tmp_path / "i").note("a") == "text"


def test_an_index_of_another_version_is_made_anew(tmp_path):
    folder = epu_session(tmp_path, 2)
    MetadataIndex(tmp_path / "i").refresh(folder, _files(folder), _Counting())
    database = sqlite3.connect(tmp_path / "i")
    database.execute("PRAGMA user_version = 999")
    database.close()
    reader = _Counting()
    MetadataIndex(tmp_path / "i").refresh(folder, _files(folder), reader)
    assert len(reader.read) == 2


def test_files_that_are_no_index_are_left_alone(tmp_path):
    (tmp_path / "text").write_text("my notes, long enough not to be taken for an empty database" * 20)
    with pytest.raises(UserError, match="cannot be used"):
        MetadataIndex(tmp_path / "text")
    database = sqlite3.connect(tmp_path / "other")
    database.execute("CREATE TABLE mine (x INT)")
    database.commit()
    database.close()
    with pytest.raises(UserError, match="another program"):
        MetadataIndex(tmp_path / "other")
    assert "my notes" in (tmp_path / "text").read_text()
    with pytest.raises(UserError, match="does not exist"):
        MetadataIndex(tmp_path / "none" / "i")
