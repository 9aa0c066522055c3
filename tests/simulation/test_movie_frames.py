"""Frames of simulated movies against closed forms: specimen, motion, damage, gain and shot noise."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.imaging.ctf import evaluate_ctf, wavelength
from relion4plugin.imaging.projection import project_volume
from relion4plugin.simulation.movie_damage import TOLERANCE, critical_exposure, damage_modes, remaining
from relion4plugin.simulation.movie_detector import defect_boxes, make_camera
from relion4plugin.simulation.movie_field import make_field, phase_per_length
from relion4plugin.simulation.movie_shots import shots
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movie_warp import node_points, spline_gain, warp
from relion4plugin.simulation.movies import prepare_session

PLAIN = MovieSpec(
    width=192,
    height=160,
    n_frames=4,
    pixel_size=4.0,
    n_particles=6,
    junk_fraction=0.0,
    ice_structure=0.0,
    ice_thickness=0.0,
    ice_gradient=0.0,
    damage=False,
    drift=0.0,
    local_motion=0.0,
    odd_motion=0.0,
    hot_pixels=0.0,
    dead_pixels=0.0,
    defocus_scatter=0.0,
    contrast=1.0,
)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def phase_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Shift (x, y) of b against a: centre of mass of the peak of their cross-correlation."""
    cross = scipy.fft.irfft2(np.conj(scipy.fft.rfft2(a - a.mean())) * scipy.fft.rfft2(b - b.mean()), s=a.shape)
    cross = scipy.fft.fftshift(scipy.ndimage.gaussian_filter(cross, 1.0, mode="wrap"))
    y, x = np.unravel_index(np.argmax(cross), cross.shape)
    middle = np.log(np.maximum(cross[y - 1 : y + 2, x - 1 : x + 2], 1e-9))
    dx, dy = (0.5 * (line[0] - line[2]) / (line[0] - 2 * line[1] + line[2]) for line in (middle[1], middle[:, 1]))
    return np.array([x + dx - a.shape[1] // 2, y + dy - a.shape[0] // 2])


def test_a_still_movie_without_noise_is_the_projection_seen_through_the_ctf() -> None:
    session = prepare_session(PLAIN)
    plan = session.plan(0)
    maker = session.frames(plan)
    total = sum(maker.expected(frame) for frame in range(PLAIN.n_frames)) / (PLAIN.n_frames * PLAIN.dose_per_frame * 16.0)

    volume = session.maps.volumes[0]
    n, field = volume.shape[0], np.zeros((PLAIN.height + 200, PLAIN.width + 200))
    for place, angles in zip(plan.places, plan.angles, strict=True):
        patch = project_volume(volume, euler_to_matrix(*angles)[None])[0]
        corner = np.rint(place).astype(int)
        patch = scipy.ndimage.shift(patch, (place - corner)[::-1], order=5)
        y, x = corner[::-1] + 100 - n // 2
        field[y : y + n, x : x + n] += patch
    fy, fx = (scipy.fft.fftfreq(size, 4.0) for size in field.shape)
    y, x = np.meshgrid(fy, fx, indexing="ij")
    ctf = evaluate_ctf(x.ravel(), y.ravel(), plan.ctf).reshape(field.shape)
    gamma = 1.0 + 300.0 / 510.99895
    seen = 1.0 - 2.0 * gamma * wavelength(300.0) / 16.0 * scipy.fft.ifft2(scipy.fft.fft2(field) * ctf).real
    seen = seen[100:-100, 100:-100]
    assert correlation(total, seen) > 0.995
    assert np.polyfit(seen.ravel(), total.ravel(), 1)[0] == pytest.approx(1.0, abs=0.02)
    x, y = np.rint(plan.places[plan.in_frame]).astype(int).T
    disc = scipy.ndimage.gaussian_filter(total, 6.0)
    assert disc[y, x].mean() < np.median(disc)  # protein is dark


def test_the_power_spectrum_has_the_zeros_of_the_ctf() -> None:
    spec = replace(PLAIN, width=256, height=256, pixel_size=2.0, n_particles=1, spacing=0.0, contrast=0.0, ice_structure=1.0)
    spec = replace(spec, ice_thickness=300.0, astigmatism=2000.0, bfactor=0.0, n_frames=1)
    session = prepare_session(spec)
    plan = session.plan(3)
    window = np.hanning(256)[:, None] * np.hanning(256)
    power = np.zeros((256, 256))
    for other_ice in range(16):
        frame = session.frames(replace(plan, index=other_ice)).expected(0)
        power += np.abs(scipy.fft.fft2((frame - frame.mean()) * window)) ** 2
    f = scipy.fft.fftfreq(256, 2.0)
    x, y = np.meshgrid(f, f)
    ctf2 = evaluate_ctf(x.ravel(), y.ravel(), plan.ctf).reshape(256, 256) ** 2
    swapped = replace(plan.ctf, defocus_u=plan.ctf.defocus_v, defocus_v=plan.ctf.defocus_u)
    turned = evaluate_ctf(x.ravel(), y.ravel(), swapped).reshape(256, 256) ** 2
    rings = (np.hypot(x, y) > 0.03) & (np.hypot(x, y) < 0.11)
    assert correlation(power[rings], ctf2[rings]) > 0.8
    assert correlation(power[rings], turned[rings]) < 0.5
    assert np.median(power[rings & (ctf2 < 0.01)]) < 0.15 * np.median(power[rings & (ctf2 > 0.9)])


def test_ice_has_the_power_that_its_molecules_give() -> None:
    spec = replace(
        PLAIN, n_particles=1, spacing=0.0, contrast=0.0, ice_structure=1.0, ice_thickness=400.0, bfactor=0.0, amplitude_contrast=0.0
    )
    spec = replace(spec, phase_shift=90.0, defocus_min=0.0, defocus_max=0.0, astigmatism=0.0, spherical_aberration=0.0)  # a CTF of 1
    session = prepare_session(spec)
    field = make_field(spec, session.plan(0), session.molecules)
    power = np.abs(field.lasting) ** 2 / field.transmission.size
    y, x = np.meshgrid(scipy.fft.fftfreq(field.shape[0], 4.0), scipy.fft.rfftfreq(field.shape[1], 4.0), indexing="ij")
    high = np.hypot(x, y) > 0.08
    thickness = session.plan(0).ice[0]
    molecules = 0.2 * 0.0314 * thickness * 3.04**2  # A^2 for each A^2 of ice
    expected = (2.0 * phase_per_length(spec)) ** 2 * molecules * 16.0
    assert power[high].mean() == pytest.approx(expected, rel=0.08)


def test_drift_is_found_again_by_correlation() -> None:
    spec = replace(PLAIN, drift=60.0, dose_per_frame=50.0, n_particles=12, bits=16)
    session = prepare_session(spec)
    plan = session.plan(1)
    frames = [frame * session.camera.gain for frame in session.frames(plan).frames()]
    assert np.abs(plan.motion.whole[-1]).max() > 4
    for k in (1, 3):
        assert phase_correlation(frames[0], frames[k]) == pytest.approx(plan.motion.whole[k], abs=0.2)


def test_local_motion_moves_each_particle_by_its_own_way() -> None:
    spec = replace(PLAIN, width=256, height=256, local_motion=40.0, odd_motion=10.0, n_particles=9, defocus_min=20000.0)
    session = prepare_session(spec)
    plan = session.plan(2)
    maker = session.frames(plan)
    first, last = maker.expected(0), maker.expected(3)
    moved = plan.motion.local(plan.places)[3]
    assert np.ptp(moved, axis=0).max() > 5
    inside = [row for row in plan.in_frame if (plan.places[row] > 40).all() and (plan.places[row] < 215).all()]
    assert inside
    for row in inside:
        x, y = np.rint(plan.places[row]).astype(int)
        dx, dy = np.rint(moved[row]).astype(int)
        one, other = (a[b - 18 : b + 18, c - 18 : c + 18] for a, b, c in ((first, y, x), (last, y + dy, x + dx)))
        assert np.array([dx, dy]) + phase_correlation(one, other) == pytest.approx(moved[row], abs=0.6)


def test_counts_are_poisson_and_the_gain_makes_frames_flat() -> None:
    spec = replace(PLAIN, n_particles=1, spacing=0.0, contrast=0.0, n_frames=1, dose_per_frame=0.5, gain_spread=0.15)
    session = prepare_session(spec)
    maker = session.frames(session.plan(0))
    counts = np.stack([session.camera.count(maker.expected(0), np.random.default_rng(seed)) for seed in range(400)]).astype(np.float64)
    mean, variance = counts.mean(axis=0), counts.var(axis=0)
    assert counts.mean() == pytest.approx(0.5 * 16 * session.camera.sensitivity.mean(), rel=0.002)
    assert (variance / mean).mean() == pytest.approx(1.0, abs=0.01)
    assert mean.std() / mean.mean() == pytest.approx(0.15, abs=0.03)
    flat = mean * session.camera.gain
    assert flat.std() / flat.mean() < 0.022  # shot noise of 400 frames of 8 electrons: 0.018
    assert flat.mean() == pytest.approx(8.0, rel=0.002)


@pytest.mark.parametrize("mean", [0.01, 0.7, 5.0, 39.0, 45.0, 300.0])
def test_shots_have_mean_and_variance_of_a_poisson_distribution(mean: float) -> None:
    counts = shots(np.full((400, 500), mean, np.float32), np.random.default_rng(1)).astype(np.float64)
    error = np.sqrt(mean / counts.size)
    assert counts.mean() == pytest.approx(mean, abs=5 * error)
    assert counts.var() == pytest.approx(mean, rel=0.03)
    assert (counts == 0).mean() == pytest.approx(np.exp(-mean), abs=5e-3)


def test_critical_exposure_is_that_of_grant_and_grigorieff() -> None:
    assert critical_exposure(np.array([1 / 3.0]), 300.0) == pytest.approx(0.245 * 3.0**1.665 + 2.81)
    assert critical_exposure(np.array([1 / 3.0]), 200.0) == pytest.approx(0.8 * critical_exposure(np.array([1 / 3.0]), 300.0))
    assert remaining(np.array([0.0, 0.25]), 30.0, 300.0) == pytest.approx([1.0, np.exp(-15.0 / (0.245 * 4.0**1.665 + 2.81))])


def test_a_few_filters_give_the_decay_of_all_frames() -> None:
    modes = damage_modes(40, 1.3, 300.0, 0.6)
    frequency = np.linspace(0.0, 0.6, 1000).astype(np.float32)
    found = modes.weights @ np.stack([modes.filter(mode, frequency) for mode in range(len(modes.filters))])
    exact = remaining(frequency, (np.arange(40)[:, None] + 0.5) * 1.3, 300.0)
    assert len(modes.filters) <= 6
    assert np.abs(found - exact).max() < 5 * TOLERANCE
    still = damage_modes(40, 1.3, 300.0, 0.6, damage=False)
    assert len(still.filters) == 1 and (still.weights @ still.filters) == pytest.approx(1.0)


def test_late_frames_show_less_detail() -> None:
    spec = replace(PLAIN, damage=True, n_frames=20, dose_per_frame=3.0, pixel_size=3.0, bfactor=0.0)
    session = prepare_session(spec)
    maker = session.frames(session.plan(0))
    window = np.hanning(160)[:, None] * np.hanning(192)
    shown = (maker.expected(frame) for frame in (0, 19))
    early, late = (np.abs(scipy.fft.rfft2((frame - frame.mean()) * window)) for frame in shown)
    f = np.hypot(*np.meshgrid(scipy.fft.fftfreq(160, 3.0), scipy.fft.rfftfreq(192, 3.0), indexing="ij"))
    for low, high in ((0.02, 0.03), (0.1, 0.12)):
        ring = (f > low) & (f < high)
        expected = remaining(f[ring], 19 * 3.0, 300.0)
        assert (early[ring] * late[ring]).sum() / (early[ring] ** 2).sum() == pytest.approx(
            np.average(expected, weights=early[ring] ** 2), rel=0.05
        )


def test_interpolation_equals_scipys() -> None:
    rng = np.random.default_rng(3)
    field = rng.standard_normal((150, 170)).astype(np.float32)
    nodes, lattice = node_points(90, 100)
    origins = nodes + 20 + np.stack([3 * np.sin(nodes[:, 1] / 20), 2 * np.cos(nodes[:, 0] / 25)], axis=-1)
    found = warp(field, origins.reshape(*lattice, 2), 90, 100)
    y, x = np.mgrid[:90, :100] / 32.0
    places = [scipy.ndimage.map_coordinates(origins.reshape(*lattice, 2)[..., axis], [y, x], order=1) for axis in (1, 0)]
    expected = scipy.ndimage.map_coordinates(field, places, order=3, prefilter=False)
    assert np.abs(found - expected).max() < 1e-3


def test_coefficients_give_the_image_back() -> None:
    image = np.random.default_rng(4).standard_normal((64, 80)).astype(np.float32)
    gain = spline_gain(scipy.fft.fftfreq(64), scipy.fft.rfftfreq(80))
    coefficients = scipy.fft.irfft2(scipy.fft.rfft2(image) * gain, s=image.shape)
    nodes, lattice = node_points(32, 40)
    assert np.abs(warp(coefficients, (nodes + 10.0).reshape(*lattice, 2), 32, 40) - image[10:42, 10:50]).max() < 1e-4
    with pytest.raises(ValueError, match="too small"):
        warp(coefficients, (nodes + 100.0).reshape(*lattice, 2), 32, 40)


def test_bad_pixels_of_the_camera() -> None:
    spec = replace(PLAIN, hot_pixels=1e-3, dead_pixels=1e-3, dead_columns=2)
    camera = make_camera(spec)
    alive = camera.gain[~camera.dead]
    assert alive.mean() == pytest.approx(1.0, abs=1e-4) and (camera.gain[camera.dead] == 0).all()
    assert camera.dead.all(axis=0).sum() == 2
    covered = np.zeros_like(camera.dead)
    for x, y, width, height in defect_boxes(camera.dead):
        covered[y : y + height, x : x + width] = True
    # a hot pixel in a dead column still counts
    assert (covered | ~camera.dead).all()
    counts = camera.count(np.full(camera.gain.shape, 2.0, np.float32), np.random.default_rng(0))
    assert (counts[camera.dead] == 0).all() and counts.dtype == np.uint8
    assert (counts[camera.hot[:, 0], camera.hot[:, 1]] > 10).all()


def test_camera_response_and_super_resolution() -> None:
    blurred = replace(PLAIN, mtf_nyquist=0.3)
    sharp, soft = (prepare_session(spec) for spec in (PLAIN, blurred))
    a, b = (np.abs(scipy.fft.rfft2(s.frames(s.plan(0)).expected(0) - 16.0)) for s in (sharp, soft))
    f = np.hypot(*np.meshgrid(scipy.fft.fftfreq(160), scipy.fft.rfftfreq(192), indexing="ij"))
    ring = (f > 0.2) & (f < 0.22)
    assert (a[ring] * b[ring]).sum() / (a[ring] ** 2).sum() == pytest.approx(0.3 ** (0.42**2), rel=0.05)

    fine = prepare_session(replace(PLAIN, width=384, height=320, super_resolution=True))
    plan = fine.plan(0)
    seen = fine.frames(plan).expected(0).reshape(160, 2, 192, 2).sum(axis=(1, 3))
    assert seen.mean() == pytest.approx(16.0, rel=0.05)
    x, y = (np.rint(plan.places[plan.in_frame] / 2).astype(int)).T
    smooth = scipy.ndimage.gaussian_filter(seen, 6.0)
    assert smooth[y, x].mean() < np.median(smooth)


def test_a_tilted_film_changes_focus_along_its_slope() -> None:
    spec = replace(PLAIN, tilt=40.0, n_particles=40, spacing=0.3)
    plan = prepare_session(spec).plan(0)
    height = plan.layers * plan.layer_step
    found, *_ = np.linalg.lstsq(np.c_[plan.places - [96, 80], np.ones(len(plan))], height, rcond=None)
    assert np.hypot(*found[:2]) / 4.0 == pytest.approx(np.tan(np.deg2rad(40.0)), rel=0.05)
    carbon = replace(spec, carbon_chance=1.0, ice_thickness=300.0, ice_structure=1.0)
    session = prepare_session(carbon)
    frame = session.frames(session.plan(0)).expected(0)
    assert np.isfinite(frame).all() and frame.min() > 0
