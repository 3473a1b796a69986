"""The partition directories of a data directory: their names, and whose they are.

Named as Kafka names them, `topic-0`, with Kafka's `partition.metadata` inside, which holds the topic's id: a topic that
was deleted and made again by the same name has another. A directory to be deleted is renamed first.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sprawl.runtime import FileSystem

METADATA_FILE: Final = "partition.metadata"
DELETED: Final = "-delete"
STRAY: Final = "-stray"


@dataclass(frozen=True, slots=True)
class PartitionDirectory:
    topic_id: UUID
    topic: str
    partition: int
    path: str


def directory_name(topic: str, partition: int) -> str:
    return f"{topic}-{partition}"


def uuid_text(value: UUID) -> str:
    """Kafka's spelling: 22 characters of URL-safe base64."""
    return base64.urlsafe_b64encode(value.bytes).decode().rstrip("=")


def uuid_from(text: str) -> UUID:
    """Raises `ValueError`."""
    return UUID(bytes=base64.urlsafe_b64decode(text + "=="))


def write_metadata(files: FileSystem, path: str, topic_id: UUID) -> None:
    files.write_atomic(f"{path}/{METADATA_FILE}", f"version: 0\ntopic_id: {uuid_text(topic_id)}\n".encode())


def read_metadata(files: FileSystem, path: str) -> UUID | None:
    """None if the directory does not say, or says nothing that can be read."""
    try:
        lines = files.read_bytes(f"{path}/{METADATA_FILE}").decode().splitlines()
        fields = dict(line.split(": ", 1) for line in lines if line)
        return uuid_from(fields["topic_id"])
    except (FileNotFoundError, UnicodeDecodeError, ValueError, KeyError):
        return None


def partition_directories(files: FileSystem, root: str) -> list[PartitionDirectory]:
    found = []
    for name in files.list(root):
        topic, dash, number = name.rpartition("-")
        if not dash or not topic or not number.isdigit():
            continue
        path = f"{root}/{name}"
        topic_id = read_metadata(files, path)
        if topic_id is not None:
            found.append(PartitionDirectory(topic_id, topic, int(number), path))
    return found
