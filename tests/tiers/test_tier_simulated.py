"""A topic larger than the disks of its nodes, in a simulated cluster with a bucket."""

from __future__ import annotations

import asyncio

from sprawl.tiers.catalog import SegmentState
from sprawl.tiers.segments import ROOT
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from tests.tiers.world import TieredWorld, tell
from tools.simulate.clients import TOPIC

TOPIC_KIND = 2


def test_what_left_the_disk_is_read_from_the_tier() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(300)
        await world.until(world.left_disk)
        await world.stop_producing()
        leader = world.leader
        assert leader is not None
        assert leader.log.log_start_offset == 0
        found = await world.read_back()
        assert [offset for offset, _ in found] == list(range(len(found)))
        assert world.tiering(1).counters.fetched_bytes > 0

    tell(1, story)


def test_offsets_times_and_epochs_are_the_same_on_both_sides_of_the_seam() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(100)
        world.cluster.members[1].restart()  # a second leader epoch
        await world.acknowledged(300)
        await world.until(world.left_disk)
        await world.stop_producing()
        await world.settled()
        leader = world.leader
        assert leader is not None
        seam = leader.log.local_start_offset
        catalog = world.tiering(1).catalogs[(leader.topic_id, 0)]
        assert (await world.list_offset(-2)).offset == 0
        assert (await world.list_offset(-4)).offset == seam
        assert (await world.list_offset(-5)).offset == catalog.end_offset - 1 >= seam - 1
        assert (await world.list_offset(-6)).offset == catalog.end_offset
        times = await world.times()
        for offset in [0, 1, seam - 1, seam, seam + 1, len(times) - 1]:
            found = await world.list_offset(times[offset])
            assert (found.offset, found.timestamp) == (times.index(times[offset]), times[offset])
        newest = await world.list_offset(-3)
        assert newest.timestamp == max(times)
        assert (await world.list_offset(max(times) + 1)).offset == -1
        epochs = leader.log.epochs.entries
        assert len(epochs) > 1
        assert epochs[0][1] == 0, "the epochs of what has left the disk are known"
        asked = OffsetForLeaderPartition(partition=0, current_leader_epoch=-1, leader_epoch=epochs[0][0])
        request = OffsetForLeaderEpochRequest(
            replica_id=-1, topics=[OffsetForLeaderTopic(topic=TOPIC, partitions=[asked])]
        )
        answer = await (await world.operator.links.to("n1")).request(request, expect=OffsetForLeaderEpochResponse)
        assert answer.topics[0].partitions[0].end_offset == epochs[1][1]

    tell(2, story)


def test_a_store_that_is_away_delays_nobody_and_loses_nothing() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce(0.01)
        await world.acknowledged(50)
        world.faults.down = True
        loop = asyncio.get_running_loop()
        began, before = loop.time(), len(world.seen.acknowledged)
        await asyncio.sleep(20)
        made = len(world.seen.acknowledged) - before
        assert made > 0.5 * (loop.time() - began) / 0.015
        leader = world.leader
        assert leader is not None
        end = world.tiering(1).catalogs[(leader.topic_id, 0)].end_offset
        assert leader.log.local_start_offset <= max(end, 0), "what is not in the tier stays on the disk"
        world.faults.heal()
        await world.until(lambda: world.tier_end() > end + 50)
        await world.stop_producing()
        await world.read_back()

    tell(3, story)


def test_what_is_past_retention_leaves_the_tier_too() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start(configs={"retention.bytes": "8000"})
        world.produce()
        await world.acknowledged(400)
        await world.stop_producing()
        await world.settled()
        leader = world.leader
        assert leader is not None
        await world.until(lambda: leader.log.log_start_offset > 0 and not world.doomed())
        catalog = world.tiering(1).catalogs[(leader.topic_id, 0)]
        assert catalog.start_offset == leader.log.log_start_offset
        assert 6000 <= catalog.size_bytes <= 12000
        assert (await world.list_offset(-2)).offset == catalog.start_offset
        world.check_bucket()

    tell(4, story)


def test_a_deleted_topic_leaves_nothing_behind() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start(3)
        world.produce()
        await world.acknowledged(200)
        await world.stop_producing()
        await world.until(lambda: any(name.startswith(ROOT) for name in world.bucket.names()))
        await world.delete_topic()
        await world.until(lambda: not any(name.startswith(ROOT) for name in world.bucket.names()))
        assert world.names() == ["cluster.json"]

    tell(5, story, nodes=3)


