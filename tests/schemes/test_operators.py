"""Each operator once, with values known from RELION 4.0.2."""

import math

import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import Operator
from relion4plugin.schemes.operator_types import OPERATOR_TYPES, RESERVED
from relion4plugin.schemes.operators import Exit, evaluate
from tests.schemes.world import toy

STAR = (
    "data_optics\n\nloop_\n_rlnVoltage\n_rlnSphericalAberration\n_rlnImagePixelSize\n300 2.7 1.0\n\n"
    "data_particles\n\nloop_\n_rlnImageName\n_rlnDefocusU\n_rlnIsFlip\n_rlnClassNumber\n"
    "1@a.mrcs 30.5 1 3\n2@a.mrcs 10.5 0 1\n3@a.mrcs 20.5 0 2\n\n"
)


def run(world, kind, output="undefined", input1="undefined", input2="undefined", strict=False, **variables):
    scheme = toy(**variables)
    result = evaluate(Operator("OP", kind, output, input1, input2), scheme, world.context(), strict)
    if isinstance(result, Exit):
        return result
    for values in (result.bools, result.floats, result.strings):
        if output in values:
            return values[output].value
    return None


def number(world, kind, a, b=0.0, **rest):
    return run(world, kind, "out", "a", "b", floats={"a": a, "b": b, "out": -1}, **rest)


def test_every_operator_of_relion_is_there():
    text = "after_first after_last before_first before_last glob join nth_word read_star set"
    names = {f"string={name}" for name in text.split()}
    names |= {f"bool={name}" for name in "and eq file_exists ge gt le lt not or read_star set".split()}
    numbers = "count_images count_words divide minus mult plus read_star round set"
    statistics = "star_table_avg star_table_max star_table_min star_table_sort_idx"
    names |= {f"float={name}" for name in f"{numbers} {statistics}".split()}
    names |= {"copy_file", "delete_file", "email", "exit", "exit_maxtime", "move_file", "touch_file", "wait"}
    assert set(OPERATOR_TYPES) == names
    assert len(RESERVED) == 2


@pytest.mark.parametrize(
    ("kind", "a", "b", "expected"),
    [
        ("bool=set", True, False, True),
        ("bool=and", True, True, True),
        ("bool=and", True, False, False),
        ("bool=or", False, True, True),
        ("bool=or", False, False, False),
        ("bool=not", True, False, False),
    ],
)
def test_booleans(world, kind, a, b, expected):
    assert run(world, kind, "out", "a", "b", bools={"a": a, "b": b, "out": not expected}) is expected


def test_not_takes_unknown_names_as_relion_does(world):
    assert run(world, "bool=not", "new", "nothing") is True
    assert any("nothing" in line for line in world.lines)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("gt", (False, False, True)), ("ge", (False, True, True)), ("lt", (True, False, False)), ("le", (True, True, False))],
)
def test_comparisons(world, kind, expected):
    found = [run(world, f"bool={kind}", "out", "a", "b", floats={"a": a, "b": 2}, bools={"out": False}) for a in (1, 2, 3)]
    assert tuple(found) == expected


def test_equality_within_a_hundred_millionth(world):
    def same(b):
        return run(world, "bool=eq", "out", "a", "b", floats={"a": 1, "b": b}, bools={"out": False})

    assert (same(1 + 5e-9), same(1 + 2e-8)) == (True, False)


def test_a_literal_number_counts_unless_strict(world):
    literal = {"floats": {"x": 5}, "bools": {"out": False}}
    assert run(world, "bool=gt", "out", "x", "10", **literal) is False
    assert run(world, "bool=gt", "out", "x", "10", strict=True, **literal) is True


def test_arithmetic(world):
    assert [number(world, f"float={name}", 7, 2) for name in ("plus", "minus", "mult", "divide", "set")] == [9, 5, 14, 3.5, 7]
    assert number(world, "float=divide", 1, 0) == math.inf
    assert number(world, "float=divide", -1, 0) == -math.inf
    assert math.isnan(number(world, "float=divide", 0, 0))


