"""CreateTopics, DeleteTopics, CreatePartitions in every version: what is made, and what each refusal says."""

from __future__ import annotations

from uuid import UUID

import pytest

from sprawl.security.access import Operation
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreatableTopicResult,
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteTopicState,
)
from tests.handlers.metadata_node import Served, serve
from tests.handlers.wired import versions_of


def wish(name: str, partitions: int = 1, replication: int = 1, **configs: str | None) -> CreatableTopic:
    return CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=replication,
        configs=[CreatableTopicConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()],
    )


async def create(
    served: Served, *wishes: CreatableTopic, version: int = 7, validate_only: bool = False
) -> list[CreatableTopicResult]:
    request = CreateTopicsRequest(topics=list(wishes), timeout_ms=1000, validate_only=validate_only)
    answer = await served.ask(request, version)
    topics: list[CreatableTopicResult] = answer.topics
    return topics


@pytest.mark.parametrize("version", versions_of(CreateTopicsRequest))
def test_a_topic_is_made(version: int) -> None:
    async def run(served: Served) -> None:
        (made,) = await create(served, wish("events", 3, retention_ms="60000"), version=version)
        topic = served.member.quorum.image.topics["events"]
        assert (made.name, made.error_code, len(topic.partitions)) == ("events", 0, 3)
        assert served.settled == [served.member.quorum.image.offset], "it can be used when the answer goes out"
        if version >= 5:
            assert (made.num_partitions, made.replication_factor) == (3, 1)
            entries = {each.name: each for each in made.configs or []}
            assert (entries["retention.ms"].value, entries["retention.ms"].config_source) == ("60000", 1)
            assert (entries["segment.bytes"].value, entries["segment.bytes"].config_source) == ("1073741824", 5)
        if version >= 7:
            assert made.topic_id == topic.id

    serve(run)


@pytest.mark.parametrize("version", versions_of(CreateTopicsRequest))
def test_asking_whether_it_could_be_made_makes_nothing(version: int) -> None:
    async def run(served: Served) -> None:
        (made,) = await create(served, wish("events"), version=version, validate_only=True)
        assert made.error_code == 0
        assert not served.member.quorum.image.topics

    serve(run)


REFUSED = [
    (wish("present"), ErrorCode.TOPIC_ALREADY_EXISTS, "already exists"),
    (wish(""), ErrorCode.INVALID_TOPIC_EXCEPTION, "empty"),
    (wish(".."), ErrorCode.INVALID_TOPIC_EXCEPTION, "directory"),
    (wish("x" * 250), ErrorCode.INVALID_TOPIC_EXCEPTION, "249"),
    (wish("a b"), ErrorCode.INVALID_TOPIC_EXCEPTION, "ASCII"),
    (wish("taken.name"), ErrorCode.INVALID_TOPIC_EXCEPTION, "taken_name"),
    (wish("__cluster_metadata"), ErrorCode.INVALID_REQUEST, "cluster's own"),
    (wish("a", 0), ErrorCode.INVALID_PARTITIONS, "at least 1"),
    (wish("a", -2), ErrorCode.INVALID_PARTITIONS, "at least 1"),
    (wish("a", 1, 0), ErrorCode.INVALID_REPLICATION_FACTOR, "at least 1"),
    (wish("a", 1, 3), ErrorCode.INVALID_REPLICATION_FACTOR, "only 1 broker"),
    (wish("a", 10_001), ErrorCode.POLICY_VIOLATION, "10000"),
    (wish("a", no_such_key="1"), ErrorCode.INVALID_CONFIG, "no.such.key"),
    (wish("a", retention_ms="soon"), ErrorCode.INVALID_CONFIG, "retention.ms"),
    (wish("a", retention_ms=None), ErrorCode.INVALID_CONFIG, "retention.ms"),
    (wish("a", cleanup_policy="shred"), ErrorCode.INVALID_CONFIG, "cleanup.policy"),
]


