"""What systemd is told, over a socket like its own."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from sprawl.observability.service_manager import ServiceManager, watchdog_seconds
from sprawl.runtime.real.service_manager import notifier


async def test_ready_life_and_stopping_are_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        live = True
        manager = ServiceManager(notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}), 0.03, lambda: live)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(60):
            manager.ready("serving")
            assert await loop.sock_recv(heard, 4096) == b"READY=1\nSTATUS=serving"
            for _ in range(3):
                assert await loop.sock_recv(heard, 4096) == b"WATCHDOG=1"
            live = False
            manager.stopping()
            while (message := await loop.sock_recv(heard, 4096)) == b"WATCHDOG=1":
                pass
            assert message.startswith(b"STOPPING=1")
        manager.close()


def test_a_node_that_has_failed_shows_no_life() -> None:
    async def run() -> list[bytes]:
        told: list[bytes] = []
        manager = ServiceManager(told.append, 3.0, lambda: False)
        manager.ready("serving")
        manager.close()
        return told

    assert asyncio.run(run()) == [b"READY=1\nSTATUS=serving"]


async def test_without_a_service_manager_nothing_is_sent(tmp_path: Path) -> None:
    assert notifier({}) is None
    manager = ServiceManager(None, 1.0, lambda: True)
    manager.ready("serving")
    manager.stopping()
    send = notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert send is not None
    send(b"READY=1")  # nobody there: no harm


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_may_be_meant_for_somebody_else(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environment, 7) == seconds
