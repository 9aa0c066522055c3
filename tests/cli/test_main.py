import errno
import re
import subprocess
import sys

import pytest

import relion4plugin
from relion4plugin.cli.main import COMMANDS, main
from relion4plugin.cli.reference import pages


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == relion4plugin.__version__
    assert main(["--help"]) == 0
    listing = capsys.readouterr().out
    assert all(name in listing for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    assert ended.value.code == 0
    assert f"relion4plugin {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nothing"], "no command 'nothing'"),
        (["simulate"], "simulate particles"),
        (["class2d", "--o", "x", "--unknown"], "unrecognized arguments: --unknown"),
        (["class2d", "--i", "x"], "required: --o"),
        (["class2d", "--i", "/nowhere/x.star", "--o", "x"], "/nowhere/x.star: no such file"),
        (["class2d", "--i", "x", "--o", "y", "--iter", "many"], "invalid int value: 'many'"),
        (["class2d", "--job_star", "/nowhere/job.star", "--o", "y"], "/nowhere/job.star"),
        (["simulate", "particles", "--o", "x", "--box", "63"], "box_size"),
        (["simulate", "particles", "--o", "x", "--snr", "-1"], "snr"),
        (["simulate", "particles", "--o", "x", "--junk_kinds", "dust"], "junk_kinds"),
        (["simulate", "particles", "--o", "x", "--source", "/nowhere/a.pdb"], "/nowhere/a.pdb"),
        (["report", "/nowhere"], "/nowhere is not a directory"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert expected in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_no_command_is_a_mistake(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().out


def test_naming_one_algorithm_leaves_the_other(capsys, tmp_path):
    star = tmp_path / "p.star"
    star.touch()
    common = ["class2d", "--i", str(star), "--o", "out", "--iter", "9", "--relion_command"]
    assert main([*common, "--em"]) == 0
    command = capsys.readouterr().out
    assert "--grad" not in command and "--iter 9" in command
    assert main([*common, "--do_grad", "No"]) == 0
    assert capsys.readouterr().out == command
    assert main([*common, "--grad"]) == 0
    assert "--grad " in capsys.readouterr().out


def test_reference_pages_are_fresh(repository):
    folder = repository / "docs" / "reference"
    stale = [name for name, text in pages().items() if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text]
    assert stale == [], "run make docs"


def test_a_stale_page_is_found_and_rewritten(tmp_path, capsys):
    words = ["reference", "--o", str(tmp_path / "reference")]
    assert main([*words, "--check"]) == 1
    assert main(words) == 0
    assert main([*words, "--check"]) == 0
    (tmp_path / "reference" / "class2d.md").write_text("old")
    assert main([*words, "--check"]) == 1
    assert "class2d.md" in capsys.readouterr().err


def test_finding_a_command_imports_nothing_heavy():
    code = (
        "import sys; from relion4plugin.cli.main import main; main(['--help']); "
        "print(sorted({'numpy', 'scipy', 'pandas', 'numba', 'pwem', 'pyworkflow', 'tqdm'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip().endswith("[]")


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "o.mrc"), r"cannot write o\.mrc: no space left on device; make room on /"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), r"cannot write .*/here: disk quota exceeded; make room on "),
        (OSError(errno.EROFS, "Read-only file system", "/mnt/x"), "cannot write /mnt/x: read-only file system; expected a writable folder"),
        (PermissionError(errno.EACCES, "Permission denied", "a.star"), r"cannot use a\.star: permission denied; check that it is there, "),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "maps"), "cannot use maps: is a directory; "),
    ],
)
def test_an_error_of_a_file_is_one_line_that_names_it(problem, line, tmp_path, monkeypatch, capsys):
    def fail(args):
        raise problem

    monkeypatch.setattr("relion4plugin.cli.reference.main", fail)
    assert main(["reference", "--o", str(tmp_path / "here")]) == 2
    assert re.fullmatch(f"error: {line}[^\n]*\n", capsys.readouterr().err)


def test_an_error_of_the_system_without_a_file_is_one_of_the_program(monkeypatch):
    def fail(args):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr("relion4plugin.cli.reference.main", fail)
    with pytest.raises(ConnectionResetError):
        main(["reference"])


def test_standard_output_on_a_full_disk():
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "relion4plugin.cli.main", "--version"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"error: cannot write standard output: no space left on device; [^\n]*\n", done.stderr)


def test_a_reader_that_leaves_early_is_no_error():
    words = [sys.executable, "-m", "relion4plugin.cli.main", "--help"]
    writer = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer.stdout.close()
    assert writer.stderr.read() == b"" and writer.wait(timeout=60) == 0
    writer.stderr.close()
