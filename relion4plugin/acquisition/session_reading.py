"""A session read for a launch, together with the preset that belongs to it."""

from collections.abc import Sequence
from pathlib import Path

from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.preset_match import preset_for
from relion4plugin.acquisition.session import Session, find_sessions, scan_session
from relion4plugin.acquisition.session_facts import SessionFacts
from relion4plugin.errors import UserError
from relion4plugin.progress import Progress

_SESSION = "{session}"


def session_folders(root: Path) -> list[Path]:
    """Return the folders of all sessions below a folder that have images for processing."""
    return [info.path for info in find_sessions(root) if info.kind == "data"]


def read_session(
    folder: Path,
    presets: Sequence[Preset] = (),
    movies: Path | None = None,
    index: Path | MetadataIndex | None = None,
    progress: Progress | None = None,
) -> tuple[Session, Preset]:
    """Scan a session and find its preset; where the preset says that movies lie elsewhere, they are read from there.

    Parameters
    ----------
    folder : Path
        Folder of the session.
    presets : sequence of Preset
        The first that fits is used.
    movies : Path
        Folder of the movies; counts more than the preset.
    index : Path or MetadataIndex
        Keeps what was read.
    progress : Progress
        Told about files that are read.

    Raises
    ------
    UserError
        If a folder is missing, or no preset fits.
    """
    kept = index if isinstance(index, MetadataIndex) else MetadataIndex(index)
    session = scan_session(folder, movies, kept, progress)
    preset = preset_for(presets, session.record, folder)
    elsewhere = preset.get("paths.movies")
    if movies is not None or not elsewhere:
        return session, preset
    place = Path(elsewhere.replace(_SESSION, session.info.name))
    if not place.is_dir():
        raise UserError(f"there is no folder {place} for the movies of {session.info.name} ({preset.place('paths.movies')})")
    return scan_session(folder, place, kept, progress), preset


def facts_of(session: Session) -> SessionFacts:
    """Return what the planning of a launch needs to know."""
    found = [(session.movies_dir / row["movie"], row["optics_group"]) for row in session.movies.rows() if row["movie"]]
    movies = tuple(path for path, _ in found)
    pattern = session.record.get("movie_pattern")
    return SessionFacts(
        session.info.path.resolve(),
        session.record,
        str(session.movies_dir / pattern) if pattern else "",
        tuple(dict.fromkeys(path.parent for path in movies)),
        movies,
        {str(path): group for path, group in found if group},
    )
