"""logfile.pdf: what is on its pages, read back by poppler's programs where they are, and by hand."""

import re
import shutil
import subprocess
import zlib

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.pdf import PdfPage, pdf_bytes, text_width
from relion4plugin.files.star import write_star
from relion4plugin.jobs.log_plots import CTF, LOG, MOTION, PICKS, draw_pages, write_plots

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler is not there")


def contents(data):
    """Content stream of each page."""
    return [zlib.decompress(part).decode("cp1252") for part in re.findall(rb"/FlateDecode >>\nstream\n(.*?)\nendstream", data, re.DOTALL)]


def words(data):
    return [word.replace("\\", "") for word in re.findall(r"\((.*)\) Tj", "\n".join(contents(data)))]


def table(n=40, **changes):
    return pd.DataFrame({label: np.linspace(1, 9, n) for label, _ in CTF} | changes)


def test_columns_that_are_there_are_drawn(tmp_path):
    write_star(tmp_path / "micrographs_ctf.star", {"micrographs": table().drop(columns="rlnPhaseShift")})
    write_plots(tmp_path, "micrographs_ctf.star", "micrographs", CTF)
    data = (tmp_path / LOG).read_bytes()
    assert len(contents(data)) == 1
    assert {name for label, name in CTF if label != "rlnPhaseShift"} <= set(words(data))
    assert "Phase shift (degrees)" not in words(data)


def test_six_figures_take_two_pages_and_dots_are_the_rows():
    pages = draw_pages([(name, np.linspace(1, 9, 40)) for _, name in CTF], "micrograph", "CtfFind/job003")
    assert len(pages) == 2
    first = pages[0].content.decode("cp1252")
    dots = [line for line in first.splitlines() if " 1 J " in line]
    assert len(dots) == 5 and all(line.count(" m ") == 40 for line in dots)


def test_dots_and_bars_lie_on_their_scale():
    """Values 0 and 10 are at both ends of an axis from 0 to 10; of 3 values in two bars one is twice as high."""
    page = draw_pages([("x", np.array([0.0, 0.0, 10.0]))], "movie", "job")[0].content.decode("cp1252")
    dots = next(line for line in page.splitlines() if " 1 J " in line)
    heights = [float(y) for y in re.findall(r"[\d.]+ ([\d.]+) m", dots)]
    axis = next(line for line in page.splitlines() if line.count(" l") == 2 and " 1 J " not in line)  # both axes as one line
    top, bottom = (float(v) for v in re.findall(r"[\d.]+ ([\d.]+) [ml]", axis)[:2])
    assert heights == pytest.approx([bottom, bottom, top], abs=0.02)
    bars = [float(height) for height in re.findall(r"[\d.]+ [\d.]+ [\d.]+ ([\d.]+) re f", page)]
    assert len(bars) == 2 and bars[0] == pytest.approx(2 * bars[1], abs=0.02)


def test_nothing_to_draw_writes_nothing(tmp_path):
    write_plots(tmp_path, "summary.star", "", PICKS)
    write_star(tmp_path / "corrected_micrographs.star", {"micrographs": pd.DataFrame({"rlnMicrographName": ["a"]})})
    write_plots(tmp_path, "corrected_micrographs.star", "micrographs", MOTION)
    assert not (tmp_path / LOG).exists()
    with pytest.raises(UserError, match="no table data_movies"):
        write_plots(tmp_path, "corrected_micrographs.star", "movies", MOTION)


@pytest.mark.parametrize("values", [[5.0], [0.0, 0.0], [np.nan, 3.0], [1e-6, 1e9], [-3.0, -1.0]])
def test_odd_values(values):
    page = draw_pages([("x", np.array(values))], "movie", "job")[0]
    assert b"nan" not in page.content and b"inf" not in page.content and b" re f" in page.content


@needs_poppler
def test_a_reader_understands_the_file(tmp_path):
    write_star(tmp_path / "micrographs_ctf.star", {"micrographs": table(10000)})
    write_plots(tmp_path, "micrographs_ctf.star", "micrographs", CTF)
    path = str(tmp_path / LOG)
    told = subprocess.run(["pdfinfo", path], capture_output=True, text=True, check=True)
    assert re.search(r"Pages:\s+2\n", told.stdout) and "A4" in told.stdout and told.stderr == ""
    text = subprocess.run(["pdftotext", "-enc", "UTF-8", path, "-"], capture_output=True, text=True, check=True).stdout
    assert "Defocus U (Å)" in text and "Phase shift (degrees)" in text and "10000" in text
    assert (tmp_path / LOG).stat().st_size < 1 << 20


@needs_poppler
def test_texts_with_brackets_and_other_letters(tmp_path):
    page = PdfPage()
    page.text(100, 100, "a\\(b) Å² °", 10)
    page.text(300, 300, "turned ☃", 10, turned=True)
    (tmp_path / "a.pdf").write_bytes(pdf_bytes([page], "Title Å ☃"))
    text = subprocess.run(["pdftotext", "-enc", "UTF-8", str(tmp_path / "a.pdf"), "-"], capture_output=True, text=True, check=True).stdout
    assert "a\\(b) Å² °" in text and "turned ?" in text
    told = subprocess.run(["pdfinfo", "-enc", "UTF-8", str(tmp_path / "a.pdf")], capture_output=True, text=True, check=True).stdout
    assert "Title Å ☃" in told


@needs_poppler
def test_width_of_texts(tmp_path):
    """Poppler measures the letters of the font; ours end where it says."""
    page, text = PdfPage(), "Wide (mil) 0.25 Åk"
    page.text(100, 100, text, 20)
    (tmp_path / "a.pdf").write_bytes(pdf_bytes([page], "t"))
    found = subprocess.run(["pdftotext", "-bbox", str(tmp_path / "a.pdf"), "-"], capture_output=True, text=True, check=True).stdout
    ends = [float(x) for x in re.findall(r'xMax="([\d.]+)"', found)]
    assert max(ends) - 100 == pytest.approx(text_width(text, 20), abs=1.5)
