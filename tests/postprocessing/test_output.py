from xml.etree import ElementTree

import numpy as np
import pytest

from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.postprocessing.maps import read_half_maps
from relion4plugin.postprocessing.output import write_results
from relion4plugin.postprocessing.postprocess import PostprocessSettings, postprocess
from tests.postprocessing.simulated import BOX, PIXEL, particle, write_halves


@pytest.fixture
def halves(tmp_path):
    return read_half_maps(write_halves(tmp_path, particle(), 0.05))


def test_all_files_hold_the_result(halves, tmp_path):
    mask, mtf = soft_sphere(BOX, 20, 6), np.array([[0.0, 1.0], [1.0, 0.2]])
    result = postprocess(halves, mask, PostprocessSettings(), mtf)
    files = write_results(result, halves, "Mask Create/a&b.mrc", tmp_path / "postprocess", comment="made here")
    assert [path.name for path in files.values()] == [
        "postprocess.mrc", "postprocess_masked.mrc", "postprocess.star", "postprocess_fsc.xml", "postprocess_fsc.dat",
    ]  # fmt: skip
    volume, pixel = read_mrc(files["map"])
    np.testing.assert_array_equal(volume, result.volume)
    assert pixel == PIXEL
    blocks = read_star(files["star"])
    assert blocks["general"]["rlnMaskName"] == "Mask Create/a&b.mrc"
    assert blocks["general"]["rlnFinalResolution"] == pytest.approx(result.curves.resolution, rel=1e-5)
    np.testing.assert_allclose(blocks["fsc"]["rlnFourierShellCorrelationCorrected"], result.curves.corrected, atol=1e-5)
    np.testing.assert_allclose(blocks["fsc"]["rlnAngstromResolution"][1:], BOX * PIXEL / np.arange(1, 33), rtol=1e-5)
    points = ElementTree.parse(files["xml"]).getroot().findall("coordinate")
    np.testing.assert_allclose([float(p.find("y").text) for p in points], result.curves.corrected, atol=1e-5)
    np.testing.assert_allclose(np.loadtxt(files["dat"])[:, 1], result.curves.corrected, atol=1e-5)


def test_labels_are_those_of_a_real_file(halves, tmp_path, shared_data):
    result = postprocess(halves, soft_sphere(BOX, 20, 6), PostprocessSettings())
    ours = read_star(write_results(result, halves, "mask.mrc", tmp_path / "postprocess")["star"])
    real = read_star(shared_data / "star/relion31_tutorial_bgal/PostProcess/job030/postprocess.star")
    for block in ("general", "fsc", "guinier"):
        assert set(real[block]) <= set(ours[block]), block


def test_without_a_mask_there_is_no_masked_file(halves, tmp_path):
    result = postprocess(halves, None, PostprocessSettings(bfactor=-20))
    files = write_results(result, halves, "", tmp_path / "postprocess")
    assert "masked" not in files and not (tmp_path / "postprocess_masked.mrc").exists()
    blocks = read_star(files["star"])
    assert "rlnMaskName" not in blocks["general"] and "rlnFittedSlopeGuinierPlot" not in blocks["general"]
    assert "rlnLogAmplitudesIntercept" not in blocks["guinier"]
