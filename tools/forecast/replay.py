"""The same traffic on a modelled cluster, balanced by nobody, by what is, and by what is to come.

The modelled cluster: partitions with three replicas on nodes in three racks, `PARTITIONS_A_NODE` to each; its leaders
at first spread evenly by number. Each series is the load of one partition in each of three regions, eight hours
apart, and, where a trace has few series, on up to four days, one after the other. As topics are given as many
partitions as their peaks need, a partition's size is measured by its series' peaks before the test; then it has a
size of its own by lot. At its busiest (but for one step in 200) the whole cluster uses `FULL` of its capacity.
A leader's move works from the next step on; a copied replica takes its bytes, which the old leader and the new
replica carry meanwhile, at a throttle: `THROTTLE` at most, and no more than what they had to spare a step ago.

The reactive balancer has the same policy, the same budget and metrics: only, instead of the forecasts it gets the load
of the last step. What is counted: minutes in which a node had more than its capacity, bytes copied, moves undone within
the hour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sprawl.intelligence.balance.cluster import FOLLOWER, Cluster
from sprawl.intelligence.balance.moves import Goal, Move, What
from sprawl.intelligence.balance.policy import Balancer, Resource, Settings
from sprawl.intelligence.balance.projection import Expected
from sprawl.intelligence.foresight.grid import HORIZON_MINUTES, Array, Grid, Integers
from sprawl.intelligence.foresight.rings import filled

PARTITIONS_A_NODE: Final = 15
REPLICAS: Final = 3
REGIONS: Final = 3
MOST_COPIES: Final = 4
ENOUGH: Final = 240
"""Partitions, for a cluster of some fifteen nodes."""
RETAINED_STEPS: Final = 24
"""A replica holds what came in two hours; the rest is in the object store and is not copied."""
THROTTLE: Final = 0.1
"""Of a node's capacity: what copying may add to both nodes, and what it does add at the least."""
LEAST_THROTTLE: Final = 0.01
CALM: Final = 0.9
"""Of a node's capacity: up to there it has something to spare for copies."""
NOW: Final = "now"
"""In place of a forecast: the load of the last step."""
FULL: Final = 0.95
PEAK: Final = 0.999
"""The quantile of a series' past that counts as its peak."""
MOST_DAYS: Final = 14
LEAST_PARTITIONS: Final = 6


@dataclass(frozen=True, slots=True)
class Traffic:
    """What partitions carry, and what was expected: made at `[..., step]`."""

    load: Array
    """[partition, step]"""
    expected: dict[str, tuple[Array, Array]]
    """By name of the forecast the medians and upper quantiles: [horizon, partition, step]."""
    grid: Grid


@dataclass(frozen=True, slots=True)
class Outcome:
    overload: Array
    """[step]: nodes beyond their capacity."""
    excess: float
    leader_moves: int
    replica_moves: int
    copied: float
    """Bytes, in days of an average partition's load."""
    undone: int
    log: tuple[tuple[int, Move], ...] = ()

    @property
    def moves(self) -> int:
        return self.leader_moves + self.replica_moves


@dataclass(frozen=True, slots=True)
class Source:
    """One family's series with their forecasts, from the first origin on."""

    grid: Grid
    clock: Integers
    """[series]: seconds since midnight of the first step."""
    load: Array
    peak: Array
    """[series]: the `PEAK` of what was counted before the first origin."""
    expected: dict[str, tuple[Array, Array]]
    """[horizon, series, step]"""


