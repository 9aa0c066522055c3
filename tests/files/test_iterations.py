import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.iterations import append_iteration, read_iterations


def test_records_come_back(tmp_path):
    path = tmp_path / "run_iterations.jsonl"
    append_iteration(path, {"iteration": np.int64(1), "class_distribution": np.array([0.25, 0.75]), "replaced": None})
    append_iteration(path, {"iteration": 2, "seconds": np.float32(1.5)})
    assert read_iterations(path) == [
        {"iteration": 1, "class_distribution": [0.25, 0.75], "replaced": None},
        {"iteration": 2, "seconds": 1.5},
    ]


def test_half_written_last_line_is_left_out_and_overwritten(tmp_path):
    path = tmp_path / "run_iterations.jsonl"
    path.write_text('{"iteration": 1}\n{"iterat')
    assert read_iterations(path) == [{"iteration": 1}]
    append_iteration(path, {"iteration": 2})
    assert [record["iteration"] for record in read_iterations(path)] == [1, 2]


def test_only_a_half_written_line(tmp_path):
    path = tmp_path / "run_iterations.jsonl"
    path.write_text('{"x": ' + "1" * 200_000)
    assert read_iterations(path) == []
    append_iteration(path, {"iteration": 1})
    assert read_iterations(path) == [{"iteration": 1}]


@pytest.mark.parametrize("line", ["{", "[1]", "text"])
def test_damaged_line(tmp_path, line):
    path = tmp_path / "run_iterations.jsonl"
    path.write_text('{"iteration": 1}\n' + line + "\n")
    with pytest.raises(UserError, match="line 2"):
        read_iterations(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_iterations(tmp_path / "none")
    with pytest.raises(UserError, match="cannot write"):
        append_iteration(tmp_path / "none" / "a", {})
