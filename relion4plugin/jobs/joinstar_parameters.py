"""The parameters of joining STAR files: names and defaults of RELION's job.star."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import parameter


@dataclass(frozen=True)
class Join:
    """What is joined: options start with `stem`, `name` is that of the file written, `image` the column that must not repeat."""

    what: str
    stem: str
    name: str
    image: str


# Option that must be Yes -> what is joined then.
JOINS = {
    "do_part": Join("particles", "fn_part", "join_particles.star", "rlnImageName"),
    "do_mic": Join("micrographs", "fn_mic", "join_mics.star", "rlnMicrographName"),
    "do_mov": Join("movies", "fn_mov", "join_movies.star", "rlnMicrographMovieName"),
}
_MOST = 4


def _file(what: str, number: int) -> str:
    declared: str = parameter("", label=f"{what} {number}", section=what, pattern="*.star", help=f"STAR file {number} of those to join.")
    return declared


@dataclass(frozen=True)
class JoinStarParameters:
    """Up to four STAR files of one kind to join."""

    do_part: bool = parameter(False, label="Join particles", section="Particles", help="Yes for STAR files of particles.")
    fn_part1: str = _file("Particles", 1)
    fn_part2: str = _file("Particles", 2)
    fn_part3: str = _file("Particles", 3)
    fn_part4: str = _file("Particles", 4)
    do_mic: bool = parameter(False, label="Join micrographs", section="Micrographs", help="Yes for STAR files of micrographs.")
    fn_mic1: str = _file("Micrographs", 1)
    fn_mic2: str = _file("Micrographs", 2)
    fn_mic3: str = _file("Micrographs", 3)
    fn_mic4: str = _file("Micrographs", 4)
    do_mov: bool = parameter(False, label="Join movies", section="Movies", help="Yes for STAR files of movies.")
    fn_mov1: str = _file("Movies", 1)
    fn_mov2: str = _file("Movies", 2)
    fn_mov3: str = _file("Movies", 3)
    fn_mov4: str = _file("Movies", 4)


def chosen_join(switches: Mapping[str, bool]) -> Join:
    """Return what is joined.

    Raises
    ------
    UserError
        If it is not exactly one of particles, micrographs and movies.
    """
    chosen = [join for name, join in JOINS.items() if switches[name]]
    if len(chosen) != 1:
        raise UserError(f"exactly one of {', '.join(JOINS)} must be Yes, not {len(chosen)}")
    return chosen[0]


def join_inputs(join: Join, text: Callable[[str], str]) -> list[str]:
    """Return the files to join, in order; `text` gives the text of an option.

    Raises
    ------
    UserError
        If the first or the second one is not given.
    """
    for number in (1, 2):
        if not text(f"{join.stem}{number}"):
            raise UserError(f"{join.stem}{number} is empty: give at least two STAR files of {join.what} to join")
    paths = [text(f"{join.stem}{number}") for number in range(1, _MOST + 1)]
    return [path for path in paths if path]
