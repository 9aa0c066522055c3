import json

import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes.events import EventLog, read_events


def read(path, offset=0):
    return [event for _, event in read_events(path, offset)]


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path, lambda: 5.0) as log:
        log.write("node", node="WAIT", kind="operator")
        log.write("log", text="a\nb \u00e9")
    assert read(path) == [
        {"time": 5.0, "event": "node", "node": "WAIT", "kind": "operator"},
        {"time": 5.0, "event": "log", "text": "a\nb \u00e9"},
    ]
    assert read(tmp_path / "missing") == []


@pytest.mark.parametrize("cut", range(2, 45))
def test_a_torn_last_line_costs_only_itself(tmp_path, cut):
    path = tmp_path / "events.jsonl"
    with EventLog(path, lambda: 5.0) as log:
        log.write("first")
        log.write("second", node="a node with a name")
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert read(path)[0]["event"] == "first" and len(read(path)) == 1
    with EventLog(path) as log:
        log.write("third")
    assert [event["event"] for event in read(path)] == ["first", "third"]


def test_reading_goes_on_where_it_was(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("one")
        ((offset, _),) = list(read_events(path))
        log.write("two")
        with open(path, "ab") as stream:
            stream.write(b'{"event": "unfin')
        assert [event["event"] for event in read(path, offset)] == ["two"]


def test_two_writers_do_not_mix(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as one, EventLog(path) as two:
        for i in range(100):
            one.write("a", number=i)
            two.write("b", number=i)
    assert len(read(path)) == 200
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(UserError, match="the scheme's folder must be writable"):
        EventLog(tmp_path / "nowhere" / "events.jsonl")
