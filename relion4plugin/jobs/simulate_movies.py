"""Simulation of movies as a job: its parameters made into a `MovieSpec`."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import check
from relion4plugin.jobs.simulate_movies_parameters import SimulateMoviesParameters
from relion4plugin.jobs.simulate_options import check_output, junk_kinds_of
from relion4plugin.progress import Progress
from relion4plugin.simulation.movie_spec import MovieSpec

if TYPE_CHECKING:
    from relion4plugin.simulation.movies import MoviesResult


def specification(parameters: SimulateMoviesParameters) -> MovieSpec:
    """Return the checked specification.

    Raises
    ------
    UserError
        If a value is out of range.
    """
    check(parameters)
    values = {f.name: getattr(parameters, f.name) for f in fields(MovieSpec) if f.name != "sources"}
    values["junk_kinds"] = junk_kinds_of(parameters.junk_kinds)
    spec = MovieSpec(sources=_sources(parameters.source), **values)
    spec.validate()
    return spec


def _sources(text: str) -> tuple[tuple[str, float], ...]:
    """Sources and shares of ``a.cif=0.7,b.cif=0.3``; a share that is not given is 1."""
    found = []
    for word in (word.strip() for word in text.split(",")):
        name, equals, share = word.rpartition("=")
        try:
            found.append((name, float(share)) if equals else (word, 1.0))
        except ValueError:
            raise UserError(f"source has {word!r} but expected name=share with a number, such as a.cif=0.7; change --source") from None
    return tuple(found)


def run(parameters: SimulateMoviesParameters, out_dir: Path, progress: Progress, overwrite: bool = False) -> "MoviesResult":
    """Simulate a session into `out_dir` and return the files made.

    Raises
    ------
    UserError
        If a value is out of range or `out_dir` already holds files.
    """
    spec = specification(parameters)
    check_output(out_dir, overwrite, "movies")
    from relion4plugin.simulation.movies import simulate_movies

    return simulate_movies(spec, out_dir, progress)
