"""The pages of mdcatch in a browser: corrections are sent as they are made, and a session goes from the list to a project."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.acquisition.small_sessions import small_session
from tests.web.browser import Browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH")]
TOKEN = "c" * 24
SERVE = """
import argparse, sys
from relion4plugin.acquisition import launch
from relion4plugin.cli import mdcatch_gui
from relion4plugin.schemes.it.launch import Runner
launch.start_runners = lambda project, names: [Runner(name, 0, project.scheme_directory(name) / "run.out") for name in names]
parser = argparse.ArgumentParser()
mdcatch_gui.add_args(parser)
mdcatch_gui.main(parser.parse_args(sys.argv[1:]))
"""


@pytest.fixture
def address(tmp_path):
    small_session(tmp_path / "root" / "one")
    words = [str(tmp_path / "root"), "--projects", str(tmp_path / "projects"), "--no_browser", "--token", TOKEN]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen([sys.executable, "-c", SERVE, *words], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def typed(name, text):
    """Type into an input and leave it."""
    return (
        f"var box = document.getElementById('i-{name}'); box.focus(); box.value = '{text}';"
        "box.dispatchEvent(new Event('change', {bubbles: true})); true"
    )


def test_from_the_list_to_a_project(address, tmp_path):
    with Browser(tmp_path / "profile") as browser:
        browser.open(f"{address}/?token={TOKEN}")
        browser.wait_for("document.getElementById('find')")
        assert not browser.run("location.href.includes('token')")
        browser.run("document.querySelector('input[name=session]').click(); document.getElementById('size').value = '30'; true")
        browser.run("document.querySelector('button[value=next]').click(); true")
        browser.wait_for("document.getElementById('check') && document.getElementById('i-box_size').value === '44'")
        browser.run(typed("movie_px_A", "0.53"))
        browser.wait_for("document.getElementById('i-box_size').value === '86'")
        assert browser.run("document.activeElement.id") == "i-movie_px_A"
        assert browser.run("document.getElementById('f-movie_px_A').textContent.includes('not taken: 1.06')")
        browser.run(typed("voltage_kV", "much"))
        browser.wait_for("document.querySelector('button[value=launch]').disabled")
        browser.run("document.querySelector('button[name=reset][value=voltage_kV]').click(); true")
        browser.wait_for("document.getElementById('i-voltage_kV').value === '300'")
        browser.run("window.before = true; location.reload(); true")
        browser.wait_for("!window.before && document.getElementById('i-movie_px_A').value === '0.53'")
        browser.run("document.querySelector('button[value=plan]').click(); true")
        browser.wait_for("document.title.startsWith('Dry run')")
        assert browser.run("document.body.textContent.includes('importmovies / angpix')") and not (tmp_path / "projects").exists()
        browser.run("history.back(); true")
        browser.wait_for("document.getElementById('i-movie_px_A').value === '0.53'")
        browser.run("var tick = document.querySelector('input[name=seen]'); if (tick) { tick.checked = true; } true")
        browser.run("document.querySelector('button[value=launch]').click(); true")
        browser.wait_for("document.title.includes('is being processed')", tries=120)
    (project,) = (path for path in (tmp_path / "projects").iterdir() if not path.name.startswith("."))
    assert "movie_px_A = 0.53" in (project / "SerialEM_session_params").read_text()
