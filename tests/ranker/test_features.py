"""Features and network images against RELION's, and on runs of every kind."""

import dataclasses

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.ranker.class_run import read_class_run
from relion4plugin.ranker.features import FEATURE_NAMES, MASKED_SLOTS, compute_features, normalise
from relion4plugin.ranker.first_peak import restore_first_peak
from relion4plugin.refinement.engine import refine
from tests.ranker.vectors import BOX, PIXEL, write_run
from tests.refinement.conftest import small  # noqa: F401
from tests.refinement.simulated import simulate, slow_ctf

# RELION 4.0.2: slots 0 to 14, protein sum, solvent sum, relative signal intensity
RAW = """
2.1 3.3 0.0013737 0.041475 -0.19314 0.0079755 0.67469 -0.18743 0.05912 0 0 0.048326 0.39901 -0.27168 2.6064 316.8623 -135.6968 387.5221
4.3 5 0.00057007 0.065438 0.057965 0.58917 0 0.016242 0.60152 0.99693 0 0.0010909 0.3893 -1.2333 1.2311 0 17.8822 0
3.05 4.4 0.0010137 0.051152 0.1668 0.37738 0.50684 0.0034464 0.1421 0 0.043103 0.10244 0.29267 -0.035728 1.9753 272.9649 1.5888 270.7592
6.2 7.7 0.00016521 0.12673 -0.03517 0.010641 0.013895 -0.010201 0.03378 0 0 0.0019977 0.018136 -0.045985 0.064317 8.7011 -8.6505 11.2819
"""
NORMALISED = """
-.4732 -.1891 .1868 -.2219 .0207 -.6614 -.1185 .5095 -.4802 -.3200 -.6267 -.3718 -.5571 .7731 -.2182 1.1443 -1.7111 1.3183
-.0109 .3740 -.2150 .0504 .9080 .2626 -1.2718 1.0483 .6382 12.9724 -.6267 -.6314 -.5797 -.1116 -1.0005 -1.0239 .8042 -1.0024
-.2736 .1752 .0069 -.1119 1.2926 -.0741 -.4054 1.0144 -.3091 -.3200 -.0520 -.0745 -.8050 .9901 -.5772 .8439 .5373 .6190
.3883 1.2683 -.4174 .7469 .5789 -.6572 -1.2480 .9783 -.5324 -.3200 -.6267 -.6264 -1.4449 .9807 -1.6642 -.9644 .3696 -.9349
"""
# mean, standard deviation, minimum, maximum, and pixels (32, 32), (20, 40), (40, 20)
IMAGES = """
.10151 .55295 -.27029 2.61319 1.81254 1.24865 1.08153
.00115 .54630 -1.21345 1.19971 .57199 .20787 -.06962
.19224 .40452 -.30617 2.19961 .77315 -.03755 -.01732
.00288 .03198 -.05006 .05039 .00077 .02298 .02301
"""
GRANULOMETRY = {0: [137.555, 125.945, 109.110, 80.314, 33.183, -19.949], 2: [168.453, 109.057, 84.661, 66.098, 29.873, -0.672]}
USED = [*range(15), 21, 22, 23]


def numbers(text: str) -> np.ndarray:
    return np.array([line.split() for line in text.strip().splitlines()], float)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    return read_class_run(write_run(tmp_path_factory.mktemp("vectors")))


def test_features_are_those_of_relion(vectors):
    features = compute_features(vectors)
    np.testing.assert_array_equal(features.classes, [0, 1, 2, 3])  # the fifth has eight particles
    np.testing.assert_allclose(features.raw[:, USED], numbers(RAW), rtol=5e-5, atol=1e-9)
    np.testing.assert_allclose(features.normalised[:, USED], numbers(NORMALISED), atol=6e-5)
    assert features.normalised.dtype == np.float32 and not features.normalised[:, MASKED_SLOTS].any()
    np.testing.assert_allclose(features.particles, [8000, 6000, 3000, 2992])
    assert len(features) == 4 and len(FEATURE_NAMES) == 24 and MASKED_SLOTS == (15, 16, 17, 18, 19, 20)


def test_network_images_are_those_of_relion(vectors):
    images = compute_features(vectors).images
    assert images.shape == (4, 64, 64) and images.dtype == np.float32
    wide = images.astype(float)
    statistics = [wide.mean((1, 2)), wide.std((1, 2)), wide.min((1, 2)), wide.max((1, 2))]
    found = np.stack([*statistics, wide[:, 32, 32], wide[:, 20, 40], wide[:, 40, 20]], axis=1)
    np.testing.assert_allclose(found, numbers(IMAGES), atol=6e-6)


def test_granulometry_is_that_of_relion(vectors):
    features = compute_features(vectors, granularity=True)
    for k, expected in GRANULOMETRY.items():
        np.testing.assert_allclose(features.raw[k, MASKED_SLOTS[0] : MASKED_SLOTS[-1] + 1], expected, atol=6e-4)
    assert features.normalised[0, 15] == pytest.approx((137.555 - 837.576) / 1958.823, abs=1e-5)
    np.testing.assert_array_equal(features.table["rlnGranulo"], features.raw[:, 15:21])