def test_rounding_goes_away_from_zero(world):
    assert [number(world, "float=round", value) for value in (2.5, -2.5, 2.4, 0.5, 1e300)] == [3, -3, 2, 1, 1e300]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("string=set", "a_b_c"),
        ("string=join", "a_b_c_"),
        ("string=before_first", "a"),
        ("string=after_first", "b_c"),
        ("string=before_last", "a_b"),
        ("string=after_last", "c"),
    ],
)
def test_strings(world, kind, expected):
    assert run(world, kind, "out", "a", "b", strings={"a": "a_b_c", "b": "_", "out": ""}) == expected


@pytest.mark.parametrize("kind", ["before_first", "after_first", "before_last", "after_last"])
def test_without_the_mark_the_string_stays_whole(world, kind):
    assert run(world, f"string={kind}", "out", "a", "b", strings={"a": "abc", "b": "/", "out": ""}) == "abc"


def test_words(world):
    def count(text):
        return run(world, "float=count_words", "out", "a", floats={"out": -1}, strings={"a": text})

    assert [count(text) for text in ("a,b,,c", "", "undefined", "one")] == [3, 0, 0, 1]


def test_the_nth_word(world):
    def word(n, strict=False):
        return run(world, "string=nth_word", "out", "a", "n", strict, floats={"n": n}, strings={"a": "a,b,,c", "out": ""})

    assert [word(n) for n in (1, 2, 3, -1, -3)] == ["a", "b", "c", "c", "a"]
    assert {word(n) for n in (4, 0, -4, math.inf)} == {"undefined"}
    assert word(-1, strict=True) == "undefined"


def test_files_and_folders_exist(world):
    world.file("Import/job001/movies.star")

    def exists(text):
        return run(world, "bool=file_exists", "out", "a", bools={"out": False}, strings={"a": text})

    found = [exists(text) for text in ("Import/job001/movies.star", "Import", "Import/none", "", "None", "undefined", "x" * 5000)]
    assert found == [True, True] + [False] * 5


def test_patterns_give_sorted_files(world):
    for name in ("m/b.star", "m/a.star", "m/c.txt"):
        world.file(name)

    def glob(text):
        return run(world, "string=glob", "out", "a", strings={"a": text, "out": ""})

    assert [glob("m/*.star"), glob("m/*.none"), glob("")] == ["m/a.star,m/b.star", "undefined", "undefined"]


def test_touching_empties_a_file_and_needs_a_folder(world):
    path = world.file("a.txt", "text")
    run(world, "touch_file", input1="a", strings={"a": "a.txt"})
    assert path.read_text() == ""
    with pytest.raises(UserError, match="there is no folder"):
        run(world, "touch_file", input1="a", strings={"a": "none/a.txt"})


def test_copying_moving_and_deleting(world):
    for name in ("a.txt", "b.txt", "keep.star"):
        world.file(name, name)
    run(world, "copy_file", input1="a", input2="b", strings={"a": "a.txt", "b": "new/deep/c.txt"})
    assert (world.root / "new/deep/c.txt").read_text() == "a.txt"
    run(world, "copy_file", input1="a", input2="b", strings={"a": "*.txt", "b": "new/"})
    assert sorted(path.name for path in (world.root / "new").glob("*.txt")) == ["a.txt", "b.txt"]
    run(world, "move_file", input1="a", input2="b", strings={"a": "keep.star", "b": "new/a.txt"})
    assert (world.root / "new/a.txt").read_text() == "keep.star"
    run(world, "delete_file", input1="a", strings={"a": "new/*"})
    assert [path.name for path in (world.root / "new").iterdir()] == ["deep"]  # folders stay
    assert any("cannot delete new/deep" in line for line in world.lines)


def test_a_failed_copy_is_said_and_does_not_stop_the_scheme(world):
    run(world, "copy_file", input1="a", input2="b", strings={"a": "none.txt", "b": "c.txt"})
    assert any("cannot copy none.txt" in line for line in world.lines)


def test_names_are_no_shell_commands(world):
    world.file("a.txt")
    run(world, "delete_file", input1="a", strings={"a": "a.txt; touch hacked"})
    assert (world.root / "a.txt").exists()
    assert not (world.root / "hacked").exists()


