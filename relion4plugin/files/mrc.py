"""MRC maps and image stacks: headers through mrcfile's record layout, pixels through memory maps."""

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path

_HEADER_BYTES = 1024
_MODE_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


@dataclass(frozen=True)
class MrcHeader:
    """What is needed to read the pixels of an MRC file: extent (px), pixel size (A, 0 if unknown) and layout.

    `space_group` is 0 for images and stacks, 1 for maps; some programs write 1 for single images too.
    """

    nx: int
    ny: int
    nz: int
    pixel_size: float
    offset: int  # bytes before the first pixel
    dtype: np.dtype
    space_group: int = 0

    @property
    def expected_bytes(self) -> int:
        """Length of the complete file."""
        return self.offset + self.nx * self.ny * self.nz * self.dtype.itemsize


def read_header(path: str | os.PathLike[str]) -> MrcHeader:
    """Read and check the header of an MRC file.

    Returns
    -------
    MrcHeader
        Pixel size is taken from the cell length along x.

    Raises
    ------
    UserError
        If the file is missing, is not MRC, or has a data mode other than 0, 1, 2, 6 or 12.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(_HEADER_BYTES)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected an MRC image stack, check the path") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected an MRC file") from error
    if len(raw) < _HEADER_BYTES:
        raise UserError(f"{path}: truncated file, expected at least {_HEADER_BYTES} bytes of MRC header, found {len(raw)}; copy it again")
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    for order in orders:
        record = np.frombuffer(raw, dtype=HEADER_DTYPE.newbyteorder(order))[0]
        # Old files have no machine stamp: the byte order is the one that makes sense of mode and axes.
        if 0 <= record["mode"] <= 101 and 0 < record["nx"] < 1 << 24 and 0 < record["ny"] < 1 << 24:
            break
    else:
        raise UserError(f"{path}: not an MRC file (its header makes no sense); give an .mrc or .mrcs file")
    mode = int(record["mode"])
    if mode not in _MODE_TYPES:
        raise UserError(f"{path}: MRC mode {mode} cannot be read, expected 0, 1, 2, 6 or 12; convert it to float32")
    if record["nz"] < 1:
        raise UserError(f"{path}: the file has no images; expected at least one")
    intervals, length = int(record["mx"]), float(record["cella"]["x"])
    pixel_size = length / intervals if intervals > 0 and np.isfinite(length) and length > 0 else 0.0
    return MrcHeader(
        nx=int(record["nx"]),
        ny=int(record["ny"]),
        nz=int(record["nz"]),
        pixel_size=round(pixel_size, 6),  # the division of float32 lengths leaves digits without meaning
        offset=_HEADER_BYTES + max(0, int(record["nsymbt"])),
        dtype=np.dtype(_MODE_TYPES[mode]).newbyteorder(order),
        space_group=int(record["ispg"]),
    )


def _map_pixels(path: Path, header: MrcHeader) -> np.ndarray:
    """Map the pixels, (nz, ny, nx) in the type of the file."""
    found = path.stat().st_size
    if found < header.expected_bytes:
        raise UserError(
            f"{path}: truncated file, expected {header.expected_bytes} bytes for {header.nz} images of {header.nx} x {header.ny} px, "
            f"found {found}; copy it again or wait until it is written"
        )
    return np.memmap(path, dtype=header.dtype, mode="r", offset=header.offset, shape=(header.nz, header.ny, header.nx))


def read_mrc(path: str | os.PathLike[str]) -> tuple[np.ndarray, float]:
    """Read a whole MRC file.

    Returns
    -------
    array : float32
        (nz, ny, nx), also for a single image.
    pixel_size : float
        A; 0 if the header has none.

    Raises
    ------
    UserError
        As `read_header`, or if the file is truncated.
    """
    path = Path(path)
    header = read_header(path)
    return np.array(_map_pixels(path, header), dtype=np.float32), header.pixel_size


class StackReader:
    """Random access to the images of many stacks through a bounded number of memory maps.

    Parameters
    ----------
    paths : sequence of path-like
        The stacks; images are addressed by the position in this list and the 0-based slice.
    max_open : int
        Number of files kept mapped; the least recently used one is closed first.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], max_open: int = 64) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self._max_open = max_open
        self._headers: dict[int, MrcHeader] = {}
        self._maps: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def header(self, stack: int) -> MrcHeader:
        """Return the header of a stack (read once)."""
        if stack not in self._headers:
            self._headers[stack] = read_header(self.paths[stack])
        return self._headers[stack]

    def _pixels(self, stack: int, last_slice: int) -> np.ndarray:
        """Return the map of a stack that contains `last_slice`; a stack that has grown is mapped again."""
        with self._lock:
            if last_slice >= self.header(stack).nz:
                self._headers[stack] = read_header(self.paths[stack])
                self._maps.pop(stack, None)
            header = self._headers[stack]
            if last_slice >= header.nz:
                raise UserError(f"{self.paths[stack]}: image {last_slice + 1} wanted, but the stack has {header.nz}; check the image names")
            pixels = self._maps.pop(stack, None)
            if pixels is None:
                pixels = _map_pixels(self.paths[stack], header)
            self._maps[stack] = pixels
            while len(self._maps) > self._max_open:
                self._maps.popitem(last=False)
            return pixels

    def read(self, stack_index: np.ndarray, slice_index: np.ndarray) -> np.ndarray:
        """Read images in any order.

        Parameters
        ----------
        stack_index, slice_index : int (n,)
            Position in `paths` and 0-based slice of each image.

        Returns
        -------
        array : float32 (n, N, N)
            The images in the order asked for.

        Raises
        ------
        UserError
            If a file is missing, damaged or too short, or images are not square or differ in size.
        """
        stacks, slices = np.asarray(stack_index, dtype=np.int64), np.asarray(slice_index, dtype=np.int64)
        if len(stacks) == 0:
            return np.empty((0, 0, 0), dtype=np.float32)
        order = np.lexsort((slices, stacks))
        starts = np.flatnonzero(np.diff(stacks[order], prepend=-1))
        box = self.header(int(stacks[order[0]])).nx
        images = np.empty((len(stacks), box, box), dtype=np.float32)
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
            rows = order[start:end]
            stack = int(stacks[rows[0]])
            self._check_box(stack, box, int(stacks[order[0]]))
            wanted = slices[rows]
            pixels = self._pixels(stack, int(wanted[-1]))
            # Consecutive slices are taken as a view, which saves one copy.
            run = slice(int(wanted[0]), int(wanted[-1]) + 1) if (np.diff(wanted) == 1).all() else wanted
            images[rows] = pixels[run]
        return images

    def _check_box(self, stack: int, box: int, first: int) -> None:
        header = self.header(stack)
        if header.nx != header.ny:
            raise UserError(f"{self.paths[stack]}: images of {header.nx} x {header.ny} px, expected square images; extract them again")
        if header.nx != box:
            raise UserError(
                f"{self.paths[stack]}: images of {header.nx} px, expected {box} px as in {self.paths[first]}; give images of one box size"
            )

    def close(self) -> None:
        """Release all maps."""
        with self._lock:
            self._maps.clear()


