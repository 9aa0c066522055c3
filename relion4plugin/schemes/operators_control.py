"""Operators that wait, stop the scheme or send mail."""

import math
import time

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import UNDEFINED, Kind
from relion4plugin.schemes.operator_types import FLOAT, NUMBER, Argument, Call, Exit, Input, register
from relion4plugin.schemes.variables import shown_value

_SLICE, _RELION_SLICE = 1.0, 10.0  # seconds between two looks at a request to abort
_HOUR = 3600.0
_LAST_DATE = 2.5e11  # seconds; calendars of the standard library end near the year 9999


def _finite(value: float, unit: str) -> float:
    if not math.isfinite(value):
        raise UserError(f"input1 is {value}; expected a number of {unit}")
    return value


@register("wait", NUMBER, None, Kind.FLOAT, output_optional=True)
def wait(call: Call) -> float | None:
    """Wait until so many seconds have passed since the last wait ended; the first one only starts the clock.

    The output becomes the time that had passed before waiting. All waits share one clock. RELION waits in slices of ten
    seconds, so longer than asked; that is what strict mode does.
    """
    seconds, timers, clock = _finite(call.number1, "seconds"), call.context.timers, call.context.clock
    start = clock()
    if timers.waited_at is None:
        timers.waited_at = start
        return None
    elapsed = start - timers.waited_at
    end = timers.waited_at + seconds
    if end > start:
        call.context.report(f" + Waiting for {end - start:g} seconds ...")
    while (left := end - clock()) > 0 and not call.context.abort_requested():
        call.context.sleep(_RELION_SLICE if call.strict else min(left, _SLICE))
    timers.waited_at = clock()
    return elapsed


@register("exit_maxtime", FLOAT, None, None)
def exit_maxtime(call: Call) -> Exit | None:
    """Stop the scheme once so many hours have passed since this operator was first executed by this process."""
    hours, timers = _finite(call.number1, "hours"), call.context.timers
    now = call.context.clock()
    if timers.deadline is None:
        timers.deadline = now + hours * _HOUR
        call.context.report(f" + Set exit time to {_date(timers.deadline)}")
        return None
    return Exit(f"the maximum time of {hours:g} hours has passed") if now > timers.deadline else None


def _date(seconds: float) -> str:
    if not 0 <= seconds < _LAST_DATE:
        return "a date beyond the calendar"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


@register("exit", None, None, None)
def leave(call: Call) -> Exit:
    """Stop the scheme."""
    return Exit("an exit node was reached")


@register("email", Input(Argument.ANY), Input(Argument.ANY, optional=True, lenient=True), None)
def email(call: Call) -> None:
    """Send name and value of one or two variables to the address in the string variable ``email``."""
    address = call.scheme.strings.get("email")
    if address is None or not address.value:
        call.context.report(" + WARNING: no mail sent: there is no string variable email with an address")
        return
    names = [name for name in (call.operator.input1, call.operator.input2) if name != UNDEFINED]
    lines = [f"{name} = {shown_value(call.scheme, name)}" for name in names if shown_value(call.scheme, name) is not None]
    date = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(max(0.0, min(call.context.clock(), _LAST_DATE))))
    call.context.mail(address.value, "Schemer", "\n".join([date, *lines]) + "\n")
