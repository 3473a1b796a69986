"""The settings of the nodes of a cluster under test.

In: what a test asks for, by Kafka's names or with underscores for dots. Out: a `BrokerConfig` per node. What a test
does not ask for is set so that tests are quick; `docs/testing.md` lists it.
"""

from __future__ import annotations

import posixpath
import warnings
from collections.abc import Mapping, Sequence
from typing import Final

from sprawl.config.broker import BrokerConfig
from sprawl.config.loading import Setting, load

HOST: Final = "127.0.0.1"
QUICK: Final[Mapping[str, str]] = {
    "auto.create.topics.enable": "true",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "100",
    "offsets.topic.num.partitions": "3",
    "sprawl.durability": "disk",
    "sprawl.shutdown.timeout.ms": "2000",
}
_REPLICAS: Final = 3
_SOURCE: Final = "Cluster"


def given(settings: Mapping[str, object] | None, keywords: Mapping[str, object]) -> dict[str, str]:
    """All that was asked for, as text by Kafka's names; keywords win."""
    named = {key.replace("_", "."): value for key, value in keywords.items()}
    return {key: _text(value) for key, value in {**(settings or {}), **named}.items()}


def members(asked: Mapping[str, str], directory: str, ports: Sequence[int]) -> list[BrokerConfig]:
    """The settings of all nodes. Warns of keys without effect. Raises `ConfigError`."""
    loaded = load(arguments=[Setting(key, value, _SOURCE) for key, value in asked.items()])
    if loaded.warning:
        warnings.warn(loaded.warning, stacklevel=4)
    replicas = str(min(_REPLICAS, len(ports)))
    common = {**QUICK, "default.replication.factor": replicas, "offsets.topic.replication.factor": replicas, **asked}
    return [
        BrokerConfig.of(
            {
                **common,
                "node.id": str(number),
                "log.dirs": posixpath.join(directory, f"node-{number}"),
                "listeners": f"PLAINTEXT://{HOST}:{port}",
                "sprawl.host": f"node-{number}",
                "sprawl.seeds": ",".join(f"{HOST}:{other}" for other in ports if other != port),
                "sprawl.expected.nodes": str(len(ports)),
            }
        )
        for number, port in enumerate(ports, start=1)
    ]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
