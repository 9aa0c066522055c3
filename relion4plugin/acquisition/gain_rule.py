"""Which gain reference belongs to a session.

A file is looked for in this order: none where movies are corrected; the file that a person or the preset gives; the one that the
metadata name, beside the movies and in the folder of gain references; files beside the movies with the usual names.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from relion4plugin.acquisition.detectors import DETECTORS
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.preset_match import model_of
from relion4plugin.acquisition.record import AcquisitionRecord, Finding, Value
from relion4plugin.errors import UserError

_RULE = "V08"
_FIELD = "gain_path"
_TURNS = (0, 2)  # quarter turns that keep width and height
_GIVEN = ("user",)


@dataclass(frozen=True)
class GainChoice:
    """The gain reference (None for none), and what was noticed."""

    value: Value | None
    findings: tuple[Finding, ...] = ()


def choose_gain(record: AcquisitionRecord, preset: Preset, folders: Iterable[Path], first_movie: float | None = None) -> GainChoice:
    """Choose the gain reference.

    Parameters
    ----------
    record : AcquisitionRecord
        What is known about the session.
    preset : Preset
        Its rule, patterns and folder of gain references.
    folders : iterable of Path
        Folders in which movies of the session lie.
    first_movie : float
        Time at which the first movie was written (s since 1970); later gain references are not taken by `newest`.
    """
    places = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
    given = record.values.get(_FIELD)
    if given is not None and given.source in _GIVEN:
        return _checked(record, preset, given) if given.value else GainChoice(None)
    rule = preset.get("gain.rule")
    if rule == "none" or record.get("gain_needed") is False:
        return GainChoice(None)
    if rule == "file":
        return _checked(record, preset, Value(preset.get("gain.file"), "", "preset", str(preset.path), "gain.file"))
    if rule == "metadata" and given is not None and given.value:
        found = _named(str(given.value), places, preset)
        if found is not None:
            return _checked(record, preset, Value(str(found), "", given.source, given.file, given.path))
    newest, others = _newest(_patterns(record, preset), places, first_movie)
    if newest is None:
        return GainChoice(None, _absent(record, given))
    choice = _checked(record, preset, Value(str(newest), "", "file name", str(newest), "gain.patterns", "derived"))
    if not others:
        return choice
    text = f"{newest.name} is taken as the newest before the movies; there are also {', '.join(path.name for path in others)}"
    return GainChoice(choice.value, (*choice.findings, Finding(_RULE, "info", _FIELD, text)))


def _named(name: str, places: list[Path], preset: Preset) -> Path | None:
    """Find the file that the metadata name, whose folder is that of another machine."""
    base = PureWindowsPath(name).name
    gains = preset.get("paths.gains")
    folders = [*places, *(parent for place in places for parent in place.parents[:1]), *([Path(gains)] if gains else [])]
    direct = [Path(name)] if Path(name).is_absolute() else []
    return next((path for path in (*direct, *(folder / base for folder in folders)) if path.is_file()), None)


def _patterns(record: AcquisitionRecord, preset: Preset) -> tuple[str, ...]:
    given = preset.get("gain.patterns")
    model = model_of(record, preset)
    return given or (DETECTORS[model].gains if model else ())


def _newest(patterns: Iterable[str], places: list[Path], before: float | None) -> tuple[Path | None, list[Path]]:
    found = {path: path.stat().st_mtime for path in _matching(patterns, places)}
    earlier = {path: time for path, time in found.items() if before is None or time <= before} or found
    if not earlier:
        return None, []
    newest = max(sorted(earlier), key=lambda path: earlier[path])
    return newest, sorted(path for path in earlier if path != newest and path.stat().st_size == newest.stat().st_size)


def _matching(patterns: Iterable[str], places: list[Path]) -> Iterator[Path]:
    for pattern in patterns:
        for place in places:
            yield from (path for path in place.glob(pattern) if path.is_file())


def _absent(record: AcquisitionRecord, given: Value | None) -> tuple[Finding, ...]:
    if given is not None and given.value:
        text = f"gain reference {PureWindowsPath(str(given.value)).name} is neither beside the movies nor in paths.gains; give gain_path"
        return (Finding(_RULE, "error" if record.get("gain_needed") else "warning", _FIELD, text),)
    if record.get("gain_needed"):
        return (Finding(_RULE, "error", _FIELD, "movies are not corrected, but there is no gain reference; give gain_path"),)
    return ()


def _checked(record: AcquisitionRecord, preset: Preset, value: Value) -> GainChoice:
    path = Path(str(value.value))
    if not path.is_file():
        return GainChoice(value, (Finding(_RULE, "error", _FIELD, f"there is no gain reference {path}"),))
    movie = record.get("movie_size_px")
    try:
        size = image_size(path)
    except UserError as error:
        return GainChoice(value, (Finding(_RULE, "error", _FIELD, str(error)),))
    if movie is None or size is None or record.get("movie_format") == "eer":
        return GainChoice(value)
    expected = tuple(movie) if preset.get("gain.rotation") in _TURNS else tuple(reversed(movie))
    if size == expected:
        return GainChoice(value)
    advice = "; it needs binning by 2" if size == tuple(2 * side for side in expected) else ""
    turned = f"gain.rotation is {preset.get('gain.rotation')}"
    text = f"{path.name} has {size[0]} x {size[1]} pixels, movies have {movie[0]} x {movie[1]} ({turned}){advice}"
    return GainChoice(value, (Finding(_RULE, "error", _FIELD, text),))


def image_size(path: Path) -> tuple[int, int] | None:
    """Return width and height of a TIFF or MRC image in pixels; None for files of other kinds (``.dm4``).

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in (".mrc", ".mrcs"):
        from relion4plugin.files.mrc import read_header

        header = read_header(path)
        return header.nx, header.ny
    if suffix not in (".tif", ".tiff", ".gain"):
        return None
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            return int(page.imagewidth), int(page.imagelength)  # type: ignore[union-attr]
    except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
        raise UserError(f"{path}: this gain reference cannot be read ({error}); expected a TIFF or MRC image") from error
