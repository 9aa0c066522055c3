"""Parameters of the simulation of movies."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs import simulate_movies
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.jobs.simulate_movies_parameters import SimulateMoviesParameters
from relion4plugin.progress import Silent
from relion4plugin.simulation.movie_spec import MovieSpec


def test_every_field_of_the_spec_is_a_parameter_with_its_default() -> None:
    names = {field.name for field in fields_of(SimulateMoviesParameters)}
    assert names == {field.name for field in fields(MovieSpec)} - {"sources"} | {"source"}
    assert simulate_movies.specification(SimulateMoviesParameters()) == MovieSpec()


def test_sources_with_shares() -> None:
    parameters = SimulateMoviesParameters(source="pseudo:1=0.7, pseudo:2=0.3", junk_kinds="ice, gold")
    spec = simulate_movies.specification(parameters)
    assert spec.sources == (("pseudo:1", 0.7), ("pseudo:2", 0.3)) and spec.junk_kinds == ("ice", "gold")
    with pytest.raises(UserError, match="name=share"):
        simulate_movies.specification(replace(parameters, source="pseudo:1=much"))
    with pytest.raises(UserError, match="pixel_size"):
        simulate_movies.specification(replace(parameters, pixel_size=-1.0))


def test_a_folder_with_files_is_not_overwritten_unasked(tmp_path: Path) -> None:
    parameters = SimulateMoviesParameters(n_movies=1, width=64, height=64, n_frames=2, pixel_size=4.0, n_particles=1)
    (tmp_path / "precious").write_text("")
    with pytest.raises(UserError, match="not empty"):
        simulate_movies.run(parameters, tmp_path, Silent())
    with pytest.raises(UserError, match="is a file"):
        simulate_movies.run(parameters, tmp_path / "precious", Silent())
    result = simulate_movies.run(parameters, tmp_path, Silent(), overwrite=True)
    assert result.movies[0].is_file()
