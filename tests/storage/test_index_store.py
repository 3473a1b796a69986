"""The store of the index fails for want of room, and is mended once there is some."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest

from sprawl.storage.index import Change, IndexStore


class Store:
    """As RocksDB does: one that could not flush tells that again when it is closed, and is closed; then it is gone."""

    def __init__(self) -> None:
        self.full = False
        self.open = True

    def get(self, key: bytes) -> bytes | None:
        return None

    def write(self, changes: Sequence[Change]) -> None:
        """Takes anything."""

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def scan_back(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def delete_range(self, start: bytes, end: bytes) -> None:
        """Takes anything."""

    def flush(self) -> None:
        if self.full:
            raise OSError("no space left")

    def close(self) -> None:
        if not self.open:
            raise OSError("already closed")
        self.open = False
        self.flush()


class Disk:
    def __init__(self) -> None:
        self.stores: list[Store] = []
        self.full = False

    def open(self) -> Store:
        if self.full:
            raise OSError("no space left to open")
        self.stores.append(Store())
        return self.stores[-1]


async def here(work: Callable[[], None]) -> None:
    work()


def test_a_store_that_failed_to_flush_is_opened_anew() -> None:
    disk = Disk()

    async def story() -> None:
        index = IndexStore(disk.open, here)
        disk.stores[0].full = True
        await index.flush()
        assert index.broken
        index.reopen()
        assert not index.broken
        assert len(disk.stores) == 2
        await index.close()

    asyncio.run(story())
    assert not any(store.open for store in disk.stores)


def test_one_that_could_not_be_opened_is_tried_again() -> None:
    disk = Disk()

    async def story() -> None:
        index = IndexStore(disk.open, here)
        disk.stores[0].full = True
        await index.flush()
        disk.full = True
        with pytest.raises(OSError, match="to open"):
            index.reopen()
        assert index.broken
        disk.full = False
        index.reopen()
        assert not index.broken

    asyncio.run(story())


def test_a_broken_store_does_not_keep_a_node_from_stopping() -> None:
    disk = Disk()

    async def story() -> None:
        index = IndexStore(disk.open, here)
        disk.stores[0].full = True
        await index.flush()
        await index.close()

    asyncio.run(story())
    assert not disk.stores[0].open
