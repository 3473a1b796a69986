"""Where the nodes of a run listen, how their processes get there, and what can be done to the network between them.

Two kinds, which look alike to their user: `Namespaces` (a network of its own for each node, with the switch between
them), and `Loopback` (all on 127.0.0.1, with a relay in front of each). Either is a program that takes orders.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sprawl.testing.ports import ReservedPort
from tools.chaos.links import Weather
from tools.chaos.switch import OUTSIDE, address

KAFKA_PORT = 9092
HTTP_PORT = 9644


class Network:
    def __init__(self, module: str, members: str, seed: int) -> None:
        self.carried = 0
        self.dropped = 0
        self._program = subprocess.Popen(
            [sys.executable, "-m", module, members, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._lock = threading.Lock()
        self._told = self._answer()

    def kafka(self, node: int) -> tuple[str, int]:
        """Where clients and other nodes find this one."""
        raise NotImplementedError

    def listener(self, node: int) -> tuple[str, int]:
        """Where it listens itself."""
        return self.kafka(node)

    def http(self, node: int) -> tuple[str, int]:
        raise NotImplementedError

    def command(self, node: int) -> list[str]:
        """What goes before the command of a node's process."""
        return []

    def started(self, node: int, process: int) -> None:
        """The node has a new process."""

    def set(self, links: Iterable[tuple[int, int]], weather: Weather) -> None:
        self._order({"links": list(links), "weather": asdict(weather)})

    def clear(self) -> None:
        self._order({"clear": True})

    def close(self) -> None:
        self._program.communicate(timeout=10)

    def _order(self, order: dict[str, object]) -> None:
        assert self._program.stdin is not None
        with self._lock:
            self._program.stdin.write(json.dumps(order) + "\n")
            self._program.stdin.flush()
            told = self._answer()
        self.carried, self.dropped = told["carried"], told["dropped"]

    def _answer(self) -> dict[str, Any]:
        assert self._program.stdout is not None
        line = self._program.stdout.readline()
        if not line:
            raise RuntimeError(f"the network between the nodes ended with {self._program.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Namespaces(Network):
    """Only inside of `isolation`."""

    def __init__(self, nodes: list[int], seed: int) -> None:
        super().__init__("tools.chaos.switch", ",".join(map(str, nodes)), seed)

    def kafka(self, node: int) -> tuple[str, int]:
        return address(node), KAFKA_PORT

    def http(self, node: int) -> tuple[str, int]:
        return address(node), HTTP_PORT

    def command(self, node: int) -> list[str]:
        return ["nsenter", f"--net={self._told['networks'][str(node)]}", "--"]


class Loopback(Network):
    def __init__(self, nodes: list[int], seed: int) -> None:
        self._kafka, self._own, self._http = (
            {each: ReservedPort("127.0.0.1") for each in nodes} for _ in ("relay", "node", "http")
        )
        # What a relay listens on is the relay's: it never goes away, so that nothing has to be held for it.
        ports = {each: self._kafka[each].number for each in nodes}
        for held in self._kafka.values():
            held.release()
        members = ",".join(f"{each}:{ports[each]}:{self._own[each].number}" for each in nodes)
        self._ports = ports
        super().__init__("tools.chaos.relay", members, seed)

    def kafka(self, node: int) -> tuple[str, int]:
        return "127.0.0.1", self._ports[node]

    def listener(self, node: int) -> tuple[str, int]:
        return "0.0.0.0", self._own[node].number  # elsewhere than on "any" a node is found where it listens

    def http(self, node: int) -> tuple[str, int]:
        return "127.0.0.1", self._http[node].number

    def started(self, node: int, process: int) -> None:
        self._order({"process": [node, process]})

    def close(self) -> None:
        super().close()
        for port in (*self._own.values(), *self._http.values()):
            port.release()


__all__ = ["OUTSIDE", "Loopback", "Namespaces", "Network"]
