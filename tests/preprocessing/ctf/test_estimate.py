"""Estimates against the truth of synthetic micrographs and simulated movies, and against CTFFIND on real spectra."""

import numpy as np
import pytest
from scipy import fft

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.preprocessing.ctf.estimate import COARSEST_RESOLUTION, estimate_ctf
from relion4plugin.preprocessing.ctf.rings import Microscope
from relion4plugin.preprocessing.ctf.search import SearchRange
from relion4plugin.preprocessing.ctf.spectrum import PowerSpectrum, given_spectrum, micrograph_spectrum
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import prepare_session
from tests.preprocessing.ctf.synthetic import TITAN, angle_difference, ctf, micrograph


def estimate(image, pixel=1.4, microscope=TITAN, where=None, resmax=5.0):
    return estimate_ctf(micrograph_spectrum(image, pixel, 512), microscope, where or SearchRange(), 30.0, resmax).estimate


@pytest.mark.parametrize(
    ("u", "v", "angle"), [(12150, 11850, 75), (20150, 19850, -60), (30150, 29850, 10), (6400, 5600, 50), (15000, 12000, -20)]
)
def test_known_defocus_is_found(u, v, angle):
    found = estimate(micrograph(ctf(u, v, angle, bfactor=60), seed=u))
    assert found.defocus_u == pytest.approx(u, abs=60)
    assert found.defocus_v == pytest.approx(v, abs=60)
    assert abs(angle_difference(found.defocus_angle, angle)) < 5
    assert found.figure_of_merit > 0.3
    assert found.max_resolution < 5


def test_a_phase_shift_is_found():
    found = estimate(micrograph(ctf(8150, 7850, 40, phase_shift=70, bfactor=60), n=1536), where=SearchRange(phases=(0.0, 180.0, 10.0)))
    assert found.phase_shift == pytest.approx(70, abs=6)
    assert 0.5 * (found.defocus_u + found.defocus_v) == pytest.approx(8000, abs=150)


def test_another_microscope():
    microscope = Microscope(200.0, 1.4, 0.07)
    found = estimate(micrograph(ctf(10150, 9850, 30, microscope, bfactor=60)), microscope=microscope)
    assert (found.defocus_u, found.defocus_v) == pytest.approx((10150, 9850), abs=60)


def test_the_exhaustive_search_finds_strong_astigmatism():
    where = SearchRange(dfmin=8000, dfmax=20000, dast=0, exhaustive=True)
    found = estimate(micrograph(ctf(16000, 12000, -35, bfactor=60)), where=where)
    assert found.astigmatism == pytest.approx(4000, abs=120)
    assert abs(angle_difference(found.defocus_angle, -35)) < 2


def test_ice_rings_hot_pixels_stripes_and_an_edge_do_no_harm():
    image = micrograph(ctf(12150, 11850, 75, bfactor=60), n=1536)
    rng = np.random.default_rng(1)
    radius = np.hypot(np.fft.fftfreq(1536, 1.4)[:, None], np.fft.rfftfreq(1536, 1.4)[None])
    ice = fft.irfft2(fft.rfft2(rng.standard_normal(image.shape)) * np.exp(-0.5 * ((radius - 0.272) / 0.004) ** 2))
    image += ice * (2.0 / ice.std())
    image[rng.integers(0, 1536, 200), rng.integers(0, 1536, 200)] = 1e5
    image[:, 700] *= 1.3
    image[:300] *= 0.7
    found = estimate(image, resmax=3.2)
    assert (found.defocus_u, found.defocus_v) == pytest.approx((12150, 11850), abs=60)
    assert found.ice_density > 1.5


def test_noise_has_no_rings():
    found = estimate(np.random.default_rng(0).poisson(40, (1024, 1024)))
    assert found.max_resolution == COARSEST_RESOLUTION
    assert found.figure_of_merit < 0.06


def test_the_resolution_falls_with_the_signal():
    strong, weak = (estimate(micrograph(ctf(15000, 15000, 0, bfactor=b), contrast=0.04)).max_resolution for b in (20, 300))
    assert strong < weak - 0.5


def test_a_movie_of_the_simulation():
    spec = MovieSpec(
        n_movies=1, width=1280, height=1280, pixel_size=1.4, n_frames=20, dose_per_frame=0.51, astigmatism=300.0, n_particles=40,
        drift=0.0, local_motion=0.0, odd_motion=0.0,
    )  # fmt: skip  # one electron per pixel and frame
    session = prepare_session(spec)
    plan = session.plan(0)
    total = np.sum(list(session.frames(plan).frames()), axis=0, dtype=np.float32) * session.camera.gain
    found, truth = estimate(total, spec.pixel_size), plan.ctf
    assert found.defocus_u == pytest.approx(truth.defocus_u[0], abs=150)
    assert found.defocus_v == pytest.approx(truth.defocus_v[0], abs=150)
    assert abs(angle_difference(found.defocus_angle, truth.defocus_angle[0])) < 5


def test_real_power_spectra_agree_with_ctffind(shared_data):
    folder = shared_data / "micrographs" / "bgal_empiar10204_power_spectra"
    for row in read_star(folder / "micrographs_ctf_reference.star")["micrographs"].to_dict("records"):
        spectrum = given_spectrum(folder / row["rlnCtfPowerSpectrum"])
        found = estimate_ctf(spectrum, Microscope(200.0, 1.4, 0.1), SearchRange(), 30.0, 5.0).estimate
        assert found.defocus_u == pytest.approx(row["rlnDefocusU"], abs=60)
        assert found.defocus_v == pytest.approx(row["rlnDefocusV"], abs=60)
        assert abs(angle_difference(found.defocus_angle, row["rlnDefocusAngle"])) < 6
        assert found.max_resolution == pytest.approx(row["rlnCtfMaxResolution"], abs=0.5)


def test_real_micrographs_agree_with_an_independent_fit(shared_data):
    folder = shared_data / "micrographs" / "apoferritin_empiar10146"
    for row in read_star(folder / "micrographs_ctf.star")["micrographs"].to_dict("records"):
        image = read_mrc(folder / row["rlnMicrographName"])[0][0]
        found = estimate(image, 1.5, Microscope(300.0, 2.7, 0.07))
        assert 0.5 * (found.defocus_u + found.defocus_v) == pytest.approx(0.5 * (row["rlnDefocusU"] + row["rlnDefocusV"]), abs=150)


def test_a_range_without_frequencies_is_refused():
    spectrum = PowerSpectrum(np.ones((64, 32), np.float32), 4.0, 256.0)
    with pytest.raises(UserError, match=r"only . frequencies"):
        estimate_ctf(spectrum, TITAN, SearchRange(), 30.0, 20.0)
    with pytest.raises(UserError, match="flat"):
        estimate_ctf(PowerSpectrum(np.ones((256, 128), np.float32), 1.4, 358.0), TITAN, SearchRange(), 30.0, 5.0)
