"""The monitor in a browser: its script fills the logs, and nothing that the content policy forbids is asked for."""

import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from relion4plugin.schemes.scheme_star import read_scheme_star
from tests.web.browser import Browser
from tests.web.example_project import make_project

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH")]
TOKEN = "b" * 24


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    return make_project(root)


@pytest.fixture
def address(project):
    words = [sys.executable, "-m", "relion4plugin.cli.main", "monitor", str(project.root), "--no_browser", "--token", TOKEN]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        yield re.search(r"http://127\.0\.0\.1:\d+", line)[0]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def chromium(tmp_path, *words):
    profile = tmp_path / "profile"
    common = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--virtual-time-budget=6000"]
    return subprocess.run([*common, *words], capture_output=True, text=True, timeout=120, check=True)


def test_the_script_fills_the_logs(address, project, tmp_path):
    shown = chromium(tmp_path, "--enable-logging=stderr", "--dump-dom", f"{address}/scheme/proc?token={TOKEN}")
    assert "step 39 of Class2D/job011/" in shown.stdout and 'data-node="refine3d"' in shown.stdout
    assert 'class="monitor lost"' not in shown.stdout and TOKEN not in shown.stdout
    assert "Content Security Policy" not in shown.stderr


def test_it_looks_like_a_page(address, tmp_path):
    picture = tmp_path / "page.png"
    chromium(tmp_path, "--window-size=1400,1400", f"--screenshot={picture}", f"{address}/?token={TOKEN}")
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.shape == (1400, 1400, 3) and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200


def test_the_served_page_needs_the_token(address):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{address}/", timeout=10)
    assert refused.value.code == 403 and refused.value.headers.get("Server") is None
    refused.value.close()
    with urllib.request.urlopen(f"{address}/?token={TOKEN}", timeout=10) as answer:
        assert answer.status == 200


def test_clicks_and_edits(address, project, tmp_path):
    with Browser(tmp_path / "profile") as browser:
        browser.open(f"{address}/scheme/proc?token={TOKEN}")
        browser.wait_for("document.querySelector('form.setting[data-name=wait_sec] input')")
        assert not browser.run("location.href.includes('token')")
        browser.wait_for("document.querySelector('pre.log').textContent.includes('step 39')")
        with open(project.root / "Class2D/job011/run.out", "a") as stream:
            stream.write("one more\n")
        browser.wait_for("document.querySelector('pre.log').textContent.includes('one more')")
        browser.run(
            "var form = document.querySelector('form.setting[data-name=wait_sec]'); form.querySelector('input').value = '61';"
            "form.querySelector('button').click(); true"
        )
        browser.wait_for("document.getElementById('told').textContent.includes('done')")
        assert read_scheme_star(project.scheme_file("proc")).floats["wait_sec"].value == 61
        browser.run("setTimeout(() => document.querySelector('button[data-what=reset]').click(), 0); true")
        browser.wait_for("document.querySelector('#part-state').textContent.includes('at WAIT')")
        assert read_scheme_star(project.scheme_file("proc")).floats["wait_sec"].value == 180
        assert browser.run("document.querySelector('.current').dataset.node") == "WAIT"
