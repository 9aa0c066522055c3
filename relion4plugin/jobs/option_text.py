"""Options of a job as text, read the way RELION reads them."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import format_value

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_IN_BRACKETS = re.compile(r"\((\d+)\)\s*$")


@dataclass(frozen=True)
class OptionText:
    """Options with their defaults filled in; numbers stay the text that was given."""

    values: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        """Return the text of an option; two double quotes stand for nothing."""
        value = self.values.get(name, "").strip()
        return "" if value == '""' else value

    def yes(self, name: str) -> bool:
        """Tell whether a Yes/No option is Yes; everything else is No."""
        return self[name] == "Yes"

    def number(self, name: str) -> float:
        """Return the number with which the text begins; 0 where it begins with none."""
        match = _NUMBER.match(self[name])
        return float(match[0]) if match else 0.0

    def whole(self, name: str, default: int = 0) -> int:
        """Return the whole part of a number; `default` where there is none."""
        return int(self.number(name)) if _NUMBER.match(self[name]) else default

    def menu(self, name: str) -> str:
        """Return the number in brackets at the end of a menu entry: ``1`` of ``90 degrees (1)``.

        Raises
        ------
        UserError
            If there is none.
        """
        match = _IN_BRACKETS.search(self[name].replace("__", " "))
        if match is None:
            raise UserError(f"{name} is '{self[name]}' but must be an entry of RELION's menu, which ends with a number in brackets")
        return match[1]

    def words(self, name: str) -> list[str]:
        """Split free text into words as a shell does.

        Raises
        ------
        UserError
            If a quote is not closed.
        """
        try:
            return shlex.split(self[name])
        except ValueError as error:
            raise UserError(f"{name} is '{self[name]}': {error}; close the quote") from error

    def require(self, name: str, what: str) -> str:
        """Return the text of an option that must be given.

        Raises
        ------
        UserError
            If it is empty.
        """
        if not self[name]:
            raise UserError(f"{name} is empty: give {what}")
        return self[name]

    def option(self, flag: str, name: str) -> list[str]:
        """Return a program's option and its value."""
        return [flag, self[name]]

    def given(self, flag: str, name: str) -> list[str]:
        """Return a program's option and its value, nothing where the text is empty."""
        return [flag, self[name]] if self[name] else []

    def switch(self, flag: str, name: str) -> list[str]:
        """Return a program's switch where the option is Yes."""
        return [flag] if self.yes(name) else []

    def positive(self, flag: str, name: str) -> list[str]:
        """Return a program's option and its value where it is above 0."""
        return [flag, self[name]] if self.number(name) > 0 else []

    def times(self, flag: str, name: str, factor: float) -> list[str]:
        """Return a program's option and a multiple of the value."""
        return [flag, format_value(factor * self.number(name))]

    def program(self, name: str) -> str:
        """Return a program of RELION, the parallel one where more than one MPI process is asked for."""
        return f"{name}_mpi" if self.whole("nr_mpi", 1) > 1 else name


def expanded(words: list[str]) -> list[str]:
    """Return a command with environment variables (``$NAME``) filled in, for running it without a shell."""
    return [os.path.expandvars(word) for word in words]
