"""One thing that a check of a scheme has to say."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Severity(Enum):
    """How bad it is."""

    ERROR = "error"  # the scheme would stop there
    WARNING = "warning"


Problem = tuple[Severity, str]


@dataclass(frozen=True)
class Finding:
    """A message with its place; line 0 means the file as a whole."""

    severity: Severity
    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        """Return it as one line: ``FILE:LINE: error: text``."""
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.severity.value}: {self.text}"
