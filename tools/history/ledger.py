"""One partition as all its readers see it, judged while they read.

In: offsets and values, by whomever they were read. Out: a `HistoryError` at the first contradiction, which is nearer to
its cause than what `judge` finds when all is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class HistoryError(AssertionError):
    """What clients saw contradicts itself."""


@dataclass
class Ledger:
    """What was read of one partition, by whomever."""

    name: str
    values: dict[int, int] = field(default_factory=dict)
    """Offset to value."""
    offsets: dict[int, int] = field(default_factory=dict)
    """Value to offset."""

    def saw(self, offset: int, value: int) -> None:
        known = self.values.setdefault(offset, value)
        if known != value:
            raise HistoryError(f"{self.name}: at offset {offset} there was {known}, now there is {value}")
        where = self.offsets.setdefault(value, offset)
        if where != offset:
            raise HistoryError(f"{self.name}: {value} is at offset {where} and at offset {offset}")
