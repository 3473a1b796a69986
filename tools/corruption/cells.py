"""One kind of file, damaged in one way: what the cluster makes of it.

In: a kind, a damage, a seed. Out: an `Outcome`. A file on a node's disk is damaged while the node is down; then it is
started again, and clients write and read on. An object in the bucket is damaged while all nodes run. Repaired means:
without an operator, within a minute, all replicas are in sync and whole, and everything can be read, also from the
node that was struck.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sprawl.objects.contract import ObjectInfo
from sprawl.runtime.simulated import Simulation
from tools.corruption.damage import Damage, damaged
from tools.corruption.world import VICTIM, World
from tools.simulate.cluster import DIRECTORY

_METADATA: Final = f"{DIRECTORY}/__cluster_metadata-0"
_REPLICA: Final = f"{DIRECTORY}/orders-0"


class Kind(Enum):
    CLOSED_SEGMENT = "closed segment"
    ACTIVE_SEGMENT = "active segment"
    INDEX = "index.rocksdb"
    PARTITION_METADATA = "partition.metadata"
    STATE = "node.sqlite: identity, vote"
    METADATA_LOG = "metadata log"
    METADATA_SNAPSHOT = "metadata snapshot"
    UPLOADED_SEGMENT = "uploaded segment"
    MANIFEST = "uploaded manifest"


IN_BUCKET: Final = frozenset({Kind.UPLOADED_SEGMENT, Kind.MANIFEST})
_OPAQUE: Final = frozenset({Kind.INDEX, Kind.STATE})
"""Without bytes of their own in the simulation: damaged means that they do not open."""


@dataclass(frozen=True, slots=True)
class Outcome:
    kind: Kind
    damage: Damage
    wrong: str
    """What clients were given that is not so; empty if nothing."""
    repaired: bool
    message: str
    """Why it was refused, where it was not repaired."""
    applies: bool = True
    """False where the damage changes nothing: there was no earlier version, say."""


def strike(kind: Kind, damage: Damage, seed: int) -> Outcome:
    with Simulation(seed, strict=False) as simulation:
        world = World(simulation)
        with world.patched():
            return simulation.run(_strike(world, kind, damage, random.Random(seed)), limit=1000)


async def _strike(world: World, kind: Kind, damage: Damage, rng: random.Random) -> Outcome:
    await world.start()
    await world.produced(350)
    earlier, state = _contents(world, kind), world.state_of_victim()
    if kind is Kind.STATE and damage is Damage.STALE:
        await world.elect_controller()
    await world.produced(350)
    await world.until(world.uploaded)
    await asyncio.sleep(5)
    if kind not in IN_BUCKET:
        world.victim.kill()
    sound, promised = dict(world.bucket.objects), world.state_of_victim()
    if kind is Kind.STATE and damage is Damage.STALE:
        changed = world.put_back(state)
    else:
        changed = _damage(world, kind, damage, earlier, rng)
    if not changed:
        world.cluster.stop()
        return Outcome(kind, damage, "", repaired=True, message="", applies=False)
    if kind not in IN_BUCKET:
        world.victim.restart()
    await world.produced(30)
    well = await world.until(lambda: not world.unwell())
    wrong, refusal = await world.read()
    if well and not wrong:
        await world.elect_victim()
        wrong, again = await world.read()
        refusal = refusal or again
    await world.until(lambda: not world.unwell(), patience=10)
    message = world.unwell() or refusal or (_left(world, sound) if kind in IN_BUCKET else _not_led(world))
    if kind is Kind.STATE and damage is Damage.STALE:
        message = message or world.forgotten(promised)
    world.cluster.stop()
    return Outcome(kind, damage, wrong, repaired=not (wrong or message), message=message)


def _left(world: World, sound: Mapping[str, tuple[bytes, ObjectInfo]]) -> str:
    """What in the bucket is not what it was, though no reader has come upon it."""
    there = world.bucket.objects
    spoilt = [
        key for key, (data, _) in sound.items() if key.startswith("topics/") and there.get(key, (b"",))[0] != data
    ]
    return "not noticed: a copy of it is still on the disks" if spoilt else ""


def _not_led(world: World) -> str:
    """Only what is read from the node that was struck tells that it is whole."""
    struck = world.partition(VICTIM)
    return "" if struck is not None and struck.leading else "the node that was struck does not lead again"


def _paths(world: World, kind: Kind) -> list[str]:
    """Of the files of that kind, oldest first."""
    if kind in IN_BUCKET:
        ending = ".log" if kind is Kind.UPLOADED_SEGMENT else ".manifest"
        return [name for name in world.bucket.names() if name.startswith("topics/") and name.endswith(ending)]
    if kind is Kind.INDEX:
        return [f"{DIRECTORY}/index.rocksdb/CURRENT"]
    if kind is Kind.STATE:
        return [f"{DIRECTORY}/node.sqlite"]
    if kind is Kind.PARTITION_METADATA:
        return [f"{_REPLICA}/partition.metadata"]
    names, within = world.victim.machine.disk.names, _METADATA
    if kind in (Kind.CLOSED_SEGMENT, Kind.ACTIVE_SEGMENT):
        within = _REPLICA
    ending = ".checkpoint" if kind is Kind.METADATA_SNAPSHOT else ".log"
    found = [f"{within}/{name}" for name in names.entries(within) if name.endswith(ending)]
    if kind is Kind.METADATA_LOG:  # a snapshot begins a new segment, which may be empty yet
        return [path for path in found if names.get(path).data][-1:]
    return found[:-1] if kind is Kind.CLOSED_SEGMENT else found[-1:]


def _contents(world: World, kind: Kind) -> dict[str, bytes]:
    names = world.victim.machine.disk.names
    if kind in IN_BUCKET:
        return {path: world.bucket.objects[path][0] for path in _paths(world, kind)}
    return {path: bytes(names.get(path).data) for path in _paths(world, kind)}


def _damage(world: World, kind: Kind, damage: Damage, earlier: dict[str, bytes], rng: random.Random) -> bool:
    """False if it changes nothing."""
    disk = world.victim.machine.disk
    paths = _paths(world, kind)
    if damage is Damage.STALE:
        paths = [path for path in paths if path in earlier] or paths[:0]
    if not paths:
        return False
    path = rng.choice(paths)
    if kind in _OPAQUE:
        if damage is Damage.MISSING:
            disk.names.remove(path)
            return True
        if damage is Damage.STALE:
            return False
        disk.corrupt(path, 0)
        return True
    now = _contents(world, kind)[path]
    then = damaged(damage, now, earlier.get(path), rng)
    if then == now:
        return False
    if kind in IN_BUCKET:
        there = world.bucket.objects
        info = there.pop(path)[1]
        if then is not None:
            there[path] = (then, info)
    elif then is None:
        disk.names.remove(path)
    else:
        disk.names.get(path).replace(then)
    return True
