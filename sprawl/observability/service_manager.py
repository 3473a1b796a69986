"""What a service manager (systemd) is told of a node: that it is ready, that it lives, that it stops.

In: a way to send, the watchdog's patience, whether the node lives. Out: sd_notify messages. A loop that hangs sends
nothing, and so does a node that has failed: the manager then restarts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

Send = Callable[[bytes], None]


class ServiceManager:
    def __init__(self, send: Send | None, watchdog: float | None, live: Callable[[], bool]) -> None:
        """`send`: None where there is no service manager. `watchdog`: seconds after which it loses patience."""
        self._send = send
        self._every = None if watchdog is None else watchdog / 3
        self._live = live
        self._timer: asyncio.TimerHandle | None = None

    def ready(self, status: str) -> None:
        self._tell(f"READY=1\nSTATUS={status}")
        if self._send is not None and self._every is not None:
            self._show_life(asyncio.get_running_loop(), self._every)

    def stopping(self) -> None:
        """The watchdog is still fed: a drain may take its time."""
        self._tell("STOPPING=1\nSTATUS=finishing what is under way")

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _show_life(self, loop: asyncio.AbstractEventLoop, every: float) -> None:
        if self._live():
            self._tell("WATCHDOG=1")
        self._timer = loop.call_later(every, self._show_life, loop, every)

    def _tell(self, message: str) -> None:
        if self._send is not None:
            self._send(message.encode())


def watchdog_seconds(environment: Mapping[str, str], pid: int) -> float | None:
    """As sd_watchdog_enabled(3): None where no watchdog waits for this process."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    usec = environment.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isdigit() and int(usec) > 0 else None
