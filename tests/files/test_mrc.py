import os
import resource
import threading

import mrcfile
import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import StackReader, StackWriter, read_header, read_mrc, write_stack, write_volume


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(2, 3, size=(5, 8, 8)).astype(np.float32)


def library_stack(path, data, pixel_size=1.5):
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(data)
        mrc.set_image_stack()
        mrc.voxel_size = pixel_size


def test_stack_agrees_with_the_library(tmp_path, images):
    path = tmp_path / "a.mrcs"
    write_stack(path, images, 3.54)
    assert mrcfile.validate(path, print_file=open(os.devnull, "w"))
    with mrcfile.open(path) as mrc:
        assert mrc.is_image_stack()
        np.testing.assert_array_equal(mrc.data, images)
        assert mrc.voxel_size.x == pytest.approx(3.54) and mrc.voxel_size.y == pytest.approx(3.54)
        np.testing.assert_allclose(mrc.header.rms, images.std(), rtol=1e-5)
        np.testing.assert_allclose(mrc.header.dmean, images.mean(), rtol=1e-5)
    back, pixel_size = read_mrc(path)
    np.testing.assert_array_equal(back, images)
    assert pixel_size == 3.54 and back.dtype == np.float32


def test_volume_agrees_with_the_library(tmp_path, images):
    path = tmp_path / "a.mrc"
    write_volume(path, images.astype(np.float64), 1.1)
    assert mrcfile.validate(path, print_file=open(os.devnull, "w"))
    with mrcfile.open(path) as mrc:
        assert mrc.is_volume() and mrc.voxel_size.z == pytest.approx(1.1)
        np.testing.assert_array_equal(mrc.data, images)


def test_a_single_image_keeps_three_axes(tmp_path, images):
    library_stack(tmp_path / "a.mrcs", images[:1])
    assert read_mrc(tmp_path / "a.mrcs")[0].shape == (1, 8, 8)


def test_stack_in_pieces(tmp_path, images):
    with StackWriter(tmp_path / "a.mrcs", 5, 8, 2.0) as stack:
        stack.append(images[:3])
        stack.append(images[3])
        stack.append(images[4:])
    np.testing.assert_array_equal(read_mrc(tmp_path / "a.mrcs")[0], images)


def test_half_precision_stack(tmp_path, images):
    with StackWriter(tmp_path / "a.mrcs", 5, 8, 2.0, mode=12) as stack:
        stack.append(images)
    assert mrcfile.validate(tmp_path / "a.mrcs", print_file=open(os.devnull, "w"))
    with mrcfile.open(tmp_path / "a.mrcs") as mrc:
        assert mrc.data.dtype == np.float16
        np.testing.assert_array_equal(mrc.data, images.astype(np.float16))
    with pytest.raises(ValueError, match="MRC mode 1"):
        StackWriter(tmp_path / "b.mrcs", 5, 8, 2.0, mode=1)


def test_images_that_are_not_square(tmp_path, images):
    with StackWriter(tmp_path / "a.mrcs", 5, 8, 2.0, width=6) as stack:
        stack.append(images[:, :, :6])
    assert mrcfile.validate(tmp_path / "a.mrcs", print_file=open(os.devnull, "w"))
    back, pixel_size = read_mrc(tmp_path / "a.mrcs")
    np.testing.assert_array_equal(back, images[:, :, :6])
    assert pixel_size == 2.0


def test_incomplete_stack_is_not_published(tmp_path, images):
    with pytest.raises(ValueError, match="3 images written, 5 announced"), StackWriter(tmp_path / "a.mrcs", 5, 8, 2.0) as stack:
        stack.append(images[:3])
    with pytest.raises(KeyError), StackWriter(tmp_path / "a.mrcs", 5, 8, 2.0) as stack:
        raise KeyError("mine")
    assert os.listdir(tmp_path) == []


def test_disk_full_while_writing_a_stack(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(UserError, match="file too large; expected a writable folder with free space"):
            write_stack(tmp_path / "a.mrcs", np.zeros((100, 32, 32)), 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "u2", "f2"])
@pytest.mark.parametrize("order", "<>")
def test_data_modes_and_byte_orders(tmp_path, dtype, order):
    data = np.random.default_rng(2).integers(0, 100, size=(3, 4, 4)).astype(np.dtype(dtype).newbyteorder(order))
    library_stack(tmp_path / "a.mrcs", data)
    back = StackReader([tmp_path / "a.mrcs"]).read(np.array([0, 0, 0]), np.array([2, 0, 1]))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, data[[2, 0, 1]].astype(np.float32))


def test_extended_header_is_skipped(tmp_path, images):
    library_stack(tmp_path / "a.mrcs", images)
    with mrcfile.open(tmp_path / "a.mrcs", "r+") as mrc:
        mrc.set_extended_header(np.frombuffer(b"x" * 160, dtype="V160"))
    np.testing.assert_array_equal(read_mrc(tmp_path / "a.mrcs")[0], images)


