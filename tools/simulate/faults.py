"""What befalls a simulated cluster: a schedule drawn by seed, and the nemesis that carries it out.

In: a seed's random numbers, a cluster. Out: faults that begin, last and end, and a count of how often each kind fired.
A fault knows its own random numbers (`salt`), so that a schedule with some of its faults left out (shrinking) still
does the same with the others.

Never more than the promise allows: a disk is wiped or corrupted only while every replica is in sync and has its data,
and the next one only when that is so again. Everything else may come at any time, on any number of nodes.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sprawl.runtime.simulated import Simulation
from sprawl.runtime.simulated.links import Link
from tools.simulate.cluster import Member, SimulatedCluster
from tools.simulate.damage import Damage
from tools.simulate.membership import Membership
from tools.simulate.rivals import Rivals


class Kind(Enum):
    KILL = "kill"
    CRASH = "crash"
    BLACKOUT = "blackout"
    DOMINO = "domino"
    RIVALS = "rivals"
    PAUSE = "pause"
    STALL = "stall"
    LOSS = "loss"
    DELAY = "delay"
    DUPLICATION = "duplication"
    REORDERING = "reordering"
    RESET = "reset"
    ISOLATION = "isolation"
    SPLIT = "split"
    ONE_WAY = "one-way"
    BRIDGE = "bridge"
    UDP_ONLY = "udp-only"
    TCP_ONLY = "tcp-only"
    SLOW_DISK = "slow-disk"
    FULL_DISK = "full-disk"
    FAILING_SYNC = "failing-sync"
    FAILING_READ = "failing-read"
    FAILING_APPEND = "failing-append"
    CORRUPTION = "corruption"
    WIPE = "wipe"
    CLOCK = "clock"
    JOIN = "join"
    MOVE = "move"
    ELECT = "elect"


_LONGEST: Final = 8.0
_TOGETHER: Final = 0.3
"""Share of the faults that come soon after another, so that they fall together."""
_SOON: Final = 1.0
_UNTIL_MISSED: Final = 2.0
_AFTERMATH: Final = 5.0
_SHORTEST: Final = 0.3
_LEADERS_SHARE: Final = 0.4
"""Of the faults that strike one node: these strike one that leads."""


@dataclass(frozen=True, slots=True)
class Fault:
    at: float
    length: float
    kind: Kind
    salt: int


def schedule(
    rng: random.Random, seconds: float, kinds: Collection[Kind], pause: float, longest: float = _LONGEST
) -> list[Fault]:
    """Faults of `kinds`, up to `pause` seconds apart on average, the last of them over before the end."""
    known = sorted(kinds, key=lambda kind: kind.value)
    faults: list[Fault] = []
    at = 0.0
    while known:
        at += rng.expovariate(1.0) * (min(pause, _SOON) if rng.random() < _TOGETHER else pause)
        length = _SHORTEST + rng.random() ** 2 * rng.choice([_LONGEST, longest])
        if at >= seconds:
            break
        faults.append(Fault(at, min(length, seconds - at), rng.choice(known), rng.getrandbits(32)))
    return faults


class Nemesis:
    """Carries out a schedule; `heal` ends everything that is still going on."""

    def __init__(
        self,
        world: Simulation,
        cluster: SimulatedCluster,
        whole: Callable[[], bool],
        leaders: Callable[[], list[int]],
        replicas: Callable[[], list[tuple[int, ...]]],
    ) -> None:
        """`whole`: whether every replica is in sync, so that the loss of any one disk can be borne. `leaders`: the
        nodes whom it hurts most. `replicas`: of each partition, where they are."""
        self._replicas = replicas
        self._leaders = leaders
        self._going_on = 0
        self._last_over = 0.0
        self.fired: Counter[Kind] = Counter()
        self._world = world
        self._cluster = cluster
        self._damage = Damage(cluster, whole)
        self._membership = Membership(world, cluster)
        self._rivals = Rivals(cluster, self._start)
        self._names = [member.name for member in cluster.members.values()]
        """Joined nodes later are as good as any other; partitions are drawn among all."""
        self._acts: dict[Kind, Callable[[random.Random, float], Awaitable[bool]]] = {
            Kind.KILL: self._kill,
            Kind.CRASH: self._crash,
            Kind.BLACKOUT: self._blackout,
            Kind.DOMINO: self._domino,
            Kind.RIVALS: lambda rng, length: self._rivals.stand(length),
            Kind.PAUSE: self._pause,
            Kind.STALL: self._stall,
            Kind.LOSS: self._loss,
            Kind.DELAY: self._delay,
            Kind.DUPLICATION: self._duplication,
            Kind.REORDERING: self._reordering,
            Kind.RESET: self._reset,
            Kind.ISOLATION: self._isolation,
            Kind.SPLIT: self._split,
            Kind.ONE_WAY: self._one_way,
            Kind.BRIDGE: self._bridge,
            Kind.UDP_ONLY: self._udp_only,
            Kind.TCP_ONLY: self._tcp_only,
            Kind.SLOW_DISK: self._slow_disk,
            Kind.FULL_DISK: self._full_disk,
            Kind.FAILING_SYNC: self._failing_sync,
            Kind.FAILING_READ: self._failing_read,
            Kind.FAILING_APPEND: self._failing_append,
            Kind.CORRUPTION: self._damage.corrupt,
            Kind.WIPE: self._damage.wipe,
            Kind.CLOCK: self._clock,
            Kind.JOIN: self._membership.join,
            Kind.MOVE: self._membership.move,
            Kind.ELECT: self._membership.elect,
        }

    async def run(self, faults: Sequence[Fault]) -> None:
        clock = self._world.driver.runtime.clock
        begun = clock.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in sorted(faults, key=lambda each: each.at):
                await asyncio.sleep(max(0.0, begun + fault.at - clock.monotonic()))
                group.create_task(self._one(fault))

    async def _one(self, fault: Fault) -> None:
        self._going_on += 1
        try:
            if await self._acts[fault.kind](random.Random(fault.salt), fault.length):
                self.fired[fault.kind] += 1
        finally:
            self._going_on -= 1
            self._last_over = self._world.now

    def lately(self) -> bool:
        """Whether something goes on, or has not been over for long."""
        return self._going_on > 0 or self._world.now < self._last_over + _AFTERMATH

    def damaged(self, member: Member) -> bool:
        """Whether some of its bits are turned over, and were not repaired yet."""
        return self._damage.frail(member)

    def attend(self) -> None:
        """What an operator would do now, who is called when a node can't help itself."""
        self._damage.attend()

    def heal(self) -> None:
        self._last_over = self._world.now
        self._damage.last_fault_over()
        self._world.links.heal()
        default = self._world.links.default
        for link in self._world.links.all():
            link.latency, link.jitter = default.latency, default.jitter
        for member in self._members():
            member.machine.resume()
            member.machine.disk.heal()
            member.machine.disk.capacity = _AMPLE
        for member in self._members():
            if not member.up:
                member.restart()

    def _members(self) -> list[Member]:
        return list(self._cluster.members.values())

    def _one_of(self, rng: random.Random) -> Member:
        if rng.random() < _LEADERS_SHARE and (leaders := self._leaders()):
            return self._cluster.members[rng.choice(leaders)]
        return rng.choice(self._members())

    # -- processes and machines -------------------------------------------------------------------------------------

    async def _kill(self, rng: random.Random, length: float) -> bool:
        member = self._one_of(rng)
        if not member.up:
            return False
        member.kill()
        await asyncio.sleep(rng.choice([0.05, length]))
        self._start(member)
        return True

    async def _crash(self, rng: random.Random, length: float) -> bool:
        member = self._one_of(rng)
        return await self._lose_power([member], length)

    async def _blackout(self, rng: random.Random, length: float) -> bool:
        """Several machines at once, or all."""
        members = self._members()
        return await self._lose_power(rng.sample(members, rng.randint(2, len(members))), length)

    async def _domino(self, rng: random.Random, length: float) -> bool:
        """The replicas of a partition lose power one after another; the first is back while the others are away, and
        lacks what they took meanwhile."""
        known = self._replicas()
        if not known:
            return False
        nodes = rng.choice(known)
        first, *others = [self._cluster.members[node] for node in rng.sample(nodes, len(nodes))]
        struck = self._power_off([first])
        await asyncio.sleep(_UNTIL_MISSED + length / 2)
        gone = self._power_off(others)
        for member in struck:
            self._start(member)
        await asyncio.sleep(length)
        for member in gone:
            self._start(member)
        return bool(struck and gone)

    def _power_off(self, members: Sequence[Member]) -> list[Member]:
        struck = [each for each in members if each.machine.up and not each.held and not self._damage.frail(each)]
        for member in struck:
            member.crash()
        return struck

    async def _lose_power(self, members: Sequence[Member], length: float) -> bool:
        struck = self._power_off(members)
        await asyncio.sleep(length)
        for member in struck:
            self._start(member)
        return bool(struck)

    def _start(self, member: Member) -> None:
        if not member.up and not member.held:
            member.restart()

    async def _pause(self, rng: random.Random, length: float) -> bool:
        member = self._one_of(rng)
        if not member.up:
            return False
        process = member.machine.process
        process.loop.pause()
        await asyncio.sleep(length)
        process.loop.resume()
        return True

    async def _stall(self, rng: random.Random, length: float) -> bool:
        member = self._one_of(rng)
        member.machine.stall(length / 4)
        return True

    async def _clock(self, rng: random.Random, length: float) -> bool:
        sign = rng.choice([-1, 1])
        member = self._one_of(rng)
        member.machine.jump_clock(sign * int(10 ** rng.uniform(1, 7)))
        return True

    # -- the network ------------------------------------------------------------------------------------------------

    def _some_links(self, rng: random.Random) -> list[Link]:
        """All between the nodes and their clients, or those of one node."""
        if rng.random() < 0.5:
            return self._world.links.all()
        name = self._one_of(rng).name
        links = self._world.links
        others = [each for each in self._all_names() if each != name]
        return [link for other in others for link in (links.between(name, other), links.between(other, name))]

    def _all_names(self) -> list[str]:
        return [*(member.name for member in self._members()), self._world.driver.name]

    async def _loss(self, rng: random.Random, length: float) -> bool:
        share = rng.choice([0.02, 0.1, 0.3])
        links = self._some_links(rng)
        for link in links:
            link.tcp_loss = link.udp_loss = share
        await asyncio.sleep(length)
        for link in links:
            link.tcp_loss = link.udp_loss = 0.0
        return True

    async def _delay(self, rng: random.Random, length: float) -> bool:
        latency = 10 ** rng.uniform(-3, -0.3)
        links = self._some_links(rng)
        before = [(link.latency, link.jitter) for link in links]
        for link in links:
            link.latency, link.jitter = latency, latency * rng.random()
        await asyncio.sleep(length)
        default = self._world.links.default
        for link, _ in zip(links, before, strict=True):
            link.latency, link.jitter = default.latency, default.jitter
        return True

    async def _duplication(self, rng: random.Random, length: float) -> bool:
        links = self._some_links(rng)
        for link in links:
            link.udp_duplicates = 0.3
        await asyncio.sleep(length)
        for link in links:
            link.udp_duplicates = 0.0
        return True

    async def _reordering(self, rng: random.Random, length: float) -> bool:
        links = self._some_links(rng)
        for link in links:
            link.udp_reordered = 0.3
        await asyncio.sleep(length)
        for link in links:
            link.udp_reordered = 0.0
        return True

    async def _reset(self, rng: random.Random, length: float) -> bool:
        first, second = rng.sample(self._all_names(), 2)
        self._world.network.reset_connections(first, second)
        return True

    async def _cut(
        self, pairs: Sequence[tuple[str, str]], length: float, *, tcp: bool = True, udp: bool = True
    ) -> bool:
        """One way, for each pair."""
        for source, target in pairs:
            self._world.links.block(source, target, both_ways=False, tcp=tcp, udp=udp)
        await asyncio.sleep(length)
        for source, target in pairs:
            link = self._world.links.between(source, target)
            link.tcp_blocked = link.tcp_blocked and not tcp
            link.udp_blocked = link.udp_blocked and not udp
        return True

    async def _isolation(self, rng: random.Random, length: float) -> bool:
        """From the other nodes; half the time from clients too."""
        name = self._one_of(rng).name
        others = [each for each in self._all_names() if each != name]
        if rng.random() < 0.5:
            others.remove(self._world.driver.name)
        return await self._cut(_both_ways([name], others), length)

    async def _split(self, rng: random.Random, length: float) -> bool:
        names = [member.name for member in self._members()]
        rng.shuffle(names)
        at = rng.randrange(1, len(names))
        return await self._cut(_both_ways(names[:at], names[at:]), length)

    async def _one_way(self, rng: random.Random, length: float) -> bool:
        name = self._one_of(rng).name
        others = [member.name for member in self._members() if member.name != name]
        others = rng.sample(others, rng.randint(1, len(others)))
        deaf = rng.random() < 0.5
        return await self._cut([(other, name) if deaf else (name, other) for other in others], length)

    async def _bridge(self, rng: random.Random, length: float) -> bool:
        """Two halves that only one node sees both of."""
        names = [member.name for member in self._members()]
        rng.shuffle(names)
        half = len(names) // 2
        return await self._cut(_both_ways(names[:half], names[half + 1 :]), length)

    async def _udp_only(self, rng: random.Random, length: float) -> bool:
        names = [member.name for member in self._members()]
        some = rng.sample(names, rng.randint(1, len(names)))
        return await self._cut(_both_ways(some, names), length, tcp=False)

    async def _tcp_only(self, rng: random.Random, length: float) -> bool:
        names = [member.name for member in self._members()]
        first, second = rng.sample(names, 2)
        pairs = [(first, second)] if rng.random() < 0.3 else _both_ways([first], [second])
        return await self._cut(pairs, length, udp=False)

    # -- disks ------------------------------------------------------------------------------------------------------

    async def _slow_disk(self, rng: random.Random, length: float) -> bool:
        disk = self._one_of(rng).machine.disk
        disk.slowness = 10 ** rng.uniform(0.5, 2.5)
        await asyncio.sleep(length)
        disk.slowness = 1.0
        return True

    async def _full_disk(self, rng: random.Random, length: float) -> bool:
        disk = self._one_of(rng).machine.disk
        disk.capacity = disk.used + rng.randrange(4000)
        await asyncio.sleep(length)
        disk.capacity = _AMPLE
        return True

    async def _failing_sync(self, rng: random.Random, length: float) -> bool:
        disk = self._one_of(rng).machine.disk
        disk.failing_syncs = rng.randint(1, 3)
        await asyncio.sleep(length)
        disk.failing_syncs = 0
        return True

    async def _failing_read(self, rng: random.Random, length: float) -> bool:
        disk = self._one_of(rng).machine.disk
        disk.failing_reads = rng.randint(1, 3)
        await asyncio.sleep(length)
        disk.failing_reads = 0
        return True

    async def _failing_append(self, rng: random.Random, length: float) -> bool:
        disk = self._one_of(rng).machine.disk
        disk.failing_appends = rng.randint(1, 3)
        await asyncio.sleep(length)
        disk.failing_appends = 0
        return True


_AMPLE: Final = 1 << 40


def _both_ways(some: Sequence[str], others: Sequence[str]) -> list[tuple[str, str]]:
    return [pair for one in some for other in others if one != other for pair in ((one, other), (other, one))]
