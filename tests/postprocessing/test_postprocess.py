import subprocess

import numpy as np
import pytest
import scipy.fft

from relion4plugin.files.mrc import read_mrc, write_stack, write_volume
from relion4plugin.files.star import read_star
from relion4plugin.imaging.filters import lowpass_volume
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.postprocessing.fsc_curves import correct_for_mask
from relion4plugin.postprocessing.maps import read_half_maps, read_mask, read_mtf
from relion4plugin.postprocessing.mask_create import MaskSettings, create_mask
from relion4plugin.postprocessing.postprocess import PostprocessSettings, fsc_weights, postprocess
from relion4plugin.postprocessing.shells import shell_index
from tests.postprocessing.simulated import BOX, PIXEL, frequency_squared, particle, write_halves

MASK = soft_sphere(BOX, 20, 6)


def test_the_b_factor_of_the_simulation_is_found(tmp_path):
    halves = read_half_maps(write_halves(tmp_path, particle(bfactor=120.0), 1e-4))
    result = postprocess(halves, MASK, PostprocessSettings())
    assert result.curves.resolution == 2 * PIXEL
    assert result.bfactor == pytest.approx(-120, rel=0.1)
    assert result.fit.bfactor == result.bfactor


def test_a_given_b_factor_and_filter_are_products_in_fourier_space(tmp_path):
    halves = read_half_maps(write_halves(tmp_path, particle(), 0.02))
    result = postprocess(halves, MASK, PostprocessSettings(bfactor=-60, fsc_weighting=False, low_pass=8))
    boosted = scipy.fft.rfftn(halves.average()) * np.exp(15 * frequency_squared())
    expected = lowpass_volume(scipy.fft.irfftn(boosted, s=MASK.shape), PIXEL, 8)
    np.testing.assert_allclose(result.volume, expected, atol=1e-5)
    np.testing.assert_allclose(result.masked, result.volume * MASK)


def test_the_mtf_is_divided_out(tmp_path):
    halves = read_half_maps(write_halves(tmp_path, particle(), 0.02))
    table = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.1]])
    settings = PostprocessSettings(bfactor=0.0, fsc_weighting=False, low_pass=5, mtf_pixel_size=2 * PIXEL)
    plain, divided = (postprocess(halves, MASK, settings, mtf) for mtf in (None, table))
    mtf = np.interp(np.sqrt(frequency_squared()) * 2 * PIXEL, table[:, 0], table[:, 1])
    expected = scipy.fft.irfftn(scipy.fft.rfftn(plain.volume) / mtf, s=MASK.shape)
    np.testing.assert_allclose(divided.volume, expected, atol=1e-5)
    assert divided.guinier.mtf_corrected is not None and plain.guinier.mtf_corrected is None


def test_weights_end_at_the_first_shell_without_signal():
    curve = np.array([1.0, 0.5, 0.143, 0.0, 0.9])
    np.testing.assert_allclose(fsc_weights(curve), [1, np.sqrt(2 / 3), np.sqrt(0.286 / 1.143), 0, 0])


def test_too_low_a_resolution_is_said_and_not_sharpened(tmp_path):
    halves = read_half_maps(write_halves(tmp_path, particle(bfactor=3000.0), 0.02))
    result = postprocess(halves, MASK, PostprocessSettings())
    assert result.curves.resolution > 10 and result.bfactor == 0 and result.fit is None
    assert any("not sharpened" in remark for remark in result.remarks)


def test_density_outside_the_mask_is_said(tmp_path):
    halves = read_half_maps(write_halves(tmp_path, particle(), 0.02))
    quiet = postprocess(halves, MASK, PostprocessSettings(bfactor=0.0))
    cut = postprocess(halves, soft_sphere(BOX, 10, 3), PostprocessSettings(bfactor=0.0))
    assert not any("cut density" in remark for remark in quiet.remarks)
    assert any("cut density" in remark for remark in cut.remarks)


def relion_postprocess(folder, half, mask, pixel, *options):
    (folder / "post").mkdir(exist_ok=True)  # RELION puts its pdf there
    words = ["relion_postprocess", "--i", half, "--mask", mask, "--o", "post", "--angpix", str(pixel), *options]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return read_star(folder / "post.star"), read_mrc(folder / "post.mrc")[0]


