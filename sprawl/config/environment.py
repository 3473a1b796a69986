"""Settings in environment variables: `KAFKA_*` as Kafka's container image reads them, and `SPRAWL_*`.

In: the environment as a mapping. Out: keys and values, and the variable each came from. Nothing here asks the
operating system.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from sprawl.config.broker import BROKER_DEFINITIONS

_NOT_SETTINGS: Final = re.compile(
    r"KAFKA_(HOME|VERSION|DEBUG|HEAP_OPTS|OPTS|JMX_.*|GC_LOG_OPTS|JVM_.*|LOG4J_.*|.*_LOG4J_.*|.*_OPTS)"
    r"|SPRAWL_(HOME|VERSION|CONFIG)"
)
"""Variables of Kafka's start scripts and of container images, which are no broker settings there either."""


def settings_of(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(key, value, variable); `SPRAWL_*` after `KAFKA_*`, so that the former wins."""
    for variable, value in sorted(environment.items()):
        if _NOT_SETTINGS.fullmatch(variable):
            continue
        if variable.startswith("KAFKA_"):
            yield kafka_key(variable.removeprefix("KAFKA_")), value, variable
        elif variable.startswith("SPRAWL_"):
            key = kafka_key(variable.removeprefix("SPRAWL_"))
            yield key if key in BROKER_DEFINITIONS else f"sprawl.{key}", value, variable


def kafka_key(name: str) -> str:
    """`LOG_RETENTION_MS` is `log.retention.ms`; two underscores mean one, three mean a dash."""
    parts = re.split(r"(_+)", name.lower())
    marks = {"_": ".", "__": "_", "___": "-"}
    return "".join(marks.get(part, part) for part in parts)
