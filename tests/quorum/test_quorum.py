"""How proposals are committed: in order, together, durable first; and what the log looks like then."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from sprawl.quorum import requests
from sprawl.quorum.batches import MetadataBatch, read_batches
from sprawl.quorum.delta import DeltaError
from sprawl.quorum.history import Step
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.raft import Announce, AskForVote
from sprawl.quorum.records import NO_ID, FeatureLevelRecord, PartitionRecord, TopicRecord
from sprawl.quorum.voters import Address, ReplicaKey
from sprawl.runtime.simulated import Simulation
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import KRaftVersionRecord, LeaderChangeMessage, VotersRecord
from tests.quorum.world import Member, start


async def batches(member: Member) -> list[MetadataBatch]:
    read = await member.log.read(0, 1 << 20, member.log.log_end_offset)
    return [batch for buffer in read.buffers for batch in read_batches(buffer)]


def test_a_new_log_begins_with_its_leader_its_voters_and_its_features() -> None:
    async def run() -> None:
        member = await start(node.runtime, register=False)
        control, data = await batches(member)
        leader, version, voters = control.controls
        assert isinstance(leader, LeaderChangeMessage)
        assert (leader.leader_id, [each.voter_id for each in leader.voters]) == (1, [1])
        assert leader.granting_voters == leader.voters
        assert isinstance(version, KRaftVersionRecord)
        assert isinstance(voters, VotersRecord)
        assert voters.voters[0].voter_directory_id != UUID(int=0)
        assert [type(each) for each in data.records] == [FeatureLevelRecord]
        assert (control.epoch, member.quorum.image.offset) == (1, 3)
        await member.stop()

    with Simulation(1) as world:
        node = world.node("a")
        world.run(run(), on=node)


def test_a_voter_does_not_vote_for_the_one_whose_disk_was_lost() -> None:
    async def run() -> list[tuple[int, bool]]:
        member = await start(node.runtime, register=False)
        quorum = member.quorum
        mine = next(iter(quorum.voters.keys))
        candidate = ReplicaKey(2, UUID(int=22))
        answers = []
        for number, directory in enumerate([UUID(int=99), mine.directory_id, NO_ID]):
            asked = AskForVote(ReplicaKey(mine.node_id, directory), 10 + number, 10, 1 << 20, pre_vote=False)
            request = requests.vote_request(quorum.image.cluster_id, candidate, asked)
            answer = requests.vote_answer(await quorum.service.vote(request))
            assert answer is not None
            answers.append((int(answer.error), answer.granted))
        await member.stop()
        return answers

    with Simulation(1) as world:
        node = world.node("a")
        answers = world.run(run(), on=node)
    assert answers == [(int(ErrorCode.INVALID_VOTER_KEY), False), (0, True), (0, True)]


def test_a_leader_is_told_that_it_speaks_to_the_voter_whose_disk_was_lost() -> None:
    async def run() -> list[tuple[ErrorCode, int]]:
        member = await start(node.runtime, register=False)
        quorum = member.quorum
        mine = next(iter(quorum.voters.keys))
        answers = []
        for number, directory in enumerate([UUID(int=99), mine.directory_id, NO_ID]):
            told = Announce(ReplicaKey(mine.node_id, directory), 10 + number)
            request = requests.begin_epoch_request(
                quorum.image.cluster_id, ReplicaKey(2, UUID(int=22)), told, Address("n2", 9092)
            )
            answer = await quorum.service.begin_epoch(request)
            data = answer.topics[0].partitions[0]
            answers.append((ErrorCode(data.error_code), data.leader_epoch))
        await member.stop()
        return answers

    with Simulation(1) as world:
        node = world.node("a")
        answers = world.run(run(), on=node)
    assert answers == [(ErrorCode.INVALID_VOTER_KEY, 10), (ErrorCode.NONE, 11), (ErrorCode.NONE, 12)]


def test_each_start_begins_an_epoch_of_its_own() -> None:
    async def run() -> list[tuple[int, list[str]]]:
        member = await start(node.runtime, register=False)
        found = [(each.epoch, [type(one).__name__ for one in each.controls]) for each in await batches(member)]
        await member.stop()
        return found

    with Simulation(1) as world:
        node = world.node("a")
        for _ in range(3):
            found = world.run(run(), on=node)
            node.kill()
            node.boot()
    epochs = [epoch for epoch, controls in found if "LeaderChangeMessage" in controls]
    assert epochs == [1, 2, 3]


def test_what_is_proposed_together_is_written_together() -> None:
    async def run() -> None:
        member = await start(node.runtime)
        before = len(await batches(member))
        seen: list[tuple[int, int]] = []
        member.quorum.subscribe(lambda old, new: seen.append((len(old.topics), len(new.topics))))
        await asyncio.gather(*(member.create(f"topic-{number}") for number in range(100)))
        assert len(await batches(member)) == before + 1
        assert seen == [(0, 100)]
        assert len(member.quorum.image.topics) == 100
        await member.stop()

    with Simulation(1) as world:
        node = world.node("a")
        world.run(run(), on=node)


def test_what_is_proposed_while_the_disk_is_busy_waits_and_then_goes_together() -> None:
    async def run() -> None:
        member = await start(node.runtime)
        before = len(await batches(member))
        tasks = [asyncio.create_task(member.create("first"))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for number in range(50):
            tasks.append(asyncio.create_task(member.create(f"topic-{number}")))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert len(await batches(member)) <= before + 3
        await member.stop()

    with Simulation(1) as world:
        node = world.node("a")
        world.run(run(), on=node)


def test_nobody_sees_what_is_not_durable() -> None:
    async def run() -> None:
        member = await start(node.runtime)
        offsets: list[tuple[int, int]] = []
        member.quorum.subscribe(lambda _, new: offsets.append((new.offset, member.log.durable_offset)))
        proposal = member.quorum.propose([TopicRecord(name="topic", topic_id=UUID(int=500))])
        assert "topic" in member.quorum.proposed.topics
        assert "topic" not in member.quorum.image.topics
        image = await proposal
        assert "topic" in image.topics
        assert all(offset < durable for offset, durable in offsets)
        await member.stop()

    with Simulation(1) as world:
        node = world.node("a")
        world.run(run(), on=node)


def test_a_proposal_goes_on_if_its_proposer_gives_up() -> None:
    async def run() -> None:
        member = await start(node.runtime)
        task = asyncio.create_task(member.create("topic"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        image = await member.quorum.propose([])
        assert "topic" in image.topics
        await member.stop()

    with Simulation(1) as world:
        node = world.node("a")
        world.run(run(), on=node)


def test_records_that_contradict_the_image_are_not_written() -> None:
    async def run() -> None:
        member = await start(node.runtime)
        end = member.log.log_end_offset
        with pytest.raises(DeltaError):
            member.quorum.propose([PartitionRecord(partition_id=0, topic_id=UUID(int=9))])
        await member.quorum.propose([])
        assert member.log.log_end_offset == end
        await member.stop()

    with Simulation(1) as world:
        node = world.node("a")
        world.run(run(), on=node)


def test_a_follower_of_the_image_that_fails_ends_the_node() -> None:
    def broken(old: MetadataImage, new: MetadataImage) -> None:
        raise RuntimeError("lost")

    async def run() -> str:
        member = await start(node.runtime)
        member.quorum.subscribe(broken)
        await member.create("topic")
        with pytest.raises(ApiError):
            await member.create("other")
        return await member.quorum.failed()

    with Simulation(1) as world:
        node = world.node("a")
        assert "cannot follow the metadata: lost" in world.run(run(), on=node)


def test_a_witness_hears_of_every_batch_and_harms_nobody_by_failing() -> None:
    seen: list[Step] = []

    def broken(step: Step) -> None:
        raise RuntimeError("lost")

    async def run() -> None:
        member = await start(node.runtime)
        member.quorum.witness(broken)
        member.quorum.witness(seen.append)
        for name in ("one", "two"):
            before = member.quorum.image
            await member.create(name)
            assert (seen[-1].before, seen[-1].after) == (before, member.quorum.image)
        assert [each.batch for each in seen] == (await batches(member))[-2:]
        await member.stop()

    with Simulation(1) as world:
        node = world.node("a")
        world.run(run(), on=node)


def test_nothing_is_taken_after_stop() -> None:
    async def run() -> None:
        member = await start(node.runtime)
        task = asyncio.create_task(member.create("last"))
        await asyncio.sleep(0)
        await member.quorum.stop()
        await task
        assert "last" in member.quorum.image.topics, "what was proposed before is committed"
        with pytest.raises(ApiError) as refusal:
            await member.create("late")
        assert refusal.value.code is ErrorCode.NOT_CONTROLLER
        await member.stop()

    with Simulation(1) as world:
        node = world.node("a")
        world.run(run(), on=node)


def test_producer_id_blocks_never_overlap() -> None:
    async def run() -> None:
        member = await start(node.runtime)
        blocks = await asyncio.gather(*(member.controller.allocate_producer_ids() for _ in range(20)))
        taken = [number for first, count in blocks for number in range(first, first + count)]
        assert len(set(taken)) == len(taken) == 20_000
        await member.stop()

    async def again() -> None:
        member = await start(node.runtime)
        assert await member.controller.allocate_producer_ids() == (20_000, 1000)
        await member.stop()

    with Simulation(1) as world:
        node = world.node("a")
        world.run(run(), on=node)
        node.kill()
        node.boot()
        world.run(again(), on=node)
