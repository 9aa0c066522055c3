"""Which optics group each imported image gets: one for all, or that of a table which grows with the session."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.star_text import read_tables
from relion4plugin.jobs.import_movies_star import ImportedImages, check_groups, with_group
from relion4plugin.jobs.import_parameters import ImportParameters

PATIENCE = 600.0  # seconds that an image waits to be listed; one without metadata never is, and must not be lost
_BLOCK, _NAME, _GROUP = "movie_groups", "rlnMicrographMovieName", "rlnOpticsGroupName"


def read_groups(path: str) -> dict[str, str] | None:
    """Read a table of optics groups: name of the image -> name of its group; None where no table is given.

    Raises
    ------
    UserError
        If it is missing or damaged.
    """
    if not path:
        return None
    if not Path(path).is_file():
        raise UserError(f"optics_groups_file {path}: no such file; expected a STAR file with a block data_{_BLOCK}")
    if Path(path).stat().st_size == 0:  # a session that has only begun
        return {}
    table = read_tables(Path(path)).get(_BLOCK)
    if table is None or not {_NAME, _GROUP} <= set(table.labels):
        raise UserError(f"{path}: expected a block data_{_BLOCK} with the columns {_NAME} and {_GROUP}")
    return {name: group for name, group in table.columns(_NAME, _GROUP)}  # noqa: C416


def unlisted(ages: Mapping[str, float], groups: Mapping[str, str] | None) -> list[str]:
    """Return images that wait for their optics group to become known.

    Parameters
    ----------
    ages
        Seconds since each new file was changed.
    groups
        The table, None where none is used.
    """
    if groups is None:
        return []
    return [name for name, age in ages.items() if name not in groups and age < PATIENCE]


def with_groups(
    imported: ImportedImages, matching: Sequence[str], new: Sequence[str], p: ImportParameters, groups: Mapping[str, str] | None, star: Path
) -> ImportedImages:
    """Add images and their optics groups to those that are imported; images keep the group in which they were imported.

    Parameters
    ----------
    imported
        What is known.
    matching, new
        All images of this execution, and those to be added.
    p
        Values of the groups, and the name of the only one or of that of unlisted images.
    groups
        The table, None where none is used.
    star
        File of the images, for messages.

    Raises
    ------
    UserError
        If a group of that name has other values, or without a table an image would change its group.
    """
    if groups is None:
        optics, number = with_group(imported.optics, p, star)
        check_groups(imported, matching, number)
        return ImportedImages(optics, (*imported.names, *new), (*imported.groups, *[number] * len(new)))
    optics, numbers = imported.optics, {}
    names = [groups.get(name, p.optics_group_name) for name in new]
    for name in sorted(set(names)) or ([] if len(optics) else [p.optics_group_name]):
        optics, numbers[name] = with_group(optics, replace(p, optics_group_name=name), star)
    return ImportedImages(optics, (*imported.names, *new), (*imported.groups, *(numbers[name] for name in names)))
