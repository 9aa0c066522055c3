"""What an operator is: the kinds of its inputs and output, and the function that computes it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from relion4plugin.schemes.context import Context
from relion4plugin.schemes.model import Kind, Operator, Scheme
from relion4plugin.schemes.variables import Value


class Argument(Enum):
    """What an input of an operator must name."""

    BOOL = "a boolean variable"
    FLOAT = "a float variable"
    STRING = "a string variable"
    NUMBER = "a float variable or a number"
    ANY = "a variable"


@dataclass(frozen=True)
class Input:
    """One input; an `optional` one may be ``undefined``, a `lenient` one may also name nothing that exists."""

    kind: Argument
    optional: bool = False
    lenient: bool = False


@dataclass(frozen=True)
class Exit:
    """A request to end the scheme."""

    reason: str


@dataclass(frozen=True)
class Call:
    """One evaluation of an operator: its inputs as values (paths of schemes resolved; None where not given)."""

    operator: Operator
    scheme: Scheme
    context: Context
    strict: bool
    input1: Value | None
    input2: Value | None

    @property
    def text1(self) -> str:
        """First input of an operator that takes a string there."""
        return str(self.input1)

    @property
    def text2(self) -> str:
        """Second input of an operator that takes a string there."""
        return str(self.input2)

    @property
    def number1(self) -> float:
        """First input of an operator that takes a number there; 0 where not given."""
        return float(self.input1 or 0.0)

    @property
    def number2(self) -> float:
        """Second input of an operator that takes a number there; 0 where not given."""
        return float(self.input2 or 0.0)


Compute = Callable[[Call], Value | Exit | None]


@dataclass(frozen=True)
class OperatorType:
    """A type of operators.

    `compute` returns the value of the output, None for no change, or an `Exit`. `creates_output` lets the output be a name
    that does not exist yet; `output_optional` lets it be ``undefined``. A `pure` one depends on its inputs alone and changes
    its output alone, so that after a crash it can run again and nothing need be on disk before.
    """

    name: str
    input1: Input | None
    input2: Input | None
    output: Kind | None
    compute: Compute
    creates_output: bool = False
    output_optional: bool = False
    pure: bool = False


OPERATOR_TYPES: dict[str, OperatorType] = {}
# RELION knows these names but stops when one is executed.
RESERVED = frozenset({"float=star_table_max_idx", "float=star_table_min_idx"})

BOOL, FLOAT, STRING, NUMBER = Input(Argument.BOOL), Input(Argument.FLOAT), Input(Argument.STRING), Input(Argument.NUMBER)
OPTIONAL_NUMBER = Input(Argument.NUMBER, optional=True)


def register(
    name: str,
    input1: Input | None,
    input2: Input | None,
    output: Kind | None,
    *,
    creates_output: bool = False,
    output_optional: bool = False,
    pure: bool = False,
) -> Callable[[Compute], Compute]:
    """Register a function of a whole `Call` as the meaning of an operator type."""

    def decorate(compute: Compute) -> Compute:
        OPERATOR_TYPES[name] = OperatorType(name, input1, input2, output, compute, creates_output, output_optional, pure)
        return compute

    return decorate


def register_pure(
    name: str, input1: Input, input2: Input | None, output: Kind, *, creates_output: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of the input values alone."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if input2 is None:
            register(name, input1, None, output, creates_output=creates_output, pure=True)(lambda call: function(call.input1))
        else:
            compute = register(name, input1, input2, output, creates_output=creates_output, pure=True)
            compute(lambda call: function(call.input1, call.input2))
        return function

    return decorate
