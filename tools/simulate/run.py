"""One seed, one world: a cluster with clients and faults, then peace, and what must be true of it.

In: a seed. Out: an `Outcome`: what happened, or the first thing that was wrong. Everything follows from the seed: how
many nodes, their settings, the load, the faults. A `Plan` can be narrowed (`only` some of its faults), and all else
stays the same, which is what shrinking needs.

Safety is judged all the time; then all faults end, and within a bounded time every node must be active, every replica
in sync, every partition must answer a producer, and what was acknowledged must be there, once, at its place.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import warnings
from collections import Counter
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field
from time import process_time
from typing import Any, Final

from sprawl.config.broker import ReplicaSelector
from sprawl.runtime.simulated import Simulation
from tools.history.judge import judge
from tools.history.ledger import HistoryError, Ledger
from tools.simulate.clients import Links, Producer, Seen, create, last_reading, read_whole
from tools.simulate.cluster import SimulatedCluster, rack_of
from tools.simulate.consumers import Committer, Reader
from tools.simulate.faults import Fault, Kind, Nemesis, schedule
from tools.simulate.invariants import Invariants
from tools.simulate.paces import PACES, Pace, draw

log = logging.getLogger(__name__)

TOPIC: Final = "orders"
_REPLICAS: Final = 3
_SETTLING: Final = 120.0
"""Virtual seconds after the last fault until all must be well."""
_RESTART_AFTER: Final = 1.0
"""Until a node that stopped by itself is started again, as a service manager would."""
_QUIET_KINDS: Final = 0.35
_LATENCIES: Final = (0.0003, 0.0003, 0.003, 0.03)
"""Racks, cities, continents."""
_REST: Final = 2.0
"""Between two looks at the invariants, when nothing has befallen the cluster for some time."""


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    seconds: float
    """Of faults."""
    nodes: int
    partitions: int
    latency: float
    """From one machine to another."""
    pace: Pace
    pause: float
    """Between two records of one producer."""
    settings: dict[str, str]
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class Outcome:
    seed: int
    problem: str = ""
    """Empty: all was well."""
    virtual_seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of this process: what else the machine does has no part in it."""
    events: int = 0
    digest: str = ""
    fired: Counter[Kind] = field(default_factory=Counter)
    acknowledged: int = 0
    read: int = 0
    commits: int = 0
    compared: int = 0
    sent_elsewhere: int = 0
    """How often a reader was sent to a follower."""


def plan(
    seed: int,
    seconds: float,
    *,
    pace: str | None = None,
    only: Collection[int] | None = None,
    kinds: Collection[Kind] | None = None,
) -> Plan:
    """`seconds`: on average over many seeds; or, where the `pace` is told, of this one. `only`: the numbers of the
    faults that are to happen. `kinds`: those that may be drawn; None: any."""
    rng = random.Random(f"plan {seed}")
    drawn = draw(rng)
    if pace is None:
        seconds *= drawn.stretch
    else:
        drawn = PACES[pace]
    nodes = rng.choice(drawn.nodes)
    settings = {
        "replica.lag.time.max.ms": str(rng.choice([500, 1000, 3000, 10_000])),
        "sprawl.quorum.voter.grace.ms": str(rng.choice([2000, 10_000, 60_000])),
        "metadata.log.max.record.bytes.between.snapshots": str(rng.choice([4_000, 40_000, 20_971_520])),
        "log.roll.ms": str(rng.choice([1_000, 10_000, 604_800_000])),
        "sprawl.routing": rng.choice(["direct", "direct", "any"]),
        "log.retention.check.interval.ms": "5000",
        "log.message.timestamp.after.max.ms": str(10**12),  # clocks jump far
        "min.insync.replicas": "2",  # with 1, the loss of a single disk may be the loss of what was acknowledged
        "replica.selector.class": rng.choice([ReplicaSelector.LEADER.value, ReplicaSelector.RACK_AWARE.value]),
    } | drawn.settings(rng)
    allowed = list(Kind) if kinds is None else sorted(kinds, key=lambda kind: kind.value)
    chosen = [kind for kind in allowed if rng.random() > _QUIET_KINDS] or allowed
    faults = schedule(rng, seconds, chosen, rng.choice(drawn.faults), drawn.longest)
    if only is not None:
        faults = [fault for number, fault in enumerate(faults) if number in only]
    partitions, latency = rng.randint(1, 4), rng.choice(_LATENCIES)
    return Plan(seed, seconds, nodes, partitions, latency, drawn, rng.choice(drawn.records), settings, tuple(faults))


def simulate(plan: Plan) -> Outcome:
    """Never raises for what is wrong in the simulated world; the outcome says it."""
    outcome = Outcome(plan.seed)
    began = process_time()
    with warnings.catch_warnings(), Simulation(plan.seed, strict=False) as world:
        warnings.simplefilter("ignore", RuntimeWarning)  # of coroutines that the end of the world left unawaited
        try:
            world.run(_Course(world, plan, outcome).story(), limit=plan.seconds + 4 * _SETTLING)
        except Exception as problem:  # noqa: BLE001 - whatever it is, this seed has failed
            outcome.problem = _described(problem)
        outcome.virtual_seconds = world.now
        outcome.events = world.trace.count
        outcome.digest = world.trace.digest()
    gc.collect()  # a world is full of cycles; while one runs nothing of those before it would be found
    outcome.cpu_seconds = process_time() - began
    return outcome


def _described(problem: BaseException) -> str:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return f"{type(problem).__name__}: {problem}"


