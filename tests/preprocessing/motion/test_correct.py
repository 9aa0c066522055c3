import numpy as np
import pytest
import scipy.fft

from relion4plugin.errors import UserError
from relion4plugin.files.movie_write import write_eer, write_movie
from relion4plugin.preprocessing.motion.correct import MotionSettings, correct_movie, group_times
from relion4plugin.preprocessing.motion.frames import MovieFrames, MovieSource
from tests.preprocessing.motion.synthetic import distance, drift, movie

SETTINGS = MotionSettings(pixel_size=1.0, voltage=300.0, plain=True)


def source(path, n_frames, first=0, gain=None, defects=None):
    return MovieSource(path, first, n_frames, gain, defects, find_bad=True)


def correlation(a, b, margin=16):
    inner = (slice(margin, -margin),) * 2
    return float(np.corrcoef(a[inner].ravel(), b[inner].ravel())[0, 1])


def total_field(shifts, model, n=7):
    u, v = np.meshgrid(np.linspace(-0.4, 0.4, n), np.linspace(-0.4, 0.4, n))
    return model.shifts(u[..., None], v[..., None], np.arange(len(shifts))) + shifts


def test_whole_frames(tmp_path):
    made = movie()
    write_movie(tmp_path / "a.tiff", made.counts, 1.0)
    out = correct_movie(source(tmp_path / "a.tiff", 12), SETTINGS)
    assert distance(out.shifts, made.shifts) < 0.3
    assert out.local is None and out.spectrum is None
    assert correlation(out.plain, made.image) > 0.5 > 1.5 * correlation(made.counts.sum(axis=0), made.image)
    assert out.plain.mean() == pytest.approx(made.counts.sum(axis=0).mean(), rel=1e-4)
    assert out.weighted.mean() == pytest.approx(out.plain.mean() / 12**0.5, rel=1e-3)


def test_local_motion_whatever_the_number_of_threads(tmp_path):
    made = movie((512, 544), local=5.0, size=6.0, n_frames=14)
    write_movie(tmp_path / "a.mrc", made.counts.astype(np.int16), 1.0)
    settings = MotionSettings(1.0, 300.0, patches=(4, 4), plain=True, spectrum_group=4)
    out = correct_movie(source(tmp_path / "a.mrc", 14), settings)
    truth = total_field(made.shifts, made.local)
    assert distance(total_field(out.shifts, out.local.model), truth) < 0.25
    whole = correct_movie(source(tmp_path / "a.mrc", 14), SETTINGS)
    assert distance(whole.shifts + 0 * truth, truth) > 0.5
    assert correlation(out.plain, made.image) > correlation(whole.plain, made.image) + 0.02
    more = correct_movie(source(tmp_path / "a.mrc", 14), settings, 3)
    assert more.shifts == pytest.approx(out.shifts, abs=1e-6) and more.plain == pytest.approx(out.plain, abs=1e-3)


def test_gain_defects_and_hot_pixels_leave_no_trace(tmp_path):
    made = movie(dose=2.0)
    gain = np.random.default_rng(5).uniform(0.8, 1.25, made.image.shape).astype(np.float32)
    gain[:, 100] = 0
    counts = np.random.default_rng(6).binomial(made.counts, np.where(gain > 0, 0.8 / np.maximum(gain, 0.8), 0)).astype(np.uint8)
    counts[:, 50, 60] += 60
    defects = np.zeros(made.image.shape, dtype=bool)
    defects[200:204] = True
    counts[:, defects] = 90
    write_movie(tmp_path / "a.tiff", counts, 1.0)
    out = correct_movie(source(tmp_path / "a.tiff", 12, gain=gain / 0.8, defects=defects), SETTINGS)
    assert np.argwhere(out.hot).tolist() == [[50, 60]]
    assert distance(out.shifts, made.shifts) < 0.3
    assert correlation(out.plain, made.image) > 0.6
    assert out.plain.max() < 3.5 * out.plain.mean()


def test_part_of_the_frames_and_their_exposure(tmp_path):
    made = movie()
    write_movie(tmp_path / "a.tiff", made.counts, 1.0)
    out = correct_movie(source(tmp_path / "a.tiff", 10, first=3), SETTINGS)
    assert distance(out.shifts, made.shifts[3:10]) < 0.3 and out.shifts[0].tolist() == [0, 0]
    # What came before weakens all frames alike; only the exposure between them matters.
    same = correct_movie(source(tmp_path / "a.tiff", 10, first=3), MotionSettings(1.0, 300.0, exposure=1.0, before=30.0))
    assert same.weighted == pytest.approx(out.weighted, abs=1e-3)
    other = correct_movie(source(tmp_path / "a.tiff", 10, first=3), MotionSettings(1.0, 300.0, exposure=5.0))
    assert not np.allclose(other.weighted, out.weighted, atol=0.1)


