"""What a partition asks of the cloud tier for the part of its log that has left the disk.

The tier implements it (`sprawl/tiers`); a partition of a node without one has None. Offsets are the same, here and
there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sprawl.storage.producers import ProducerStates
from sprawl.storage.reading import Located, LogRead


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a replica that has nothing may begin, and what it must know of what lies before."""

    offset: int
    epochs: tuple[tuple[int, int], ...]
    producers: ProducerStates


class ColdRecords(Protocol):
    """Of one partition. What is asked for may raise `ApiError`; none of it keeps the event loop from its work."""

    @property
    def end_offset(self) -> int:
        """Exclusive: up to where the tier has the log. -1 if it has nothing of it."""
        ...

    @property
    def epochs(self) -> tuple[tuple[int, int], ...]:
        """(leader epoch, start offset), ascending, of what the tier has."""
        ...

    async def read(self, offset: int, max_bytes: int, until: int, minimum_one: bool) -> LogRead:
        """As `Log.read`. No records where they did not come in time: they are on their way, to be asked for again."""
        ...

    def expect(self, offset: int, max_bytes: int) -> None:
        """That read will come soon: what it needs is fetched."""
        ...

    async def first_at_or_after(self, timestamp: int, from_offset: int) -> Located | None: ...

    async def newest(self, from_offset: int) -> Located | None:
        """The first of the records with the largest timestamp."""
        ...

    def beginning_now(self) -> Beginning | None:
        """At the end of what the tier has. None if that is not known yet: it is being looked up."""
        ...
