"""The log: one plain line per event on standard error, and never more of one kind than a person can use.

A client can make a broker complain as fast as it can send. Warnings and errors of one place in the code are therefore
written a few times per window; the rest are counted, and the count is written when the window ends. Times are
local, with the offset from UTC.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TextIO

log = logging.getLogger(__name__)

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(level: str, stream: TextIO | None = None) -> logging.Handler:
    """Send everything from `level` upwards to `stream` (standard error). Replaces what was configured before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    logging.raiseExceptions = False  # a full disk under the log must not fill it with its own failures
    return handler


class _OneLine(logging.Formatter):
    """What clients send may hold line breaks and control codes; a log line must not."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(" ", "milliseconds")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        if not record.message.isprintable():
            record.message = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in record.message)
        return super().formatMessage(record)


@dataclass(slots=True)
class _Window:
    began: float
    passed: int = 0
    held: int = 0


class RateLimit(logging.Filter):
    """Lets `burst` warnings or errors of one place in the code pass per `window` seconds, and counts the others."""

    def __init__(self, *, burst: int = 10, window: float = 10.0) -> None:
        super().__init__()
        self._burst = burst
        self._seconds = window
        self._windows: dict[tuple[str, int], _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or getattr(record, "unlimited", False):
            return True
        place = (record.pathname, record.lineno)
        window = self._windows.get(place)
        if window is None or record.created - window.began >= self._seconds:
            if window is not None:
                self._close(place, window, record.name, record.levelno)
            window = self._windows[place] = _Window(record.created)
        if window.passed < self._burst:
            window.passed += 1
            return True
        window.held += 1
        if window.held == 1:
            self._close_later(place, window, record)
        return False

    def _close_later(self, place: tuple[str, int], window: _Window, record: logging.LogRecord) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # outside a loop the count is written with the next record of the kind
        loop.call_later(self._seconds, self._close, place, window, record.name, record.levelno)

    def _close(self, place: tuple[str, int], window: _Window, name: str, level: int) -> None:
        """End a window, unless that was done: say how many were held back, if any."""
        if self._windows.get(place) is not window:
            return
        del self._windows[place]
        if window.held:
            logging.getLogger(name).log(
                level, "%d more like the last ones in %.0f s", window.held, self._seconds, extra={"unlimited": True}
            )