@pytest.mark.parametrize(("asked", "code", "told"), REFUSED, ids=lambda value: getattr(value, "name", str(value))[:30])
def test_a_topic_that_cannot_be(asked: CreatableTopic, code: ErrorCode, told: str) -> None:
    async def run(served: Served) -> None:
        await served.member.create("present", "taken_name")
        good, refused = await create(served, wish("good"), asked)
        assert good.error_code == 0, "one bad topic does not spoil the others"
        assert (refused.error_code, told in (refused.error_message or "")) == (code, True), refused.error_message
        assert set(served.member.quorum.image.topics) == {"present", "taken_name", "good"}

    serve(run)


def assigned(**homes: list[int]) -> CreatableTopic:
    topic = wish("assigned", -1, -1)
    topic.assignments = [
        CreatableReplicaAssignment(partition_index=int(index[1:]), broker_ids=brokers)
        for index, brokers in homes.items()
    ]
    return topic


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        (assigned(p1=[1], p0=[1]), ErrorCode.NONE, ""),
        (assigned(p0=[1], p2=[1]), ErrorCode.INVALID_REPLICA_ASSIGNMENT, "without gaps"),
        (assigned(p0=[]), ErrorCode.INVALID_REPLICA_ASSIGNMENT, "empty"),
        (assigned(p0=[1, 1]), ErrorCode.INVALID_REPLICA_ASSIGNMENT, "twice"),
        (assigned(p0=[7]), ErrorCode.INVALID_REPLICA_ASSIGNMENT, "broker 7"),
    ],
)
def test_a_manual_assignment(asked: CreatableTopic, code: ErrorCode, told: str) -> None:
    async def run(served: Served) -> None:
        (answer,) = await create(served, asked)
        assert (answer.error_code, told in (answer.error_message or "")) == (code, True), answer.error_message

    serve(run)


def test_a_manual_assignment_leaves_the_numbers_open() -> None:
    async def run(served: Served) -> None:
        asked = assigned(p0=[1])
        asked.num_partitions = 1
        (answer,) = await create(served, asked)
        assert answer.error_code == ErrorCode.INVALID_REQUEST

    serve(run)


def test_the_brokers_defaults_stand_in_for_minus_one() -> None:
    async def run(served: Served) -> None:
        (answer,) = await create(served, wish("events", -1, -1))
        assert (answer.error_code, answer.num_partitions, answer.replication_factor) == (0, 4, 1)

    serve(run, {"num.partitions": "4"})


def test_a_topic_named_twice_is_not_made() -> None:
    async def run(served: Served) -> None:
        answers = await create(served, wish("twice"), wish("twice"), wish("once"))
        assert {each.name: each.error_code for each in answers} == {"twice": ErrorCode.INVALID_REQUEST, "once": 0}

    serve(run)


