"""Which segments of the cloud tier are worth having on this node's disk, as a whole. Pure; reads and the time in.

A segment's heat is how many times over it was read lately: bytes read by its size, halved every `half_life` seconds.
One consumer that passes through once makes it 1 at most, and so does not bring it here; the second one does. A segment
is fetched once it is hot, as far as the budget goes, or instead of one that is much cooler; it is kept until it has
cooled down. Nothing is decided by one read, and what was chosen is not given up for a slightly hotter one: the store is
asked for a segment seldom more than once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

HOT: Final = 1.5
"""From here on it is fetched."""
COOL: Final = 0.5
"""From here on it may go."""
_HOTTER: Final = 2.0
"""So many times as hot must be what takes another's place."""
_WATCHED: Final = 4096


@dataclass(slots=True)
class _Heat:
    size: int
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Placed:
    """What is to change."""

    fetch: tuple[str, ...]
    """Hottest first."""
    release: tuple[str, ...]


class Placement:
    def __init__(self, budget: int, half_life: float = 600.0) -> None:
        """`budget`: bytes of all that is placed here."""
        self._budget = budget
        self._half_life = half_life
        self._heats: OrderedDict[str, _Heat] = OrderedDict()
        """Read lately, the latest last."""
        self._placed: dict[str, int] = {}

    @property
    def placed(self) -> frozenset[str]:
        return frozenset(self._placed)

    @property
    def placed_bytes(self) -> int:
        return sum(self._placed.values())

    def read(self, segment: str, size: int, taken: int, now: float) -> None:
        """`taken` bytes of a segment of `size` bytes were read."""
        heat = self._heats.get(segment)
        if heat is None:
            heat = self._heats[segment] = _Heat(size, 0.0, now)
        heat.value = self._now(heat, now) + min(taken / max(size, 1), 1.0)
        heat.at = now
        self._heats.move_to_end(segment)
        while len(self._heats) > _WATCHED:
            self._heats.popitem(last=False)

    def heat(self, segment: str, now: float) -> float:
        heat = self._heats.get(segment)
        return 0.0 if heat is None else self._now(heat, now)

    def gone(self, segment: str) -> None:
        """It could not be fetched, or is not in the tier any more."""
        self._heats.pop(segment, None)
        self._placed.pop(segment, None)

    def decide(self, now: float) -> Placed:
        """What is placed from now on is what this says."""
        release = [segment for segment in self._placed if self.heat(segment, now) < COOL]
        for segment in release:
            del self._placed[segment]
        hot = sorted(
            (
                (self._now(heat, now), segment)
                for segment, heat in self._heats.items()
                if segment not in self._placed and heat.size <= self._budget
            ),
            reverse=True,
        )
        fetch: list[str] = []
        for value, segment in hot:
            if value < HOT:
                break
            displaced = self._room_for(self._heats[segment].size, value, now)
            if displaced is None:
                continue
            for each in displaced:
                del self._placed[each]
                if each in fetch:
                    fetch.remove(each)
                else:
                    release.append(each)
            self._placed[segment] = self._heats[segment].size
            fetch.append(segment)
        return Placed(tuple(fetch), tuple(release))

    def _room_for(self, size: int, value: float, now: float) -> list[str] | None:
        """What has to go for it; None if it is not worth it."""
        over = self.placed_bytes + size - self._budget
        going: list[str] = []
        for other in sorted(self._placed, key=lambda each: self.heat(each, now)):
            if over <= 0:
                break
            if self.heat(other, now) * _HOTTER > value:
                return None
            going.append(other)
            over -= self._placed[other]
        return going

    def _now(self, heat: _Heat, now: float) -> float:
        return float(heat.value * 0.5 ** (max(now - heat.at, 0.0) / self._half_life))
