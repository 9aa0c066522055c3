"""Import of movies and micrographs: only complete files, old rows first, new ones in the order of their names."""

import glob
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.movies import MovieHeader
from relion4plugin.files.star import write_star
from relion4plugin.jobs.import_movies_check import check_gain, check_suffix, header_remarks, read_image_header, suffix_remarks
from relion4plugin.jobs.import_movies_groups import read_groups, unlisted, with_groups
from relion4plugin.jobs.import_movies_star import ImportedImages, image_label, read_imported, write_imported
from relion4plugin.jobs.import_parameters import ImportParameters, raw_name
from relion4plugin.jobs.map_jobs import prepare_map_output
from relion4plugin.jobs.one_by_one import Write, treat, write_set_aside
from relion4plugin.progress import Progress

WAITING = "waiting.star"
_BYTES_PER_IMAGE = 200
_YOUNG = 600.0  # seconds


@dataclass(frozen=True)
class RawImport:
    """The STAR file, its number of images, how many are new, wait for the next execution and were set aside, and what may surprise."""

    star: Path
    n_images: int
    n_new: int
    n_waiting: int
    n_set_aside: int
    remarks: tuple[str, ...]


@dataclass
class _Sorted:
    """New files: those to read, those that may still be written, and reasons against the others by name."""

    ready: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def import_raw(parameters: ImportParameters, out_dir: Path, progress: Progress, is_continue: bool, overwrite: bool) -> RawImport:
    """Import movies or micrographs (see `import_job.run` for the arguments).

    Raises
    ------
    UserError
        If the folder does not exist, no file can be used, optics groups contradict each other, or the disk is full.
    """
    p, star = parameters, out_dir / raw_name(parameters.is_multiframe)
    imported = read_imported(star, p.is_multiframe) if is_continue else ImportedImages(pd.DataFrame(), (), ())
    names, groups = matching_files(p.fn_in_raw), read_groups(p.optics_groups_file)
    gone = "" if names else _missing_folder(p.fn_in_raw)
    if gone and not (is_continue and star.is_file()):
        raise UserError(f"no file matches fn_in_raw '{p.fn_in_raw}': there is no folder {gone}; correct the pattern or link it")
    with_groups(imported, names, (), p, groups, star)  # mistakes are told before files are read
    found = _sort_new(names, imported.names, p.settle_seconds, groups)
    headers, failed = _read_headers(p, found.ready, progress)
    found.refused.update(failed)
    accepted = [name for name in found.ready if name not in failed]
    if found.refused and not (accepted or imported.names or found.waiting or _any_young(failed)):
        raise UserError(f"none of {len(found.refused)} files can be imported; first: {next(iter(found.refused.values()))}")
    remarks = (*_gone(p, gone, imported), *_remarks(p, found, accepted, imported, headers))
    prepare_map_output(out_dir, [] if is_continue else [star.name], _BYTES_PER_IMAGE * len(names), overwrite)
    everything = with_groups(imported, names, accepted, p, groups, star)
    write_imported(star, everything, p.is_multiframe)
    _write_lists(out_dir, p.is_multiframe, found)
    return RawImport(star, len(everything.names), len(accepted), len(found.waiting), len(found.refused), remarks)


def _any_young(names: Iterable[str]) -> bool:
    """Tell whether a file changed so lately that it may still be on its way: a bad first movie does not end a session."""
    for name in names:
        with suppress(OSError):
            if time.time() - os.stat(name).st_mtime < _YOUNG:
                return True
    return False


def matching_files(pattern: str) -> list[str]:
    """Return what matches a pattern, sorted by character codes as the shell does without a language."""
    return sorted(glob.glob(pattern))


def _missing_folder(pattern: str) -> str:
    """Return the folder of a pattern where it does not exist: that of a session is empty at first, but a mistyped one is not there."""
    parts = Path(pattern).parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    folder = Path(*parts[:fixed])
    return "" if folder.is_dir() else str(folder.absolute())


def _gone(p: ImportParameters, folder: str, imported: ImportedImages) -> tuple[str, ...]:
    """Return a line about a folder that was there at an earlier execution: a disk that is away for a while ends no session."""
    if not folder:
        return ()
    n = len(imported.names)
    return (f"there is no folder {folder} any more: {n} images stay imported, new ones are looked for again; is its disk mounted?",)


