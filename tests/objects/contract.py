"""What every object store must do, as scenarios: each takes a fresh store and fails with a message of its own.

They run against the directory on both runtimes, against a bucket in memory, and against S3.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import pytest
from crc32c import crc32c

from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import Corrupt, InvalidKey, NotFound, PreconditionFailed
from sprawl.objects.streaming import stream

Scenario = Callable[[ObjectStore], Awaitable[None]]
PART: Final = 5 * 1024 * 1024
"""The part size the stores under test are made with: the least that S3 takes."""
SCENARIOS: Final[list[Scenario]] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


async def pieces(data: bytes, size: int = 999_983) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def keys(store: ObjectStore, prefix: str = "", limit: int = 1000) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = await store.list(prefix, after=after, limit=limit)
        found += [one.key for one in page.objects]
        after = page.after
        if after is None:
            return found


def pattern(size: int, salt: int = 0) -> bytes:
    """The same bytes each time, in which no two places look alike."""
    return b"".join((at * 2654435761 + salt & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big") for at in range(size // 8 + 1))[
        :size
    ]


@scenario
async def what_was_put_comes_back(store: ObjectStore) -> None:
    info = await store.put("topics/a/0.log", b"records", crc32c=crc32c(b"records"))
    assert (info.size, info.crc32c) == (7, crc32c(b"records"))
    assert await store.get("topics/a/0.log") == b"records"
    looked_up = await store.head("topics/a/0.log")
    assert (looked_up.size, looked_up.etag, looked_up.crc32c) == (7, info.etag, crc32c(b"records"))


@scenario
async def an_empty_object_is_an_object(store: ObjectStore) -> None:
    await store.put("empty", b"")
    assert await store.get("empty") == b""
    assert (await store.head("empty")).size == 0
    assert await store.get("empty", 0, 10) == b""


@scenario
async def a_range_is_exact_and_ends_with_the_object(store: ObjectStore) -> None:
    data = pattern(100_000)
    await store.put("ranged", data)
    assert await store.get("ranged", 0, 1) == data[:1]
    assert await store.get("ranged", 12_345, 6_789) == data[12_345 : 12_345 + 6_789]
    assert await store.get("ranged", 99_990, 1000) == data[99_990:]
    assert await store.get("ranged", 50_000) == data[50_000:]
    assert await store.get("ranged", 100_000, 5) == b""
    assert await store.get("ranged", 200_000) == b""
    assert await store.get("ranged", 7, 0) == b""
    assert await store.get("ranged", 10, 20, crc32c=crc32c(data[10:30])) == data[10:30]


@scenario
async def a_range_that_is_not_what_it_should_be_is_corrupt(store: ObjectStore) -> None:
    await store.put("ranged", b"0123456789")
    with pytest.raises(Corrupt, match="ranged"):
        await store.get("ranged", 2, 3, crc32c=crc32c(b"other"))


@scenario
async def damaged_bytes_are_not_put(store: ObjectStore) -> None:
    with pytest.raises(Corrupt, match="nothing was put"):
        await store.put("damaged", b"flipped", crc32c=crc32c(b"correct"))
    with pytest.raises(Corrupt, match="nothing was put"):
        await store.put_stream("damaged", pieces(pattern(PART + 5)), crc32c=1)
    assert await keys(store) == []
    assert list(await store.uploads()) == []


@scenario
async def what_is_not_there_is_not_found(store: ObjectStore) -> None:
    for ask in (store.get("nothing"), store.head("nothing"), store.head("no/thing"), store.copy("nothing", "else")):
        with pytest.raises(NotFound, match="nothing|no/thing"):
            await ask


@scenario
async def a_put_if_absent_takes_effect_once(store: ObjectStore) -> None:
    first = await store.put("once", b"first", if_absent=True)
    with pytest.raises(PreconditionFailed, match="once"):
        await store.put("once", b"second", if_absent=True)
    assert await store.get("once") == b"first"
    assert (await store.head("once")).etag == first.etag


@scenario
async def of_many_puts_if_absent_one_wins(store: ObjectStore) -> None:
    outcomes = await asyncio.gather(
        *(store.put("raced", b"from %d" % i, if_absent=True) for i in range(8)), return_exceptions=True
    )
    losers = [one for one in outcomes if isinstance(one, PreconditionFailed)]
    winners = [i for i, one in enumerate(outcomes) if not isinstance(one, BaseException)]
    assert (len(winners), len(losers)) == (1, 7), outcomes
    assert await store.get("raced") == b"from %d" % winners[0]


@scenario
async def a_put_if_match_replaces_only_what_was_seen(store: ObjectStore) -> None:
    first = await store.put("state", b"1")
    second = await store.put("state", b"2", if_match=first.etag)
    assert second.etag != first.etag
    with pytest.raises(PreconditionFailed):
        await store.put("state", b"3", if_match=first.etag)
    assert await store.get("state") == b"2"
    with pytest.raises(PreconditionFailed):
        await store.put("never", b"3", if_match=first.etag)
    assert await keys(store) == ["state"]


@scenario
async def a_get_of_an_etag_is_of_that_object(store: ObjectStore) -> None:
    first = await store.put("replaced", b"first")
    assert await store.get("replaced", 0, 2, etag=first.etag) == b"fi"
    await store.put("replaced", b"other")
    with pytest.raises(PreconditionFailed):
        await store.get("replaced", 0, 2, etag=first.etag)


@scenario
async def a_stream_of_many_parts_is_one_object(store: ObjectStore) -> None:
    data = pattern(2 * PART + 12_345)
    info = await store.put_stream("large", pieces(data), crc32c=crc32c(data), if_absent=True)
    assert info.size == len(data)
    assert await store.get("large") == data
    assert await store.get("large", PART - 10, 20) == data[PART - 10 : PART + 10]
    assert (await store.head("large")).crc32c in (crc32c(data), None)
    with pytest.raises(PreconditionFailed):
        await store.put_stream("large", pieces(pattern(PART + 1, 7)), if_absent=True)
    assert await store.get("large", 0, 100) == data[:100]
    assert list(await store.uploads()) == []


@scenario
async def a_large_object_is_read_piece_by_piece_and_judged_as_a_whole(store: ObjectStore) -> None:
    data = pattern(PART + 12_345)
    await store.put_stream("large", pieces(data))
    read = [piece async for piece in stream(store, "large", piece_bytes=1_000_000)]
    assert max(map(len, read)) == 1_000_000
    assert b"".join(read) == data
    with pytest.raises(Corrupt, match="large"):
        async for _ in stream(store, "large", crc32c=crc32c(b"other")):
            pass
    with pytest.raises(PreconditionFailed):
        async for _ in stream(store, "large", piece_bytes=1_000_000):
            await store.put("large", b"replaced" * 1_000_000)
    await store.put("empty", b"")
    assert [piece async for piece in stream(store, "empty")] == []


@scenario
async def a_stream_of_exactly_one_part_and_a_short_one(store: ObjectStore) -> None:
    exact, short = pattern(PART), pattern(17)
    await store.put_stream("exact", pieces(exact))
    await store.put_stream("short", pieces(short, 3))
    await store.put_stream("none", pieces(b""))
    assert await store.get("exact") == exact
    assert await store.get("short") == short
    assert await store.get("none") == b""


@scenario
async def a_stream_that_breaks_leaves_nothing(store: ObjectStore) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield pattern(PART + 10)
        raise RuntimeError("the disk below is gone")

    with pytest.raises(RuntimeError, match="the disk below is gone"):
        await store.put_stream("broken", breaking())
    assert await keys(store) == []
    assert list(await store.uploads()) == []


@scenario
async def a_listing_has_all_in_the_order_of_bytes_page_by_page(store: ObjectStore) -> None:
    names = ["a/b/c", "a/b-d", "a/b.d", "a/b/c2", "a0", "a-", "B", "z/1/2/3", "a/c", "a/b0"]
    for name in names:
        await store.put(name, name.encode())
    assert await keys(store) == sorted(names)
    for limit in (1, 2, 3):
        assert await keys(store, limit=limit) == sorted(names)
        assert await keys(store, "a/", limit) == sorted(name for name in names if name.startswith("a/"))
    assert await keys(store, "a/b") == sorted(name for name in names if name.startswith("a/b"))
    assert await keys(store, "a/b/") == ["a/b/c", "a/b/c2"]
    assert await keys(store, "a/b/c") == ["a/b/c", "a/b/c2"]
    assert await keys(store, "nothing/") == []
    page = await store.list("z")
    assert [(one.key, one.size) for one in page.objects] == [("z/1/2/3", 7)]
    assert [one.key for one in (await store.list("a", after="a/b/c")).objects] == ["a/b/c2", "a/b0", "a/c", "a0"]


@scenario
async def what_was_deleted_is_gone(store: ObjectStore) -> None:
    for name in ("d/1", "d/2", "d/3", "kept"):
        await store.put(name, b"x")
    await store.delete("d/1")
    await store.delete("d/1")
    await store.delete_many(["d/2", "d/3", "d/never"])
    await store.delete_many([])
    assert await keys(store) == ["kept"]
    with pytest.raises(NotFound):
        await store.get("d/2")
    await store.put("d/2", b"again", if_absent=True)
    assert await store.get("d/2") == b"again"


@scenario
async def a_copy_is_equal_and_lives_on_its_own(store: ObjectStore) -> None:
    data = pattern(70_000)
    await store.put("original", data)
    info = await store.copy("original", "copies/one")
    assert info.size == len(data)
    await store.delete("original")
    assert await store.get("copies/one") == data
    assert (await store.head("copies/one")).crc32c in (crc32c(data), None)


@scenario
async def a_large_object_is_copied_whole(store: ObjectStore) -> None:
    data = pattern(PART + 1000)
    await store.put_stream("original", pieces(data))
    await store.copy("original", "copy")
    assert await store.get("copy") == data


@scenario
async def names_that_could_leave_the_store_are_refused(store: ObjectStore) -> None:
    for name in ("../up", "a/../b", "/etc/passwd", "a//b", "", ".", "a/", ".hidden", "a\\b", "a\0b", "a\nb", "ü", "a b",
                 "%2e%2e/x", "x" * 513, "y" * 256):  # fmt: skip
        for ask in (store.put(name, b""), store.get(name), store.delete(name), store.copy("a", name)):
            with pytest.raises(InvalidKey):
                await ask
    for prefix in ("../", "/", "a/../"):
        with pytest.raises(InvalidKey):
            await store.list(prefix)
    longest = "/".join(["n" * 255, "m" * 255])
    await store.put(longest, b"long")
    assert await store.get(longest) == b"long"
