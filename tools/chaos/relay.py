"""The network between the nodes where there can be no namespaces: a program with a relay in front of each node, TCP and
UDP, whose address the node advertises.

Arguments: `NODE:RELAY_PORT:NODE_PORT,...` and a seed. Orders and answers are those of the switch, and one more:
`{"process": [1, 4711]}` tells the process id of a node.

Whoever sends is known by its port (UDP), or by asking the kernel which process has the other end (TCP). A stream cannot
lose anything, so what a link loses comes later, as if it was sent again; what a link blocks waits until it does not.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from tools.chaos.links import Rules, Weather
from tools.chaos.switch import OUTSIDE

_HOST: Final = "127.0.0.1"
_PIECE: Final = 65_536
_LOOK_AGAIN: Final = 0.05
_SENT_AGAIN: Final = 0.25
"""Seconds until TCP would send a lost packet again."""


class Relays:
    def __init__(self, ports: dict[int, tuple[int, int]], rules: Rules) -> None:
        """`ports`: by node, where its relay listens, and where it listens itself."""
        self._ports = ports
        self._rules = rules
        self._nodes = {own: node for node, (_, own) in ports.items()}
        self._processes: dict[int, int] = {}
        self._sockets: dict[int, asyncio.DatagramTransport] = {}
        self.carried = 0
        self.dropped = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for node, (port, _) in self._ports.items():
            transport, _ = await loop.create_datagram_endpoint(
                partial(_Datagrams, self, node), local_addr=(_HOST, port)
            )
            self._sockets[node] = transport
            await asyncio.start_server(partial(self._carry, node), _HOST, port, limit=_PIECE)
        orders = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        _say({"networks": {}})
        while line := await orders.readline():
            self._obey(json.loads(line))

    def _obey(self, order: dict[str, Any]) -> None:
        if "process" in order:
            node, process = order["process"]
            self._processes[node] = process
        elif order.get("clear"):
            self._rules.clear()
        else:
            self._rules.set([(a, b) for a, b in order["links"]], Weather(**order["weather"]))
        _say({"carried": self.carried, "dropped": self.dropped})

    # -- datagrams --------------------------------------------------------------------------------------------

    def datagram(self, target: int, data: bytes, port: int) -> None:
        source = self._nodes.get(port)
        if source is None:
            return
        now = time.monotonic()
        arrival = self._rules.arrival(source, target, now)
        if arrival is None:
            self.dropped += 1
            return
        self.carried += 1
        send = self._sockets[source].sendto  # from the sender's own relay: that is the address others know it by
        asyncio.get_running_loop().call_later(arrival - now, send, data, (_HOST, self._ports[target][1]))

    # -- streams ----------------------------------------------------------------------------------------------

    async def _carry(self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = self._owner(writer.get_extra_info("peername")[1])
        there: asyncio.StreamWriter | None = None
        with suppress(OSError, asyncio.CancelledError):
            await self._passable(source, target)
            await self._passable(target, source)
            back, there = await asyncio.open_connection(_HOST, self._ports[target][1], limit=_PIECE)
            ways = [
                asyncio.create_task(self._pour(reader, there, source, target)),
                asyncio.create_task(self._pour(back, writer, target, source)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        for end in (writer, there):
            if end is not None:
                end.close()

    async def _pour(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: int, target: int) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                await self._passable(source, target)
                writer.write(piece)
                self.carried += 1
                await writer.drain()
        await self._passable(source, target)  # an end is a packet, too

    async def _passable(self, source: int, target: int) -> None:
        """Waits as long as a packet would take."""
        while True:
            now = time.monotonic()
            arrival = self._rules.arrival(source, target, now)
            if arrival is not None:
                if arrival > now:
                    await asyncio.sleep(arrival - now)
                return
            self.dropped += 1
            await asyncio.sleep(_LOOK_AGAIN if self._rules.blocked(source, target) else _SENT_AGAIN)

    def _owner(self, port: int) -> int:
        """Whose socket that is: a node's, or that of somebody outside."""
        inode = _inode(port)
        wanted = f"socket:[{inode}]"
        for node, process in self._processes.items():
            with suppress(OSError):
                for descriptor in Path(f"/proc/{process}/fd").iterdir():
                    with suppress(OSError):
                        if str(descriptor.readlink()) == wanted:
                            return node
        return OUTSIDE


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, relays: Relays, node: int) -> None:
        self._relays = relays
        self._node = node

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._relays.datagram(self._node, data, addr[1])


def _inode(port: int) -> str:
    """Of the TCP socket at this port of the loopback device that is connected, in the kernel's table."""
    local = f"{socket.htonl(int.from_bytes(socket.inet_aton(_HOST), 'big')):08X}:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == local:
            return fields[9]
    return ""


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> None:
    ports = {}
    for each in sys.argv[1].split(","):
        node, relay, own = map(int, each.split(":"))
        ports[node] = (relay, own)
    asyncio.run(Relays(ports, Rules(random.Random(f"links {sys.argv[2]}"))).run())


if __name__ == "__main__":
    main()
