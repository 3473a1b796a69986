"""A runtime whose node can be killed: from one moment on nothing the node does reaches disk or network.

In: the real runtime's work. Out: the same, until `die`. What had been written by then stays, synced or not: the
process is gone, as after kill -9, but the machine goes on. What a killed node tries afterwards fails with `OSError`.
`release` gives back what the node still had open. Everything here belongs to the node's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakSet

from sprawl.runtime import Datagram, KeyValueStore, Listener, SmallState
from sprawl.runtime.interface import Buffer
from sprawl.runtime.real import RealRuntime
from sprawl.runtime.real.directories import RealFileSystem
from sprawl.runtime.real.files import RealFile
from sprawl.runtime.real.network import RealNetwork
from sprawl.runtime.real.state import SqliteState
from sprawl.wire.connection import Connection

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Life:
    """Whether the node still lives."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False

    def check(self) -> None:
        if self.over:
            raise OSError(errno.ESHUTDOWN, "this node was killed")


class MortalRuntime(RealRuntime):
    def __init__(self) -> None:
        super().__init__()
        self.life = Life()
        self.reachable = self.network = MortalNetwork(self.life)
        self._files = self.files = MortalFileSystem(self.files, self.life)
        self._kept: list[KeyValueStore | SmallState] = []

    def open_kv(self, path: str) -> KeyValueStore:
        self.life.check()
        store = super().open_kv(path)
        self._kept.append(store)
        return store

    def open_state(self, path: str) -> SmallState:
        self.life.check()
        state = MortalState(path, self.life)
        self._kept.append(state)
        return state

    def die(self) -> None:
        self.life.over = True
        self.reachable.cut_all()

    def release(self) -> None:
        """Once the node's tasks have ended: close what they left open, and end the threads."""
        self.reachable.cut_all()
        self.close()
        for file in list(self._files.opened):
            file.close()
        for one in self._kept:
            with contextlib.suppress(OSError):
                one.close()
        for unlock in self._files.locks:
            unlock()


class MortalNetwork(RealNetwork):
    """Also knows who is connected."""

    __slots__ = ("_datagrams", "_incoming", "_life", "_listeners", "_outgoing")

    def __init__(self, life: Life) -> None:
        self._life = life
        self._incoming: WeakSet[Connection] = WeakSet()
        self._outgoing: list[asyncio.Transport] = []
        self._listeners: list[Listener] = []
        self._datagrams: list[Datagram] = []

    async def listen(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        backlog: int = 1024,
        tls: ssl.SSLContext | None = None,
    ) -> Listener:
        def noted() -> asyncio.BaseProtocol:
            protocol = factory()
            if isinstance(protocol, Connection):
                self._incoming.add(protocol)
            return protocol

        self._life.check()
        listener = await super().listen(noted, host, port, backlog=backlog, tls=tls)
        self._listeners.append(listener)
        return listener

    async def connect(
        self, factory: Callable[[], P], host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.Transport, P]:
        self._life.check()
        transport, protocol = await super().connect(factory, host, port, tls=tls)
        self._outgoing = [*(one for one in self._outgoing if not one.is_closing()), transport]
        return transport, protocol

    async def datagram(self, host: str, port: int) -> Datagram:
        self._life.check()
        datagram = await super().datagram(host, port)
        self._datagrams.append(datagram)
        return datagram

    def clients(self) -> list[Connection]:
        """The connections that came in and are not another node's."""
        return [one for one in self._incoming if one.principal.kind != "Node"]

    def cut_all(self) -> None:
        for listener in self._listeners:
            listener.close()
        for connection in list(self._incoming):
            connection.abort()
        for transport in self._outgoing:
            transport.abort()
        for datagram in self._datagrams:
            datagram.close()


class MortalFileSystem(RealFileSystem):
    def __init__(self, real: RealFileSystem, life: Life) -> None:
        super().__init__(real._readers, real._syncers)
        self._life = life
        self.opened: WeakSet[MortalFile] = WeakSet()
        self.locks: list[Callable[[], None]] = []

    def open(self, path: str, *, create: bool = False) -> RealFile:
        self._life.check()
        file = MortalFile(path, create=create, readers=self._readers, syncers=self._syncers)
        file.life = self._life
        self.opened.add(file)
        return file

    def lock(self, path: str) -> Callable[[], None]:
        self._life.check()
        release = super().lock(path)
        self.locks.append(release)
        return release

    def make_dirs(self, path: str) -> None:
        self._life.check()
        super().make_dirs(path)

    def rename(self, old: str, new: str) -> None:
        self._life.check()
        super().rename(old, new)

    def remove(self, path: str) -> None:
        self._life.check()
        super().remove(path)

    def remove_tree(self, path: str) -> None:
        self._life.check()
        super().remove_tree(path)

    def write_atomic(self, path: str, data: bytes) -> None:
        self._life.check()
        super().write_atomic(path, data)


class MortalFile(RealFile):
    __slots__ = ("__weakref__", "life")

    life: Life

    def append(self, buffers: Sequence[Buffer]) -> int:
        self.life.check()
        return super().append(buffers)

    def truncate(self, size: int) -> None:
        self.life.check()
        super().truncate(size)


class MortalState(SqliteState):
    __slots__ = ("_life",)

    def __init__(self, path: str, life: Life) -> None:
        super().__init__(path)
        self._life = life

    def __setitem__(self, name: str, value: Any) -> None:
        self._life.check()
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        self._life.check()
        super().__delitem__(name)
