"""Random operators on random variables: a result, an exit, or the documented error; never anything else."""

import hypothesis.strategies as st
from hypothesis import given, settings

from relion4plugin.errors import UserError
from relion4plugin.files.star_text import stored_text
from relion4plugin.schemes.model import Operator, Scheme, Variable
from relion4plugin.schemes.operator_types import OPERATOR_TYPES
from relion4plugin.schemes.operators import Exit, evaluate
from relion4plugin.schemes.scheme_star import read_scheme_star, scheme_text
from tests.schemes.world import World

NAMES = ("a", "b", "c", "email")
TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "undefined",
            "a,b,,c",
            "p.star",
            "p.star,particles,rlnX",
            "p.star,particles,rlnName",
            "p.star,none,rlnX",
            "*.star",
            "folder/",
            "folder/new",
            "Schemes/toy/job/x",
            "Schemes/toy/none/x,particles,rlnX",
            "Schemes/other/job/x",
            "Schemes/toy/FILE",
            "Schemes/",
            "Schemes//",
            "bad.star",
            "bad.star,particles,rlnX",
            "~",
            "x" * 5000,
            "nul\0byte",
            "line\nbreak",
            "\udc80",
        ]
    ),
    st.text(max_size=8),
)
FLOATS = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, -1.0, 2.0, 2.5, float("inf"), float("nan"), 1e308])
REFERENCES = st.sampled_from([*NAMES, "undefined", "none", "10", "-1", "1e400"])


def variables(values):
    return st.dictionaries(st.sampled_from(NAMES), st.builds(Variable, values, values), max_size=4)


SCHEMES = st.builds(
    Scheme, st.just("Schemes/toy/"), floats=variables(FLOATS), bools=variables(st.booleans()), strings=variables(TEXTS)
)
OPERATORS = st.builds(Operator, st.just("OP"), st.sampled_from([*sorted(OPERATOR_TYPES), "none"]), REFERENCES, REFERENCES, REFERENCES)


@settings(max_examples=500)
@given(SCHEMES, OPERATORS, st.booleans())
def test_nothing_but_the_documented_error(tmp_path_factory, scheme, operator, strict):
    world = World(tmp_path_factory.getbasetemp() / "random", abort_after=20)
    world.file("p.star", "data_particles\n\nloop_\n_rlnX\n_rlnName\n1.5 a\n2 b\n")
    world.file("bad.star", "data_particles\nloop_\n_rlnX\n_rlnY\n_rlnZ\n1 2\n")
    context = world.context()
    for _ in range(2):  # timers act from the second time on
        try:
            result = evaluate(operator, scheme, context, strict)
        except UserError as error:
            assert str(error).startswith(("Schemes/toy/: operator OP: ", "operator OP: "))
            return
        assert isinstance(result, Scheme | Exit)


STORABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\"'"), min_size=1, max_size=10)


@given(
    st.dictionaries(STORABLE.filter(str.split), FLOATS.filter(lambda x: x == x), max_size=4),
    st.dictionaries(STORABLE.filter(str.split), STORABLE, max_size=4),
    st.dictionaries(STORABLE.filter(str.split), st.booleans(), max_size=4),
)
def test_a_saved_state_is_the_state(tmp_path_factory, floats, strings, bools):
    scheme = Scheme("Schemes/toy/", "NODE")
    for name, value in floats.items():
        scheme = scheme.with_float(" ".join(name.split()), value)
    for name, text in strings.items():
        scheme = scheme.with_string(" ".join(name.split()), stored_text(text))
    for name, flag in bools.items():
        scheme = scheme.with_bool(" ".join(name.split()), flag)
    path = tmp_path_factory.getbasetemp() / "scheme.star"
    path.write_text(scheme_text(scheme), encoding="utf-8")
    assert read_scheme_star(path) == scheme