def _sort_new(names: Sequence[str], known: Sequence[str], settle_seconds: float, groups: Mapping[str, str] | None) -> _Sorted:
    """Look at names, sizes and times of new files only."""
    found = _Sorted()
    new = list(_new_files(names, set(known), found))
    # Where the clock of the file server is ahead, ages are counted from its newest file.
    now = max([time.time(), *(status.st_mtime for _, status in new)])
    unknown = set(unlisted({name: now - status.st_mtime for name, status in new}, groups))
    outputs = {_output(name): name for name in known}
    places = _places(known) if any(status.st_nlink > 1 or os.path.islink(name) for name, status in new) else {}
    for name, status in new:
        same_file = places.setdefault((status.st_dev, status.st_ino), name)
        same_output = outputs.setdefault(_output(name), name)
        if same_file != name:
            found.refused[name] = f"{name} is the same file as {same_file}; import it once"
        elif same_output != name:
            found.refused[name] = f"{name} and {same_output} differ only in their suffix, so their results would mix; rename one of them"
        elif now - status.st_mtime < settle_seconds or name in unknown:
            found.waiting.append(name)
        elif status.st_size == 0:
            found.refused[name] = f"{name}: the file is empty; copy it again"
        else:
            found.ready.append(name)
    return found


def _new_files(names: Sequence[str], old: set[str], found: _Sorted) -> Iterator[tuple[str, os.stat_result]]:
    """Yield new files with their status; refuse names that cannot be imported."""
    for name in names:
        if name in old or os.path.isdir(name):
            continue
        try:
            check_suffix(name)
            status = os.stat(name)
        except UserError as error:
            found.refused[name] = str(error)
        except OSError as error:
            found.refused[name] = f"{name}: cannot be found ({error.strerror}); it is a link to a file that is not there"
        else:
            yield name, status


def _places(names: Sequence[str]) -> dict[tuple[int, int], str]:
    """Return which files names stand for; those that are gone are left out."""
    places: dict[tuple[int, int], str] = {}
    for name in names:
        with suppress(OSError):
            status = os.stat(name)
            places.setdefault((status.st_dev, status.st_ino), name)
    return places


def _output(name: str) -> str:
    """Return what names of results are made of."""
    return os.path.splitext(name)[0]


def _read_headers(p: ImportParameters, names: Sequence[str], progress: Progress) -> tuple[list[MovieHeader], dict[str, str]]:
    """Return the headers of the good files, and the reasons against the others by name."""
    headers: list[MovieHeader] = []
    if not p.check_files:
        return headers, {}

    def compute(item: int) -> Write:
        header = read_image_header(names[item], p.is_multiframe)
        return lambda: headers.append(header)

    treated = treat(range(len(names)), compute, progress, "Check files", p.nr_threads)
    return headers, {names[item]: reason for item, reason in treated.failed.items()}


def _remarks(
    p: ImportParameters, found: _Sorted, accepted: list[str], imported: ImportedImages, headers: list[MovieHeader]
) -> tuple[str, ...]:
    """Return what may surprise; the gain reference is checked against the first file that can be read."""
    remarks: list[str] = []
    if not (imported.names or accepted or found.waiting):
        remarks.append(f"no file matches fn_in_raw '{p.fn_in_raw}' yet; is the pattern right?")
    first = _first_known(p, imported)
    compared = [*([first] if first is not None else []), *headers]
    if headers:
        remarks += [*header_remarks(compared, p.angpix), *suffix_remarks(accepted)]
    if p.fn_gain_ref:
        gain_for = compared[0] if compared else read_image_header(accepted[0], p.is_multiframe) if accepted else None
        remarks += check_gain(p.fn_gain_ref, gain_for) if gain_for is not None else []
    if found.refused:
        remarks.append(f"{len(found.refused)} files set aside, listed in set_aside.star; first: {next(iter(found.refused.values()))}")
    if found.waiting:
        remarks.append(
            f"{len(found.waiting)} files changed less than {p.settle_seconds:g} s ago{_or_unlisted(p)} and wait for the next execution, "
            f"listed in {WAITING}; first: {found.waiting[0]}"
        )
    return tuple(remarks)


def _or_unlisted(p: ImportParameters) -> str:
    return f", or are not in {p.optics_groups_file} yet," if p.optics_groups_file else ""


def _first_known(p: ImportParameters, imported: ImportedImages) -> MovieHeader | None:
    """Return the header of the first image of an earlier execution, to compare new ones with; None where it is gone."""
    if not p.check_files or not imported.names:
        return None
    try:
        return read_image_header(imported.names[0], p.is_multiframe)
    except UserError:
        return None


def _write_lists(out_dir: Path, is_multiframe: bool, found: _Sorted) -> None:
    label = image_label(is_multiframe)
    write_set_aside(out_dir, label, found.refused.items())
    if found.waiting:
        write_star(out_dir / WAITING, {"waiting": pd.DataFrame({label: found.waiting})})
    else:
        (out_dir / WAITING).unlink(missing_ok=True)