class StackWriter:
    """An image stack written piece by piece; the file appears when the block ends without an error.

    Parameters
    ----------
    path : path-like
        The stack to write.
    n_images, box : int
        Number of images and their side in px.
    pixel_size : float
        A.
    width : int, optional
        Number of columns where images are not square; `box` then counts rows.
    mode : int
        2 for float32, 12 for float16.

    Examples
    --------
    >>> with StackWriter("stack.mrcs", 2, 64, 3.54) as stack:  # doctest: +SKIP
    ...     stack.append(images)
    """

    def __init__(
        self, path: str | os.PathLike[str], n_images: int, box: int, pixel_size: float, width: int | None = None, mode: int = 2
    ) -> None:
        if mode not in (2, 12):
            raise ValueError(f"MRC mode {mode}: stacks are written as 2 (float32) or 12 (float16)")
        self._path, self._pixel_size, self._mode = path, pixel_size, mode
        self._shape = (n_images, box, box if width is None else width)
        self._written, self._sum, self._squares = 0, 0.0, 0.0
        self._min, self._max = np.inf, -np.inf

    def __enter__(self) -> "StackWriter":
        """Open the temporary file."""
        self._exit = ExitStack()
        self._temporary = self._exit.enter_context(atomic_path(self._path))
        self._stream = self._exit.enter_context(self._temporary.open("wb"))
        self._stream.write(bytes(_HEADER_BYTES))
        return self

    def append(self, images: np.ndarray) -> None:
        """Write the next images, (n, N, N) or one (N, N)."""
        pixels = np.ascontiguousarray(images, dtype="<f4").reshape(-1, *self._shape[1:])
        stored = pixels if self._mode == 2 else pixels.astype("<f2")
        self._stream.write(stored.data)
        pixels = stored.astype(np.float32, copy=False)  # the statistics are of what is in the file
        self._written += len(pixels)
        if pixels.size:
            self._min, self._max = min(self._min, float(pixels.min())), max(self._max, float(pixels.max()))
            self._sum += float(pixels.sum(dtype=np.float64))
            self._squares += float(np.einsum("ijk,ijk->", pixels, pixels, dtype=np.float64))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        """Write the header and publish the file, or remove it after an error."""
        if kind is not None:
            return self._exit.__exit__(kind, error, trace)
        with self._exit:
            if self._written != self._shape[0]:
                raise ValueError(f"{self._path}: {self._written} images written, {self._shape[0]} announced")
            count = self._written * self._shape[1] * self._shape[2]
            mean = self._sum / count if count else 0.0
            rms = float(np.sqrt(max(0.0, self._squares / count - mean**2))) if count else 0.0
            header = new_header(self._shape, self._pixel_size, self._mode, is_volume=False)
            _set_statistics(header, (self._min, self._max, mean, rms) if count else (0.0, 0.0, 0.0, 0.0))
            self._stream.seek(0)
            self._stream.write(header.tobytes())
        return None


