"""What a follower says it has."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from sprawl.partitions.fetcher import FetchPace, ReplicaFetcher
from sprawl.partitions.throttle import ReplicationThrottle
from sprawl.runtime.real import RealRuntime
from sprawl_protocol.messages import FetchRequest
from tests.partitions.test_partition import image, partition, send
from tests.storage.conftest import Faulty


class Leader:
    """Notes from which offset it is fetched, and never answers."""

    def __init__(self) -> None:
        self.asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def request(self, node_id: int, request: FetchRequest, **_: Any) -> Any:
        self.asked.set_result(request.topics[0].partitions[0].fetch_offset)
        await asyncio.Event().wait()


async def test_a_leader_that_follows_now_fetches_once_what_it_took_itself_is_durable(tmp_path: Path) -> None:
    """The new leader would count on it, and call it committed."""
    async with partition(tmp_path, (1, 2), (1, 2), sprawl_durability="fsync") as found:
        disk = Faulty(found.log)
        disk.may_sync.clear()
        send(found)
        found.log.write_pending()
        found.follow(image(4, (1, 2), (1, 2), leader=2))
        leader, clock = Leader(), RealRuntime().clock
        throttle = ReplicationThrottle(1, lambda: 1 << 30, clock.monotonic)
        fetcher = ReplicaFetcher(1, 2, leader, clock, lambda: 7, throttle, FetchPace())  # type: ignore[arg-type]
        fetcher.add(found)
        running = asyncio.create_task(fetcher.run())
        for _ in range(20):
            await asyncio.sleep(0)
        early, durable = leader.asked.done(), found.log.durable_offset
        disk.may_sync.set()
        assert not early
        assert durable == 0
        assert await asyncio.wait_for(leader.asked, 30) == 1
        assert found.log.durable_offset == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
