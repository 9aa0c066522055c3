"""Headers of imported images compared with each other, with the options and with the gain reference."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.gain import read_gain
from relion4plugin.files.movies import MovieHeader, movie_kind, read_movie_header

_PIXEL_TOLERANCE = 0.05


def read_image_header(name: str, is_multiframe: bool) -> MovieHeader:
    """Read the header of a movie or micrograph and check that the file is complete.

    Raises
    ------
    UserError
        If it is not, cannot be read, or a micrograph has several frames.
    """
    header = read_movie_header(name, eer_grouping=1)
    if not is_multiframe and header.n_frames > 1:
        raise UserError(f"{name} has {header.n_frames} frames, expected one image; set is_multiframe to Yes for movies")
    return header


def header_remarks(headers: Sequence[MovieHeader], pixel_size: float) -> tuple[str, ...]:
    """Return what is unusual about the headers of one set of images.

    Parameters
    ----------
    headers
        Headers, EER ones without grouping.
    pixel_size
        A, as the user gave it.
    """
    remarks: list[str] = []
    if not headers:
        return ()
    frames, most = Counter(header.n_frames for header in headers).most_common(1)[0]
    odd = [header for header in headers if header.n_frames != frames]
    if odd and headers[0].kind != "eer":  # the number of hardware frames always varies
        remarks.append(
            f"{most} files have {frames} frames, {len(odd)} another number: {odd[0].path} has {odd[0].n_frames}; "
            "look whether they are complete and belong here"
        )
    shape = Counter(header.shape for header in headers).most_common(1)[0][0]
    odd = [header for header in headers if header.shape != shape]
    if odd:
        usual, found = (f"{nx} x {ny} px" for ny, nx in (shape, odd[0].shape))
        remarks.append(f"{len(odd)} files have another size than {usual}: {odd[0].path} has {found}; import them on their own")
    told = next((header for header in headers if header.pixel_size > 0), None)
    if told is not None and abs(told.pixel_size / pixel_size - 1.0) > _PIXEL_TOLERANCE:
        remarks.append(f"{told.path} tells a pixel size of {told.pixel_size:.4g} A, but angpix is {pixel_size:g} A; check which is right")
    return tuple(remarks)


def suffix_remarks(names: Sequence[str]) -> tuple[str, ...]:
    """Return a line about suffixes in capital letters, which RELION's own programs do not know."""
    capital = [name for name in names if Path(name).suffix != Path(name).suffix.lower()]
    if not capital:
        return ()
    return (f"{len(capital)} files have a suffix in capital letters, which RELION's programs do not know; first: {capital[0]}",)


def check_suffix(name: str) -> None:
    """Check that a file is a movie or micrograph by its name.

    Raises
    ------
    UserError
        If it is not, or blanks in the name would break other programs.
    """
    if any(character.isspace() for character in name):
        raise UserError(f"'{name}' has a blank in its name, which breaks many programs; rename it or link to it without blanks")
    movie_kind(name)


def check_gain(path: str, header: MovieHeader) -> tuple[str, ...]:
    """Check that a gain reference belongs to a movie; a line is returned where it must be turned.

    Raises
    ------
    UserError
        If it cannot be read or has another size.
    """
    ny, nx = header.shape
    try:
        read_gain(path, 0, 0, header)
    except UserError:
        if ny == nx:
            raise
        read_gain(path, 1, 0, header)
        return (f"gain reference {path} has rows and columns exchanged: it needs a quarter turn in motion correction (gain_rot)",)
    return ()
