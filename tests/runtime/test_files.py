from __future__ import annotations

import asyncio

import pytest

from sprawl.runtime import Runtime
from tests.runtime.conftest import Place


def test_appended_buffers_are_read_back(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        file = runtime.files.open(f"{place.directory}/log", create=True)
        assert file.append([b"one", bytearray(b"two"), memoryview(b"three")]) == 11
        assert file.append([b"four"]) == 4
        assert file.size == 15
        assert await file.read(0, 100) == b"onetwothreefour"
        assert await file.read(3, 3) == b"two"
        assert await file.read(15, 10) == b""
        assert await file.read(100, 10) == b""
        assert file.read_now(15, 10) == b""
        file.close()

    place.run(scenario)


def test_read_now_gives_all_or_says_that_it_must_wait(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        file = runtime.files.open(f"{place.directory}/log", create=True)
        file.append([bytes(range(256))] * 1000)
        answers = [file.read_now(i, 5000) for i in range(100)]
        for i, answer in enumerate(answers):
            assert answer is None or answer == await file.read(i, 5000)
        assert any(answer is not None for answer in answers)
        file.close()

    place.run(scenario)


def test_more_buffers_than_one_writev_takes(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        file = runtime.files.open(f"{place.directory}/log", create=True)
        buffers = [b"%06d" % i for i in range(5000)]
        assert file.append([b"head", *buffers]) == 30004
        assert await file.read(0, 40000) == b"head" + b"".join(buffers)
        file.close()

    place.run(scenario)


def test_nothing_appended_is_nothing_written(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        file = runtime.files.open(f"{place.directory}/log", create=True)
        assert file.append([]) == 0
        assert file.append([b"", b""]) == 0
        assert file.size == 0
        file.close()

    place.run(scenario)


def test_truncated_file_goes_on_at_its_new_end(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        file = runtime.files.open(f"{place.directory}/log", create=True)
        file.append([b"0123456789"])
        await file.sync()
        file.truncate(4)
        file.append([b"abc"])
        assert await file.read(0, 100) == b"0123abc"
        with pytest.raises(ValueError, match="cannot be cut"):
            file.truncate(8)
        file.close()
        again = runtime.files.open(f"{place.directory}/log")
        assert again.size == 7
        again.close()

    place.run(scenario)


def test_closed_file_refuses_everything(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        file = runtime.files.open(f"{place.directory}/log", create=True)
        file.append([b"x"])
        file.close()
        file.close()
        with pytest.raises(ValueError, match="closed"):
            file.append([b"y"])
        with pytest.raises(ValueError, match="closed"):
            file.read_now(0, 1)
        with pytest.raises(ValueError, match="closed"):
            await file.sync()

    place.run(scenario)


def test_sync_under_way_survives_close_and_cancellation(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        file = runtime.files.open(f"{place.directory}/log", create=True)
        file.append([b"x" * 100_000])
        syncs = [asyncio.ensure_future(file.sync()) for _ in range(4)]
        await asyncio.sleep(0)
        syncs[0].cancel()
        file.close()
        results = await asyncio.gather(*syncs, return_exceptions=True)
        assert results[1:] == [None, None, None]

    place.run(scenario)


def test_file_that_is_missing_is_not_made_by_chance(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        with pytest.raises(FileNotFoundError):
            runtime.files.open(f"{place.directory}/nothing")
        with pytest.raises(FileNotFoundError):
            runtime.files.open(f"{place.directory}/no/directory", create=True)
        assert not runtime.files.exists(f"{place.directory}/nothing")

    place.run(scenario)


def test_rewritten_bytes_are_the_same_and_the_file_goes_on_at_its_end(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        file = runtime.files.open(f"{place.directory}/log", create=True)
        file.append([b"0123456789"])
        await file.rewrite(4)
        assert (file.size, await file.read(0, 100)) == (10, b"0123456789")
        file.append([b"a"])
        await file.rewrite(11)
        await file.sync()
        assert await file.read(0, 100) == b"0123456789a"
        file.close()

    place.run(scenario)