def new_header(shape: tuple[int, ...], pixel_size: float, mode: int, is_volume: bool) -> np.ndarray:
    """Make a little-endian MRC2014 header for (nz, ny, nx); in a stack mz = 1 and the space group is 0."""
    header = np.zeros((), dtype=HEADER_DTYPE.newbyteorder("<"))
    nz, ny, nx = shape
    header["nx"], header["ny"], header["nz"] = nx, ny, nz
    header["mx"], header["my"], header["mz"] = nx, ny, nz if is_volume else 1
    header["cella"] = (nx * pixel_size, ny * pixel_size, (nz if is_volume else 1) * pixel_size)
    header["cellb"] = (90, 90, 90)
    header["mode"], header["ispg"], header["nversion"] = mode, int(is_volume), 20141
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    header["map"], header["machst"] = b"MAP ", (0x44, 0x44, 0, 0)
    return header


def _set_statistics(header: np.ndarray, values: tuple[float, float, float, float]) -> None:
    header["dmin"], header["dmax"], header["dmean"], header["rms"] = values


def write_stack(path: str | os.PathLike[str], images: np.ndarray, pixel_size: float) -> None:
    """Write images (n, ny, nx) as a float32 stack with `pixel_size` in A; the file appears whole or not at all.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    """
    images = np.asarray(images)
    with StackWriter(path, len(images), images.shape[-2], pixel_size, width=images.shape[-1]) as stack:
        stack.append(images)


def write_volume(path: str | os.PathLike[str], volume: np.ndarray, pixel_size: float) -> None:
    """Write a map (nz, ny, nx) as float32 with `pixel_size` in A; the file appears whole or not at all.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    """
    pixels = np.ascontiguousarray(volume, dtype="<f4")
    header = new_header(pixels.shape, pixel_size, 2, is_volume=True)
    _set_statistics(header, (float(pixels.min()), float(pixels.max()), float(pixels.mean()), float(pixels.std())))
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(header.tobytes())
        stream.write(pixels.data)