def test_random_order_over_more_stacks_than_open_maps(tmp_path):
    data = np.random.default_rng(3).normal(size=(30, 4, 6, 6)).astype(np.float32)
    paths = [tmp_path / f"{i}.mrcs" for i in range(30)]
    for path, stack in zip(paths, data, strict=True):
        write_stack(path, stack, 1.0)
    rng = np.random.default_rng(4)
    stacks, slices = rng.integers(0, 30, 200), rng.integers(0, 4, 200)
    before = len(os.listdir("/proc/self/fd"))
    reader = StackReader(paths, max_open=5)
    for _ in range(3):
        np.testing.assert_array_equal(reader.read(stacks, slices), data[stacks, slices])
    assert len(os.listdir("/proc/self/fd")) - before <= 5
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_threads_share_a_reader(tmp_path, images):
    paths = [tmp_path / f"{i}.mrcs" for i in range(8)]
    for path in paths:
        write_stack(path, images, 1.0)
    reader, wrong = StackReader(paths, max_open=2), []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(30):
            slices = rng.integers(0, 5, 20)
            if not np.array_equal(reader.read(rng.integers(0, 8, 20), slices), images[slices]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_stack_that_grows_is_read_again(tmp_path, images):
    path = tmp_path / "a.mrcs"
    write_stack(path, images[:2], 1.0)
    reader = StackReader([path])
    reader.read(np.array([0]), np.array([1]))
    write_stack(path, images, 1.0)
    np.testing.assert_array_equal(reader.read(np.array([0, 0]), np.array([4, 1])), images[[4, 1]])


def test_image_beyond_the_stack(tmp_path, images):
    write_stack(tmp_path / "a.mrcs", images, 1.0)
    with pytest.raises(UserError, match="image 7 wanted, but the stack has 5"):
        StackReader([tmp_path / "a.mrcs"]).read(np.array([0]), np.array([6]))


def test_truncated_stack_names_bytes(tmp_path, images):
    path = tmp_path / "a.mrcs"
    write_stack(path, images, 1.0)
    os.truncate(path, 2000)
    with pytest.raises(UserError, match=rf"{path}: truncated file, expected 2304 bytes .* found 2000"):
        StackReader([path]).read(np.array([0]), np.array([0]))
    os.truncate(path, 100)
    with pytest.raises(UserError, match="expected at least 1024 bytes of MRC header, found 100"):
        read_mrc(path)


def test_boxes_that_differ_or_are_not_square(tmp_path, images):
    write_stack(tmp_path / "a.mrcs", images, 1.0)
    write_stack(tmp_path / "b.mrcs", images[:, :6, :6], 1.0)
    library_stack(tmp_path / "c.mrcs", images[:, :6])
    with pytest.raises(UserError, match=r"b\.mrcs: images of 6 px, expected 8 px as in .*a\.mrcs"):
        StackReader([tmp_path / "a.mrcs", tmp_path / "b.mrcs"]).read(np.array([1, 0]), np.array([0, 0]))
    with pytest.raises(UserError, match=r"c\.mrcs: images of 8 x 6 px, expected square"):
        StackReader([tmp_path / "c.mrcs"]).read(np.array([0]), np.array([0]))


def _header_field(path, field, value):
    with mrcfile.mmap(path, "r+", permissive=True) as mrc:
        setattr(mrc.header, field, value)


@pytest.mark.parametrize(
    ("field", "value", "message"), [("mode", 101, "mode 101"), ("nz", 0, "has no images"), ("nx", -5, "not an MRC file")]
)
def test_headers_that_cannot_be_read(tmp_path, images, field, value, message):
    write_stack(tmp_path / "a.mrcs", images, 1.0)
    _header_field(tmp_path / "a.mrcs", field, value)
    with pytest.raises(UserError, match=message):
        read_header(tmp_path / "a.mrcs")


def test_missing_file_folder_and_other_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_header(tmp_path / "none.mrcs")
    with pytest.raises(UserError, match="cannot be read"):
        read_header(tmp_path)
    (tmp_path / "a.mrc").write_bytes(b"\x7fELF" * 500)
    with pytest.raises(UserError, match="not an MRC file"):
        read_mrc(tmp_path / "a.mrc")


def test_no_pixel_size(tmp_path, images):
    library_stack(tmp_path / "a.mrcs", images, 0)
    assert read_header(tmp_path / "a.mrcs").pixel_size == 0


def test_no_images_asked_for(tmp_path):
    assert StackReader([]).read(np.array([]), np.array([])).shape[0] == 0


def test_real_stacks_agree_with_the_library(shared_data):
    for name in ("particles/bgal_empiar10204/20170629_00021_frameImage.mrcs", "class2d/bgal_empiar10204_relion4_em_K50/classes_8bit.mrcs"):
        with mrcfile.open(shared_data / name) as mrc:
            data, pixel_size = read_mrc(shared_data / name)
            np.testing.assert_array_equal(data, mrc.data.astype(np.float32))
            assert pixel_size == pytest.approx(float(mrc.voxel_size.x), rel=1e-5)
