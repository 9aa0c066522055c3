"""Loops of operators alone that would run for ever: noticed, stopped or slowed down."""

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import Scheme

# Their results can change although no variable does.
_LOOKING = (
    "bool=file_exists",
    "bool=read_star",
    "float=count_images",
    "float=read_star",
    "float=star_table",
    "string=read_star",
    "string=glob",
    "exit_maxtime",
)


class SpinGuard:
    """Compares the state before each operator with one from earlier in the same stretch without jobs and waits.

    Every state is compared with that of the last step whose count is a power of two, so a loop of any length is found after
    at most three rounds, and one state is kept.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin a new stretch."""
        self._kept: Scheme | None = None
        self._steps, self._looked = 0, False

    def pause_needed(self, scheme: Scheme, type_name: str) -> bool:
        """Take note of the operator that is about to run; True where the loop only polls files and should go slower.

        Raises
        ------
        UserError
            If the same operators would run with the same values for ever.
        """
        if type_name == "wait":
            self.restart()
            return False
        repeats = self._kept is not None and _same(self._kept, scheme)
        looked = self._looked
        self._looked = looked or type_name.startswith(_LOOKING)
        self._steps += 1
        if self._steps & (self._steps - 1) == 0:
            self._kept = scheme
        if not repeats:
            return False
        if looked:
            return True
        raise UserError(
            f"{scheme.name}: the operators from {scheme.current_node} on run in a circle and change nothing; add a wait, a job or an exit"
        )


def _same(one: Scheme, other: Scheme) -> bool:
    return (
        one.current_node == other.current_node and one.floats == other.floats and one.bools == other.bools and one.strings == other.strings
    )