def test_super_resolution_is_binned_in_fourier_space(tmp_path):
    made = movie((256, 256), dose=0.5)
    write_movie(tmp_path / "a.tiff", made.counts, 0.5)
    out = correct_movie(source(tmp_path / "a.tiff", 12), MotionSettings(0.5, 300.0, bin_factor=2.0, plain=True, spectrum_group=4))
    assert out.plain.shape == (128, 128) and out.pixel_size == 1.0
    half = scipy.fft.rfft2(made.image)
    low = scipy.fft.irfft2(np.concatenate([half[:64, :65], half[-64:, :65]]), s=(128, 128)).astype(np.float32)
    assert correlation(out.plain, low, 8) > 0.5
    assert out.spectrum.shape == (512, 512)


def test_groups_of_frames_carry_weak_patches(tmp_path):
    assert group_times(10, 4).tolist() == [1.5, 6.5]
    assert group_times(10, 1).tolist() == list(range(10))
    made = movie((512, 512), local=5.0, dose=0.3, n_frames=24)
    write_movie(tmp_path / "a.tiff", made.counts, 1.0)
    out = correct_movie(source(tmp_path / "a.tiff", 24), MotionSettings(1.0, 300.0, patches=(3, 3), group=4))
    assert out.local.patches.shifts.shape == (9, 6, 2)
    assert distance(total_field(out.shifts, out.local.model), total_field(made.shifts, made.local)) < 0.7


def test_electrons_of_a_counting_camera(tmp_path):
    made = movie((128, 128), n_frames=40, dose=0.5, size=6.0)
    write_eer(tmp_path / "a.eer", np.minimum(made.counts, 1))
    out = correct_movie(MovieSource(tmp_path / "a.eer", 0, 10, None, None, True, eer_grouping=4), SETTINGS)
    assert distance(out.shifts, drift(40, 6.0).reshape(10, 4, 2).mean(axis=1)) < 0.5


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frames: frames.__setitem__((3, 5, 5), np.nan), "1 pixels are no numbers"),
        (lambda frames: frames.__setitem__(slice(None), 0.0), "the movie is empty"),
    ],
)
def test_movies_that_cannot_be_used(tmp_path, spoil, message):
    frames = movie((96, 96), n_frames=5).counts.astype(np.float32)
    spoil(frames)
    write_movie(tmp_path / "a.mrc", frames, 1.0)
    with pytest.raises(UserError, match=message):
        correct_movie(source(tmp_path / "a.mrc", 5), SETTINGS)


def test_too_few_frames_and_no_good_pixel(tmp_path):
    frames = movie((96, 96), n_frames=5).counts
    write_movie(tmp_path / "a.tiff", frames, 1.0)
    with pytest.raises(UserError, match="1 frames make 1 group"):
        correct_movie(source(tmp_path / "a.tiff", 1), SETTINGS)
    with pytest.raises(UserError, match="leave no good pixel"):
        correct_movie(source(tmp_path / "a.tiff", 5, gain=np.zeros((96, 96), dtype=np.float32)), SETTINGS)


def test_frames_beyond_the_memory_are_read_again(tmp_path, monkeypatch):
    frames = movie((96, 96), n_frames=5).counts
    write_movie(tmp_path / "a.tiff", frames, 1.0)
    kept = MovieFrames(source(tmp_path / "a.tiff", 5))
    monkeypatch.setattr("relion4plugin.preprocessing.motion.frames._KEPT_BYTES", 0)
    again = MovieFrames(source(tmp_path / "a.tiff", 5))
    assert kept._kept and not again._kept
    assert np.array_equal(kept.read(3), again.read(3)) and np.array_equal(kept.read(3), frames[3])


@pytest.mark.gpu
def test_a_graphics_card_gives_the_same(tmp_path):
    made = movie((256, 256), local=3.0)
    write_movie(tmp_path / "a.tiff", made.counts, 1.0)
    results = [
        correct_movie(source(tmp_path / "a.tiff", 12), MotionSettings(1.0, 300.0, patches=(2, 2), plain=True, spectrum_group=3, gpu=gpu))
        for gpu in (None, 0)
    ]
    assert results[1].shifts == pytest.approx(results[0].shifts, abs=0.02)
    for name in ("plain", "weighted", "spectrum"):
        assert correlation(getattr(results[0], name), getattr(results[1], name)) > 0.999
