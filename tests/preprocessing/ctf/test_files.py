import math

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.imaging.ctf import evaluate_ctf
from relion4plugin.preprocessing.ctf.estimate import CtfEstimate, estimate_ctf
from relion4plugin.preprocessing.ctf.picture import diagnostic_picture
from relion4plugin.preprocessing.ctf.search import SearchRange
from relion4plugin.preprocessing.ctf.spectrum import micrograph_spectrum
from relion4plugin.preprocessing.ctf.text_log import read_log, write_log
from tests.preprocessing.ctf.synthetic import TITAN, ctf, micrograph

FOUND = CtfEstimate(10863.857422, 10575.72168, -77.967194, 33.5, 0.131144, 4.809192, 1.03)


def test_a_log_is_read_back(tmp_path):
    write_log(tmp_path / "a", FOUND, TITAN, 1.4, {"box": "512"})
    assert read_log(tmp_path / "a_ctffind4.log") == FOUND
    lines = (tmp_path / "a_ctffind4.log").read_text().splitlines()
    assert [line for line in lines if line.startswith(("box", "Spherical"))] == [f"{'box':<51}: 512", f"{'Spherical aberration':<51}: 2.7"]


def test_a_log_of_ctffind_is_understood(shared_data):
    path = shared_data / "star/relion50_project_bgal/CtfFind/job005/Movies/20170629_00021_frameImage_PS_ctffind4.log"
    found = read_log(path)
    assert (found.defocus_u, found.defocus_v, found.defocus_angle) == (37034.93, 35846.54, -14.85)
    assert (found.figure_of_merit, found.max_resolution, found.phase_shift) == (0.01747, 9.6, 0.0)
    assert math.isnan(found.ice_density)


def test_a_log_that_is_cut_off_is_refused(tmp_path):
    write_log(tmp_path / "a", FOUND, TITAN, 1.4, {})
    text = (tmp_path / "a_ctffind4.log").read_text()
    (tmp_path / "a_ctffind4.log").write_text(text[: text.index("Score")])
    with pytest.raises(UserError, match="not a complete log"):
        read_log(tmp_path / "a_ctffind4.log")
    with pytest.raises(UserError, match="cannot be read"):
        read_log(tmp_path / "b.log")


def test_the_picture_shows_measured_and_fitted_rings():
    truth = ctf(12150, 11850, 75, bfactor=40)
    spectrum = micrograph_spectrum(micrograph(truth, contrast=0.1), 1.4, 512)
    fit = estimate_ctf(spectrum, TITAN, SearchRange(), 30.0, 5.0)
    picture = diagnostic_picture(spectrum, fit.row, TITAN, fit.profile, 6.0)
    assert picture.shape == (512, 512)
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert picture.max() <= 1
    fy, fx = (np.indices((512, 512)) - 256) / (512 * 1.4)
    curve = evaluate_ctf(fx.ravel(), fy.ravel(), truth)[0].reshape(512, 512) ** 2
    radius = np.hypot(fx, fy)
    for columns, least in ((fx > 0, 0.9), ((fx < 0) & (fy < 0), 0.4), ((fx < 0) & (fy > 0), 0.6)):
        chosen = columns & (radius > 0.06) & (radius < 1 / 6.5)
        assert np.corrcoef(picture[chosen], curve[chosen])[0, 1] > least
    assert (picture[:, 256:][radius[:, 256:] > 1 / 6] == 0.5).all()
