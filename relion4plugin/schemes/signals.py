"""SIGTERM, SIGINT and SIGHUP as a request that a program looks at when it can stop cleanly."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass
class StopRequest:
    """Whether a signal came, and which."""

    name: str = ""

    def __bool__(self) -> bool:
        """Tell whether one came."""
        return bool(self.name)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Give what tells whether the program was asked to stop; a second signal interrupts at once.

    Outside the main thread no signal can be caught, and none is.
    """
    request = StopRequest()
    if current_thread() is not main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if request:
            raise KeyboardInterrupt(signal.Signals(number).name)
        request.name = signal.Signals(number).name

    before = {number: signal.signal(number, note) for number in _NUMBERS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
