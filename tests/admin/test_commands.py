"""`sprawl-admin`: what is asked, what is shown, and what the exit code says."""

from __future__ import annotations

import json
from typing import Any, TypeVar
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from sprawl.admin import cli, options
from sprawl.admin.cluster import describe_cluster
from sprawl.admin.session import RefusedError
from sprawl.admin.topics import NewTopic, create_topic, delete_topics, describe_topic, list_topics
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeletableTopicResult,
    DeleteTopicsResponse,
    DescribeClusterBroker,
    DescribeClusterResponse,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
    MetadataRequest,
    MetadataResponse,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

R = TypeVar("R", bound=Response)
ID = UUID("00000000-0000-0000-0000-00000000002a")


class Session:
    """Answers with what the test gave, by type; remembers the questions."""

    timeout_ms = 1000

    def __init__(self, *answers: Response) -> None:
        self._answers = {type(answer): answer for answer in answers}
        self.asked: list[Request] = []

    async def ask(self, message: Request, answer: type[R]) -> R:
        self.asked.append(message)
        found = self._answers[answer]
        assert isinstance(found, answer)
        return found


def topic(name: str, *, internal: bool = False) -> MetadataResponseTopic:
    partitions = [
        MetadataResponsePartition(
            partition_index=index, leader_id=1, leader_epoch=3, replica_nodes=[1, 2], isr_nodes=[1]
        )
        for index in (1, 0)
    ]
    return MetadataResponseTopic(name=name, topic_id=ID, is_internal=internal, partitions=partitions)


async def test_a_cluster_is_described_by_its_brokers() -> None:
    brokers = [DescribeClusterBroker(broker_id=number, host="h", port=9092, rack=None) for number in (2, 1)]
    session = Session(DescribeClusterResponse(cluster_id="c", controller_id=2, brokers=brokers))
    found = await describe_cluster(session)  # type: ignore[arg-type]
    assert found["cluster_id"] == "c"
    assert [(one["id"], one["controller"]) for one in found["brokers"]] == [(1, False), (2, True)]


async def test_topics_are_listed_by_name_and_internal_ones_only_on_request() -> None:
    answer = MetadataResponse(topics=[topic("b"), topic("a"), topic("__x", internal=True)])
    session = Session(answer)
    assert [one["name"] for one in await list_topics(session, internal=False)] == ["a", "b"]  # type: ignore[arg-type]
    assert len(await list_topics(session, internal=True)) == 3  # type: ignore[arg-type]
    (question, _) = session.asked
    assert isinstance(question, MetadataRequest)
    assert question.topics is None
    assert not question.allow_auto_topic_creation


async def test_a_topic_is_described_with_its_own_settings_only() -> None:
    settings = [
        DescribeConfigsResourceResult(name="retention.ms", value="5", config_source=1),
        DescribeConfigsResourceResult(name="segment.ms", value="6", config_source=5),
    ]
    parts = [
        DescribeTopicPartitionsResponsePartition(
            partition_index=index, leader_id=1, leader_epoch=3, replica_nodes=[1, 2], isr_nodes=[1]
        )
        for index in (0, 1)
    ]
    session = Session(
        DescribeTopicPartitionsResponse(
            topics=[DescribeTopicPartitionsResponseTopic(name="a", topic_id=ID, partitions=parts)]
        ),
        DescribeConfigsResponse(results=[DescribeConfigsResult(resource_name="a", configs=settings)]),
    )
    found = await describe_topic(session, "a")  # type: ignore[arg-type]
    assert found["settings"] == {"retention.ms": "5"}
    assert [one["id"] for one in found["partitions"]] == [0, 1]
    assert found["partitions"][0]["in_sync"] == [1]


