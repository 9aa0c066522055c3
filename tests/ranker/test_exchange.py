"""Talking to RELION's own class ranker by files and standard output."""

import subprocess
import sys

import numpy as np
import pytest

from relion4plugin.ranker.exchange import main, read_exchange, scores_text, write_exchange
from relion4plugin.ranker.weights import load_weights
from tests.ranker.linear_ranker import write_linear_weights


@pytest.fixture
def folder(tmp_path, rng):
    write_exchange(tmp_path, rng.normal(size=(5, 64, 64)), rng.normal(size=(5, 24)))
    write_linear_weights(tmp_path / "net.safetensors")
    return tmp_path


def test_arrays_are_relions(folder):
    for name, shape in (("images.npy", (5, 64, 64)), ("features.npy", (5, 24))):
        values = np.load(folder / name, allow_pickle=False)
        assert values.dtype == np.float32 and values.shape == shape and values.flags.c_contiguous


def test_each_score_is_followed_by_one_blank():
    assert scores_text(np.array([0.5, -0.25])) == "0.5 -0.25 "


@pytest.mark.slow
def test_the_script_prints_scores_and_nothing_else(folder):
    words = [sys.executable, "-m", "relion4plugin.ranker.exchange", str(folder / "net.safetensors"), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    images, features = read_exchange(folder)
    expected = load_weights(folder / "net.safetensors").score(images, features)
    assert done.stdout.endswith(" ") and "\n" not in done.stdout
    np.testing.assert_allclose([float(word) for word in done.stdout.split(" ")[:-1]], expected, rtol=1e-6)


def test_scores_in_the_same_process(folder, capsys):
    assert main([str(folder / "net.safetensors"), str(folder)]) == 0
    assert len(capsys.readouterr().out.split()) == 5


def spoil(folder, how):
    if how == "missing":
        (folder / "images.npy").unlink()
    elif how == "shape":
        np.save(folder / "features.npy", np.zeros((5, 18), np.float32))
    elif how == "objects":
        np.save(folder / "features.npy", np.array([{}]), allow_pickle=True)
    elif how == "numbers":
        np.save(folder / "features.npy", np.zeros((4, 24), np.float32))


@pytest.mark.parametrize(
    ("how", "expected"), [("missing", "no such file"), ("shape", "24"), ("objects", "cannot be read"), ("numbers", "5 images but 4")]
)
def test_mistakes_are_one_line(folder, how, expected, capsys):
    spoil(folder, how)
    assert main([str(folder / "net.safetensors"), str(folder)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and expected in printed.err and printed.err.count("\n") == 1


def test_two_words_are_needed(capsys):
    assert main(["only.pt"]) == 2
    assert "two words" in capsys.readouterr().err