def stored_once(a, b):
    """FSC in which every stored component counts once, as RELION counts: the plane kx = 0 has twice its weight."""
    fa, fb = scipy.fft.rfftn(a), scipy.fft.rfftn(b)
    shells = shell_index(BOX).ravel()
    cross, power_a, power_b = (
        np.bincount(shells, weights=values.ravel())[: BOX // 2 + 1] for values in ((fa * fb.conj()).real, abs(fa) ** 2, abs(fb) ** 2)
    )
    return cross / np.sqrt(power_a * power_b)


def assert_same_curves(result, blocks, halves, mask):
    table, curves = blocks["fsc"], result.curves
    prefix = "rlnFourierShellCorrelation"
    start = curves.random_from + 2
    columns = {"UnmaskedMaps": (curves.unmasked, 0.01), "MaskedMaps": (curves.masked, 0.01)}
    columns["ParticleMaskFraction"] = (curves.particle, 0.02)
    for name, (mine, tolerance) in columns.items():
        np.testing.assert_allclose(mine[6:], table[prefix + name][6:], atol=tolerance, err_msg=name)
    # The small difference is known to the last digit.
    counted = {"UnmaskedMaps": (halves.first, halves.second), "MaskedMaps": (halves.first * mask, halves.second * mask)}
    for name, pair in counted.items():
        np.testing.assert_allclose(stored_once(*pair)[1:], table[prefix + name][1:], atol=2e-5, err_msg=name)
    corrected = table[prefix + "Corrected"].to_numpy()
    np.testing.assert_allclose(curves.corrected[6:start], corrected[6:start], atol=0.01)
    # Beyond, both hold their own random numbers; the formula is the same.
    difference = curves.corrected[start:] - corrected[start:]
    assert np.sqrt(np.mean(difference**2)) < 0.04 and abs(difference.mean()) < 0.01
    random = table["rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps"].to_numpy()
    again = correct_for_mask(table[prefix + "MaskedMaps"].to_numpy(), random, curves.random_from)
    np.testing.assert_allclose(again, corrected, atol=1e-5)
    assert curves.box_fraction == pytest.approx(blocks["general"]["rlnParticleBoxFractionSolventMask"], rel=1e-4)
    assert result.pixel_size * BOX / curves.random_from == pytest.approx(blocks["general"]["rlnRandomiseFrom"], rel=1e-5)
    extent = result.pixel_size * BOX
    assert extent / curves.resolution == pytest.approx(extent / blocks["general"]["rlnFinalResolution"], abs=1.01)  # shells


@pytest.mark.relion
@pytest.mark.parametrize(("fall_off", "noise"), [(100, 0.08), (300, 0.02)])
def test_simulated_half_maps_as_relion(fall_off, noise, tmp_path):
    half = write_halves(tmp_path, particle(fall_off), noise)
    write_volume(tmp_path / "mask.mrc", MASK, PIXEL)
    blocks, _ = relion_postprocess(tmp_path, half.name, "mask.mrc", PIXEL, "--auto_bfac")
    halves = read_half_maps(half)
    result = postprocess(halves, MASK, PostprocessSettings())
    assert_same_curves(result, blocks, halves, MASK)
    assert result.bfactor == pytest.approx(blocks["general"]["rlnBfactorUsedForSharpening"], rel=0.1)
    blocks, volume = relion_postprocess(
        tmp_path, half.name, "mask.mrc", PIXEL, "--adhoc_bfac", "-50", "--skip_fsc_weighting", "--low_pass", "6"
    )
    result = postprocess(halves, MASK, PostprocessSettings(bfactor=-50, fsc_weighting=False, low_pass=6))
    np.testing.assert_allclose(result.volume, volume, atol=1e-4 * volume.std())


@pytest.mark.relion
def test_mtf_as_relion(tmp_path, shared_data):
    half = write_halves(tmp_path, particle(), 0.08)
    write_volume(tmp_path / "mask.mrc", MASK, PIXEL)
    path = shared_data / "particles/bgal_empiar10204/mtf_k2_200kV.star"
    words = ("--skip_fsc_weighting", "--low_pass", "6", "--mtf", str(path), "--mtf_angpix", "1.2")
    _, volume = relion_postprocess(tmp_path, half.name, "mask.mrc", PIXEL, *words)
    settings = PostprocessSettings(bfactor=0.0, fsc_weighting=False, low_pass=6, mtf_pixel_size=1.2)
    result = postprocess(read_half_maps(half), MASK, settings, read_mtf(path))
    np.testing.assert_allclose(result.volume, volume, atol=1e-3 * volume.std())


@pytest.fixture(scope="module")
def real_halves(tmp_path_factory, shared_data):
    """Beta-galactosidase from known poses, half by half; stacks become float32, which RELION 3.1 can read."""
    folder, source = tmp_path_factory.mktemp("bgal"), shared_data / "particles/bgal_empiar10204"
    for stack in source.glob("*.mrcs"):
        images, pixel = read_mrc(stack)
        write_stack(folder / stack.name, images, pixel)
    (folder / "p.star").write_text((source / "particles_reference_poses.star").read_text())
    for half in "12":
        words = ["relion_reconstruct", "--i", "p.star", "--o", f"run_half{half}_class001_unfil.mrc", "--subset", half]
        subprocess.run([*words, "--ctf", "--sym", "D2", "--angpix", "3.54"], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.relion
def test_real_half_maps_as_relion(real_halves):
    halves = read_half_maps(real_halves / "run_half1_class001_unfil.mrc", pixel_size=3.54)
    mask = create_mask(halves.average(), 3.54, MaskSettings(threshold=0.02)).mask
    write_volume(real_halves / "mask.mrc", mask, 3.54)
    mask, _ = read_mask(real_halves / "mask.mrc", 64, 3.54)
    blocks, volume = relion_postprocess(
        real_halves, "run_half1_class001_unfil.mrc", "mask.mrc", 3.54, "--auto_bfac", "--autob_lowres", "15"
    )
    result = postprocess(halves, mask, PostprocessSettings(fit_lowest=15))
    assert_same_curves(result, blocks, halves, mask)
    assert result.bfactor == pytest.approx(blocks["general"]["rlnBfactorUsedForSharpening"], rel=0.1)
    # RELION does not sharpen the corners of the last shell.
    smooth = [lowpass_volume(one, 3.54, 7.6) for one in (result.volume, volume)]
    assert np.corrcoef(*(one.ravel() for one in smooth))[0, 1] > 0.999
