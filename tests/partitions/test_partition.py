"""A partition as its leader sees it, on a real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sprawl.partitions.partition import Partition
from sprawl.partitions.waiting import Commit, FetchWait
from sprawl.quorum.image import PartitionImage
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import Record, build_batch, headers
from tests.storage.conftest import TOPIC_ID, Disk, Faulty, disk_full


def image(
    leader_epoch: int, replicas: tuple[int, ...] = (1,), isr: tuple[int, ...] = (1,), epoch: int = 0, leader: int = 1
) -> PartitionImage:
    return PartitionImage(0, leader, leader_epoch, epoch, replicas, isr)


@asynccontextmanager
async def partition(
    tmp_path: Path, replicas: tuple[int, ...] = (1,), isr: tuple[int, ...] = (1,), **configs: str
) -> AsyncIterator[Partition]:
    """Led by node 1 in epoch 3."""
    async with Disk(tmp_path / "data").log(**configs) as log:
        found = Partition("orders", TOPIC_ID, 0, log, node_id=1, now_ms=lambda: 5_000, now=lambda: 0.0)
        found.lead(image(3, replicas, isr))
        yield found


def send(led: Partition, *, all_replicas: bool = True, **batch: Any) -> Commit:
    view = memoryview(build_batch([Record(0, 1_000, b"key", b"value")], **batch))
    return led.append(view, headers(view), all_replicas=all_replicas).commit


async def test_the_high_watermark_follows_what_is_durable(tmp_path: Path) -> None:
    async with partition(tmp_path, sprawl_durability="fsync") as led:
        commit = send(led)
        led.log.write_pending()
        assert (led.high_watermark, commit.settled) == (0, False), "written, and not yet synced"
        await asyncio.wait_for(commit.wait(), 10)
        assert led.high_watermark == 1


async def test_consumers_do_not_see_what_is_not_committed(tmp_path: Path) -> None:
    async with partition(tmp_path, sprawl_durability="fsync") as led:
        commit = send(led)
        read = led.read_now(0, 1 << 20, led.readable_until(0), minimum_one=True)
        assert read is not None
        assert read.size == 0
        await commit.wait()
        read = led.read_now(0, 1 << 20, led.readable_until(0), minimum_one=True)
        assert read is not None
        assert read.next_offset == 1


async def test_a_repeated_batch_is_answered_with_its_first_place(tmp_path: Path) -> None:
    async with partition(tmp_path) as led:
        first = send(led, producer_id=7, producer_epoch=0, base_sequence=0)
        again = send(led, producer_id=7, producer_epoch=0, base_sequence=0)
        assert not again.settled, "what is not safe the first time is not safe the second time"
        await asyncio.gather(first.wait(), again.wait())
        assert led.log.log_end_offset == 1
        assert again.last_offset == 0
        assert (led.appends, led.records_in, led.bytes_in) == (1, 1, led.log.size_bytes), "and counted once"


async def test_a_gap_in_sequences_is_refused(tmp_path: Path) -> None:
    async with partition(tmp_path) as led:
        send(led, producer_id=7, producer_epoch=0, base_sequence=0)
        with pytest.raises(ApiError) as refused:
            send(led, producer_id=7, producer_epoch=0, base_sequence=2)
        assert refused.value.code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


async def test_too_few_replicas_refuse_those_who_want_all(tmp_path: Path) -> None:
    async with partition(tmp_path, (1, 2), min_insync_replicas="2") as led:
        with pytest.raises(ApiError) as refused:
            send(led)
        assert refused.value.code is ErrorCode.NOT_ENOUGH_REPLICAS
        await send(led, all_replicas=False).wait()


async def test_a_full_disk_is_told_to_those_whose_records_were_taken_back(tmp_path: Path) -> None:
    async with partition(tmp_path) as led:
        await send(led).wait()
        Faulty(led.log).appending = disk_full
        with pytest.raises(ApiError, match="disk is full"):
            await send(led).wait()
        assert (led.high_watermark, led.log.log_end_offset) == (1, 1)


async def test_whoever_waits_is_told_when_the_partition_closes(tmp_path: Path) -> None:
    async with partition(tmp_path, sprawl_durability="fsync") as led:
        commit = send(led)
        with FetchWait([led]) as more:
            led.close(ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "the topic has been deleted"))
            assert await more.within(10)
        with pytest.raises(ApiError, match="deleted"):
            await commit.wait()
        with pytest.raises(ApiError, match="deleted"):
            send(led)


async def test_a_waiting_fetch_wakes_when_records_are_committed(tmp_path: Path) -> None:
    async with partition(tmp_path) as led:
        with FetchWait([led]) as more:
            send(led)
            assert await more.within(10)
        with FetchWait([led]) as more:
            assert not await more.within(0.01)


@pytest.mark.parametrize(("epoch", "code"), [(2, ErrorCode.FENCED_LEADER_EPOCH), (4, ErrorCode.UNKNOWN_LEADER_EPOCH)])
async def test_another_leader_epoch_is_refused(tmp_path: Path, epoch: int, code: ErrorCode) -> None:
    async with partition(tmp_path) as led:
        led.check_epoch(-1)
        led.check_epoch(3)
        with pytest.raises(ApiError) as refused:
            led.check_epoch(epoch)
        assert refused.value.code is code


async def test_records_are_deleted_up_to_the_high_watermark_and_no_further(tmp_path: Path) -> None:
    async with partition(tmp_path) as led:
        for _ in range(3):
            await send(led).wait()
        assert led.delete_records(2) == 2
        assert led.delete_records(1) == 2, "the start never goes back"
        with pytest.raises(ApiError) as refused:
            led.delete_records(4)
        assert refused.value.code is ErrorCode.OFFSET_OUT_OF_RANGE
        assert led.delete_records(-1) == 3


async def test_a_new_leader_epoch_begins_at_the_log_end(tmp_path: Path) -> None:
    async with partition(tmp_path) as led:
        await send(led).wait()
        led.lead(image(5))
        await send(led).wait()
        assert led.epoch_end(3) == (3, 1)
        assert led.epoch_end(4) == (3, 1)
        assert led.epoch_end(5) == (5, 2)
        assert led.epoch_end(9) == (-1, -1)


async def test_records_are_committed_once_every_replica_in_sync_has_them(tmp_path: Path) -> None:
    async with partition(tmp_path, (1, 2, 3), (1, 2)) as led:
        commit = send(led)
        await led.durable()
        assert (led.high_watermark, commit.settled) == (0, False)
        led.fetched_by(3, 1, 1)
        assert not commit.settled, "node 3 is not in sync, it does not count"
        led.fetched_by(2, 1, 1)
        await commit.wait()
        assert led.high_watermark == 1


async def test_acks_of_the_leader_alone_do_not_wait_for_followers(tmp_path: Path) -> None:
    async with partition(tmp_path, (1, 2), (1, 2)) as led:
        await send(led, all_replicas=False).wait()
        assert led.high_watermark == 0


async def test_nothing_is_committed_below_the_least_number_of_replicas(tmp_path: Path) -> None:
    """Strict min ISR (KIP-966): what a lone replica has is shown to nobody."""
    async with partition(tmp_path, (1, 2, 3), (1,), min_insync_replicas="2") as led:
        await send(led, all_replicas=False).wait()
        assert led.high_watermark == 0
        led.fetched_by(2, 1, 1)
        led.isr_settled(3, [1, 2], 1)
        assert led.high_watermark == 1


async def test_a_replica_that_joins_counts_before_the_controller_has_said_yes(tmp_path: Path) -> None:
    """The controller may have taken it in and the answer be lost: it could be the next leader (KIP-497)."""
    async with partition(tmp_path, (1, 2), (1,)) as led:
        assert led.insync is not None
        led.fetched_by(2, 1, 0)
        assert led.wanted_isr(10.0, lambda *_: True) == (1, 2)
        led.insync.pending = (1, 2)
        commit = send(led)
        await led.durable()
        assert not commit.settled
        led.fetched_by(2, 1, 1)
        await commit.wait()


async def test_who_no_longer_leads_refuses_and_does_not_say_that_records_are_lost(tmp_path: Path) -> None:
    async with partition(tmp_path, (1, 2), (1, 2)) as led:
        commit = send(led)
        led.follow(image(4, (1, 2), (1, 2), leader=2))
        with pytest.raises(ApiError) as refused:
            await commit.wait()
        assert refused.value.code is ErrorCode.NOT_LEADER_OR_FOLLOWER
        with pytest.raises(ApiError) as refused:
            send(led)
        assert refused.value.code is ErrorCode.NOT_LEADER_OR_FOLLOWER


async def test_a_new_leader_is_established_once_it_knows_what_was_committed(tmp_path: Path) -> None:
    async with partition(tmp_path, (1, 2), (1, 2)) as led:
        send(led)
        await led.durable()
        led.lead(image(4, (1, 2), (1, 2)))
        waiting = asyncio.create_task(led.until_established())
        await asyncio.sleep(0)
        assert (led.established, waiting.done()) == (False, False)
        led.fetched_by(2, 1, 1)
        await waiting
        assert led.established


async def test_who_waits_for_a_replica_to_be_durable_is_told_that_it_is_no_longer_kept(tmp_path: Path) -> None:
    async with partition(tmp_path, sprawl_durability="fsync") as led:
        stuck = asyncio.Event()
        file = Faulty(led.log)
        file.sync = stuck.wait  # type: ignore[method-assign,assignment]
        send(led, all_replicas=False)
        assert led.log.durable_offset == 0
        before = asyncio.create_task(led.durable())
        await asyncio.sleep(0)
        led.close(ApiError(ErrorCode.NOT_LEADER_OR_FOLLOWER, "it is kept elsewhere"))
        for waiting in (before, led.durable()):
            with pytest.raises(ApiError, match="kept elsewhere"):
                await asyncio.wait_for(waiting, 10)
        stuck.set()
