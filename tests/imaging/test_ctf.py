"""The CTF against its defining formula in float64 and published values."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from relion4plugin.arrays import to_numpy
from relion4plugin.errors import UserError
from relion4plugin.imaging.ctf import CtfOptions, CtfParameters, ctf_of_particles, evaluate_ctf, wavelength


def parameters(n=1, **values):
    defaults = {
        "defocus_u": 15000.0,
        "defocus_v": 14500.0,
        "defocus_angle": 30.0,
        "voltage": 300.0,
        "spherical_aberration": 2.7,
        "amplitude_contrast": 0.1,
        "phase_shift": 0.0,
        "bfactor": 0.0,
        "scale": 1.0,
    }
    return CtfParameters(**{name: np.broadcast_to(np.asarray(values.get(name, v), float), (n,)).copy() for name, v in defaults.items()})


def gamma(fx, fy, ctf, i):
    """The phase as written in the literature, one image, float64."""
    lam = 12.2643247 / np.sqrt(ctf.voltage[i] * 1e3 * (1 + 0.978466e-6 * ctf.voltage[i] * 1e3))
    az = np.deg2rad(ctf.defocus_angle[i])
    r = np.array([[np.cos(az), np.sin(az)], [-np.sin(az), np.cos(az)]])
    m = r.T @ np.diag([-ctf.defocus_u[i], -ctf.defocus_v[i]]) @ r
    u = np.stack([fx, fy])
    u2 = (u**2).sum(0)
    q0 = ctf.amplitude_contrast[i]
    return (
        np.pi * lam * np.einsum("ip,ij,jp->p", u, m, u)
        + np.pi / 2 * ctf.spherical_aberration[i] * 1e7 * lam**3 * u2**2
        - np.deg2rad(ctf.phase_shift[i])
        - np.arctan(q0 / np.sqrt(1 - q0**2))
    )


@pytest.fixture
def frequencies(rng):
    return rng.uniform(-0.3, 0.3, (2, 500))


def test_wavelength():
    assert wavelength(300.0) == pytest.approx(0.01968762, abs=1e-8)
    assert wavelength(200.0) == pytest.approx(0.0250793, abs=1e-6)


def test_known_values(xp):
    values = evaluate_ctf(xp.asarray([0.05, 0.05, 0.0]), xp.asarray([0.0, 0.02, 0.0]), parameters())
    assert values.dtype == np.float32
    np.testing.assert_allclose(to_numpy(values), [[0.676783, 0.348036, 0.1]], atol=2e-6)


def test_batch_agrees_with_the_formula(xp, frequencies, rng):
    n = 20
    ctf = parameters(
        n,
        defocus_u=rng.uniform(-2000, 30000, n),
        defocus_v=rng.uniform(5000, 30000, n),
        defocus_angle=rng.uniform(-180, 180, n),
        voltage=rng.choice([120.0, 200.0, 300.0], n),
        amplitude_contrast=rng.uniform(0, 0.2, n),
        phase_shift=rng.uniform(0, 180, n),
        bfactor=rng.uniform(-10, 80, n),
        scale=rng.uniform(0.5, 1.5, n),
    )
    fx, fy = frequencies
    damping = np.exp(-ctf.bfactor[:, None] * (fx**2 + fy**2) / 4) * ctf.scale[:, None]
    expected = -np.sin([gamma(fx, fy, ctf, i) for i in range(n)]) * damping
    np.testing.assert_allclose(to_numpy(evaluate_ctf(xp.asarray(fx), xp.asarray(fy), ctf)), expected, atol=3e-4)


def test_float32_is_accurate_at_high_resolution_and_defocus():
    radius = np.linspace(0, 1 / 1.5, 20000)
    ctf = parameters(defocus_u=30000, defocus_v=29000)
    fx, fy = radius * np.cos(0.7), radius * np.sin(0.7)
    error = np.abs(evaluate_ctf(fx, fy, ctf)[0] + np.sin(gamma(fx, fy, ctf, 0)))
    assert error.max() < 1e-3


def test_phase_plate_gives_contrast_at_zero_frequency():
    zero = np.zeros(1)
    value = evaluate_ctf(zero, zero, parameters(phase_shift=90))[0, 0]
    assert value == pytest.approx(np.sin(np.pi / 2 + np.arcsin(0.1)), abs=1e-6)


def test_extra_phase_adds_to_gamma(frequencies, rng):
    fx, fy = frequencies
    extra = rng.uniform(-9, 9, fx.size)
    ctf = parameters()
    expected = -np.sin(gamma(fx, fy, ctf, 0) + extra)
    np.testing.assert_allclose(evaluate_ctf(fx, fy, ctf, extra_phase=extra)[0], expected, atol=3e-4)


def test_intact_first_peak_is_one_only_before_the_first_peak():
    radius = np.linspace(0, 1.0, 5000)
    ctf = parameters(defocus_u=4000, defocus_v=4000)
    fx, fy = radius, np.zeros_like(radius)
    phase = gamma(fx, fy, ctf, 0)
    intact = evaluate_ctf(fx, fy, ctf, CtfOptions(intact_first_peak=True))[0]
    plain = evaluate_ctf(fx, fy, ctf)[0]
    peak = np.argmax(np.abs(phase) >= np.pi / 2)
    assert 0 < peak < np.flatnonzero(np.abs(phase[peak:]) < np.pi / 2)[0] + peak, "the phase comes back through zero in this test"
    np.testing.assert_array_equal(intact[:peak], 1)
    np.testing.assert_array_equal(intact[peak + 1 :], plain[peak + 1 :])


def test_intact_first_peak_close_to_focus():
    radius = np.linspace(0, 0.4, 1000)
    ctf = parameters(defocus_u=200, defocus_v=200)
    zero = np.zeros_like(radius)
    phase = gamma(radius, zero, ctf, 0)
    intact = evaluate_ctf(radius, zero, ctf, CtfOptions(intact_first_peak=True))[0]
    peak = np.argmax(np.abs(phase) >= np.pi / 2)
    np.testing.assert_array_equal(intact[: peak - 1], 1)


def test_modulus_and_sign(frequencies):
    fx, fy = frequencies
    ctf = parameters()
    plain = evaluate_ctf(fx, fy, ctf)
    np.testing.assert_array_equal(evaluate_ctf(fx, fy, ctf, CtfOptions(phase_flipped=True)), np.abs(plain))
    np.testing.assert_array_equal(evaluate_ctf(fx, fy, ctf, CtfOptions(only_flip=True)), np.where(plain < 0, -1, 1))


def test_amplitude_contrast_of_one_is_allowed():
    zero = np.zeros(1)
    assert evaluate_ctf(zero, zero, parameters(amplitude_contrast=1.0))[0, 0] == pytest.approx(1)


def test_select():
    ctf = parameters(4, defocus_u=[1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(ctf.select([2, 0]).defocus_u, [3, 1])
    assert len(ctf.select(slice(1, 4))) == 3


def particle_set(**columns):
    table = pd.DataFrame(columns)
    group = SimpleNamespace(voltage=300.0, spherical_aberration=2.7, amplitude_contrast=0.1)
    other = SimpleNamespace(voltage=200.0, spherical_aberration=1.4, amplitude_contrast=0.07)

    def column(label, default):
        return table[label].to_numpy(float) if label in table else np.full(len(table), default)

    return SimpleNamespace(
        table=table,
        column=column,
        optics=(group, other),
        optics_index=np.arange(len(table), dtype=np.int32) % 2,
        source="particles.star",
    )


def test_particles_with_the_least_columns_and_two_optics_groups():
    particles = particle_set(rlnDefocusU=[1.0, 2.0, 3.0], rlnDefocusV=[4.0, 5.0, 6.0], rlnDefocusAngle=[7.0, 8.0, 9.0])
    ctf = ctf_of_particles(particles, np.array([2, 1]))
    np.testing.assert_array_equal(ctf.defocus_u, [3, 2])
    np.testing.assert_array_equal(ctf.defocus_angle, [9, 8])
    np.testing.assert_array_equal(ctf.voltage, [300, 200])
    np.testing.assert_array_equal(ctf.amplitude_contrast, [0.1, 0.07])
    for name, value in {"phase_shift": 0, "bfactor": 0, "scale": 1}.items():
        np.testing.assert_array_equal(getattr(ctf, name), [value, value])


def test_particles_with_all_columns():
    particles = particle_set(
        rlnDefocusU=[1.0], rlnDefocusV=[2.0], rlnDefocusAngle=[3.0], rlnPhaseShift=[90.0], rlnCtfBfactor=[20.0], rlnCtfScalefactor=[0.5]
    )
    ctf = ctf_of_particles(particles, slice(None))
    assert (ctf.phase_shift[0], ctf.bfactor[0], ctf.scale[0]) == (90, 20, 0.5)


def test_missing_and_broken_defocus_are_user_errors():
    with pytest.raises(UserError, match=r"particles.star: no column rlnDefocusV"):
        ctf_of_particles(particle_set(rlnDefocusU=[1.0], rlnDefocusAngle=[3.0]), slice(None))
    broken = particle_set(rlnDefocusU=[np.nan], rlnDefocusV=[2.0], rlnDefocusAngle=[3.0])
    with pytest.raises(UserError, match="rlnDefocusU"):
        ctf_of_particles(broken, slice(None))


def test_parameters_are_frozen():
    ctf = parameters()
    assert replace(ctf, scale=ctf.scale * 2).scale[0] == 2
    with pytest.raises(AttributeError):
        ctf.scale = 1
