"""How long-running work tells its caller how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Receiver of progress; implemented by the terminal bar and the Scipion log."""

    def start(self, label: str, total: int) -> None:
        """Begin a phase of `total` steps."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Report `n` more steps, with a short note on the current state."""

    def finish(self) -> None:
        """End the phase."""


class Silent:
    """A receiver that shows nothing."""

    def start(self, label: str, total: int) -> None:
        """Ignore the start."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Ignore the steps."""

    def finish(self) -> None:
        """Ignore the end."""
