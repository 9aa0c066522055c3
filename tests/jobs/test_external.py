import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.external import run
from relion4plugin.jobs.jobdir import ABORTED, FAILURE, SUCCESS, AbortRequested
from relion4plugin.jobs.output_nodes import OUTPUT_NODES, read_output_nodes, write_output_nodes
from relion4plugin.progress import Silent

PLACE = Path("External/job003")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PLACE.mkdir(parents=True)


def script(body: str, name: str = "tool.py") -> str:
    path = Path(name)
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\nplace = sys.argv[sys.argv.index('--o') + 1]\n{body}\n")
    path.chmod(0o755)
    return f"./{name}"


def test_words_arrive_as_they_are_and_output_goes_to_the_logs(monkeypatch):
    monkeypatch.setenv("MODEL", "/models/x.h5")
    tool = script("print(sys.argv[1:]); print('careful', file=sys.stderr)")
    run([tool, "--o", f"{PLACE}/", "--in_mics", "a b.star", "--label", "$MODEL;ls *"], PLACE, Silent())
    words = ["--o", f"{PLACE}/", "--in_mics", "a b.star", "--label", "/models/x.h5;ls *"]
    assert (PLACE / "run.out").read_text().strip() == str(words)
    assert (PLACE / "run.err").read_text() == "careful\n"


def test_a_script_in_the_project_needs_no_path():
    script("open(place + 'done', 'w')", "tool.py")
    run(["tool.py", "--o", f"{PLACE}/"], PLACE, Silent())
    assert (PLACE / "done").exists()


def test_declared_files_are_read():
    nodes = {"External/job003/picks.star": "MicrographsCoords.star.relion.autopick"}
    tool = script("pass")
    write_output_nodes(PLACE, nodes)
    assert run([tool, "--o", f"{PLACE}/"], PLACE, Silent()) == ("1 files declared: External/job003/picks.star",)
    assert read_output_nodes(PLACE) == nodes
    (PLACE / OUTPUT_NODES).write_text("data_something\n\n_a 1\n")
    with pytest.raises(UserError, match="needs a block data_output_nodes"):
        run([tool, "--o", f"{PLACE}/"], PLACE, Silent())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("sys.exit(3)", "ended with exit code 3"),
        ("os.kill(os.getpid(), 9)", "was ended by signal 9"),
        (f"open(place + '{FAILURE}', 'w')", f"left {FAILURE}"),
        (f"open(place + '{SUCCESS}', 'w'); sys.exit(1)", "ended with exit code 1"),
    ],
)
def test_a_failure_is_one_line_whatever_tells_it(body, expected):
    with pytest.raises(UserError, match=expected) as caught:
        run([script(body), "--o", f"{PLACE}/"], PLACE, Silent())
    assert str(PLACE / "run.err") in str(caught.value)
    assert not (PLACE / SUCCESS).exists()


def test_a_script_may_say_that_it_was_aborted():
    with pytest.raises(AbortRequested):
        run([script(f"open(place + '{ABORTED}', 'w')"), "--o", f"{PLACE}/"], PLACE, Silent())


@pytest.mark.parametrize("program", ["no_such_program_anywhere", "not_executable.py"])
def test_a_program_that_is_not_there(program):
    Path("not_executable.py").write_text("")
    with pytest.raises(UserError, match=f"no program {program}"):
        run([program, "--o", f"{PLACE}/"], PLACE, Silent())


class AbortAfter(Silent):
    def __init__(self, path: Path) -> None:
        self.path = path

    def advance(self, n: int = 1, note: str = "") -> None:
        if self.path.exists():
            raise AbortRequested("asked")


def test_an_abort_ends_the_program_and_what_it_started():
    tool = script(
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open(place + 'child', 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    started = time.monotonic()
    with pytest.raises(AbortRequested):
        run([tool, "--o", f"{PLACE}/"], PLACE, AbortAfter(PLACE / "child"))
    assert time.monotonic() - started < 20
    child = int((PLACE / "child").read_text() or 0)
    for _ in range(50):
        if not _runs(child):
            break
        time.sleep(0.1)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_program_that_ignores_the_request_is_killed(monkeypatch):
    monkeypatch.setattr("relion4plugin.jobs.external._GRACE_SECONDS", 0.3)
    tool = script("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(place + 'up', 'w'); time.sleep(60)")
    started = time.monotonic()
    with pytest.raises(AbortRequested):
        run([tool, "--o", f"{PLACE}/"], PLACE, AbortAfter(PLACE / "up"))
    assert time.monotonic() - started < 20


def test_an_interrupt_ends_the_program():
    tool = script("open(place + 'pid', 'w').write(str(os.getpid())); time.sleep(60)")

    def interrupt() -> None:
        while not (PLACE / "pid").exists() or not (PLACE / "pid").read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background of a shell
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run([tool, "--o", f"{PLACE}/"], PLACE, Silent())
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not _runs(int((PLACE / "pid").read_text()))