def test_the_table_names_what_was_measured(vectors):
    table = compute_features(vectors).table
    np.testing.assert_allclose(table["rlnProteinCAR"], [1.307907, 0, 1.293818, 1.206296], atol=1e-6)
    np.testing.assert_array_equal(table["rlnProteinArea"], [1, 0, 1, 1])
    np.testing.assert_array_equal(table["rlnClassIndex"], [1, 2, 3, 4])
    assert table["rlnReferenceImage"][2] == "000003@Class2D/job001/run_it025_classes.mrcs"
    assert {len(values) for values in table.values()} == {4}
    assert {"rlnRingKurt", "rlnSolventSkew", "rlnProteinMean", "rlnLowpassFilteredImageMax", "rlnParticleNr"} <= set(table)


def test_one_class_has_nothing_to_compare_its_sums_with(vectors):
    single = dataclasses.replace(
        vectors, classes=vectors.classes[:1], pdf=np.ones(1), resolution=np.array([9.0]), accuracy_rotation=np.array([2.1]),
        accuracy_translation=np.array([3.3]), reference_names=vectors.reference_names[:1],
    )  # fmt: skip
    features = compute_features(single)
    np.testing.assert_array_equal(features.normalised[0, 21:], 0)
    np.testing.assert_allclose(features.normalised[0, 3:15], numbers(NORMALISED)[0, 3:15], atol=6e-5)


def test_no_class_of_more_than_ten_particles(tmp_path):
    features = compute_features(read_class_run(write_run(tmp_path, total=15)), granularity=True)
    assert len(features) == 0 and features.images.shape == (0, 64, 64) and features.normalised.shape == (0, 24)


def test_sums_are_normalised_within_the_job(rng):
    raw = rng.normal(5, 3, (30, 24))
    raw[:, 23] = 7.0
    normalised = normalise(raw)
    np.testing.assert_allclose(normalised[:, 21:23].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(normalised[:, 21:23].std(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(normalised[:, 23], 0)


@pytest.mark.parametrize(("folder", "n_classes"), [("bgal_relion4_vdam_k25", 25), ("bgal_empiar10204_relion5_em", 30)])
def test_real_classes(shared_data, folder, n_classes):
    """Particles are bright, centred and in empty surroundings, and as far from the training set as real classes may be."""
    optimiser = sorted((shared_data / "class2d" / folder).glob("run_it*_optimiser.star"))[-1]
    features = compute_features(read_class_run(optimiser))
    assert len(features) == n_classes and np.isfinite(features.raw).all() and np.isfinite(features.images).all()
    assert (features.particles > 10).all()
    value = dict(zip(FEATURE_NAMES, features.raw.T, strict=True))
    assert (value["protein_sum"] > 0).mean() > 0.9 and (value["solvent_mean"] < 0).mean() > 0.8
    assert (features.accuracy_rotation < 99).all() and (features.accuracy_translation < 99).all()
    assert np.abs(np.median(features.normalised, axis=0)).max() < 2.5


def test_a_run_of_this_package_with_a_small_box(tmp_path, small):  # noqa: F811
    truth = simulate(tmp_path / "particles", 200, seed=3)
    refine(small(n_iterations=5), truth.particles, tmp_path / "job")
    features = compute_features(read_class_run(next((tmp_path / "job").glob("*it005_optimiser.star"))))
    assert 1 <= len(features) <= 2 and features.images.shape[1:] == (64, 64)
    assert np.isfinite(features.normalised).all() and (features.table["rlnProteinArea"] == 1).all()


def test_averages_without_a_first_peak_get_it_back(vectors):
    """White images whose low frequencies were left alone show the CTF's first peak, and nothing else changes."""
    columns = {"rlnDefocusU": np.linspace(18000, 22000, len(vectors.data)), "rlnDefocusV": 20000.0}
    run = dataclasses.replace(vectors, data=vectors.data.with_columns(columns), ctf_until_first_peak=True)
    point = np.zeros((1, BOX, BOX))
    point[0, BOX // 2, BOX // 2] = 1.0
    spectrum = 1 / np.fft.rfft2(np.fft.ifftshift(restore_first_peak(point, run)[0])).real[0]
    f = np.arange(BOX // 2 + 1) / (BOX * PIXEL)
    ctf = slow_ctf(f, 0 * f, 20000.0, 20000.0, 0.0, 300.0, 2.7, 0.1)
    peak = int(np.argmax(np.diff(ctf) < 0))  # the first
    assert 5 < peak < 30
    np.testing.assert_allclose(spectrum[: peak - 1], np.maximum(ctf[: peak - 1], 0.07), rtol=1e-3)
    np.testing.assert_allclose(spectrum[peak + 1 :], 1, rtol=1e-6)
    assert compute_features(run).raw[0, 14] > compute_features(vectors).raw[0, 14]


def test_averages_that_span_too_little_are_refused(tmp_path):
    run = read_class_run(write_run(tmp_path, np.zeros((2, 16, 16), np.float32), total=50, rlnPixelSize=1.0))
    with pytest.raises(UserError, match=r"16 px of 1 A span 16 A, expected at least 48 A"):
        compute_features(run)
