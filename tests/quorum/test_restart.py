"""What a restart finds: from the log, from snapshots, and from disks that did not keep their word."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from sprawl.quorum.batches import data_batch
from sprawl.quorum.features import FeatureError
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.metadata_log import MetadataLogError
from sprawl.quorum.records import FeatureLevelRecord, NoOpRecord, encode
from sprawl.quorum.snapshots import Snapshot
from sprawl.quorum.snapshotting import SnapshotPolicy
from sprawl.quorum.state import QuorumState, keep, state_in
from sprawl.runtime.simulated import Simulation
from sprawl.runtime.simulated.node import SimulatedNode
from sprawl.storage.manager import INDEX_DIRECTORY
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import crc32c, headers
from tests.quorum.world import DIRECTORY, METADATA_DIRECTORY, Member, start

OFTEN = SnapshotPolicy(max_bytes=300, max_age_ms=0, bytes_at_stop=1 << 40)
AT_STOP = SnapshotPolicy(max_bytes=1 << 40, max_age_ms=0, bytes_at_stop=1)


def content(image: MetadataImage) -> MetadataImage:
    """What users put there: everything that a restart must not change."""
    return replace(image, offset=0, epoch=0, controller_id=0, brokers={}, topics={}, topics_by_id={})


def leaders_apart(image: MetadataImage) -> dict[str, list[object]]:
    return {
        topic.name: [topic.id, *(replace(each, leader_epoch=0, partition_epoch=0) for each in topic.partitions)]
        for topic in image.topics.values()
    }


def snapshots(node: SimulatedNode) -> list[str]:
    return [name for name in node.runtime.files.list(METADATA_DIRECTORY) if name.endswith(".checkpoint")]


@pytest.mark.parametrize("policy", [None, OFTEN, AT_STOP], ids=["log", "snapshots and log", "snapshot at stop"])
def test_a_restart_finds_what_was_committed(policy: SnapshotPolicy | None) -> None:
    async def first() -> MetadataImage:
        member = await (start(node.runtime) if policy is None else start(node.runtime, policy))
        for number in range(20):
            await member.create(f"topic-{number}")
        await member.controller.allocate_producer_ids()
        image = member.quorum.image
        await member.stop()
        return image

    async def second() -> MetadataImage:
        member = await start(node.runtime)
        image = member.quorum.image
        await member.stop()
        return image

    with Simulation(seed=1) as world:
        node = world.node("a")
        before = world.run(first(), on=node)
        assert (policy is not None) == bool(snapshots(node))
        node.kill()
        node.boot()
        after = world.run(second(), on=node)
    assert content(after) == content(before)
    assert leaders_apart(after) == leaders_apart(before)
    assert after.epoch == before.epoch + 1
    assert after.offset > before.offset
    assert all(topic.partitions[0].leader_epoch == 2 for topic in after.topics.values()), (
        "a restart ends one leader's epoch and begins another's"
    )


def test_old_snapshots_and_segments_are_let_go() -> None:
    async def run() -> tuple[int, int]:
        member = await start(node.runtime, OFTEN)
        for number in range(50):
            await member.create(f"topic-{number}")
        await asyncio.sleep(1)
        found = member.log.log_start_offset, member.log.log_end_offset
        await member.stop()
        return found

    with Simulation(seed=1) as world:
        node = world.node("a")
        begin, end = world.run(run(), on=node)
        assert len(snapshots(node)) == 2
        assert 0 < begin < end
        assert snapshots(node)[0].startswith(f"{begin:020d}-"), "the log goes back to the older snapshot"


@pytest.mark.parametrize("seed", range(30))
def test_what_was_acknowledged_survives_a_power_failure(seed: int) -> None:
    """A node loses power at some moment of a load of proposals; the disk drops or tears what was not synced."""
    acknowledged: list[str] = []
    asked: list[str] = []
    rng = random.Random(seed)

    async def load(member: Member, worker: int) -> None:
        for number in range(1000):
            name = f"topic-{worker}-{number}"
            asked.append(name)
            await member.create(name)
            acknowledged.append(name)

    async def before() -> None:
        member = await start(node.runtime, OFTEN if seed % 2 else AT_STOP)
        await asyncio.gather(*(load(member, worker) for worker in range(4)))

    async def main() -> MetadataImage:
        running = node.run(before())
        await asyncio.sleep(0.1 + rng.random() * 0.3)
        node.crash()
        node.boot()
        with pytest.raises(Exception, match="died"):
            await running
        member = await node.run(start(node.runtime))
        return member.quorum.image

    with Simulation(seed) as world:
        node = world.node("a")
        image = world.run(main())
    assert acknowledged, "the load had begun"
    assert set(acknowledged) <= set(image.topics) <= set(asked)


def test_a_damaged_snapshot_is_passed_over_for_the_one_before() -> None:
    async def first() -> MetadataImage:
        member = await start(node.runtime, OFTEN)
        for number in range(30):
            await member.create(f"topic-{number}")
        await asyncio.sleep(1)
        image = member.quorum.image
        await member.stop()
        return image

    async def second() -> MetadataImage:
        member = await start(node.runtime)
        await member.stop()
        return member.quorum.image

    with Simulation(seed=2) as world:
        node = world.node("a")
        before = world.run(first(), on=node)
        newest = snapshots(node)[-1]
        node.disk.corrupt(f"{METADATA_DIRECTORY}/{newest}", 200)
        node.kill()
        node.boot()
        after = world.run(second(), on=node)
        assert leaders_apart(after) == leaders_apart(before)
        assert f"{newest}.damaged" in node.runtime.files.list(METADATA_DIRECTORY)


def refused(world: Simulation, node: SimulatedNode) -> str:
    node.kill()
    node.boot()
    with pytest.raises((MetadataLogError, FeatureError)) as refusal:
        world.run(start(node.runtime), on=node)
    return str(refusal.value)


def test_without_a_readable_snapshot_and_without_the_log_before_it_the_node_does_not_start() -> None:
    async def run() -> None:
        member = await start(node.runtime, OFTEN)
        for number in range(30):
            await member.create(f"topic-{number}")
        await asyncio.sleep(1)
        await member.stop()

    with Simulation(seed=2) as world:
        node = world.node("a")
        world.run(run(), on=node)
        for name in snapshots(node):
            node.runtime.files.remove(f"{METADATA_DIRECTORY}/{name}")
        assert "Restore a snapshot" in refused(world, node)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((1, 99), "record kind 99 is unknown"),
        ((2, 7), "has version 7"),
        ((0, 2), "frame has version 2"),
    ],
    ids=["kind", "version", "frame"],
)
def test_a_newer_record_stops_the_node(change: tuple[int, int], told: str) -> None:
    async def run() -> None:
        member = await start(node.runtime)
        batch = bytearray(data_batch([NoOpRecord()], 0, 1, 0))
        position, value = change
        frame = len(batch) - len(encode(NoOpRecord())) - 1
        batch[frame + position] = value
        resealed(batch)
        member.log.append(memoryview(batch), headers(batch), 1, 0)
        await asyncio.sleep(1)
        await member.stop()

    with Simulation(seed=3) as world:
        node = world.node("a")
        world.run(run(), on=node)
        text = refused(world, node)
    assert told in text
    assert "offset" in text
    assert "newer version" in text


def resealed(batch: bytearray) -> None:
    """With a checksum that fits its content."""
    batch[17:21] = crc32c(bytes(batch[21:])).to_bytes(4, "big")


def test_a_feature_beyond_this_software_stops_the_node() -> None:
    async def run() -> None:
        member = await start(node.runtime)
        await member.quorum.propose([FeatureLevelRecord(name="metadata.version", feature_level=99)])
        await member.stop()

    with Simulation(seed=3) as world:
        node = world.node("a")
        world.run(run(), on=node)
        assert "metadata.version at level 99" in refused(world, node)


@pytest.mark.parametrize("index_too", [False, True])
def test_lost_metadata_is_noticed(index_too: bool) -> None:
    async def run() -> None:
        member = await start(node.runtime)
        await member.stop()

    with Simulation(seed=4) as world:
        node = world.node("a")
        world.run(run(), on=node)
        node.runtime.files.remove_tree(METADATA_DIRECTORY)
        if index_too:
            node.runtime.files.remove_tree(f"{DIRECTORY}/{INDEX_DIRECTORY}")
        told = "its files are gone" if index_too else "were on stable storage, the files end at"
        assert told in refused(world, node)


def test_another_nodes_metadata_is_refused() -> None:
    async def run() -> None:
        member = await start(node.runtime)
        await member.stop()

    with Simulation(seed=5) as world:
        node = world.node("a")
        world.run(run(), on=node)
        node.runtime.files.remove(f"{DIRECTORY}/node.sqlite")
        assert "belongs to 1 with directory" in refused(world, node)


def test_a_failed_sync_ends_the_node() -> None:
    async def run() -> str:
        member = await start(node.runtime)
        node.disk.failing_syncs = 1
        with pytest.raises(ApiError, match="cannot make records durable"):
            await member.create("topic")
        with pytest.raises(ApiError, match="cannot make records durable"):
            await member.create("another")
        assert "topic" not in member.quorum.image.topics
        return await member.quorum.failed()

    with Simulation(seed=6) as world:
        node = world.node("a")
        assert "cannot make records durable" in world.run(run(), on=node)


def test_a_full_disk_refuses_changes_and_takes_them_again_when_there_is_room() -> None:
    async def run() -> MetadataImage:
        member = await start(node.runtime)
        await member.create("before")
        room, node.disk.capacity = node.disk.capacity, node.disk.used + 10
        results = await asyncio.gather(*(member.create(f"refused-{n}") for n in range(3)), return_exceptions=True)
        assert all("disk is full" in str(each) for each in results)
        with pytest.raises(ApiError, match="disk is full"):
            await member.create("refused-too")
        assert set(member.quorum.image.topics) == set(member.quorum.proposed.topics) == {"before"}
        node.disk.capacity = room
        await asyncio.sleep(3)
        await member.create("after")
        await member.stop()
        return member.quorum.image

    async def again() -> MetadataImage:
        member = await start(node.runtime)
        await member.stop()
        return member.quorum.image

    with Simulation(seed=7) as world:
        node = world.node("a")
        assert set(world.run(run(), on=node).topics) == {"before", "after"}
        node.kill()
        node.boot()
        assert set(world.run(again(), on=node).topics) == {"before", "after"}


def test_whom_it_knew_in_an_older_epoch_than_the_logs_is_past() -> None:
    """It had followed the leader of a newer epoch, and its disk failed before that was kept."""

    async def first() -> int:
        member = await start(node.runtime)
        epoch = member.quorum.epoch
        await member.stop()
        return epoch

    async def second() -> tuple[int, QuorumState]:
        state = node.runtime.open_state(f"{DIRECTORY}/node.sqlite")
        keep(state, QuorumState(epoch=0, leader_id=7, voted_id=7, voted_directory_id="elsewhere", begun=True))
        state.close()
        member = await start(node.runtime)
        found = member.quorum.epoch, state_in(member.state)
        await member.stop()
        return found

    with Simulation(seed=1) as world:
        node = world.node("a")
        before = world.run(first(), on=node)
        node.kill()
        node.boot()
        epoch, kept = world.run(second(), on=node)
    assert epoch == kept.epoch == before + 1
    assert kept.leader_id == kept.voted_id != 7


def test_a_snapshot_is_written_once_the_log_up_to_it_is_on_the_disk() -> None:
    """A follower knows what others have made durable; without power, its own log could end before the snapshot."""

    async def run() -> list[str]:
        member = await start(node.runtime)
        await member.create("orders")
        image, log = member.quorum.image, member.quorum._log

        async def fails() -> None:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, "the disk is gone")

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(log._replica, "make_stable", fails)
            with pytest.raises(ApiError, match="the disk is gone"):
                await log.write_snapshot(Snapshot(image, member.quorum.voters.to_record()))
        found = snapshots(node)
        await member.stop()
        return found

    with Simulation(seed=1) as world:
        node = world.node("a")
        assert world.run(run(), on=node) == []
