import io

from relion4plugin.cli.progress import BarProgress, LineProgress, terminal_progress
from relion4plugin.progress import Silent


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(progress) -> None:
    progress.start("VDAM", 200)
    for _ in range(200):
        progress.advance(1, "12.3 A")
    progress.finish()


def test_a_log_gets_ten_lines_per_phase():
    stream = io.StringIO()
    run(terminal_progress(stream=stream))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("VDAM 200/200") and lines[-1].endswith("12.3 A")


def test_a_screen_gets_a_bar():
    stream = Screen()
    progress = terminal_progress(stream=stream)
    assert isinstance(progress, BarProgress)
    run(progress)
    assert "200/200" in stream.getvalue() and "\r" in stream.getvalue()


def test_quiet_is_silent():
    assert isinstance(terminal_progress(quiet=True, stream=Screen()), Silent)


def test_a_phase_without_steps_is_no_division_by_zero():
    stream = io.StringIO()
    progress = LineProgress(stream)
    progress.start("nothing", 0)
    progress.finish()
    assert "nan" not in stream.getvalue()
