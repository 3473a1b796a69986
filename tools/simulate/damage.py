"""Disks that lose or alter what was safely on them: never more than one node's at a time.

In: a cluster, and a question whether all replicas are whole. Out: a wiped or a corrupted disk, or nothing if the last
one's damage is not repaired yet. A flipped byte counts as damage until it is overwritten or its file is gone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sprawl.runtime.simulated.inodes import Inode
from sprawl_protocol.records import LOG_OVERHEAD
from tools.simulate.cluster import DIRECTORY, Member, SimulatedCluster

_LOOK: Final = 0.5
_MOST_FLIPS: Final = 3
_PATIENCE: Final = 30
_DAMAGED: Final = "is damaged"
_UNCOVERED: Final = 17
"""Bytes of a batch that its checksum does not cover: base offset, length, leader epoch, magic."""
_UNCOVERED_SHARE: Final = 0.3
"""Of the flips."""


@dataclass(frozen=True, slots=True)
class _Flip:
    inode: Inode
    offset: int
    value: int

    @property
    def there(self) -> bool:
        data = self.inode.data
        return self.offset < len(data) and data[self.offset] == self.value


class Damage:
    def __init__(self, cluster: SimulatedCluster, whole: Callable[[], bool]) -> None:
        self._cluster = cluster
        self._whole = whole
        self._flips: list[_Flip] = []
        self._struck: Member | None = None
        self._busy = False
        self._sound = False
        """Whether all was whole at some time since a disk was last lost or damaged."""
        self._peace: int | None = None
        """How often an operator has looked since the last fault."""

    async def _turn(self, patience: float) -> bool:
        """Whether the cluster can bear the loss of a disk now, or soon."""
        for _ in range(max(1, int(patience / _LOOK))):
            if not self._busy and not self._latent() and self._whole():
                self._busy = True
                return True
            await asyncio.sleep(_LOOK)
        return False

    def frail(self, member: Member) -> bool:
        """Whether it must not lose power: behind the last checkpoint a start after that can't tell a flipped bit from a
        write that was torn, and cuts there."""
        return member is self._struck and self._latent()

    def _latent(self) -> bool:
        """Whether a flipped byte is still waiting to be found."""
        if self._struck is not None:
            present = set(map(id, self._struck.machine.disk.names.inodes()))
            self._flips = [flip for flip in self._flips if flip.there and id(flip.inode) in present]
        return bool(self._flips)

    async def wipe(self, rng: random.Random, length: float) -> bool:
        """A machine loses power and comes back with an empty disk, formatted anew. Whatever else goes on: what was
        acknowledged is on a second disk, if all was made good after the last loss of one."""
        if self._busy or self._latent() or not self._sound:
            return False
        self._busy = True
        self._sound = False
        member = self._struck = rng.choice(list(self._cluster.members.values()))
        member.held = True
        try:
            member.crash()
            member.machine.disk.wipe()
            await asyncio.sleep(rng.choice([0.1, length]))
        finally:
            self._begin_anew(member)
            member.held = False
            self._busy = False
        return True

    def last_fault_over(self) -> None:
        self._peace = 0

    def _begin_anew(self, member: Member) -> None:
        member.machine.boot()
        member.machine.disk.failing_syncs = member.machine.disk.failing_appends = 0
        member.machine.disk.capacity = 1 << 40
        self._cluster.prepare(member)
        member.restart()

    def attend(self) -> None:
        """What an operator does, who looks every second: a node that can't start because its metadata log is damaged,
        or whose damaged replicas have not been repaired long after the last fault, is given an empty disk. Nothing is
        on the old one that others don't have."""
        if not self._sound and not self._busy and not self._latent():
            self._sound = self._whole()
        if self._peace is not None:
            self._peace += 1
        member = self._struck
        if member is None or member.held:
            return
        stuck = not member.up and bool(member.endings) and _DAMAGED in member.endings[-1]
        if not stuck and not (self._peace is not None and self._peace >= _PATIENCE and self._latent()):
            return
        if not stuck and self._whole():
            return
        self._peace = None
        self._sound = False
        self._flips.clear()
        member.endings.append("its disk was emptied")
        member.crash()
        member.machine.disk.wipe()
        self._begin_anew(member)

    async def corrupt(self, rng: random.Random, length: float) -> bool:
        """Some bits of a log turn over; half the time the node is down meanwhile."""
        if not await self._turn(length):
            return False
        self._sound = False
        try:
            member = self._struck = rng.choice(list(self._cluster.members.values()))
            down = rng.random() < 0.5
            if down:
                member.held = True
                member.kill()
            found = [path for path in _segments(member) if len(member.machine.disk.names.get(path).data)]
            if found:
                path = rng.choice(found)
                for _ in range(rng.randint(1, _MOST_FLIPS)):
                    self._flip(member, path, rng)
            if down:
                await asyncio.sleep(length / 4)
                member.restart()
            return bool(found)
        finally:
            member.held = False
            self._busy = False

    def _flip(self, member: Member, path: str, rng: random.Random) -> None:
        disk = member.machine.disk
        inode = disk.names.get(path)
        offset = rng.randrange(len(inode.data))
        if rng.random() < _UNCOVERED_SHARE:
            offset = rng.choice(_batches(inode.data)) + rng.randrange(_UNCOVERED)
        disk.corrupt(path, offset, 1 << rng.randrange(8))
        self._flips.append(_Flip(inode, offset, inode.data[offset]))


def _batches(data: bytearray) -> list[int]:
    """Where batches begin."""
    found, position = [0], 0
    while position + _UNCOVERED < len(data):
        found.append(position)
        position += LOG_OVERHEAD + max(int.from_bytes(data[position + 8 : position + LOG_OVERHEAD], "big"), 0)
    return found


def _segments(member: Member) -> list[str]:
    names = member.machine.disk.names
    return [
        f"{DIRECTORY}/{directory}/{name}"
        for directory in names.entries(DIRECTORY)
        if names.exists(f"{DIRECTORY}/{directory}/.") and _is_directory(member, directory)
        for name in names.entries(f"{DIRECTORY}/{directory}")
        if name.endswith(".log")
    ]


def _is_directory(member: Member, name: str) -> bool:
    names = member.machine.disk.names
    try:
        names.entries(f"{DIRECTORY}/{name}")
    except OSError:
        return False
    return True
