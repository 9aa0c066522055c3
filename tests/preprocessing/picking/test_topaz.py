import sys
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.preprocessing.picking import topaz_program
from relion4plugin.preprocessing.picking.topaz import TopazSettings, downscaling, pick_with_topaz, prepare, read_coordinates
from relion4plugin.preprocessing.picking.topaz_program import check_model, find_topaz, run_topaz
from tests.preprocessing.picking.imitated_topaz import imitated_topaz


def test_two_particles_fit_the_field_of_the_network():
    assert downscaling(130.0, 1.5) == pytest.approx(2 * 130 / 1.5 / 71)
    assert downscaling(60.0, 8.0) == 1.0


def test_picks_come_back_in_px_of_the_micrograph(tmp_path, rng):
    program = imitated_topaz(tmp_path)
    images = []
    for y, x in ((120, 300), (400, 80)):
        image = rng.normal(scale=0.1, size=(512, 640)).astype(np.float32)
        rows, columns = np.indices(image.shape)
        images.append(image - 0.5 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 15.0**2)))
    settings = TopazSettings(program, 100.0, extra=("--num-workers", "0"))
    ready = [prepare(image, 1.0, settings, "m") for image in images]
    assert ready[0].scale[0] == pytest.approx(100 * 2 / 71, rel=0.1)
    found = pick_with_topaz(ready, settings)
    for picks, (y, x) in zip(found, ((120, 300), (400, 80)), strict=True):
        assert len(picks) == 1
        assert abs(picks.y[0] - y) < 6 and abs(picks.x[0] - x) < 6  # two px of what Topaz sees
    words = (tmp_path / "words.txt").read_text().splitlines()
    assert words[0].startswith("normalize --device -1 --destdir ")
    assert words[1].startswith("extract --device -1 --radius 19 --threshold -6 --num-threads 1 --output ")
    assert " --num-workers 0 " in words[1] and " --model " not in words[1]


def test_a_micrograph_without_picks_has_none(tmp_path):
    (tmp_path / "p.txt").write_text("image_name\tx_coord\ty_coord\tscore\n000001\t4\t5\t0.5\n000001\t8\t9\t1.5\n")
    found = read_coordinates(tmp_path / "p.txt", 100.0)
    assert list(found) == ["000001"]
    assert found["000001"].score.tolist() == [1.5, 0.5]


def test_what_is_no_table_of_picks_is_said(tmp_path):
    (tmp_path / "p.txt").write_text("nothing\n")
    with pytest.raises(UserError, match="expected the columns image_name"):
        read_coordinates(tmp_path / "p.txt", 100.0)


def test_a_failure_of_topaz_is_told_in_its_own_words(tmp_path):
    script = tmp_path / "fails"
    script.write_text(f"#!{sys.executable}\nimport sys\nprint('one', file=sys.stderr)\nsys.exit('no CUDA device')\n")
    script.chmod(0o755)
    with pytest.raises(UserError, match=r"Topaz \(extract\) failed: one \| no CUDA device"):
        run_topaz((str(script),), ["extract"])
    with pytest.raises(UserError, match="cannot be started"):
        run_topaz((str(tmp_path / "none"),), ["extract"])


def test_topaz_is_looked_for(tmp_path, monkeypatch):
    program = imitated_topaz(tmp_path)[0]
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(topaz_program.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install topaz-em"):
        find_topaz()
    with pytest.raises(UserError, match="'nowhere': there is no such program"):
        find_topaz("nowhere")
    assert find_topaz(program) == (program,)
    monkeypatch.setattr(topaz_program.importlib.util, "find_spec", lambda name: object())
    assert find_topaz() == (sys.executable, "-m", "topaz.main")
    monkeypatch.setenv("PATH", str(Path(program).parent))
    assert find_topaz() == (program,)


def test_a_network_that_is_a_file_must_be_there(tmp_path):
    check_model("")
    check_model("resnet8_u32")
    with pytest.raises(UserError, match="no such file"):
        check_model(str(tmp_path / "own.sav"))


@pytest.mark.parametrize(("pixel_size", "message"), [(0.0, "pixel size is not known"), (0.3, "more than half")])
def test_micrographs_that_do_not_fit_are_refused(pixel_size, message, rng):
    with pytest.raises(UserError, match=message):
        prepare(rng.normal(size=(512, 512)), pixel_size, TopazSettings(("topaz",), 100.0), "m.mrc")
