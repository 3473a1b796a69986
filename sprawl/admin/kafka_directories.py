"""The log directories of a stopped Apache Kafka broker: which partitions they hold, and where each log begins.

In: a directory, either of one partition (`orders-0`) or one of the broker's `log.dirs`, which holds several. Out:
`KafkaPartition`s. Nothing is written. What is no partition (checkpoints, the cluster's metadata, directories that are
about to be deleted, other people's files) is passed over, and named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sprawl.admin.session import NOT_FOUND, RefusedError

_PARTITION: Final = re.compile(r"(?P<topic>[A-Za-z0-9._-]{1,249})-(?P<partition>[0-9]{1,10})")
_SEGMENT: Final = re.compile(r"[0-9]{20}\.log")
_STARTS: Final = "log-start-offset-checkpoint"
_COMMITTED: Final = "replication-offset-checkpoint"
_CLEAN: Final = ".kafka_cleanshutdown"
_INTERNAL: Final = frozenset({"__cluster_metadata", "__consumer_offsets", "__transaction_state", "__share_group_state"})
_CHECKPOINT_VERSION: Final = "0"
_ASIDE: Final = (".swap", ".cleaned")


@dataclass(frozen=True, slots=True)
class KafkaPartition:
    topic: str
    partition: int
    path: Path
    segments: tuple[Path, ...]
    """In order. At least one."""
    log_start: int
    high_watermark: int | None
    """As the broker last noted it; None if it did not."""
    clean: bool
    """The broker was stopped in order."""

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True, slots=True)
class KafkaDirectory:
    partitions: tuple[KafkaPartition, ...]
    passed_over: tuple[str, ...]


def look_into(directory: Path, topic: str | None = None, wanted: frozenset[int] | None = None) -> KafkaDirectory:
    """Partitions of that topic, or of all that are not internal; of these, the `wanted` ones. Raises `RefusedError`."""
    if not directory.is_dir():
        raise RefusedError(f"{directory} is no directory", NOT_FOUND)
    try:
        return _look_into(directory.resolve(), topic, wanted)
    except OSError as problem:
        raise RefusedError(f"{directory} cannot be read: {problem}") from None


def _look_into(directory: Path, topic: str | None, wanted: frozenset[int] | None) -> KafkaDirectory:
    alone = _PARTITION.fullmatch(directory.name) is not None and bool(_segments(directory))
    above = directory.parent if alone else directory
    starts, committed = _checkpoint(above / _STARTS), _checkpoint(above / _COMMITTED)
    found: list[KafkaPartition] = []
    passed_over: list[str] = []
    for path in [directory] if alone else sorted(directory.iterdir()):
        if not path.is_dir():
            continue
        match = _PARTITION.fullmatch(path.name)
        if match is None or (match["topic"] in _INTERNAL and topic != match["topic"]):
            passed_over.append(path.name)
            continue
        name, number = match["topic"], int(match["partition"])
        if (topic is not None and name != topic) or (wanted is not None and number not in wanted):
            continue
        segments = _segments(path)
        if not segments:
            passed_over.append(path.name)
            continue
        aside = [each.name for each in path.iterdir() if each.suffix in _ASIDE]
        if aside:
            raise RefusedError(
                f"{path / aside[0]}: the broker was stopped while it cleaned this log; start it once more, and stop it"
            )
        found.append(
            KafkaPartition(
                name,
                number,
                path,
                segments,
                max(int(segments[0].stem), starts.get((name, number), 0)),
                committed.get((name, number)),
                (above / _CLEAN).exists(),
            )
        )
    if not found:
        what = "no partition" if topic is None else f"no such partition of topic {topic}"
        raise RefusedError(f"{directory} holds {what}: name a directory such as orders-0, or the one above", NOT_FOUND)
    return KafkaDirectory(tuple(sorted(found, key=lambda each: (each.topic, each.partition))), tuple(passed_over))


def _segments(path: Path) -> tuple[Path, ...]:
    return tuple(sorted(each for each in path.iterdir() if _SEGMENT.fullmatch(each.name) and each.is_file()))


def _checkpoint(path: Path) -> dict[tuple[str, int], int]:
    """Kafka's checkpoint files: a version, a number of lines, and `topic partition offset` in each."""
    if not path.exists():
        return {}
    lines = path.read_text("utf-8", errors="replace").splitlines()
    try:
        if lines[0] != _CHECKPOINT_VERSION or len(lines) - 2 != int(lines[1]):
            raise ValueError
        return {(topic, int(index)): int(offset) for topic, index, offset in (line.split() for line in lines[2:])}
    except (ValueError, IndexError):
        raise RefusedError(f"{path} is damaged: a broker that starts there writes it anew") from None