def test_turning_the_tier_off_for_a_topic_deletes_what_it_had_there() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(200)
        await world.stop_producing()
        await world.until(world.left_disk)
        await world.operator.set(TOPIC_KIND, TOPIC, "remote.log.delete.on.disable", "true")
        await world.operator.set(TOPIC_KIND, TOPIC, "remote.storage.enable", "false")
        await world.until(lambda: not any(name.startswith(ROOT) for name in world.bucket.names()))
        leader = world.leader
        assert leader is not None
        assert leader.log.log_start_offset == leader.log.local_start_offset > 0
        assert (await world.list_offset(-2)).offset == leader.log.log_start_offset

    tell(6, story)


def test_a_new_replica_begins_where_the_tier_ends_and_can_lead() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start(2)
        world.produce()
        await world.acknowledged(300)
        await world.until(world.left_disk)
        replicas = (await world.operator.partition()).replica_nodes
        other = ({1, 2, 3} - set(replicas)).pop()
        await world.operator.move([other, replicas[1]])
        await world.operator.until(lambda now: other in now.isr_nodes and replicas[0] not in now.replica_nodes)
        there = world.replicas()[other]
        assert there.log.log_start_offset == 0
        assert there.log.local_start_offset > 0, "it did not copy what is in the tier"
        world.cluster.members[replicas[1]].kill()
        await world.operator.until(lambda now: now.leader_id == other)
        await world.acknowledged(len(world.seen.acknowledged) + 100)
        await world.stop_producing()
        await world.read_back()
        assert there.log.epochs.entries[0][1] == 0

    tell(7, story, nodes=3)


def test_objects_that_no_record_speaks_of_are_swept() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(100)
        await world.until(lambda: world.tier_end() > 0)
        leader = world.leader
        assert leader is not None
        names = [f"{ROOT}{leader.topic_id}/0/{n:020d}-lost.log" for n in range(3)]
        for name in names:
            await world.put(name)
        await asyncio.sleep(5)
        assert set(names) <= set(world.bucket.names()), "not before the grace time"
        await world.until(lambda: not set(names) & set(world.bucket.names()))
        await world.stop_producing()
        await world.read_back()
        assert world.states() <= {SegmentState.COPY_FINISHED, SegmentState.COPY_STARTED}

    tell(8, story)


def test_records_can_be_deleted_across_the_seam() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(300)
        await world.stop_producing()
        await world.settled()
        leader = world.leader
        assert leader is not None
        third = world.catalog().chain[2].segment
        cut = third.base_offset + 3
        assert await world.delete_records(cut) == cut
        assert (await world.list_offset(-2)).offset == cut
        found, error = await world.read_from(cut - 1, cut)
        assert (found, error) == ([], ErrorCode.OFFSET_OUT_OF_RANGE)
        found, _ = await world.read_from(cut, leader.high_watermark)
        assert [offset for offset, _ in found] == list(range(cut, leader.high_watermark))
        await world.until(lambda: world.catalog().start_offset == third.base_offset and not world.doomed())
        world.check_bucket()
        world.cluster.members[1].restart()
        await world.until(lambda: world.leader is not None and world.leader.established)
        assert (await world.list_offset(-2)).offset == cut

    tell(10, story)


def test_copying_can_be_stopped_while_reading_goes_on() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(200)
        await world.until(world.left_disk)
        await world.operator.set(TOPIC_KIND, TOPIC, "remote.log.copy.disable", "true")
        await asyncio.sleep(2)
        end = world.tier_end()
        await world.acknowledged(len(world.seen.acknowledged) + 200)
        assert world.tier_end() == end
        await world.operator.set(TOPIC_KIND, TOPIC, "remote.log.copy.disable", "false")
        await world.until(lambda: world.tier_end() > end + 100)
        await world.stop_producing()
        await world.read_back()

    tell(11, story)


def test_followers_keep_no_more_than_leaders_and_may_be_read() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start(3)
        world.produce()
        await world.acknowledged(300)
        await world.stop_producing()
        await world.settled()
        await world.until(lambda: all(each.log.local_start_offset > 100 for each in world.replicas().values()))
        follower = next(id_ for id_, each in world.replicas().items() if not each.leading)
        assert (await world.fetch_at(f"n{follower}", 0))[0] == (0, 0)
        assert all(each.log.log_start_offset == 0 for each in world.replicas().values())

    tell(12, story, nodes=3)