async def test_an_unknown_topic_is_refused_by_name() -> None:
    unknown = DescribeTopicPartitionsResponseTopic(name="a", error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    session = Session(DescribeTopicPartitionsResponse(topics=[unknown]))
    with pytest.raises(RefusedError, match="a: UNKNOWN_TOPIC_OR_PARTITION"):
        await describe_topic(session, "a")  # type: ignore[arg-type]


async def test_a_topic_is_created_with_its_settings() -> None:
    made = CreatableTopicResult(name="a", topic_id=ID, num_partitions=6, replication_factor=1)
    session = Session(CreateTopicsResponse(topics=[made]))
    wanted = NewTopic("a", 6, settings={"retention.ms": "5"})
    assert (await create_topic(session, wanted))["partitions"] == 6  # type: ignore[arg-type]
    (question,) = session.asked
    assert isinstance(question, CreateTopicsRequest)
    assert [(one.name, one.value) for one in question.topics[0].configs] == [("retention.ms", "5")]


async def test_a_refusal_carries_the_brokers_words() -> None:
    result = CreatableTopicResult(name="a", error_code=ErrorCode.TOPIC_ALREADY_EXISTS, error_message="it is there")
    with pytest.raises(RefusedError, match="a: TOPIC_ALREADY_EXISTS: it is there"):
        await create_topic(Session(CreateTopicsResponse(topics=[result])), NewTopic("a"))  # type: ignore[arg-type]


async def test_deleting_several_names_those_that_could_not_be() -> None:
    results = [
        DeletableTopicResult(name="a"),
        DeletableTopicResult(name="b", error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, error_message=None),
    ]
    with pytest.raises(RefusedError, match="^b: UNKNOWN_TOPIC_OR_PARTITION$"):
        await delete_topics(Session(DeleteTopicsResponse(responses=results)), ["a", "b"])  # type: ignore[arg-type]


def admin(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.mark.parametrize(
    "command", ["cluster describe", "topic list", "topic create", "topic describe", "topic delete"]
)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = admin(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"sprawl-admin {command}" in result.stdout


def test_no_broker_is_exit_code_5() -> None:
    result = admin("topic", "list", "--bootstrap", "127.0.0.1:1,127.0.0.1:2", "--timeout", "2")
    assert result.exit_code == 5
    assert "127.0.0.1:1" in result.stderr
    assert "127.0.0.1:2" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["topic", "list", "-b", "nowhere"],
        ["topic", "list", "-b", "a:99999"],
        ["topic", "create", "x", "--set", "novalue"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert admin(*arguments).exit_code == 2


def test_nothing_is_deleted_without_a_yes() -> None:
    assert CliRunner().invoke(cli.app, ["topic", "delete", "a"], input="n\n").exit_code == 1


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the cluster answers, whatever is asked."""
    given: dict[str, Any] = {}
    for module in (cli, options):
        monkeypatch.setattr(module, "run", lambda target, work: given["answer"])
    return given


def test_tables_for_people_and_json_for_programs(answers: dict[str, Any]) -> None:
    answers["answer"] = [{"topic": "words", "partitions": 4}]
    assert admin("topic", "list", "-o", "table").stdout.split() == ["TOPIC", "PARTITIONS", "words", "4"]
    assert json.loads(admin("topic", "list", "-o", "json").stdout) == answers["answer"]
    assert json.loads(admin("topic", "list").stdout) == answers["answer"], "nobody looks: a program reads"
    assert admin("topic", "list", "-o", "yaml").stdout == '- "topic": "words"\n  "partitions": 4\n'
    assert admin("topic", "list", "-o", "csv").stdout == "topic,partitions\nwords,4\n"
    assert admin("topic", "list", "-o", "name").stdout == "words\n"
    answers["answer"] = {"topic": "words", "settings": {"a": "b"}, "partitions": [{"partition": 0, "replicas": [1, 2]}]}
    said = admin("topic", "describe", "words", "-o", "table").stdout
    assert "settings: a=b" in said
    assert "1,2" in said
    answers["answer"] = []
    assert admin("topic", "list", "-o", "table").stdout == "nothing to show\n"
