"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources in every version."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from sprawl.quorum.config_changes import ConfigOperation
from sprawl.quorum.config_descriptions import ConfigSource
from sprawl.quorum.image import ConfigKind
from sprawl.security.access import Operation
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    AlterableConfig,
    AlterConfigsRequest,
    AlterConfigsResource,
    DescribeConfigsRequest,
    DescribeConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
    ListConfigResourcesRequest,
)
from tests.handlers.metadata_node import Served, serve
from tests.handlers.wired import versions_of

SET, DELETE, APPEND, SUBTRACT = ConfigOperation


async def describe(
    served: Served, kind: int, name: str, keys: list[str] | None = None, version: int = 4, synonyms: bool = True
) -> Any:
    asked = [DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=keys)]
    request = DescribeConfigsRequest(resources=asked, include_synonyms=synonyms)
    if version >= 3:
        request.include_documentation = True
    return (await served.ask(request, version)).results[0]


async def entries(served: Served, kind: int, name: str, version: int = 4) -> dict[str, Any]:
    found = await describe(served, kind, name, version=version)
    assert found.error_code == 0, found.error_message
    return {each.name: each for each in found.configs}


async def change(
    served: Served, kind: int, name: str, *changes: tuple[str, int, str | None], validate_only: bool = False
) -> tuple[int, str]:
    configs = [
        IncrementalAlterConfigsRequestAlterableConfig(name=key, config_operation=operation, value=value)
        for key, operation, value in changes
    ]
    resource = IncrementalAlterConfigsRequestAlterConfigsResource(
        resource_type=kind, resource_name=name, configs=configs
    )
    request = IncrementalAlterConfigsRequest(resources=[resource], validate_only=validate_only)
    (answer,) = (await served.ask(request)).responses
    assert (answer.resource_type, answer.resource_name) == (kind, name)
    assert bool(answer.error_message) == bool(answer.error_code)
    return answer.error_code, answer.error_message or ""


@pytest.mark.parametrize("version", versions_of(DescribeConfigsRequest))
def test_a_topics_settings(version: int) -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic")
        found = await entries(served, ConfigKind.TOPIC, "topic", version)
        retention = found["retention.ms"]
        assert (retention.value, retention.config_source, retention.read_only) == ("604800000", 5, False)
        assert [(each.name, each.value, each.source) for each in retention.synonyms] == [
            ("log.retention.hours", "168", 5)
        ]
        assert found["sprawl.durability"].value == "fsync"
        assert "internal.segment.bytes" not in found
        if version >= 3:
            assert retention.config_type == 5
            assert retention.documentation
        some = await describe(served, ConfigKind.TOPIC, "topic", ["retention.ms", "no.such"], version, synonyms=False)
        assert [(each.name, each.synonyms) for each in some.configs] == [("retention.ms", [])]

    serve(run)


def test_where_a_topics_value_comes_from() -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic")
        assert (await change(served, 4, "", ("log.retention.ms", SET, "3000")))[0] == 0
        assert (await change(served, 4, "1", ("log.retention.ms", SET, "4000")))[0] == 0
        assert (await change(served, 2, "topic", ("retention.ms", SET, "5000")))[0] == 0
        retention = (await entries(served, ConfigKind.TOPIC, "topic"))["retention.ms"]
        assert retention.value == "5000"
        assert [(each.name, each.value, each.source) for each in retention.synonyms] == [
            ("retention.ms", "5000", ConfigSource.TOPIC),
            ("log.retention.ms", "4000", ConfigSource.DYNAMIC_BROKER),
            ("log.retention.ms", "3000", ConfigSource.DYNAMIC_DEFAULT_BROKER),
            ("log.retention.minutes", "60", ConfigSource.STATIC_BROKER),
            ("log.retention.hours", "168", ConfigSource.DEFAULT),
        ]
        assert (await change(served, 2, "topic", ("retention.ms", DELETE, None)))[0] == 0
        retention = (await entries(served, ConfigKind.TOPIC, "topic"))["retention.ms"]
        assert (retention.value, retention.config_source) == ("4000", ConfigSource.DYNAMIC_BROKER)
        image = served.member.quorum.image
        assert served.member.settings.topic(image, "topic").retention_ms == 4000, "and it acts"

    serve(run, {"log.retention.minutes": "60"})