def traffic(sources: Sequence[Source], rng: np.random.Generator, most_days: int = MOST_DAYS) -> Traffic | None:
    """Partitions out of sources of one grid, for at least two days: the longer ones, if that is more in all."""
    grid = sources[0].grid
    count = sum(len(each.load) for each in sources)
    days = int(np.clip(ENOUGH // (count * REGIONS), 1, MOST_COPIES))
    steps, shifts = 0, [0]
    for regions, copies in ((REGIONS, days), (REGIONS, 1), (1, 1)):
        shifts = [region * grid.day // REGIONS + day * grid.day for day in range(copies) for region in range(regions)]
        lengths = [each.load.shape[1] - max(shifts) - grid.day for each in sources]
        steps = max((each for each in lengths if each >= 2 * grid.day), key=_volume(sources, lengths), default=0)
        if steps:
            break
    else:
        return None
    usable = [each for each, length in zip(sources, lengths, strict=True) if length >= steps]
    steps = min(steps, most_days * grid.day)
    loads: list[Array] = []
    expected: dict[str, tuple[list[Array], list[Array]]] = {name: ([], []) for name in usable[0].expected}
    for source in usable:
        held = filled(source.load)
        for series in np.flatnonzero((np.isnan(source.load).mean(axis=1) < 0.3) & (source.peak > 0)):
            midnight = int(-source.clock[series] // grid.step_seconds % grid.day)
            for shift in shifts:
                size = min(rng.lognormal(0, 0.6), 3.0) / source.peak[series]
                window = slice(midnight + shift, midnight + shift + steps)
                load = np.nan_to_num(held[series, window]) * size
                loads.append(load)
                for name, forecasts in source.expected.items():
                    for quantile, into in zip(forecasts, expected[name], strict=True):
                        made = quantile[:, series, window] * size
                        into.append(np.where(np.isnan(made), load, made))
    if len(loads) < LEAST_PARTITIONS:
        return None
    stacked = {name: (np.stack(low, axis=1), np.stack(high, axis=1)) for name, (low, high) in expected.items()}
    return Traffic(np.array(loads), stacked, grid)


def _volume(sources: Sequence[Source], lengths: Sequence[int]) -> Callable[[int], int]:
    def volume(steps: int) -> int:
        return steps * sum(len(each.load) for each, has in zip(sources, lengths, strict=True) if has >= steps)

    return volume


def cluster_for(load: Array, rng: np.random.Generator, full: float = FULL) -> Cluster:
    partitions = len(load)
    nodes = int(np.clip(partitions // PARTITIONS_A_NODE, 4, 30))
    replicas = np.zeros((partitions, REPLICAS), dtype=np.int64)
    racks = np.arange(nodes) % REPLICAS
    held = np.zeros(nodes)
    order = rng.permutation(partitions)
    for number, partition in enumerate(order):
        if number % nodes == 0:
            turn = rng.permutation(nodes)
        leader = turn[number % nodes]
        chosen = [leader]
        for rack in rng.permutation([rack for rack in range(REPLICAS) if rack != racks[leader]]):
            there = np.flatnonzero(racks == rack)
            chosen.append(there[(held[there] + rng.random(len(there)) * 0.5).argmin()])
            held[chosen[-1]] += 1
        replicas[partition] = chosen
    size = load.mean(axis=1) * RETAINED_STEPS
    plenty = np.full(nodes, size.sum() * REPLICAS)
    sync = np.ones(replicas.shape, dtype=np.bool_)
    alive = np.ones(nodes, dtype=np.bool_)
    cluster = Cluster(replicas, replicas[:, 0].copy(), sync, racks, alive, np.ones(nodes), size, plenty)
    busiest = float(np.quantile(load.sum(axis=0), 0.995)) * (1 + FOLLOWER * (REPLICAS - 1))
    return replace(cluster, capacity=np.full(nodes, max(busiest / nodes / full, 1e-9)))


def run(traffic: Traffic, cluster: Cluster, forecast: str | None, settings: Settings) -> Outcome:
    """`forecast`: a name in `traffic.expected`, `NOW`, None for no balancer."""
    step_seconds = traffic.grid.step_seconds
    seen = 1 if forecast == NOW else len(HORIZON_MINUTES)
    balancer = Balancer(HORIZON_MINUTES[:seen], step_seconds, replace(settings, weights=settings.weights[:seen]))
    world = _World(cluster)
    overload, excess = np.zeros(traffic.load.shape[1]), 0.0
    for step in range(traffic.load.shape[1]):
        load = traffic.load[:, step]
        carried = world.carry(load) / cluster.capacity
        overload[step] = (carried > 1).sum()
        excess += float(np.maximum(carried - 1, 0).sum())
        if forecast is None:
            continue
        if forecast == NOW:
            expected = Expected(load[None], load[None])
        else:
            median, upper = traffic.expected[forecast]
            expected = Expected(median[..., step], upper[..., step])
        resources = {Goal.NETWORK: Resource(expected, load, cluster.capacity)}
        plan = balancer.plan(float(step * step_seconds), world.cluster, resources, world.busy)
        for move in plan.moves:
            world.move(step, move)
    return world.outcome(overload, excess, 3600 // step_seconds)


class _World:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._under_way: dict[Move, float] = {}
        self._shares = cluster.shares()
        self._spare = LEAST_THROTTLE * cluster.capacity
        self._log: list[tuple[int, Move]] = []

    @property
    def busy(self) -> list[int]:
        return [move.partition for move in self._under_way]

    def carry(self, load: Array) -> Array:
        """One step: what each node carries, the copies included."""
        own = carried = load @ self._shares
        for move, left in list(self._under_way.items()):
            copying = [self.cluster.leader[move.partition], move.target]
            part = min(float(self._spare[copying].min()), THROTTLE * float(self.cluster.capacity[move.target]), left)
            carried = carried.copy()
            carried[copying] += part
            self._under_way[move] -= part
            if self._under_way[move] <= 0:
                self._arrived(move)
        self._spare = np.maximum(CALM * self.cluster.capacity - own, LEAST_THROTTLE * self.cluster.capacity)
        return np.asarray(carried)

    def move(self, step: int, move: Move) -> None:
        self._log.append((step, move))
        if move.what is What.REPLICA:
            self._under_way[move] = move.copied
            return
        self.cluster = self.cluster.with_leader(move.partition, move.target)
        self._shares = self.cluster.shares()

    def _arrived(self, move: Move) -> None:
        del self._under_way[move]
        self.cluster = self.cluster.with_replica(move.partition, move.source, move.target)
        self._shares = self.cluster.shares()

    def outcome(self, overload: Array, excess: float, hour: int) -> Outcome:
        undone = 0
        for number, (step, move) in enumerate(self._log):
            for later, other in self._log[number + 1 :]:
                if later - step > hour:
                    break
                if other.partition == move.partition and other.target == move.source and other.what is move.what:
                    undone += 1
                    break
        copies = [move for _, move in self._log if move.what is What.REPLICA]
        copied = sum(move.copied for move in copies)
        return Outcome(overload, excess, len(self._log) - len(copies), len(copies), copied, undone, tuple(self._log))