def test_counting_images(world):
    world.file("p.star", STAR)
    world.file("old.star", "data_\n\nloop_\n_rlnImageName\n1@a\n2@a\n")
    strings = {"file": "p.star", "old": "old.star", "none": "none.star", "kind": "micrographs", "images": "particles"}

    def count(name, table="undefined", strict=False):
        return run(world, "float=count_images", "out", name, table, strict, floats={"out": -1}, strings=strings)

    assert [count("file"), count("file", "images"), count("file", "kind"), count("none"), count("old")] == [3, 3, 0, 0, 2]
    assert count("file", strict=True) == 3
    with pytest.raises(UserError, match="lacks rlnVoltage"):
        count("old", strict=True)


def star_value(world, kind, label, row=None, strict=False):
    world.file("p.star", STAR)
    outputs = {"bool": {"bools": {"out": False}}, "float": {"floats": {"out": -1}}, "string": {"strings": {"out": ""}}}
    variables = {"floats": {}, "strings": {}} | outputs[kind.partition("=")[0]]
    variables["strings"]["a"] = f"p.star,particles,{label}"
    if row is not None:
        variables["floats"]["row"] = row
    return run(world, kind, "out", "a", "undefined" if row is None else "row", strict, **variables)


def test_values_of_star_files(world):
    assert star_value(world, "float=read_star", "rlnDefocusU") == 30.5
    assert star_value(world, "float=read_star", "rlnDefocusU", 2) == 20.5
    assert star_value(world, "float=read_star", "rlnClassNumber", 1.6) == 2
    assert star_value(world, "string=read_star", "rlnImageName", 1) == "2@a.mrcs"
    assert star_value(world, "string=read_star", "rlnClassNumber", 0) == "3"
    assert star_value(world, "bool=read_star", "rlnIsFlip") is True
    assert star_value(world, "bool=read_star", "rlnIsFlip", 1) is False


@pytest.mark.parametrize(
    ("kind", "label", "row", "message"),
    [
        ("float=read_star", "rlnImageName", 0, "expected a number"),
        ("bool=read_star", "rlnDefocusU", 0, "expected 0 or 1"),
        ("float=read_star", "rlnDefocusU", 3, "no row 3"),
        ("float=read_star", "rlnDefocusU", -1, "no row -1"),
        ("float=read_star", "rlnNone", 0, "no column rlnNone"),
    ],
)
def test_values_that_are_not_there(world, kind, label, row, message):
    with pytest.raises(UserError, match=message):
        star_value(world, kind, label, row)


def test_in_strict_mode_the_label_decides_what_is_written(world):
    world.file("p.star", STAR)
    scheme = toy(floats={"out": 0}, strings={"a": "p.star,particles,rlnImageName"})
    result = evaluate(Operator("OP", "float=read_star", "out", "a"), scheme, world.context(), strict=True)
    assert result.strings["out"].value == "1@a.mrcs"


def test_statistics_of_columns(world):
    world.file("p.star", STAR)
    world.file("empty.star", "data_particles\n\nloop_\n_rlnDefocusU\n\ndata_b\n_x 1\n")

    def statistic(kind, file="p.star", n=1.0, label="rlnDefocusU"):
        strings = {"a": f"{file},particles,{label}"}
        return run(world, f"float=star_table_{kind}", "out", "a", "n", floats={"out": -1, "n": n}, strings=strings)

    assert [statistic(kind) for kind in ("max", "min", "avg")] == [30.5, 10.5, 20.5]
    assert [statistic(kind, "empty.star") for kind in ("max", "min", "avg")] == [-99e99, 99e99, 0]
    assert [statistic("sort_idx", n=n) for n in (1, 2, 3, -1, -2, -3)] == [1, 2, 0, 0, 2, 1]
    for n in (0, 4, -4, math.nan):
        with pytest.raises(UserError, match="expected 1 for the smallest"):
            statistic("sort_idx", n=n)
    with pytest.raises(UserError, match="holds text"):
        statistic("max", label="rlnImageName")
    with pytest.raises(UserError, match="there is no file"):
        statistic("max", "none.star")