def test_a_brokers_settings() -> None:
    async def run(served: Served) -> None:
        found = await entries(served, ConfigKind.BROKER, "1")
        assert (found["num.partitions"].value, found["num.partitions"].config_source) == ("7", 4)
        assert found["num.partitions"].read_only
        assert not found["log.retention.ms"].read_only
        assert found["controller.quorum.fetch.timeout.ms"].value == "2000", "keys without effect have Kafka's defaults"
        assert (await describe(served, 4, "")).configs == []
        await change(served, 4, "", ("log.retention.ms", SET, "3000"))
        found = await entries(served, ConfigKind.BROKER, "")
        assert {name: each.value for name, each in found.items()} == {"log.retention.ms": "3000"}

    serve(run, {"num.partitions": "7"})


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (2, "missing", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (2, "no topic", ErrorCode.INVALID_TOPIC_EXCEPTION),
        (4, "2", ErrorCode.INVALID_REQUEST),
        (4, "one", ErrorCode.INVALID_REQUEST),
        (8, "", ErrorCode.INVALID_REQUEST),
        (16, "", ErrorCode.INVALID_REQUEST),
        (32, "", ErrorCode.INVALID_REQUEST),
        (3, "x", ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_cannot_be_described(kind: int, name: str, code: ErrorCode) -> None:
    async def run(served: Served) -> None:
        found = await describe(served, kind, name)
        assert (found.error_code, bool(found.error_message), found.configs) == (code, True, [])

    serve(run)


def test_groups_and_client_metrics_have_settings() -> None:
    async def run(served: Served) -> None:
        assert (await change(served, 32, "readers", ("consumer.session.timeout.ms", SET, "50000")))[0] == 0
        assert (await change(served, 16, "sub", ("interval.ms", SET, "1000"), ("metrics", APPEND, "a,b")))[0] == 0
        session = (await entries(served, 32, "readers"))["consumer.session.timeout.ms"]
        assert (session.value, session.config_source) == ("50000", ConfigSource.GROUP)
        found = await entries(served, 16, "sub")
        assert (found["metrics"].value, found["metrics"].config_source) == ("a,b", ConfigSource.CLIENT_METRICS)
        assert (await change(served, 32, "readers", ("no.such", SET, "1")))[0] == ErrorCode.INVALID_CONFIG

    serve(run)


REFUSED: list[tuple[int, str, tuple[str, int, str | None], ErrorCode, str]] = [
    (2, "topic", ("retention.ms", SET, "soon"), ErrorCode.INVALID_CONFIG, "retention.ms"),
    (2, "topic", ("retention.ms", APPEND, "1"), ErrorCode.INVALID_CONFIG, "not LIST"),
    (2, "topic", ("no.such", SET, "1"), ErrorCode.INVALID_CONFIG, "no.such"),
    (2, "topic", ("cleanup.policy", APPEND, "shred"), ErrorCode.INVALID_CONFIG, "cleanup.policy"),
    (2, "topic", ("retention.ms", SET, None), ErrorCode.INVALID_REQUEST, "Null value"),
    (2, "topic", ("retention.ms", 9, "1"), ErrorCode.INVALID_REQUEST, "operation 9"),
    (2, "missing", ("retention.ms", SET, "1"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "missing"),
    (4, "9", ("log.retention.ms", SET, "1"), ErrorCode.INVALID_REQUEST, "no broker"),
    (4, "", ("num.partitions", SET, "3"), ErrorCode.INVALID_REQUEST, "where it is started"),
    (4, "", ("log.retention.ms", SET, "x"), ErrorCode.INVALID_CONFIG, "log.retention.ms"),
    (4, "", ("no.such", SET, "x"), ErrorCode.INVALID_CONFIG, "no.such"),
    (3, "", ("no.such", SET, "x"), ErrorCode.INVALID_REQUEST, "resource type 3"),
]


@pytest.mark.parametrize(("kind", "name", "asked", "code", "told"), REFUSED)
def test_a_change_that_cannot_be(
    kind: int, name: str, asked: tuple[str, int, str | None], code: ErrorCode, told: str
) -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic")
        before = served.member.quorum.image
        found, message = await change(served, kind, name, asked)
        assert (found, told in message) == (code, True), message
        assert served.member.quorum.image.configs == before.configs

    serve(run)


def test_lists_are_appended_to_and_subtracted_from() -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic")

        async def value() -> Any:
            return (await entries(served, 2, "topic"))["leader.replication.throttled.replicas"].value

        key = "leader.replication.throttled.replicas"
        await change(served, 2, "topic", (key, APPEND, "0:1,1:2"))
        await change(served, 2, "topic", (key, APPEND, "1:2,2:3"))
        assert await value() == "0:1,1:2,2:3"
        await change(served, 2, "topic", (key, SUBTRACT, "1:2"))
        assert await value() == "0:1,2:3"
        await change(served, 2, "topic", ("cleanup.policy", SUBTRACT, "delete"))
        assert (await entries(served, 2, "topic"))["cleanup.policy"].value == "", "from the default"

    serve(run)


def test_settings_that_contradict_each_other_are_refused_whichever_is_last() -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic")
        assert (await change(served, 2, "topic", ("max.compaction.lag.ms", SET, "10")))[0] == 0
        code, message = await change(served, 2, "topic", ("min.compaction.lag.ms", SET, "20"))
        assert (code, "max.compaction.lag.ms" in message) == (ErrorCode.INVALID_CONFIG, True)

    serve(run)


def test_validating_changes_nothing() -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic")
        assert (await change(served, 2, "topic", ("retention.ms", SET, "1"), validate_only=True))[0] == 0
        assert not served.member.quorum.image.config(ConfigKind.TOPIC, "topic")

    serve(run)


@pytest.mark.parametrize("version", versions_of(AlterConfigsRequest))
def test_alter_configs_replaces_everything(version: int) -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic")
        await change(served, 2, "topic", ("retention.ms", SET, "1"), ("segment.ms", SET, "2"))

        async def replace(*configs: tuple[str, str | None], name: str = "topic", validate_only: bool = False) -> int:
            wanted = [AlterableConfig(name=key, value=value) for key, value in configs]
            resource = AlterConfigsResource(resource_type=2, resource_name=name, configs=wanted)
            request = AlterConfigsRequest(resources=[resource], validate_only=validate_only)
            return int((await served.ask(request, version)).responses[0].error_code)

        assert await replace(("segment.ms", "soon")) == ErrorCode.INVALID_CONFIG
        assert await replace(("segment.ms", None)) == ErrorCode.INVALID_REQUEST
        assert await replace(("segment.ms", "3"), ("segment.ms", "4")) == ErrorCode.INVALID_REQUEST
        assert await replace(name="missing") == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert await replace(("segment.ms", "3"), validate_only=True) == 0
        assert dict(served.member.quorum.image.config(ConfigKind.TOPIC, "topic")) == {
            "retention.ms": "1",
            "segment.ms": "2",
        }
        assert await replace(("segment.ms", "3")) == 0
        assert dict(served.member.quorum.image.config(ConfigKind.TOPIC, "topic")) == {"segment.ms": "3"}

    serve(run)


@pytest.mark.parametrize("version", versions_of(IncrementalAlterConfigsRequest))
def test_each_resource_is_answered_by_itself(version: int) -> None:
    async def run(served: Served) -> None:
        await served.member.create("good", "theirs")
        served.access.forbidden = {(Operation.ALTER_CONFIGS, "theirs")}

        def resource(name: str) -> IncrementalAlterConfigsRequestAlterConfigsResource:
            configs = [
                IncrementalAlterConfigsRequestAlterableConfig(name="retention.ms", config_operation=0, value="9")
            ]
            return IncrementalAlterConfigsRequestAlterConfigsResource(
                resource_type=2, resource_name=name, configs=configs
            )

        names = ["twice", "good", "theirs", "missing", "twice"]
        request = IncrementalAlterConfigsRequest(resources=[resource(name) for name in names])
        answer = await served.ask(request, version)
        assert [(each.resource_name, each.error_code) for each in answer.responses] == [
            ("twice", ErrorCode.INVALID_REQUEST),
            ("good", 0),
            ("theirs", ErrorCode.TOPIC_AUTHORIZATION_FAILED),
            ("missing", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            ("twice", ErrorCode.INVALID_REQUEST),
        ]

    serve(run)


def test_loggers_are_listed_and_changed() -> None:
    name = "tests.handlers.some_logger"
    logging.getLogger(name).setLevel(logging.WARNING)

    async def run(served: Served) -> None:
        found = await entries(served, ConfigKind.BROKER_LOGGER, "1")
        assert (found[name].value, found[name].config_source) == ("WARN", ConfigSource.BROKER_LOGGER)
        assert "root" in found
        assert (await change(served, 8, "1", (name, SET, "DEBUG")))[0] == 0
        assert logging.getLogger(name).level == logging.DEBUG
        assert (await change(served, 8, "1", (name, SET, "LOUD")))[0] == ErrorCode.INVALID_CONFIG
        assert (await change(served, 8, "1", ("no.such.logger", SET, "INFO")))[0] == ErrorCode.INVALID_CONFIG
        assert (await change(served, 8, "1", (name, APPEND, "INFO")))[0] == ErrorCode.INVALID_REQUEST
        assert (await change(served, 8, "2", (name, SET, "INFO")))[0] == ErrorCode.INVALID_REQUEST
        assert (await change(served, 8, "1", ("root", DELETE, None)))[0] == ErrorCode.INVALID_REQUEST
        assert (await change(served, 8, "1", (name, DELETE, None)))[0] == 0
        assert logging.getLogger(name).level == logging.NOTSET

    serve(run)


def test_resources_with_settings_are_listed() -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic")
        await change(served, 16, "sub", ("interval.ms", SET, "1000"))
        await change(served, 32, "readers", ("consumer.session.timeout.ms", SET, "50000"))

        async def listed(version: int, *kinds: int) -> list[tuple[int, str]]:
            answer = await served.ask(ListConfigResourcesRequest(resource_types=list(kinds)), version)
            assert answer.error_code == 0
            return [(each.resource_type, each.resource_name) for each in answer.config_resources]

        assert await listed(0) == [(16, "sub")]
        assert await listed(1, 2, 32) == [(2, "topic"), (32, "readers")]
        assert await listed(1) == [(2, "topic"), (4, "1"), (8, "1"), (16, "sub"), (32, "readers")]
        unknown = await served.ask(ListConfigResourcesRequest(resource_types=[5]), 1)
        assert unknown.error_code == ErrorCode.UNSUPPORTED_VERSION

    serve(run)
