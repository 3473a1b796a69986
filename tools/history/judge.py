"""What the clients' journals say about the cluster: nothing wrong, or what.

In: the entries of all clients of a run that is over, by client. Out: a `Verdict`. Judged are, of each partition: that
an offset has one value for all who read it, and an acknowledged value is at its offset; that what an idempotent
producer wrote is there once and in its order; that what was sent after another record was acknowledged stands behind
it, whoever sent them; that nothing is there that was not sent, or surely failed; that what was read once stays; that a
consumer, while it has a partition, reads it without going back or leaving out; that a group reads all of it, and begins
where it was committed.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tools.history.entries import Entry

_EXAMPLES: Final = 5
_SEND: Final = 0
_ACK: Final = 1


@dataclass(slots=True)
class Verdict:
    problems: list[str] = field(default_factory=list)
    gaps: dict[int, float] = field(default_factory=dict)
    """The longest time between two acknowledgements, by partition."""
    repeated: int = 0
    """Records of plain producers that are there more than once, as they may be."""


def judge(journals: dict[str, list[Entry]]) -> Verdict:
    verdict = Verdict()
    logs = _Logs()
    for name, entries in journals.items():
        logs.read(name, entries)
    verdict.problems += logs.contradictions
    for name, entries in journals.items():
        kind = entries[0][2]["kind"]
        if "producer" in kind:
            writer = _Writer(name, entries)
            logs.sent |= writer.sent
            logs.acknowledged |= writer.acknowledged.keys()
            verdict.problems += writer.judged(logs, strict="idempotent" in kind)
            verdict.repeated += writer.repeated
        else:
            verdict.problems += list(_order_of_reading(name, entries, logs))
    verdict.problems += logs.never_sent()
    verdict.problems += list(logs.gone())
    verdict.problems += list(_order_of_sending(journals, logs))
    verdict.problems += list(_groups(journals, logs))
    verdict.gaps = _gaps(entry for entries in journals.values() for entry in entries if entry[0] == "ack")
    return verdict


class _Logs:
    """Every partition as it was read by anybody."""

    def __init__(self) -> None:
        self.values: dict[int, dict[int, int]] = defaultdict(dict)
        """Partition > offset > value."""
        self.places: dict[tuple[int, int], list[int]] = defaultdict(list)
        """(Partition, value) > offsets."""
        self.last_reading: set[tuple[int, int]] = set()
        """(Partition, offset) that the last reader found."""
        self.ends: dict[int, int] = {}
        """Of the partitions that it read whole."""
        self.contradictions: list[str] = []
        self.sent: set[tuple[int, int]] = set()
        self.acknowledged: set[tuple[int, int]] = set()
        """(Partition, value)."""

    def read(self, name: str, entries: list[Entry]) -> None:
        last = entries[0][2]["kind"] == "reader"
        for entry in entries:
            if entry[0] == "end":
                self.ends[entry[2]] = entry[3]
            if entry[0] != "poll":
                continue
            for partition, offset, value in entry[2]:
                if last:
                    self.last_reading.add((partition, offset))
                known = self.values[partition].setdefault(offset, value)
                if known != value:
                    self.contradictions.append(
                        f"partition {partition}: {name} read {value} at {offset} at {entry[1]:.3f}, others {known}"
                    )
                elif offset not in self.places[partition, value]:
                    self.places[partition, value].append(offset)

    def never_sent(self) -> Iterator[str]:
        strange = [(p, v) for p, v in self.places if (p, v) not in self.sent]
        if strange:
            yield f"{len(strange)} records that nobody sent: (partition, value) {strange[:_EXAMPLES]}"

    def gone(self) -> Iterator[str]:
        """Of the others: acknowledged records that are gone are told with their producer."""
        if self.ends:
            read = (
                (partition, offset, value) for partition, log in self.values.items() for offset, value in log.items()
            )
            missing = sorted(
                (partition, offset)
                for partition, offset, value in read
                if self.lost(partition, offset) and (partition, value) not in self.acknowledged
            )
            yield from _told("records were read, and are not there at the end, by partition and offset", missing)

    def lost(self, partition: int, offset: int) -> bool:
        """Whether the last reading did not find what was there before."""
        return partition in self.ends and (partition, offset) not in self.last_reading


class _Writer:
    def __init__(self, name: str, entries: list[Entry]) -> None:
        self.name = name
        self.repeated = 0
        self.sent: set[tuple[int, int]] = set()
        self.acknowledged: dict[tuple[int, int], tuple[int, float]] = {}
        self._failed: set[tuple[int, int]] = set()
        self._gave_up = False
        for entry in entries:
            match entry[0]:
                case "send":
                    self.sent.add((entry[2], entry[3]))
                case "ack":
                    self.acknowledged[entry[2], entry[3]] = (entry[4], entry[1])
                case "fail":
                    self._failed.add((entry[2], entry[3]))
                case "fatal":
                    self._gave_up = True

    def judged(self, logs: _Logs, *, strict: bool) -> Iterator[str]:
        lost, moved, twice = [], [], []
        for (partition, value), (offset, when) in self.acknowledged.items():
            places = logs.places.get((partition, value), [])
            still = [place for place in places if not logs.lost(partition, place)]
            if not still and partition in logs.ends:
                lost.append(f"{value} of partition {partition}, acknowledged at {offset} at {when:.3f}")
            elif still and offset >= 0 and offset not in places:
                moved.append(f"{value} of partition {partition}, acknowledged at {offset}, is at {places}")
        for key in self.sent:
            places = logs.places.get(key, [])
            if len(places) > 1:
                self.repeated += not strict
                twice += [f"{key[1]} of partition {key[0]} at {sorted(places)}"] if strict else []
        failed = [key for key in self._failed if key in logs.places]
        yield from _told(f"{self.name}: acknowledged records are lost", lost)
        yield from _told(f"{self.name}: acknowledged at one offset, found at another", moved)
        yield from _told(f"{self.name}: idempotent records are there twice", twice)
        yield from _told(f"{self.name}: records that failed for sure are there", failed)
        if strict and not self._gave_up:
            yield from _told(f"{self.name}: idempotent records stand in another order", self._disorder(logs))

    def _disorder(self, logs: _Logs) -> Iterator[str]:
        mine: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for partition, value in self.sent:
            for offset in logs.places.get((partition, value), [])[:1]:
                mine[partition].append((offset, value))
        for partition, found in mine.items():
            found.sort()
            for (_, before), (offset, value) in itertools.pairwise(found):
                if value < before:
                    yield f"partition {partition}: {value} at {offset} after {before}"


def _order_of_sending(journals: dict[str, list[Entry]], logs: _Logs) -> Iterator[str]:
    """Who sends once another record is acknowledged comes after it."""
    events: dict[int, list[tuple[float, int, int, int]]] = defaultdict(list)
    for entries in journals.values():
        for entry in entries:
            if entry[0] == "ack" and entry[4] >= 0:
                events[entry[2]].append((entry[1], _ACK, entry[4], entry[3]))
            elif entry[0] == "send" and len(places := logs.places.get((entry[2], entry[3]), [])) == 1:
                events[entry[2]].append((entry[1], _SEND, places[0], entry[3]))
    wrong = []
    for partition, happened in events.items():
        last, of_value = -1, -1
        for when, what, offset, value in sorted(happened):  # at one moment: sent before acknowledged
            if what == _ACK and offset > last:
                last, of_value = offset, value
            elif what == _SEND and offset < last:
                wrong.append(
                    f"partition {partition}: {value}, sent at {when:.3f}, is at {offset}; before that {of_value} was "
                    f"acknowledged at {last}"
                )
    yield from _told("records stand before others that were acknowledged before they were sent", wrong)


def _order_of_reading(name: str, entries: list[Entry], logs: _Logs) -> Iterator[str]:
    at: dict[int, int] = {}
    back, left_out = [], []
    for entry in entries:
        if entry[0] in ("assign", "revoke"):
            for partition in entry[2]:
                at.pop(partition, None)
        elif entry[0] == "seek":
            at[entry[2]] = entry[3] - 1
        elif entry[0] == "poll":
            for partition, offset, _ in entry[2]:
                before = at.get(partition)
                at[partition] = offset
                if before is None:
                    continue
                if offset <= before:
                    back.append(f"partition {partition}: {offset} after {before} at {entry[1]:.3f}")
                missing = [each for each in range(before + 1, offset) if each in logs.values[partition]]
                if missing:
                    left_out.append(f"partition {partition}: {missing[:3]} between {before} and {offset}")
    yield from _told(f"{name}: went back while reading", back)
    yield from _told(f"{name}: left out records", left_out)


def _groups(journals: dict[str, list[Entry]], logs: _Logs) -> Iterator[str]:
    groups: dict[str, list[list[Entry]]] = defaultdict(list)
    for entries in journals.values():
        if "group" in entries[0][2]:
            groups[entries[0][2]["group"]].append(entries)
    for group, members in groups.items():
        read = {
            (partition, offset)
            for entries in members
            for entry in entries
            if entry[0] == "poll"
            for partition, offset, _ in entry[2]
        }
        unseen = sorted(place for place in logs.last_reading if place[0] in logs.ends and place not in read)
        yield from _told(f"{group}: records nobody in it has read, by partition and offset", unseen)
        yield from _told(f"{group}: read again below what was committed", _forgotten(members))


def _forgotten(members: list[list[Entry]]) -> Iterator[str]:
    """A member that is given a partition begins where the group's last commit before that says, or later."""
    commits: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for entries in members:
        for entry in entries:
            if entry[0] == "commit":
                for partition, offset in entry[2]:
                    commits[partition].append((entry[1], offset))
    for entries in members:
        given: dict[int, float] = {}
        for entry in entries:
            if entry[0] == "assign":
                given.update(dict.fromkeys(entry[2], entry[1]))
            elif entry[0] == "poll":
                for partition, offset, _ in entry[2]:
                    when = given.pop(partition, None)
                    if when is None:
                        continue
                    before = [told for told in commits[partition] if told[0] < when]
                    if before and offset < max(before)[1]:
                        yield f"partition {partition}: {offset} after {max(before)[1]} was committed, at {when:.3f}"


def _gaps(acknowledgements: Iterable[Entry]) -> dict[int, float]:
    times: dict[int, list[float]] = defaultdict(list)
    for entry in acknowledgements:
        times[entry[2]].append(entry[1])
    gaps = {}
    for partition, told in sorted(times.items()):
        told.sort()
        gaps[partition] = max((after - before for before, after in itertools.pairwise(told)), default=0.0)
    return gaps


def _told(what: str, examples: Iterable[object]) -> Iterator[str]:
    found = list(examples)
    if found:
        yield f"{what}: {len(found)}, as {'; '.join(map(str, found[:_EXAMPLES]))}"
