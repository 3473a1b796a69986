"""The coordinator over a log in memory: written first, answered then; restarts, lost leadership, deletion, expiry."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

from sprawl.groups.exchange import Leaving
from sprawl.groups.leading import Committer
from sprawl.groups.offsets import CommittedOffset, TopicPartition
from sprawl.groups.settings import GroupSettings
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.groups.fakes import GROUP, QUICK, Coordinating, FakeLog, on_virtual_time, settle

T0 = TopicPartition("t", 0)
GONE, ANEW = UUID(int=1), UUID(int=2)


async def refusal_of(work: object) -> ErrorCode:
    try:
        await work  # type: ignore[misc]
    except ApiError as refusal:
        return refusal.code
    return ErrorCode.NONE


@on_virtual_time
async def test_two_members_share_and_the_answers_wait_for_the_log() -> None:
    async with Coordinating() as it:
        first, second = await asyncio.gather(it.join(), it.join())
        assert (first.leader, second.leader) == (first.member_id, first.member_id)
        assert len(first.members) == 2 and second.members == ()
        it.log.gate = asyncio.Event()
        follower = asyncio.create_task(it.sync(second))
        leader = asyncio.create_task(it.sync(first, {first.member_id: b"one", second.member_id: b"two"}))
        await settle()
        assert not follower.done() and not leader.done()
        it.log.gate.set()
        assert (await leader).assignment == b"one"
        assert (await follower).assignment == b"two"
        it.coordinator.heartbeat(GROUP, second.member_id, None, second.generation)


@on_virtual_time
async def test_member_ids_begin_with_the_client_id() -> None:
    async with Coordinating() as it:
        first, second = await asyncio.gather(it.join(), it.join())
        assert first.member_id.startswith("client-")
        assert first.member_id != second.member_id


@on_virtual_time
async def test_a_restart_finds_groups_and_offsets_as_they_were() -> None:
    log = FakeLog()
    async with Coordinating(log) as it:
        joined = await it.stable()
        await it.commit(41, joined)
        await it.commit(42, joined)
        await it.commit(7, group_id="simple")
    async with Coordinating(log) as it:
        it.coordinator.heartbeat(GROUP, joined.member_id, None, joined.generation)
        assert (await it.sync(joined)).assignment == b"mine"
        assert await it.committed() == 42
        assert await it.committed(group_id="simple") == 7
        assert {each.group_id: each.state for each in it.coordinator.list_groups()[0]} == {
            GROUP: "Stable",
            "simple": "Empty",
        }


@on_virtual_time
async def test_nobody_is_let_in_before_the_log_is_read() -> None:
    log = FakeLog()
    async with Coordinating(log) as it:
        joined = await it.stable()
    log.gate = asyncio.Event()
    async with Coordinating(log) as it:
        assert (await it.join()).error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        assert (await it.sync(joined)).error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        assert await it.leave(joined) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        assert await refusal_of(it.commit(1, joined)) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        assert await refusal_of(it.committed()) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        assert it.coordinator.list_groups() == ([], ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        # A member must not be thrown out because its coordinator has just begun to read.
        it.coordinator.heartbeat(GROUP, joined.member_id, None, joined.generation)
        log.gate.set()
        await settle()
        it.coordinator.heartbeat(GROUP, joined.member_id, None, joined.generation)


@on_virtual_time
async def test_a_log_that_cannot_be_read_is_tried_again() -> None:
    log = FakeLog()
    log.refuses_to_read = [ApiError(ErrorCode.KAFKA_STORAGE_ERROR, "disk")] * 2
    it = Coordinating(log)
    it.registry.lead(0, log.epoch)
    await settle()
    assert (await it.join()).error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    await asyncio.sleep(2.5)
    assert (await it.join()).error is ErrorCode.NONE
    await it.registry.stop()


@on_virtual_time
async def test_a_damaged_record_does_not_take_the_others_along() -> None:
    log = FakeLog()
    log.partitions[0] = [(0, b"\x00\x01\xff", b"x"), (1, b"\x00\x2a", b""), (2, b"", None)]
    log.ends[0] = 3
    async with Coordinating(log) as it:
        await it.commit(1)
        assert await it.committed() == 1


@on_virtual_time
async def test_lost_leadership_answers_everybody() -> None:
    async with Coordinating() as it:
        await it.stable()
        joining = asyncio.create_task(it.join())
        await settle()
        it.log.gate = asyncio.Event()
        committing = asyncio.create_task(it.commit(1, group_id="other"))
        await settle()
        it.registry.resign(0)
        assert (await joining).error is ErrorCode.NOT_COORDINATOR
        assert await refusal_of(committing) is ErrorCode.NOT_COORDINATOR
        assert (await it.join()).error is ErrorCode.NOT_COORDINATOR


@on_virtual_time
async def test_a_new_epoch_reads_the_log_again() -> None:
    async with Coordinating() as it:
        await it.commit(1)
        it.log.epoch += 1
        assert await refusal_of(it.commit(2)) is ErrorCode.NOT_COORDINATOR  # fenced by the log
        it.registry.lead(0, it.log.epoch)
        it.registry.lead(0, it.log.epoch - 1)  # late news of the former epoch
        await settle()
        await it.commit(3)
        assert await it.committed() == 3


@on_virtual_time
async def test_a_new_epoch_answers_those_who_wait_from_the_former() -> None:
    async with Coordinating() as it:
        await it.stable()
        joining = asyncio.create_task(it.join())
        await settle()
        it.log.epoch += 1
        it.registry.lead(0, it.log.epoch)
        assert (await joining).error is ErrorCode.NOT_COORDINATOR


@on_virtual_time
async def test_an_assignment_that_the_log_refuses_is_given_to_nobody() -> None:
    log = FakeLog()
    async with Coordinating(log) as it:
        first, second = await asyncio.gather(it.join(), it.join())
        follower = asyncio.create_task(it.sync(second))
        log.refuses = [ApiError(ErrorCode.KAFKA_STORAGE_ERROR, "disk full")]
        assert (await it.sync(first, {first.member_id: b"one"})).error is ErrorCode.NOT_COORDINATOR
        assert (await follower).error is ErrorCode.NOT_COORDINATOR
        assert it.coordinator.describe(GROUP).state == "PreparingRebalance"


@on_virtual_time
async def test_a_refused_commit_changes_nothing() -> None:
    async with Coordinating() as it:
        await it.commit(1)
        for raised, told in (
            (ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.COORDINATOR_NOT_AVAILABLE),
            (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_COORDINATOR),
            (ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.UNKNOWN_SERVER_ERROR),
        ):
            it.log.refuses = [ApiError(raised, "no")]
            assert await refusal_of(it.commit(2)) is told
        assert await it.committed() == 1


@on_virtual_time
async def test_a_commit_is_not_waited_for_longer_than_its_timeout() -> None:
    async with Coordinating() as it:
        it.log.gate = asyncio.Event()
        assert await refusal_of(it.commit(1)) is ErrorCode.COORDINATOR_NOT_AVAILABLE
        it.log.gate.set()
        assert await it.committed() == 1  # it was not taken back either


@on_virtual_time
async def test_later_commits_win_however_many_are_under_way() -> None:
    log = FakeLog()
    async with Coordinating(log) as it:
        await asyncio.gather(*(it.commit(offset) for offset in range(100)))
        assert await it.committed() == 99
        assert len(log.appends) < 20, "commits are written together"
    async with Coordinating(log) as it:
        assert await it.committed() == 99


@on_virtual_time
async def test_stable_offsets_include_commits_that_are_under_way() -> None:
    async with Coordinating() as it:
        await it.commit(1)
        it.log.gate = asyncio.Event()
        committing = asyncio.create_task(it.commit(2))
        await settle()
        seen = await it.coordinator.offsets(GROUP, stable=False)
        assert seen.get("t", 0).offset == 1  # type: ignore[union-attr]
        stable = asyncio.create_task(it.committed())
        await settle()
        assert not stable.done()
        it.log.gate.set()
        assert await stable == 2
        await committing


@on_virtual_time
async def test_a_generation_of_no_group_cannot_commit() -> None:
    async with Coordinating() as it:
        committer, offsets = Committer("m", None, 3), {T0: CommittedOffset(1, -1, "", 0)}
        work = it.coordinator.commit("nowhere", committer, offsets, ErrorCode.GROUP_ID_NOT_FOUND)
        assert await refusal_of(work) is ErrorCode.GROUP_ID_NOT_FOUND
        assert it.coordinator.list_groups()[0] == []


@on_virtual_time
async def test_session_timeouts_have_bounds() -> None:
    async with Coordinating() as it:
        for session in (5_999, 1_800_001, -1):
            assert (await it.join(session_timeout_ms=session)).error is ErrorCode.INVALID_SESSION_TIMEOUT
        assert (await it.join(group_id="")).error is ErrorCode.INVALID_GROUP_ID
        assert (await it.join("who-1", group_id="nowhere")).error is ErrorCode.UNKNOWN_MEMBER_ID


@on_virtual_time
async def test_what_no_record_has_room_for_is_refused() -> None:
    """Compact strings on the wire may be longer than those of the records."""
    long = "x" * 32_768
    async with Coordinating() as it:
        for answer in (await it.join(group_id=long), await it.join(instance=long), await it.join(protocol_type=long)):
            assert answer.error is ErrorCode.INVALID_REQUEST
        assert await refusal_of(it.commit(1, group_id=long)) is ErrorCode.INVALID_REQUEST
        assert await refusal_of(it.commit(1, group_id="\u20ac" * 10_923)) is ErrorCode.INVALID_REQUEST
        assert await refusal_of(it.commit(1, group_id="x" * 32_767)) is ErrorCode.NONE


@on_virtual_time
async def test_a_bug_costs_a_partition_a_second() -> None:
    async with Coordinating() as it:
        await it.commit(1)
        it.registry.all_led()[0].shard.apply = None  # type: ignore[assignment, method-assign]
        failing = asyncio.create_task(it.commit(2))
        assert await refusal_of(failing) is not ErrorCode.NONE
        await asyncio.sleep(1.5)
        assert await it.committed() == 2, "it was in the log"
        await it.commit(3)
        assert await it.committed() == 3


@on_virtual_time
async def test_a_silent_member_is_dropped_by_the_timer() -> None:
    async with Coordinating() as it:
        joined = await it.stable()
        await asyncio.sleep(9)
        it.coordinator.heartbeat(GROUP, joined.member_id, None, joined.generation)
        await asyncio.sleep(9)
        assert it.coordinator.describe(GROUP).state == "Stable"
        await asyncio.sleep(1.1)
        assert it.coordinator.describe(GROUP).state == "Empty"


@on_virtual_time
async def test_the_timer_is_set_anew_for_what_is_due_sooner() -> None:
    async with Coordinating() as it:
        await it.stable(session_timeout_ms=1_800_000)
        joined = await asyncio.wait_for(it.join(), 61)  # the rebalance timeout of the other, who does not come
        assert joined.generation == 2


@on_virtual_time
async def test_a_group_that_was_only_looked_at_leaves_nothing_behind() -> None:
    """Anybody could fill the memory with group names otherwise."""
    async with Coordinating() as it:
        await it.join(protocol_type="", group_id="x")
        assert it.coordinator.list_groups()[0] == []


@on_virtual_time
async def test_leaving_a_group_that_does_not_exist() -> None:
    async with Coordinating() as it:
        answer = await it.coordinator.leave("nowhere", (Leaving("m-1"), Leaving("", "i")))
        assert answer.error is ErrorCode.NONE
        assert [left.error for left in answer.members] == [ErrorCode.UNKNOWN_MEMBER_ID] * 2


# Deletion


@on_virtual_time
async def test_only_empty_groups_are_deleted_and_they_stay_deleted() -> None:
    log = FakeLog()
    async with Coordinating(log) as it:
        joined = await it.stable()
        await it.commit(1, joined)
        first = await it.coordinator.delete_groups([GROUP, "nowhere"])
        assert first[GROUP].code is ErrorCode.NON_EMPTY_GROUP  # type: ignore[union-attr]
        assert first["nowhere"].code is ErrorCode.GROUP_ID_NOT_FOUND  # type: ignore[union-attr]
        assert await it.leave(joined) is ErrorCode.NONE
        assert await it.coordinator.delete_groups([GROUP]) == {GROUP: None}
        assert it.coordinator.list_groups()[0] == []
        assert await it.committed() is None
    async with Coordinating(log) as it:
        assert it.coordinator.list_groups()[0] == []
        assert await it.committed() is None


@on_virtual_time
async def test_a_commit_under_way_when_its_group_is_deleted_does_not_come_back() -> None:
    """Its record is in the log before the tombstones: they must cover it."""
    log = FakeLog()
    async with Coordinating(log) as it:
        await it.commit(1)
        log.gate = asyncio.Event()
        committing = asyncio.create_task(it.commit(2, partition=5))
        await settle()
        deleting = asyncio.create_task(it.coordinator.delete_groups([GROUP]))
        await settle()
        log.gate.set()
        await committing
        assert await deleting == {GROUP: None}
    log.gate = None
    async with Coordinating(log) as it:
        assert await it.committed(partition=5) is None
        assert it.coordinator.list_groups()[0] == []


@on_virtual_time
async def test_a_member_that_joins_while_its_group_is_deleted_keeps_it_alive() -> None:
    log = FakeLog()
    async with Coordinating(log) as it:
        await it.commit(1)
        log.gate = asyncio.Event()
        deleting = asyncio.create_task(it.coordinator.delete_groups([GROUP]))
        await settle()
        joining = asyncio.create_task(it.join())
        await settle()
        log.gate.set()
        assert await deleting == {GROUP: None}
        joined = await joining
        assert joined.error is ErrorCode.NONE
        assert (await it.sync(joined, {joined.member_id: b"x"})).assignment == b"x"
    log.gate = None
    async with Coordinating(log) as it:
        it.coordinator.heartbeat(GROUP, joined.member_id, None, joined.generation)


@on_virtual_time
async def test_offsets_are_deleted_unless_their_topic_is_read() -> None:
    async with Coordinating() as it:
        joined = await it.stable(topics=["t"])
        await it.commit(1, joined, topic="t")
        await it.commit(1, joined, topic="u")
        asked = [T0, TopicPartition("u", 0), TopicPartition("u", 9)]
        assert await it.coordinator.delete_offsets(GROUP, asked) == {
            T0: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC,
            TopicPartition("u", 0): ErrorCode.NONE,
            TopicPartition("u", 9): ErrorCode.NONE,
        }
        assert (await it.committed(topic="t"), await it.committed(topic="u")) == (1, None)
        assert await refusal_of(it.coordinator.delete_offsets("nowhere", asked)) is ErrorCode.GROUP_ID_NOT_FOUND
        assert await refusal_of(it.coordinator.delete_offsets("", asked)) is ErrorCode.INVALID_GROUP_ID


@on_virtual_time
async def test_offsets_of_a_group_whose_topics_are_not_known_are_not_deleted() -> None:
    async with Coordinating() as it:
        await it.stable(protocol_type="connect")
        assert await refusal_of(it.coordinator.delete_offsets(GROUP, [T0])) is ErrorCode.NON_EMPTY_GROUP


@on_virtual_time
async def test_offsets_go_with_their_topic() -> None:
    log = FakeLog()
    async with Coordinating(log) as it:
        for group_id in ("g1", "g2"):
            await it.commit(1, topic="gone", group_id=group_id)
            await it.commit(2, topic="stays", group_id=group_id)
        await it.coordinator.forget_topics({"gone": GONE})
    async with Coordinating(log) as it:
        for group_id in ("g1", "g2"):
            assert await it.committed(topic="gone", group_id=group_id) is None
            assert await it.committed(topic="stays", group_id=group_id) == 2


@on_virtual_time
async def test_offsets_of_a_topic_made_anew_stay_when_its_predecessor_is_forgotten() -> None:
    async with Coordinating() as it:
        at = {T0: CommittedOffset(5, -1, "", 0, topic_id=ANEW)}
        await it.coordinator.commit(GROUP, Committer(), at, ErrorCode.ILLEGAL_GENERATION)
        await it.coordinator.forget_topics({"t": GONE})
        assert await it.committed() == 5


# Expiry, compaction

SHORT = replace(QUICK, offsets_retention_ms=60_000, retention_check_interval_ms=10_000)


@on_virtual_time
async def test_old_offsets_expire_and_empty_groups_with_them() -> None:
    log = FakeLog()
    async with Coordinating(log, SHORT) as it:
        joined = await it.stable()
        await it.commit(1, joined)
        await it.commit(1, group_id="simple")
        assert await it.leave(joined) is ErrorCode.NONE
        await asyncio.sleep(55)
        assert await it.committed() == 1
        await asyncio.sleep(16)
        assert await it.committed() is None
        assert it.coordinator.list_groups()[0] == []
    async with Coordinating(log, SHORT) as it:
        assert it.coordinator.list_groups()[0] == []


@on_virtual_time
async def test_an_expiry_that_the_log_refuses_is_tried_again() -> None:
    async with Coordinating(settings=SHORT) as it:
        await it.commit(1)
        it.log.refuses = [ApiError(ErrorCode.KAFKA_STORAGE_ERROR, "disk full")]
        await asyncio.sleep(61)
        assert it.log.refuses == [] and await it.committed() == 1
        await asyncio.sleep(10)
        assert await it.committed() is None


@on_virtual_time
async def test_the_log_stays_small_and_keeps_everything() -> None:
    log = FakeLog()
    settings: GroupSettings = replace(QUICK, snapshot_bytes=4_000)
    async with Coordinating(log, settings) as it:
        joined = await it.stable()
        await it.commit(7, group_id="simple", topic="quiet")
        for offset in range(500):
            await it.commit(offset, joined, partition=offset % 3)
            if offset % 50 == 0:
                it.coordinator.heartbeat(GROUP, joined.member_id, None, joined.generation)
    assert len(log.partitions[0]) < 200, "500 commits of 3 partitions need not stay"
    async with Coordinating(log, settings) as it:
        assert [await it.committed(partition=each) for each in range(3)] == [498, 499, 497]
        assert await it.committed(group_id="simple", topic="quiet") == 7
        assert (await it.sync(joined)).assignment == b"mine"
