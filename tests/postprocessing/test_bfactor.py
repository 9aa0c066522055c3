import numpy as np
import pytest

from relion4plugin.files.star import read_star
from relion4plugin.postprocessing.bfactor import NO_AMPLITUDE, fit_line, log_amplitudes


def test_a_line_is_found_exactly():
    extent, shells = 200.0, np.arange(50)
    line = -30.0 * (shells / extent) ** 2 - 2.0
    fit = fit_line(line, extent, 10.0, 5.0)
    assert fit.slope == pytest.approx(-30) and fit.intercept == pytest.approx(-2) and fit.r_squared == pytest.approx(1)
    assert fit.bfactor == pytest.approx(-120)
    assert fit.shells == 21  # 20 to 40, both ends included


def test_shells_without_amplitude_and_short_ranges_are_left_out():
    line = log_amplitudes(np.array([1.0, 1.0, 0.0, 1.0, 1.0, 0.0]))
    assert line[2] == NO_AMPLITUDE
    assert fit_line(line, 10.0, 10.0, 2.0).shells == 3
    assert fit_line(line, 10.0, 10.0, 4.0) is None


def test_fit_of_a_real_guinier_plot(shared_data):
    """RELION's own table of a finished project, and the line that RELION fitted to it."""
    blocks = read_star(shared_data / "star/relion31_tutorial_bgal/PostProcess/job030/postprocess.star")
    general, logs = blocks["general"], blocks["guinier"]["rlnLogAmplitudesWeighted"].to_numpy()
    fit = fit_line(logs, 256 * 1.244, 10.0, 2.488)
    assert fit.slope == pytest.approx(general["rlnFittedSlopeGuinierPlot"], rel=1e-4)
    assert fit.intercept == pytest.approx(general["rlnFittedInterceptGuinierPlot"], rel=1e-5)
    assert fit.r_squared == pytest.approx(general["rlnCorrelationFitGuinierPlot"], rel=1e-3)
    assert fit.bfactor == pytest.approx(general["rlnBfactorUsedForSharpening"], rel=1e-4)