def test_waiting(world):
    scheme = toy(floats={"sec": 25, "passed": -1})
    operator, context = Operator("WAIT", "wait", "passed", "sec"), world.context()
    assert evaluate(operator, scheme, context).floats["passed"].value == -1
    assert world.slept == []  # the first wait only starts the clock
    world.now += 4
    result = evaluate(operator, scheme, context)
    assert result.floats["passed"].value == 4
    assert sum(world.slept) == pytest.approx(21) and max(world.slept) <= 1
    world.now += 30
    world.slept.clear()
    assert evaluate(operator, scheme, context).floats["passed"].value == 30
    assert world.slept == []


def test_waiting_as_relion_does_takes_slices_of_ten_seconds(world):
    scheme, context = toy(floats={"sec": 25}), world.context()
    for _ in range(2):
        evaluate(Operator("WAIT", "wait", "undefined", "sec"), scheme, context, strict=True)
    assert world.slept == [10, 10, 10]


def test_waiting_ends_on_a_request_to_abort(world):
    world.abort_after = 3
    scheme, context = toy(floats={"sec": 1e9}), world.context()
    for _ in range(2):
        evaluate(Operator("WAIT", "wait", "undefined", "sec"), scheme, context)
    assert len(world.slept) == 3


def test_the_maximum_time(world):
    scheme, context = toy(floats={"hours": 2}), world.context()
    operator = Operator("EXIT_maxtime", "exit_maxtime", input1="hours")
    assert evaluate(operator, scheme, context) is scheme
    world.now += 7000
    assert evaluate(operator, scheme, context) is scheme
    world.now += 201
    assert isinstance(evaluate(operator, scheme, context), Exit)
    assert "1970-01-01 02:16:40 UTC" in world.lines[0]


def test_exit(world):
    assert isinstance(run(world, "exit"), Exit)


def test_mail(world):
    run(world, "email", input1="n", input2="none", floats={"n": 3}, strings={"email": "me@here"})
    (letter,) = world.mails
    assert letter[:2] == ("me@here", "Schemer") and "n = 3" in letter[2]
    run(world, "email", input1="n", floats={"n": 3})
    assert len(world.mails) == 1 and "no mail sent" in world.lines[-1]


def test_what_is_reported(world):
    run(world, "float=plus", "a", "a", "b", floats={"a": 1, "b": 0.5})
    assert world.lines == [" + OP: a -> 1.5"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("float=star_table_max_idx", "reserves but does not implement"),
        ("float=pluss", "there is no type 'float=pluss'"),
        ("float=plus", "input1 'undefined' is not a float variable"),
        ("bool=and", "output 'out' is no boolean variable"),
    ],
)
def test_wrong_operators_are_refused(world, kind, message):
    with pytest.raises(UserError, match=message):
        run(world, kind, "out", floats={"out": 0})


class TestPathsOfSchemes:
    jobs = (("extract", "Extract/job006/"), "later")

    def test_a_copied_string_is_stored_resolved(self, world):
        strings = {"a": "Schemes/toy/extract/x.star", "out": "undefined"}
        assert run(world, "string=set", "out", "a", strings=strings, jobs=self.jobs) == "Extract/job006/x.star"
        assert " + in OP: Schemes/toy/extract/x.star -> Extract/job006/x.star" in world.lines

    def test_the_file_of_a_job_is_found_once_it_has_run(self, world):
        world.file("Extract/job006/x.star")

        def exists(job):
            strings = {"a": f"Schemes/toy/{job}/x.star"}
            return run(world, "bool=file_exists", "out", "a", bools={"out": False}, strings=strings, jobs=self.jobs)

        assert [exists("extract"), exists("later")] == [True, False]

    def test_a_path_in_input_2_replaces_input_1_in_strict_mode_only(self, world):
        strings = {"a": "left", "b": "Schemes/toy/extract/x", "out": ""}
        assert run(world, "string=join", "out", "a", "b", strings=strings, jobs=self.jobs) == "leftExtract/job006/x"
        strict = run(world, "string=join", "out", "a", "b", True, strings=strings, jobs=self.jobs)
        assert strict == "Extract/job006/xExtract/job006/x"


def test_a_string_joined_to_itself_ends(world):
    with pytest.raises(UserError, match="would have more than 65536 characters"):
        run(world, "string=join", "out", "a", "a", strings={"a": "x" * 40000, "out": ""})
