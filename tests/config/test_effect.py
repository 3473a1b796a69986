"""A setting that claims to act is read somewhere; one that is stored and not obeyed is a bug."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import sprawl
from sprawl.config.broker import BROKER_DEFINITIONS
from sprawl.config.definitions import attribute
from sprawl.config.topics import TOPIC_DEFINITIONS

READ_THROUGH = {
    "cleanup.policy": ["deletes", "compacts"],
    "compression.gzip.level": ["compression_level"],
    "compression.lz4.level": ["compression_level"],
    "compression.zstd.level": ["compression_level"],
    "internal.segment.bytes": ["max_segment_bytes"],
    "segment.bytes": ["max_segment_bytes"],
    "local.retention.bytes": ["local_bytes"],
    "local.retention.ms": ["local_ms"],
    "message.timestamp.type": ["log_append_time"],
    "sprawl.durability": ["durability"],
    "node.id": ["id"],
    "broker.id": ["id"],
    "log.dir": ["data_dir"],
    "log.dirs": ["data_dir"],
    "listeners": ["endpoints"],
    "advertised.listeners": ["endpoints"],
    "listener.security.protocol.map": ["endpoints"],
    "controller.listener.names": ["endpoints"],
    "sprawl.http.listener": ["http"],
    "sprawl.seeds": ["seeds"],
    "sprawl.cluster.secret.file": ["secret_file"],
    "queued.max.request.bytes": ["request_memory_bytes"],
}
"""Keys that the rest of the code reads by a property of another name."""
DECIDED_ON_SETTING: set[str] = set()
"""Keys whose only values allowed today mean what happens anyway."""
READ_OF_ANY_NODE = {"sprawl.weight.ramp": "quorum/brokers.py"}
"""Keys that are read for other nodes, by name, from the metadata: and where that name stands."""
TOPIC_DEFAULTS = {synonym.name for one in TOPIC_DEFINITIONS.values() for synonym in one.synonyms}
"""Broker keys that act by being topics' defaults."""


@cache
def attributes_read() -> frozenset[str]:
    """Every attribute that a module outside sprawl.config takes of anything."""
    root = Path(sprawl.__file__).parent
    modules = [path for path in root.rglob("*.py") if path.parent.name != "config"]
    return frozenset(
        node.attr
        for path in modules
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    )


def readers(name: str) -> list[str]:
    return [word for word in [attribute(name), *READ_THROUGH.get(name, [])] if word in attributes_read()]


@pytest.mark.parametrize("name", [name for name, one in TOPIC_DEFINITIONS.items() if one.acts])
def test_a_topic_setting_that_acts_is_read(name: str) -> None:
    assert name in DECIDED_ON_SETTING or readers(name), f"{name} claims to act and is read nowhere"


@pytest.mark.parametrize("name", [name for name, one in BROKER_DEFINITIONS.items() if one.acts])
def test_a_broker_setting_that_acts_is_read(name: str) -> None:
    if name in READ_OF_ANY_NODE:
        assert f'"{name}"' in (Path(sprawl.__file__).parent / READ_OF_ANY_NODE[name]).read_text("utf-8")
        return
    assert name in TOPIC_DEFAULTS or readers(name), f"{name} claims to act and is read nowhere"
