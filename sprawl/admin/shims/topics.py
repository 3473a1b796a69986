"""`kafka-topics`: --list, --create, --describe, --alter, --delete."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import typer

from sprawl.admin.configs import add_partitions
from sprawl.admin.session import CONFLICT, NOT_FOUND, USAGE, RefusedError, Session, fail, run
from sprawl.admin.shims.flags import one_action, pairs, parser, target_of
from sprawl.admin.topics import NewTopic, create_topic, delete_topics, describe_topic, list_topics


def main(words: Sequence[str]) -> None:
    flags = parser("kafka-topics")
    for name in ("list", "create", "describe", "alter", "delete", "if-not-exists", "if-exists", "exclude-internal"):
        flags.add_argument(f"--{name}", action="store_true")
    flags.add_argument("--topic")
    flags.add_argument("--partitions", type=int, default=-1)
    flags.add_argument("--replication-factor", type=int, default=-1)
    flags.add_argument("--config", action="append", default=[])
    given = flags.parse_args(words)
    action = one_action(given, "list", "create", "describe", "alter", "delete")
    if given.topic is None and action not in ("list", "describe"):
        fail(f"--{action} needs --topic", USAGE)

    async def work(session: Session) -> list[str]:
        match action:
            case "list":
                rows = await list_topics(session, internal=not given.exclude_internal)
                return [row["name"] for row in rows if given.topic in (None, row["name"])]
            case "describe":
                rows = [{"name": given.topic}] if given.topic else await list_topics(session, internal=True)
                return [line for row in rows for line in described(await describe_topic(session, row["name"]))]
            case "create":
                settings = pairs(given.config)
                wanted = NewTopic(given.topic, given.partitions, given.replication_factor, settings)
                return await _unless(given.if_not_exists, CONFLICT, _create(session, wanted))
            case "alter":
                await add_partitions(session, given.topic, given.partitions, only_check=False)
                return []
        return await _unless(given.if_exists, NOT_FOUND, _delete(session, given.topic))

    for line in run(target_of(given), work):
        typer.echo(line)


def described(topic: dict[str, Any]) -> list[str]:
    parts = topic["partitions"]
    spelled = base64.urlsafe_b64encode(UUID(topic["id"]).bytes).decode().rstrip("=")
    width = len(parts[0]["replicas"]) if parts else 0
    settings = ",".join(f"{key}={value}" for key, value in topic["settings"].items())
    name = topic["name"]
    return [
        f"Topic: {name}\tTopicId: {spelled}\tPartitionCount: {len(parts)}\tReplicationFactor: {width}"
        f"\tConfigs: {settings}",
        *(
            f"\tTopic: {name}\tPartition: {each['id']}\tLeader: {'none' if each['leader'] < 0 else each['leader']}"
            f"\tReplicas: {_joined(each['replicas'])}\tIsr: {_joined(each['in_sync'])}"
            for each in parts
        ),
    ]


async def _create(session: Session, wanted: NewTopic) -> list[str]:
    await create_topic(session, wanted)
    return [f"Created topic {wanted.name}."]


async def _delete(session: Session, name: str) -> list[str]:
    await delete_topics(session, [name])
    return []


async def _unless(forgiven: bool, code: int, work: Any) -> list[str]:
    try:
        return list(await work)
    except RefusedError as problem:
        if forgiven and problem.exit_code == code:
            return []
        raise


def _joined(brokers: list[int]) -> str:
    return ",".join(map(str, brokers))
