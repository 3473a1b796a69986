"""Where the nodes of a run listen, how their processes get there, and what can be done to the network between them.

Two kinds: `Namespaces` (a network of its own for each node, with the switch between them) and `Loopback` (all on
127.0.0.1; nothing can be done to it). Both look alike to their user.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Protocol, Self

from sprawl.testing.ports import ReservedPort
from tools.chaos.links import Weather
from tools.chaos.switch import OUTSIDE, address

KAFKA_PORT = 9092
HTTP_PORT = 9644


class Network(Protocol):
    breakable: bool
    """Whether `set` and `clear` do anything."""

    def kafka(self, node: int) -> tuple[str, int]: ...

    def http(self, node: int) -> tuple[str, int]: ...

    def command(self, node: int) -> list[str]:
        """What goes before the command of a node's process."""

    def set(self, links: Iterable[tuple[int, int]], weather: Weather) -> None: ...

    def clear(self) -> None: ...

    def close(self) -> None: ...


class Namespaces:
    """Only inside of `isolation`."""

    breakable = True

    def __init__(self, nodes: list[int], seed: int) -> None:
        members = ",".join(map(str, nodes))
        command = [sys.executable, "-m", "tools.chaos.switch", members, str(seed)]
        self._switch = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._networks: dict[str, str] = self._answer()["networks"]
        self.carried = 0
        self.dropped = 0

    def kafka(self, node: int) -> tuple[str, int]:
        return address(node), KAFKA_PORT

    def http(self, node: int) -> tuple[str, int]:
        return address(node), HTTP_PORT

    def command(self, node: int) -> list[str]:
        return ["nsenter", f"--net={self._networks[str(node)]}", "--"]

    def set(self, links: Iterable[tuple[int, int]], weather: Weather) -> None:
        self._order({"links": list(links), "weather": asdict(weather)})

    def clear(self) -> None:
        self._order({"clear": True})

    def close(self) -> None:
        self._switch.communicate(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _order(self, order: dict[str, object]) -> None:
        assert self._switch.stdin is not None
        self._switch.stdin.write(json.dumps(order) + "\n")
        self._switch.stdin.flush()
        told = self._answer()
        self.carried, self.dropped = told["carried"], told["dropped"]

    def _answer(self) -> dict[str, Any]:
        assert self._switch.stdout is not None
        line = self._switch.stdout.readline()
        if not line:
            raise RuntimeError(f"the switch between the nodes ended with {self._switch.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Loopback:
    breakable = False

    def __init__(self, nodes: list[int]) -> None:
        self._ports = {each: (ReservedPort("127.0.0.1"), ReservedPort("127.0.0.1")) for each in nodes}

    def kafka(self, node: int) -> tuple[str, int]:
        return "127.0.0.1", self._ports[node][0].number

    def http(self, node: int) -> tuple[str, int]:
        return "127.0.0.1", self._ports[node][1].number

    def command(self, node: int) -> list[str]:
        return []

    def set(self, links: Iterable[tuple[int, int]], weather: Weather) -> None:
        raise AssertionError("the loopback device cannot be broken")

    def clear(self) -> None:
        """There is nothing to clear."""

    def close(self) -> None:
        for ports in self._ports.values():
            for port in ports:
                port.release()


__all__ = ["OUTSIDE", "Loopback", "Namespaces", "Network"]
