"""What groups ask of the log that keeps them: the `__consumer_offsets` topic, as keys and values.

The implementation stands on partitions; the tests have one in memory that can fail.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

TOPIC: Final = "__consumer_offsets"

KeyValue = tuple[bytes, bytes | None]
"""No value: the key is deleted."""


class GroupLog(Protocol):
    """One topic, whose partitions are appended to by their leader only. Everything may raise `ApiError`."""

    async def append(self, partition: int, records: Sequence[KeyValue], expected_epoch: int) -> int:
        """Returns once all are committed. Raises if this node does not lead the partition in `expected_epoch`."""
        ...

    def read_all(self, partition: int) -> AsyncIterator[KeyValue]:
        """Everything committed, oldest first."""
        ...

    async def trim(self, partition: int, before_offset: int) -> None:
        """Everything below that offset may be forgotten."""
        ...

    def end_offset(self, partition: int) -> int:
        """The offset that the next record will get."""
        ...
