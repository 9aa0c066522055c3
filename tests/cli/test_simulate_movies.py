"""The command that simulates movies."""

import argparse
import json
from pathlib import Path

import pytest

from relion4plugin.cli import simulate_movies

WORDS = ["--n", "1", "--width", "64", "--height", "64", "--n_frames", "2", "--angpix", "4", "--n_particles", "2", "--quiet"]


def parsed(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    simulate_movies.add_args(parser)
    return parser.parse_args(words)


def test_it_says_where_everything_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate_movies.main(parsed(["--o", str(tmp_path / "out"), "--json", *WORDS])) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n"] == 1 and all(Path(said[name]).is_file() for name in ("movies", "truth", "gain", "defects"))
    assert simulate_movies.main(parsed(["--o", str(tmp_path / "out"), "--overwrite", *WORDS])) == 0
    assert "particle diameter" in capsys.readouterr().out