def test_who_may_not_create() -> None:
    async def run(served: Served) -> None:
        served.access.forbidden = {
            (Operation.CREATE, "kafka-cluster"),
            (Operation.CREATE, "theirs"),
            (Operation.DESCRIBE_CONFIGS, "mine"),
        }
        mine, theirs = await create(served, wish("mine"), wish("theirs"))
        assert theirs.error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
        assert (mine.error_code, mine.topic_config_error_code) == (0, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
        assert (mine.num_partitions, mine.configs) == (-1, None)

    serve(run)


@pytest.mark.parametrize("version", versions_of(DeleteTopicsRequest))
def test_topics_are_deleted(version: int) -> None:
    async def run(served: Served) -> None:
        by_name, by_id, stays = await served.member.create("by-name", "by-id", "stays")
        unknown = UUID(int=12345)
        if version < 6:
            request = DeleteTopicsRequest(topic_names=["by-name", "by-id", "missing"], timeout_ms=1000)
            expected = {"by-name": 0, "by-id": 0, "missing": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
            answer = await served.ask(request, version)
            assert {each.name: each.error_code for each in answer.responses} == expected
        else:
            states = [
                DeleteTopicState(name="by-name"),
                DeleteTopicState(topic_id=by_id),
                DeleteTopicState(name="missing"),
                DeleteTopicState(topic_id=unknown),
                DeleteTopicState(),
                DeleteTopicState(name="stays", topic_id=stays),
            ]
            answer = await served.ask(DeleteTopicsRequest(topics=states, timeout_ms=1000), version)
            assert {(each.name, each.topic_id): each.error_code for each in answer.responses} == {
                ("by-name", by_name): 0,
                ("by-id", by_id): 0,
                ("missing", UUID(int=0)): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                (None, unknown): ErrorCode.UNKNOWN_TOPIC_ID,
                (None, UUID(int=0)): ErrorCode.INVALID_REQUEST,
                ("stays", stays): ErrorCode.INVALID_REQUEST,
            }
            assert all(each.error_message for each in answer.responses if each.error_code)
        assert set(served.member.quorum.image.topics) == {"stays"}

    serve(run)


def test_a_topic_named_by_name_and_by_id_is_not_deleted() -> None:
    async def run(served: Served) -> None:
        (topic_id,) = await served.member.create("topic")
        states = [DeleteTopicState(name="topic"), DeleteTopicState(topic_id=topic_id)]
        answer = await served.ask(DeleteTopicsRequest(topics=states, timeout_ms=1000))
        assert [each.error_code for each in answer.responses] == [ErrorCode.INVALID_REQUEST]
        assert "topic" in served.member.quorum.image.topics

    serve(run)


def test_who_may_not_see_a_topic_does_not_learn_of_it_by_deleting() -> None:
    async def run(served: Served) -> None:
        await served.member.create("secret")
        served.access.forbidden = {(Operation.DESCRIBE, "secret"), (Operation.DESCRIBE, "missing")}
        states = [DeleteTopicState(name="secret"), DeleteTopicState(name="missing")]
        answer = await served.ask(DeleteTopicsRequest(topics=states, timeout_ms=1000))
        assert {each.error_code for each in answer.responses} == {ErrorCode.TOPIC_AUTHORIZATION_FAILED}
        assert {each.topic_id for each in answer.responses} == {UUID(int=0)}

    serve(run)


@pytest.mark.parametrize(("version", "code"), [(1, ErrorCode.INVALID_REQUEST), (6, ErrorCode.TOPIC_DELETION_DISABLED)])
def test_deletion_can_be_turned_off(version: int, code: ErrorCode) -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic")
        request = DeleteTopicsRequest(
            topics=[DeleteTopicState(name="topic")] if version >= 6 else [], topic_names=["topic"], timeout_ms=1000
        )
        answer = await served.ask(request, version)
        assert [(each.name, each.error_code) for each in answer.responses] == [("topic", code)]
        assert "topic" in served.member.quorum.image.topics

    serve(run, {"delete.topic.enable": "false"})


@pytest.mark.parametrize("version", versions_of(CreatePartitionsRequest))
def test_partitions_are_added(version: int) -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic", "other")

        async def grow(*wishes: CreatePartitionsTopic, validate_only: bool = False) -> list[int]:
            request = CreatePartitionsRequest(topics=list(wishes), timeout_ms=1000, validate_only=validate_only)
            answer = await served.ask(request, version)
            return [each.error_code for each in answer.results]

        def to(name: str, count: int, assignments: list[list[int]] | None = None) -> CreatePartitionsTopic:
            homes = (
                None if assignments is None else [CreatePartitionsAssignment(broker_ids=each) for each in assignments]
            )
            return CreatePartitionsTopic(name=name, count=count, assignments=homes)

        assert await grow(to("topic", 3), validate_only=True) == [0]
        assert len(served.member.quorum.image.topics["topic"].partitions) == 1
        assert await grow(to("topic", 3), to("missing", 3)) == [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert [each.index for each in served.member.quorum.image.topics["topic"].partitions] == [0, 1, 2]
        assert await grow(to("topic", 3)) == [ErrorCode.INVALID_PARTITIONS]
        assert await grow(to("topic", 1)) == [ErrorCode.INVALID_PARTITIONS]
        assert await grow(to("topic", 4, [[1], [1]])) == [ErrorCode.INVALID_REPLICA_ASSIGNMENT]
        assert await grow(to("topic", 4, [[9]])) == [ErrorCode.INVALID_REPLICA_ASSIGNMENT]
        assert await grow(to("topic", 4, [[1]])) == [0]
        assert await grow(to("other", 2), to("other", 3)) == [ErrorCode.INVALID_REQUEST]

    serve(run)
