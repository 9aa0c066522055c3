import dataclasses
import pickle

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.ranker.samples import concatenate, read_samples, write_samples
from tests.ranker.samples_for_tests import toy_samples


def test_archive_returns_what_was_written(tmp_path):
    samples = toy_samples(10)
    write_samples(tmp_path / "a.npz", samples)
    back = read_samples(tmp_path / "a.npz")
    for name in ("images", "features", "score", "job", "reference", "structure"):
        assert np.array_equal(getattr(back, name), getattr(samples, name)), name
    assert back.extra.keys() == samples.extra.keys()
    assert np.array_equal(back.extra["particles"], samples.extra["particles"])
    assert back.digest() == samples.digest()


def test_compact_archive_is_within_half_a_level_and_smaller(tmp_path):
    samples = toy_samples(40)
    samples.images[3] = 1.5  # an image without contrast has no step
    write_samples(tmp_path / "a.npz", samples)
    write_samples(tmp_path / "b.npz", samples, compact=True)
    back = read_samples(tmp_path / "b.npz")
    extent = np.ptp(samples.images, axis=(1, 2), keepdims=True)
    assert (np.abs(back.images - samples.images) <= extent / 510 + 1e-6).all()
    assert back.images.dtype == np.float32
    assert (tmp_path / "b.npz").stat().st_size < 0.3 * (tmp_path / "a.npz").stat().st_size


def test_the_same_samples_are_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        write_samples(tmp_path / name, toy_samples(5), compact=True)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_select_and_concatenate_are_inverse():
    samples = toy_samples(12)
    first = np.arange(12) < 5
    both = concatenate([samples.select(first), samples.select(np.flatnonzero(~first))])
    assert both.digest() == samples.digest()
    assert np.array_equal(both.extra["category"], samples.extra["category"])


def test_columns_that_a_part_lacks_are_blank():
    samples = toy_samples(4)
    other = dataclasses.replace(samples, extra={"kind": np.array(["ice"] * 4)})
    both = concatenate([samples, other])
    assert np.isnan(both.extra["particles"][4:]).all() and (both.extra["kind"][:4] == "").all()
    with pytest.raises(UserError, match="no training samples"):
        concatenate([])


def test_digest_sees_every_score():
    samples = toy_samples(4)
    changed = dataclasses.replace(samples, score=samples.score + np.float32([0, 0, 1e-6, 0]))
    assert changed.digest() != samples.digest()


def test_wrong_files_are_refused_in_one_line(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    np.savez(tmp_path / "evil.npz", images=np.array([Evil()], dtype=object))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Evil()))
    for name in ("one.npy", "other.npz", "text.npz", "missing.npz", "evil.npz", "pickle.npz"):
        with pytest.raises(UserError) as caught:
            read_samples(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_shapes_are_checked():
    samples = toy_samples(4)
    with pytest.raises(ValueError, match="features"):
        dataclasses.replace(samples, features=samples.features[:, :18])
    with pytest.raises(ValueError, match="mine"):
        dataclasses.replace(samples, extra={"mine": np.zeros(3)})
