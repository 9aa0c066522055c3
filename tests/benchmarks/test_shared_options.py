from pathlib import Path

import pytest
from shared_options import add_docs, add_sets, add_shared, add_structures, benchmark_parser


@pytest.fixture
def parser():
    made = benchmark_parser("What it measures.", "folder for runs")
    add_shared(made, n=500, pixel=4, em_iterations=25, tau2_fudge=2.0)
    add_structures(made)
    add_sets(made, {"one": 1, "two": 2})
    add_docs(made, "parallel.md", what="table and picture")
    return made


def test_defaults_have_the_type_of_the_option(parser):
    options = parser.parse_args(["--out", "o"])
    assert (options.out, options.n, options.em_iterations, options.docs) == (Path("o"), 500, 25, False)
    assert isinstance(options.pixel, float) and options.structures == ["pseudo"] and options.sets == ["one", "two"]


def test_words_of_the_command_line(parser):
    words = ["--out", "o", "--em-iterations", "3", "--tau2_fudge", "1.5", "--sets", "two", "--docs"]
    options = parser.parse_args(words)
    assert (options.em_iterations, options.tau2_fudge, options.sets, options.docs) == (3, 1.5, ["two"], True)
    with pytest.raises(SystemExit):
        parser.parse_args(["--out", "o", "--sets", "three"])
    assert "put table and picture into docs/parallel.md" in parser.format_help()


def test_an_unknown_shared_option_is_refused(parser):
    with pytest.raises(KeyError):
        add_shared(parser, colour=1)
