"""Movies of all formats are read as they were written, as RELION reads them, and damaged ones are told with one line."""

import struct
import subprocess
from pathlib import Path

import imagecodecs
import mrcfile
import numpy as np
import pytest
import tifffile

from relion4plugin.errors import UserError
from relion4plugin.files.movie_header import pack_nibbles, unpack_nibbles
from relion4plugin.files.movie_write import write_eer, write_movie
from relion4plugin.files.movies import open_movie, read_movie_header
from relion4plugin.files.mrc import read_mrc

SHAPE = (48, 70)


def frames_of(dtype: str, n: int = 3, high: int = 100, shape: tuple[int, int] = SHAPE) -> list[np.ndarray]:
    values = np.random.default_rng(1).integers(0, high, (n, *shape))
    return [(frame - (high // 2 if dtype in ("int8", "int16") else 0)).astype(dtype) for frame in values]


def read_all(path: Path, **eer: int) -> np.ndarray:
    with open_movie(path, **eer) as movie:
        return np.stack([movie.read(frame) for frame in range(movie.header.n_frames)])


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "uint16", "float16", "uint8"])
def test_mrc_modes_return_what_was_written(tmp_path: Path, dtype: str) -> None:
    frames = frames_of(dtype)
    write_movie(tmp_path / "a.mrcs", frames, 0.885)
    header = read_movie_header(tmp_path / "a.mrcs")
    assert (header.kind, header.n_frames, header.shape, header.pixel_size) == ("mrc", 3, SHAPE, pytest.approx(0.885))
    got = read_all(tmp_path / "a.mrcs")
    assert got.dtype == np.float32 and np.array_equal(got, np.stack(frames).astype(np.float32))


def test_mrc_written_here_is_read_by_another_library(tmp_path: Path) -> None:
    frames = frames_of("int16")
    write_movie(tmp_path / "a.mrc", frames, 1.5)
    with mrcfile.open(tmp_path / "a.mrc") as mrc:
        assert np.array_equal(mrc.data, np.stack(frames)) and float(mrc.header.dmean) == pytest.approx(np.mean(frames), rel=1e-5)
        assert mrcfile.validate(tmp_path / "a.mrc")


@pytest.mark.parametrize("compression", ["lzw", "zlib", "none"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "float32"])
def test_tiff_returns_what_was_written(tmp_path: Path, dtype: str, compression: str) -> None:
    frames = frames_of(dtype)
    write_movie(tmp_path / "a.tiff", frames, 0.885, compression)
    header = read_movie_header(tmp_path / "a.tiff")
    assert (header.kind, header.n_frames, header.shape, header.value_type) == ("tiff", 3, SHAPE, dtype)
    assert header.pixel_size == pytest.approx(0.885, abs=1e-6)
    assert np.array_equal(read_all(tmp_path / "a.tiff"), np.stack(frames).astype(np.float32))


def test_rows_of_tiff_are_turned_around(tmp_path: Path) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    tifffile.imwrite(tmp_path / "a.tif", image)
    assert np.array_equal(read_all(tmp_path / "a.tif")[0], image[::-1])


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_tiff_of_both_byte_orders_and_widths(tmp_path: Path, byteorder: str, bigtiff: bool) -> None:
    frames = np.stack(frames_of("uint16", n=5))
    options = {"photometric": "minisblack", "predictor": 2, "compression": "lzw"}
    tifffile.imwrite(tmp_path / "a.tif", frames, byteorder=byteorder, bigtiff=bigtiff, **options)
    assert np.array_equal(read_all(tmp_path / "a.tif"), frames[:, ::-1])


@pytest.mark.parametrize("suffix", ["mrc", "tif"])
@pytest.mark.parametrize("nx", [70, 71])
def test_two_pixels_in_a_byte(tmp_path: Path, suffix: str, nx: int) -> None:
    frames = frames_of("uint8", high=16, shape=(48, nx))
    write_movie(tmp_path / f"a.{suffix}", frames, 0.5, packed=True)
    header = read_movie_header(tmp_path / f"a.{suffix}")
    assert header.value_type == "uint4" and header.shape == (48, nx if suffix == "mrc" else nx + nx % 2)
    assert np.array_equal(read_all(tmp_path / f"a.{suffix}")[:, :, :nx], np.stack(frames))


def test_low_bits_come_first() -> None:
    assert unpack_nibbles(np.array([[0x21, 0x43]], np.uint8), 4).tolist() == [[1, 2, 3, 4]]
    assert pack_nibbles(np.array([[1, 2, 3]], np.uint8)).tolist() == [[0x21, 0x03]]


def electrons(n: int, shape: tuple[int, int], density: float = 0.03) -> np.ndarray:
    return (np.random.default_rng(2).random((n, *shape)) < density).astype(np.uint8)


@pytest.mark.parametrize("run_bits", [7, 8])
@pytest.mark.parametrize("density", [0.0, 0.0005, 0.03, 1.0])
def test_eer_counts_electrons_in_groups(tmp_path: Path, run_bits: int, density: float) -> None:
    hardware = electrons(7, (40, 300), density)
    write_eer(tmp_path / "a.eer", hardware, 0.75, run_bits=run_bits)
    header = read_movie_header(tmp_path / "a.eer", eer_grouping=3)
    assert (header.kind, header.n_frames, header.n_hardware_frames, header.shape, header.pixel_size) == ("eer", 2, 7, (40, 300), 0.75)
    expected = hardware[:6].reshape(2, 3, 40, 300).sum(axis=1)
    assert np.array_equal(read_all(tmp_path / "a.eer", eer_grouping=3), expected)


@pytest.mark.parametrize("run_bits", [7, 8])
def test_eer_subpixel_positions(tmp_path: Path, run_bits: int) -> None:
    n, (ny, nx) = 4, (32, 50)
    fine = np.zeros((n, ny, 2, nx, 2), np.uint8)
    rng = np.random.default_rng(3)
    for frame, y, x in np.argwhere(electrons(n, (ny, nx), 0.2)):
        fine[frame, y, rng.integers(2), x, rng.integers(2)] = 1
    fine = fine.reshape(n, 2 * ny, 2 * nx)
    write_eer(tmp_path / "a.eer", fine, 0.8, upsampled=True, run_bits=run_bits)
    header = read_movie_header(tmp_path / "a.eer", 2, 2)
    assert header.shape == (2 * ny, 2 * nx) and header.pixel_size == pytest.approx(0.4)
    assert np.array_equal(read_all(tmp_path / "a.eer", eer_grouping=2, eer_upsampling=2), fine.reshape(2, 2, 2 * ny, 2 * nx).sum(axis=1))
    coarse = fine.reshape(n, ny, 2, nx, 2).sum(axis=(2, 4))
    assert np.array_equal(read_all(tmp_path / "a.eer", eer_grouping=1), coarse)


def test_eer_is_read_by_another_library(tmp_path: Path) -> None:
    hardware = electrons(3, (64, 64))
    write_eer(tmp_path / "a.eer", hardware)
    data = (tmp_path / "a.eer").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.eer") as tiff:
        assert len(tiff.pages) == 3
        for page, expected in zip(tiff.pages, hardware, strict=True):
            start, length = page.dataoffsets[0], page.databytecounts[0]
            assert np.array_equal(imagecodecs.eer_decode(data[start : start + length], (64, 64), 7, 2, 2), expected)


def test_eer_with_code_lengths_in_its_tags(tmp_path: Path) -> None:
    """The same bits, said to be of any length: 7, 2 and 2."""
    hardware = electrons(2, (64, 64))
    write_eer(tmp_path / "a.eer", hardware)
    data = (tmp_path / "a.eer").read_bytes().replace(struct.pack("<HHQQ", 259, 3, 1, 65001), struct.pack("<HHQQ", 259, 3, 1, 65002))
    (tmp_path / "b.eer").write_bytes(data)
    assert np.array_equal(read_all(tmp_path / "b.eer", eer_grouping=1), hardware)


def test_groups_of_more_than_255_frames_do_not_overflow(tmp_path: Path) -> None:
    write_eer(tmp_path / "a.eer", [np.ones((4, 4), np.uint8)] * 300)
    assert (read_all(tmp_path / "a.eer", eer_grouping=300) == 300).all()


def test_more_than_one_electron_in_a_pixel_counts_once(tmp_path: Path) -> None:
    write_eer(tmp_path / "a.eer", [np.full((4, 4), 3, np.uint8)])
    assert read_all(tmp_path / "a.eer", eer_grouping=1).max() == 1


def test_capital_suffix_is_a_movie(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.tif", frames_of("uint8"), 1.0)
    (tmp_path / "a.tif").rename(tmp_path / "A.TIF")
    assert read_movie_header(tmp_path / "A.TIF").n_frames == 3


def damaged(tmp_path: Path, suffix: str, part: float) -> Path:
    path = tmp_path / f"whole.{suffix}"
    if suffix == "eer":
        write_eer(path, electrons(40, (64, 64)))
    else:
        write_movie(path, frames_of("uint8", n=6), 1.0)
    data = path.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(data[: int(part * len(data))])
    return cut


@pytest.mark.parametrize("suffix", ["mrc", "tif", "eer"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.97])
def test_truncated_movies_are_told(tmp_path: Path, suffix: str, part: float) -> None:
    path = damaged(tmp_path, suffix, part)
    with pytest.raises(UserError, match=r"cut\.\w+: (the file is empty|truncated file)"):
        read_movie_header(path, eer_grouping=1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tif", b"GIF89a" + bytes(100), "not a TIFF or EER file"),
        ("a.mrc", b"\xff" * 2000, "not an MRC file"),
        ("a.dm4", b"x", "not a movie by its name"),
        ("a.eer", b"II*\0\x08\0\0\0\0\0\0\0\0\0\0\0", "has no EER frames"),
        ("b.tif", b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "runs in a circle"),
        ("c.tif", b"II*\0\0\0\0\0", "has no images"),
    ],
)
def test_what_is_no_movie_is_told(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_movie_header(tmp_path / name)


def test_missing_file_is_told(tmp_path: Path) -> None:
    for name in ("a.mrc", "a.tif", "a.eer"):
        with pytest.raises(UserError, match="no such file"):
            read_movie_header(tmp_path / name)


def test_frames_of_different_sizes_are_told(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for side in (8, 16):
            tiff.write(np.zeros((side, side), np.uint8), metadata=None, photometric="minisblack")
    with pytest.raises(UserError, match="frame 2 differs"):
        read_movie_header(tmp_path / "a.tif")


def test_damaged_pixels_are_told(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.tif", frames_of("uint8"), 1.0, "zlib")
    write_eer(tmp_path / "a.eer", electrons(2, (64, 64)))
    for path in (tmp_path / "a.tif", tmp_path / "a.eer"):
        with tifffile.TiffFile(path) as tiff:
            start = tiff.pages[0].dataoffsets[0]
        data = bytearray(path.read_bytes())
        data[start : start + 40] = b"\xff" * 40
        path.write_bytes(data)
        with open_movie(path, eer_grouping=1) as movie, pytest.raises(UserError, match=r"damaged|cannot be read"):
            movie.read(0)


def test_eer_groups_must_fit(tmp_path: Path) -> None:
    write_eer(tmp_path / "a.eer", electrons(4, (16, 16)))
    with pytest.raises(UserError, match="4 hardware frames, fewer than one group of 32"):
        read_movie_header(tmp_path / "a.eer")
    with pytest.raises(UserError, match="upsampling is 3"):
        read_movie_header(tmp_path / "a.eer", 1, 3)


def test_frames_are_counted(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mrc", frames_of("uint8"), 1.0)
    with open_movie(tmp_path / "a.mrc") as movie, pytest.raises(IndexError):
        movie.read(3)


def test_writing_refuses_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="four bits"):
        write_movie(tmp_path / "a.tif", [np.full((4, 4), 16, np.uint8)], 1.0, packed=True)
    with pytest.raises(ValueError, match="differ"):
        write_movie(tmp_path / "a.mrc", [np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)], 1.0)
    with pytest.raises(ValueError, match="no frames"):
        write_eer(tmp_path / "a.eer", [])
    assert list(tmp_path.iterdir()) == []


def motion_corrected(folder: Path, movie: str, *options: str) -> np.ndarray:
    """The sum of a movie without motion by RELION, in its orientation."""
    words = ["--o", "MC/", "--use_own", "--j", "2", "--dose_per_frame", "1", "--skip_defect", "--bfactor", "150", *options]
    star = f"data_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n_rlnMicrographOriginalPixelSize #3\n_rlnVoltage #4\n" \
        f"_rlnSphericalAberration #5\n_rlnAmplitudeContrast #6\ng 1 1.0 300 2.7 0.1\n\ndata_movies\n\nloop_\n_rlnMicrographMovieName #1\n" \
        f"_rlnOpticsGroup #2\n{movie} 1\n"  # fmt: skip
    (folder / "movies.star").write_text(star)
    subprocess.run(["relion_run_motioncorr", "--i", "movies.star", *words], cwd=folder, check=True, capture_output=True)
    return read_mrc(folder / "MC" / Path(movie).with_suffix(".mrc"))[0][0]


def still_picture(shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    spots = 40 * np.exp(-((y - 60) ** 2 + (x - 90) ** 2) / 400) + 60 * np.exp(-((y - 170) ** 2 + (x - 60) ** 2) / 90)
    return (20 + spots + np.random.default_rng(0).normal(0, 3, shape)).clip(0, 127)


@pytest.mark.relion
@pytest.mark.parametrize("name", ["a.tif", "a.mrcs", "b.tif"])
def test_sums_lie_as_those_of_relion(tmp_path: Path, name: str) -> None:
    dtype = "uint16" if name == "b.tif" else "uint8"
    write_movie(tmp_path / name, [still_picture((256, 320)).astype(dtype)] * 3, 1.0)
    np.testing.assert_allclose(motion_corrected(tmp_path, name), read_all(tmp_path / name).sum(axis=0), atol=1e-3)


@pytest.mark.relion
@pytest.mark.slow
@pytest.mark.parametrize("run_bits", [7, 8])
def test_eer_sums_lie_as_those_of_relion(tmp_path: Path, run_bits: int) -> None:
    side = 4096  # the only size that RELION reads
    y, x = np.ogrid[:side, :side]
    rate = 0.01 + 0.1 * np.exp(-((y - 1000) ** 2 + (x - 1500) ** 2) / 1e5) + 0.1 * np.exp(-((y - 3000) ** 2 + (x - 900) ** 2) / 3e5)
    frame = (np.random.default_rng(0).random((side, side)) < rate).astype(np.uint8)
    write_eer(tmp_path / "a.eer", [frame] * 6, 1.0, run_bits=run_bits)
    expected = read_all(tmp_path / "a.eer", eer_grouping=2).sum(axis=0)
    np.testing.assert_allclose(motion_corrected(tmp_path, "a.eer", "--eer_grouping", "2", "--eer_upsampling", "1"), expected, atol=1e-3)
