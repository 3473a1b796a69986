"""A listening address and the connections that came in through it.

`open` takes the address, so that its port is known, and lets clients wait; `serve` answers them.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter

from sprawl.runtime import Clock, Listener, Network
from sprawl.wire.connection import Connection
from sprawl.wire.dispatch import Dispatcher
from sprawl.wire.limits import ConnectionLimits, RequestMemory
from sprawl_protocol.framing import SCRATCH_BYTES

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 1.0


class KafkaListener:
    """Serves Kafka clients on one address: `open`, `serve`, `drain`, `drained`, `stop`. Owns its connections."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        *,
        network: Network,
        clock: Clock,
        dispatcher: Dispatcher,
        limits: ConnectionLimits,
        memory: RequestMemory,
        ids: itertools.count[int],
    ) -> None:
        self.name = name
        self.host = host
        self._port = port
        self._network = network
        self._clock = clock
        self._dispatcher = dispatcher
        self._limits = limits
        self._memory = memory
        self._ids = ids
        self._scratch = bytearray(SCRATCH_BYTES)
        self._listener: Listener | None = None
        self._connections: dict[Connection, None] = {}
        """In the order they came: a set's order would differ from run to run."""
        self._by_host: Counter[str] = Counter()
        self._serving = False
        self._sweeper: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def port(self) -> int:
        """The real port, once open (port 0 asks the system for a free one)."""
        return self._listener.port if self._listener is not None else self._port

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def open(self) -> None:
        """Raises `OSError` if the address cannot be had."""
        self._listener = await self._network.listen(self._accept, self.host, self._port, backlog=self._limits.backlog)
        self._sweeper = asyncio.create_task(self._sweep(), name=f"sweep {self.name}")

    def serve(self) -> None:
        self._serving = True
        for connection in list(self._connections):
            connection.release()

    def drain(self) -> None:
        """Accept nobody and take no further requests; each connection closes once its last answer is sent."""
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.drain()

    async def drained(self, timeout: float) -> None:
        """Wait for the last connection to close, for `timeout` seconds at most."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            log.info("%s: cutting %d connections that did not finish in %.1f s", self.name, self.connections, timeout)

    async def stop(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.abort()
        if self._listener is not None:
            await self._listener.wait_closed()

    def _accept(self) -> Connection:
        return Connection(
            next(self._ids),
            self._dispatcher,
            self._limits,
            self._memory,
            self.name,
            self._clock.monotonic,
            self._enter,
            self._forget,
            self._scratch,
        )

    def _enter(self, connection: Connection) -> bool:
        """Count a connection in; False if it is one too many."""
        host = connection.client_host
        if len(self._connections) >= self._limits.max_connections:
            log.warning("%s refused: %d connections is this listener's limit", connection, self._limits.max_connections)
            return False
        if self._by_host[host] >= self._limits.max_connections_per_host:
            log.warning(
                "%s refused: %d connections is the limit for one host",
                connection,
                self._limits.max_connections_per_host,
            )
            return False
        self._connections[connection] = None
        if not self._serving:
            connection.hold()
        self._by_host[host] += 1
        self._empty.clear()
        return True

    def _forget(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        del self._connections[connection]
        self._by_host[connection.client_host] -= 1
        if not self._by_host[connection.client_host]:
            del self._by_host[connection.client_host]
        if not self._connections:
            self._empty.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = self._clock.monotonic()
            for connection in list(self._connections):
                connection.check_deadlines(now)
