"""Operators on strings."""

import math

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import UNDEFINED, Kind
from relion4plugin.schemes.operator_types import NUMBER, STRING, Call, register, register_pure
from relion4plugin.schemes.operators_number import nearest

_LONGEST = 1 << 16  # characters of a string variable


@register_pure("string=set", STRING, None, Kind.STRING)
def set_string(text: str) -> str:
    """Copy a string."""
    return text


@register_pure("string=join", STRING, STRING, Kind.STRING)
def join(left: str, right: str) -> str:
    """Put the second behind the first; a loop that doubles a string ends before it fills the memory."""
    if len(left) + len(right) > _LONGEST:
        raise UserError(f"the joined string would have more than {_LONGEST} characters; is it joined to itself in a loop?")
    return left + right


@register_pure("string=before_first", STRING, STRING, Kind.STRING)
def before_first(text: str, mark: str) -> str:
    """Give what stands before the first `mark`; all of the text where there is none."""
    at = text.find(mark)
    return text if at < 0 else text[:at]


@register_pure("string=after_first", STRING, STRING, Kind.STRING)
def after_first(text: str, mark: str) -> str:
    """Give what stands behind the first `mark`; all of the text where there is none."""
    at = text.find(mark)
    return text if at < 0 else text[at + len(mark) :]


@register_pure("string=before_last", STRING, STRING, Kind.STRING)
def before_last(text: str, mark: str) -> str:
    """Give what stands before the last `mark`; all of the text where there is none."""
    at = text.rfind(mark)
    return text if at < 0 else text[:at]


@register_pure("string=after_last", STRING, STRING, Kind.STRING)
def after_last(text: str, mark: str) -> str:
    """Give what stands behind the last `mark`; all of the text where there is none."""
    at = text.rfind(mark)
    return text if at < 0 else text[at + len(mark) :]


def words_of(text: str) -> list[str]:
    """Split at commas, without empty words; ``undefined`` has no words."""
    return [] if text == UNDEFINED else [word for word in text.split(",") if word]


@register_pure("float=count_words", STRING, None, Kind.FLOAT)
def count_words(text: str) -> float:
    """Count the words between commas."""
    return float(len(words_of(text)))


@register("string=nth_word", STRING, NUMBER, Kind.STRING, pure=True)
def nth_word(call: Call) -> str:
    """Give the n-th word between commas, counted from 1, negative from the end (in strict mode none, as in RELION)."""
    words, number = words_of(call.text1), nearest(call.number2)
    if not math.isfinite(number) or number == 0 or abs(number) > len(words) or (number < 0 and call.strict):
        return UNDEFINED
    return words[int(number) - 1 if number > 0 else int(number)]
