"""The network between all nodes: names, ports, who listens where, who is connected to whom.

In: requests of the nodes' networks. Out: connections and datagrams that obey the links. Never decides when: the links
and the scheduler do.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sprawl.runtime.simulated.connections import Endpoint
from sprawl.runtime.simulated.links import Links
from sprawl.runtime.simulated.pipes import Mark
from sprawl.runtime.simulated.scheduler import Scheduler
from sprawl.runtime.simulated.trace import Event

if TYPE_CHECKING:
    from sprawl.runtime.simulated.datagrams import SimulatedDatagram
    from sprawl.runtime.simulated.node import Process, SimulatedNode

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_ANY: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - names, nothing is bound
_FIRST_EPHEMERAL: Final = 32768


class Listening:
    """A port that a process accepts connections on."""

    __slots__ = ("backlog", "factory", "loopback_only", "process", "secured", "waiting")

    def __init__(
        self,
        process: Process,
        factory: Callable[[], asyncio.BaseProtocol],
        *,
        backlog: int,
        loopback_only: bool,
        secured: bool,
    ) -> None:
        self.process = process
        self.factory = factory
        self.backlog = backlog
        self.loopback_only = loopback_only
        self.secured = secured
        self.waiting = 0


class Fabric:
    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.links = Links()
        self.give_up = 60.0
        """Seconds after which TCP gives up a connection whose segments or acknowledgements don't get through."""
        self.connect_timeout = 20.0
        self.detection = (5.0, 30.0)
        """Seconds after which the peer of a machine that lost power is told, had it nothing to send itself."""
        self.listening: dict[tuple[str, int], Listening] = {}
        self.datagrams: dict[tuple[str, int], SimulatedDatagram] = {}
        self._nodes: dict[str, SimulatedNode] = {}
        self._accepting: dict[Endpoint, Listening] = {}
        self._connections: list[tuple[Endpoint, Endpoint]] = []
        self._connection_count = 0

    def add_node(self, node: SimulatedNode) -> None:
        self._nodes[node.name] = self._nodes[node.address] = node
        self.links.add_node(node.name)

    def trace(self, event: Event, a: int, b: int, c: int) -> None:
        self.scheduler.trace.add(self.scheduler.now, event, a, b, c)

    def resolve(self, host: str, seeker: SimulatedNode) -> SimulatedNode:
        if host in _LOOPBACK or host in _ANY:
            return seeker
        node = self._nodes.get(host)
        if node is None:
            raise socket.gaierror(socket.EAI_NONAME, f"no node is called {host!r}")
        return node

    def free_port(self, node: SimulatedNode) -> int:
        port = node.next_port
        while (node.name, port) in self.listening or (node.name, port) in self.datagrams:
            port += 1
        node.next_port = port + 1 if port < 60999 else _FIRST_EPHEMERAL
        return port

    def check_bindable(self, node: SimulatedNode, host: str) -> bool:
        """Whether only the node itself will reach it. Raises `OSError` for an address the node doesn't have."""
        if host in _LOOPBACK:
            return True
        if host in _ANY or self.resolve(host, node) is node:
            return False
        raise OSError(errno.EADDRNOTAVAIL, f"{node.name} does not have the address {host}")

    def reset_connections(self, first: str, second: str) -> None:
        """What a middlebox or an operator may do: both ends of every connection between the two see a reset."""
        for ends in list(self._connections):
            if {end.node.name for end in ends} == {first, second}:
                for end in ends:
                    end.reset()

    def connect_ends(self, client: Process, server: Listening, port: int, loopback: bool) -> Endpoint:
        """Called when the client knows that it is connected; the server learns of it with the next segment."""
        self._connection_count += 2
        number = self._connection_count
        client_address = "127.0.0.1" if loopback else client.node.address
        server_address = "127.0.0.1" if loopback else server.process.node.address
        here, there = (client_address, self.free_port(client.node)), (server_address, port)
        near = Endpoint(self, client, number, here, there)
        far = Endpoint(self, server.process, number + 1, there, here)
        near.join(far)
        far.join(near)
        self._accepting[far] = server
        self._connections = [ends for ends in self._connections if ends[0].connected or ends[1].connected]
        self._connections.append((near, far))
        near.send_mark(Mark.OPEN)
        return near

    def accept(self, endpoint: Endpoint) -> None:
        """The connection has reached the server's kernel: hand it over in the process's next turn."""
        server = self._accepting.pop(endpoint)
        server.waiting -= 1
        if server.process.alive and server in self.listening.values():
            server.process.loop.call_soon(self._accept, server, endpoint)
        else:
            endpoint.abort()

    def _accept(self, server: Listening, endpoint: Endpoint) -> None:
        if not endpoint.is_closing():
            endpoint.open(server.factory())

    def detect_later(self, endpoint: Endpoint) -> None:
        """Keepalives go unanswered for a while; then the kernel gives the connection up."""
        least, most = self.detection
        delay = self.scheduler.rng.uniform(least, most)
        self.scheduler.after(delay, self._detected, endpoint)

    def process_ended(self, process: Process) -> None:
        for key in [key for key, server in self.listening.items() if server.process is process]:
            del self.listening[key]
        for key in [key for key, datagram in self.datagrams.items() if datagram.process is process]:
            del self.datagrams[key]

    def _detected(self, endpoint: Endpoint) -> None:
        endpoint.break_off(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
