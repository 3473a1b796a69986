"""What the process itself costs, as metrics under the names every dashboard knows: CPU, memory, files, loop lag.

In: a registry. Out: gauges that are read when somebody asks, one timer that notes how late the event loop runs, and
what gossip tells the other nodes of.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from typing import Final

from sprawl import __version__
from sprawl.load import Counts
from sprawl.observability.metrics import Registry

LAG_SECONDS: Final = 1.0
"""How often the loop is asked to be punctual."""
_OF_LATE: Final = 10
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Vitals:
    """`start` and `stop` the timer; the gauges are there from the beginning."""

    def __init__(self, registry: Registry) -> None:
        registry.gauges("sprawl_build_info", "1, with the version as a label.", "version").of(__version__).value = 1
        cpu = registry.counter("process_cpu_seconds_total", "CPU time used, user and system.")
        cpu.follow(cpu_seconds)
        if os.path.exists("/proc/self/statm"):  # noqa: PTH110
            registry.gauge("process_resident_memory_bytes", "Memory in use, as the system counts it.", _resident_bytes)
            registry.gauge("process_open_fds", "Open files and sockets.", _open_files)
        for what in ("read", "write"):
            if _disk_bytes(what) is not None:
                registry.counter(
                    f"kafka_server_kafkaserver_linux_disk_{what}_bytes", f"Disk, bytes: {what}, by this process."
                ).follow(lambda what=what: _disk_bytes(what) or 0)  # type: ignore[misc]
        self._lag = registry.histogram("sprawl_loop_lag_seconds", "How late the event loop runs a timer that is due.")
        self._timer: asyncio.TimerHandle | None = None
        self._worst_lag: float | None = None
        self._lags: deque[float] = deque(maxlen=_OF_LATE)

    def start(self) -> None:
        self._expect(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def counts(self) -> Counts:
        """Of the process so far; the lag is the worst since this was asked last."""
        lag, self._worst_lag = self._worst_lag, None
        received, sent = _net_bytes()
        return Counts(cpu_seconds(), received, sent, _disk_bytes("write"), lag)

    def lag_of_late(self) -> float | None:
        """Seconds: the worst of the last few; None before the first."""
        return max(self._lags, default=None)

    def _expect(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + LAG_SECONDS
        self._timer = loop.call_at(due, self._note, loop, due)

    def _note(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        late = max(0.0, loop.time() - due)
        self._lag.observe(late)
        self._worst_lag = max(late, self._worst_lag or 0.0)
        self._lags.append(late)
        self._expect(loop)


def seconds_since_start() -> float | None:
    """Since the process began, imports included; None where the system does not tell."""
    try:
        ticks = int(_proc("stat").rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return None


def cpu_seconds() -> float:
    """Used by this process so far, user and system."""
    times = os.times()
    return times.user + times.system


def _resident_bytes() -> float:
    return int(_proc("statm").split()[1]) * _PAGE


def _open_files() -> float:
    return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - importing pathlib takes its time


def _net_bytes() -> tuple[float | None, float | None]:
    """Received and sent by this machine, or the part of it that this process sees, without its loopback."""
    received = sent = 0
    try:
        for line in _proc("net/dev").splitlines()[2:]:
            name, _, columns = line.partition(":")
            if name.strip() != "lo":
                counted = columns.split()
                received += int(counted[0])
                sent += int(counted[8])
    except (OSError, ValueError, IndexError):
        return None, None
    return received, sent


def _disk_bytes(what: str) -> float | None:
    """What this process has had read from disks, or written to them; None where it may not know."""
    try:
        told = dict(line.split(": ") for line in _proc("io").splitlines())
        return int(told[f"{what}_bytes"])
    except (OSError, ValueError, KeyError):
        return None


def _proc(name: str) -> str:
    with open(f"/proc/self/{name}", encoding="ascii") as file:  # noqa: PTH123
        return file.read()