class _Course:
    def __init__(self, world: Simulation, plan: Plan, outcome: Outcome) -> None:
        self._world = world
        self._plan = plan
        self._outcome = outcome
        self._runtime = world.driver.runtime
        world.links.default.latency, world.links.default.jitter = plan.latency, plan.latency / 2
        self._cluster = SimulatedCluster(world, plan.nodes, plan.settings, racks=True)
        self._invariants = Invariants(self._cluster)
        invariants = self._invariants
        self._nemesis = Nemesis(
            world, self._cluster, lambda: not invariants.ailing(), invariants.leaders, invariants.replicas
        )
        self._names = [member.name for member in self._cluster.members.values()]
        self._links = Links(self._runtime, self._names)
        indexes = range(plan.partitions)
        self._seen = [Seen() for _ in indexes]
        self._ledgers = [Ledger(f"{TOPIC}-{index}") for index in indexes]
        self._producers = [
            Producer(self._runtime, self._names, index, self._seen[index], topic=TOPIC, pause=plan.pause)
            for index in indexes
        ]
        self._readers = [
            Reader(
                self._runtime,
                Links(self._runtime, self._names),
                TOPIC,
                index,
                self._ledgers[index],
                plan.pace.polls,
                rack_of(index),
            )
            for index in indexes
        ]
        self._committers = [
            Committer(
                self._runtime,
                Links(self._runtime, self._names),
                f"group-{index}",
                TOPIC,
                index,
                plan.pace.commits,
                self._invariants.behind,
            )
            for index in range(2)
        ]

    async def story(self) -> None:
        plan = self._plan
        self._cluster.start()
        tasks = [asyncio.create_task(work) for work in (self._watch(), self._keep_running())]
        await _unless_one_ends(tasks, self._begin())
        clients: list[Producer | Reader | Committer] = [*self._producers, *self._readers, *self._committers]
        tasks += [asyncio.create_task(client.run()) for client in clients]
        nemesis = asyncio.create_task(self._disturb())
        try:
            await _unless_one_ends([*tasks, nemesis], asyncio.sleep(plan.seconds))
            nemesis.cancel()
            await asyncio.gather(nemesis, return_exceptions=True)
            self._nemesis.heal()
            await _unless_one_ends(tasks, self._until_well())
        finally:
            self._outcome.fired = self._nemesis.fired
            self._outcome.acknowledged = sum(len(seen.acknowledged) for seen in self._seen)
            self._outcome.sent_elsewhere = sum(reader.sent_elsewhere for reader in self._readers)
            self._outcome.read = sum(len(ledger.values) for ledger in self._ledgers)
            self._outcome.commits = sum(committer.acknowledged + 1 for committer in self._committers)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._judge()
        self._cluster.stop()

    async def _begin(self) -> None:
        await create(self._links, partitions=self._plan.partitions, replicas=_REPLICAS, min_isr=2, topic=TOPIC)
        await self._until_whole("at the start")

    async def _disturb(self) -> None:
        await self._nemesis.run(self._plan.faults)
        await asyncio.Event().wait()

    # -- while it goes on ---------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            self._invariants.look()
            await asyncio.sleep(self._plan.pace.looks if self._nemesis.lately() else _REST)

    async def _keep_running(self) -> None:
        while True:
            await asyncio.sleep(_RESTART_AFTER)
            self._nemesis.attend()
            for member in self._cluster.members.values():
                if member.life is not None and member.life.done() and not member.held:
                    member.life.result()
                    member.restart()

    # -- and then -------------------------------------------------------------------------------------------------

    async def _until_whole(self, when: str) -> None:
        reason = ""
        try:
            async with asyncio.timeout(_SETTLING):
                while reason := self._invariants.ailing():
                    await asyncio.sleep(0.25)
        except TimeoutError:
            endings = {member.name: member.endings[-1] for member in self._cluster.members.values() if member.endings}
            raise AssertionError(f"not well {_SETTLING:g} s {when}: {reason}; {endings or ''}") from None

    async def _until_well(self) -> None:
        await self._until_whole("after the last fault")
        healed = self._runtime.clock.monotonic()
        for _ in range(int(_SETTLING)):
            silent = [index for index, seen in enumerate(self._seen) if seen.last_ack <= healed]
            if not silent:
                return
            await asyncio.sleep(1)
        raise AssertionError(f"{TOPIC}-{silent[0]}: nothing acknowledged for {_SETTLING:g} s, though all is well")

    async def _judge(self) -> None:
        self._outcome.compared = await self._invariants.compare(self._nemesis.damaged)
        journals = {f"consumer {number}": reader.journal for number, reader in enumerate(self._readers)}
        found: dict[int, list[tuple[int, int]]] = {}
        for index, seen in enumerate(self._seen):
            journals[f"producer {index}"] = seen.journal
            until = max([*seen.acknowledged.values(), *self._ledgers[index].values], default=-1) + 1
            found[index] = await read_whole(self._links, index, until, topic=TOPIC)
        journals["reader"] = last_reading(self._runtime.clock.monotonic(), found)
        problems = judge(journals).problems
        if problems:
            raise HistoryError("; ".join(problems))
        for committer in self._committers:
            await committer.settle()


async def _unless_one_ends(tasks: list[asyncio.Task[None]], enough: Coroutine[Any, Any, None]) -> None:
    """Until `enough` is done; what ends by itself before that has failed."""
    goal = asyncio.create_task(enough)
    try:
        done, _ = await asyncio.wait([goal, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        goal.cancel()
