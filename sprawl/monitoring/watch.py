"""The watch over one node: all that measures it, put together, and the task that looks every few seconds.

In: the node's parts, once they are built. Out: metrics in its registry; alerts, for whoever asks and for a webhook.
`installed` puts the counting before the node's handlers; `start` and `stop` the task. What goes wrong here costs
measurements, never the node.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter as Counts
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from sprawl.handlers.context import Handler
from sprawl.monitoring.cluster import ClusterMetrics
from sprawl.monitoring.groups import GroupLag
from sprawl.monitoring.partitions import PartitionMetrics
from sprawl.monitoring.tiers import TierMetrics
from sprawl.monitoring.traffic import Traffic
from sprawl.monitoring.upkeep import measure_upkeep
from sprawl.observability.alerts import Alerts, Readings
from sprawl.observability.conditions import built_in
from sprawl.observability.metrics import Gauge, Registry, Rows
from sprawl.observability.webhook import Webhook
from sprawl.overlay.members import Member, State
from sprawl.runtime import Runtime
from sprawl_protocol.api import ApiKey
from sprawl_protocol.messages import ListOffsetsRequest, ListOffsetsResponse

if TYPE_CHECKING:
    from sprawl.doors import Doors
    from sprawl.monitoring.otel import OtelExport
    from sprawl.parts import Parts

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0
_PATIENCE: Final = 5.0
_LANE: Final = "watch"


class Watch:
    def __init__(
        self,
        registry: Registry,
        runtime: Runtime,
        cpu_seconds: Callable[[], float | None],
        loop_lag: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`cpu_seconds`: that this process has used so far; `loop_lag`: the worst of late. As far as they are known."""
        self._registry = registry
        self._runtime = runtime
        self._cpu_seconds = cpu_seconds
        self._loop_lag = loop_lag
        self.alerts = Alerts(built_in())
        self.webhook: Webhook | None = None
        self.otel: OtelExport | None = None
        self.gossip: Callable[[], Iterable[tuple[Member, State]]] = tuple
        """Whom gossip knows."""
        self._parts: Parts | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._idle = 1.0
        self._cpu_before: tuple[float, float] | None = None

    def installed(self, parts: Parts, routes: dict[ApiKey, Handler], doors: Doors) -> None:
        """Before clients are served."""
        registry, clock = self._registry, self._runtime.clock
        self._parts = parts
        self.traffic = Traffic(registry, parts.image, lambda: parts.partitions, clock.monotonic)
        self.traffic.count(routes)
        self.partitions = PartitionMetrics(registry, parts.identity.node_id, lambda: parts.partitions, parts.image)
        self.cluster = ClusterMetrics(registry, parts.quorum, clock.wall_ms)
        self.lag = GroupLag(
            registry, parts.groups.coordinator, parts.partitions.find, parts.image, self._ask, clock.monotonic
        )
        self.tiers: TierMetrics | None = None
        if parts.tiering is not None:
            self.tiers = TierMetrics(registry, parts.tiering, lambda: parts.partitions)
        measure_upkeep(registry, parts.cleaner, parts.scrubber)
        self._of_the_node(parts, doors)

    def start(self) -> None:
        """Nothing, unless it is installed."""
        if self._parts is not None:
            self._tasks.append(asyncio.create_task(self._run(), name="watch"))
            if self.webhook is not None:
                self._tasks.append(asyncio.create_task(self.webhook.run(), name="alert webhook"))
            if self.otel is not None:
                self._tasks.append(asyncio.create_task(self.otel.run(), name="metrics by OpenTelemetry"))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def look(self) -> None:
        """Once."""
        assert self._parts is not None, "installed"
        self._look_at_cpu()
        self.traffic.look()
        self.traffic.forget_deleted(self._parts.image())
        await self.lag.look()
        changes = self.alerts.look(self._readings())
        for change in changes:
            level = logging.WARNING if change.firing else logging.INFO
            log.log(
                level, "alert %s: %s %s", "fires" if change.firing else "is over", change.alert.name, change.alert.text
            )
        if self.webhook is not None:
            self.webhook.tell(changes, self._runtime.clock.monotonic(), self._runtime.clock.wall_ms())

    def _readings(self) -> Readings:
        assert self._parts is not None, "installed"
        behind: dict[tuple[str, str], float] = {}
        for lag in self.lag.lags:
            behind[(lag.group, lag.topic)] = max(behind.get((lag.group, lag.topic), 0.0), lag.seconds)
        return Readings(
            now=self._runtime.clock.monotonic(),
            under_replicated=self.partitions.under_replicated(),
            under_min_isr=self.partitions.under_min_isr(),
            leaderless=self.cluster.leaderless(),
            offline_replicas=self.partitions.offline(),
            quorum_voters=len(self._parts.quorum.voters),
            quorum_margin=self.cluster.margin(),
            free_bytes=self.free_bytes(),
            loop_lag=self._loop_lag(),
            lag_seconds=behind,
            tier_lag=None if self.tiers is None else self.tiers.lag_bytes(),
        )

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("the watch could not look; it goes on")
            await asyncio.sleep(LOOK_SECONDS)

    async def _ask(self, node: int, request: ListOffsetsRequest) -> ListOffsetsResponse:
        assert self._parts is not None, "installed"
        return await self._parts.links.request(node, request, expect=ListOffsetsResponse, timeout=_PATIENCE, lane=_LANE)

    def _look_at_cpu(self) -> None:
        now, used = self._runtime.clock.monotonic(), self._cpu_seconds()
        if used is not None:
            if self._cpu_before is not None and now > self._cpu_before[0]:
                busy = (used - self._cpu_before[1]) / (now - self._cpu_before[0])
                self._idle = min(max(1.0 - busy, 0.0), 1.0)
            self._cpu_before = (now, used)

    def _of_the_node(self, parts: Parts, doors: Doors) -> None:
        registry = self._registry
        registry.table(
            Gauge.KIND,
            "kafka_server_socket_server_metrics_connection_count",
            "Open connections.",
            ("listener",),
            lambda: [((name,), count) for name, count in doors.connections().items()],
        )
        for name in (
            "kafka_network_socketserver_networkprocessoravgidle_percent",
            "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
        ):
            registry.gauge(name, "How idle the event loop is, 0 to 1; one loop does it all.", lambda: self._idle)
        registry.table(
            Gauge.KIND,
            "sprawl_alerts_firing",
            "Alerts of this node that fire now.",
            ("alertname", "severity"),
            self._alerts_firing,
        )
        registry.table(Gauge.KIND, "sprawl_gossip_members", "Nodes by what gossip says.", ("state",), self._members)
        registry.gauge("sprawl_events_waiting", "Events that are not in the event topic yet.", lambda: parts.events.due)
        registry.counter("sprawl_events_dropped_total", "Events that never will be.").follow(
            lambda: parts.events.dropped
        )
        registry.counter("sprawl_forwards_total", "Requests that other nodes passed on to this one.").follow(
            lambda: self.traffic.requests[ApiKey.ENVELOPE].total
        )
        registry.gauge(
            "sprawl_store_bytes",
            "Bytes of records on this node's disk.",
            lambda: sum(each.log.size_bytes for each in parts.partitions),
        )
        registry.gauge("sprawl_store_memory_bytes", "Bytes of records in memory.", lambda: parts.logs.budget.used)
        registry.table(
            Gauge.KIND, "sprawl_disk_free_bytes", "Left to this node, where its data is.", (), self._free_bytes
        )

    def _alerts_firing(self) -> Rows:
        counts = Counts((each.name, str(each.severity)) for each in self.alerts.firing)
        return list(counts.items())

    def _members(self) -> list[tuple[tuple[str, ...], float]]:
        counts = dict.fromkeys((state.name.lower() for state in State), 0)
        for _, state in self.gossip():
            counts[state.name.lower()] += 1
        return [((name,), count) for name, count in counts.items()]

    def _free_bytes(self) -> list[tuple[tuple[str, ...], float]]:
        free = self.free_bytes()
        return [] if free is None else [((), free)]

    def free_bytes(self) -> int | None:
        assert self._parts is not None, "installed"
        try:
            return self._runtime.files.free_bytes(self._parts.logs.directory)
        except OSError:
            return None
