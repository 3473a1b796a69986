"""The HTTP side of a node: the watch over it, and the API behind its status pages.

In: the node's parts, once they are built. Out: a service for the status server; metrics and alerts. Where no status
page, no webhook and no OpenTelemetry is wanted there is none of it. Nothing is decided here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from sprawl import __version__
from sprawl.api.alerting import Alerting
from sprawl.api.asking import Asking
from sprawl.api.clusters import Clusters
from sprawl.api.configs import Configs
from sprawl.api.groups import Groups
from sprawl.api.operations import Operation
from sprawl.api.records import Records
from sprawl.api.service import ApiService
from sprawl.api.topics import Topics
from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.doors import Doors
from sprawl.handlers.context import Handler
from sprawl.monitoring.otel import OtelExport, wanted
from sprawl.monitoring.watch import Watch
from sprawl.node import Node
from sprawl.observability.webhook import Webhook
from sprawl.parts import Parts
from sprawl.runtime import Runtime
from sprawl.security.access import AllowAll
from sprawl_protocol.api import ApiKey

log = logging.getLogger(__name__)

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class HttpSide:
    def __init__(
        self,
        node: Node,
        config: BrokerConfig,
        runtime: Runtime,
        cpu_seconds: Callable[[], float | None],
        loop_lag: Callable[[], float | None],
        environment: Mapping[str, str],
    ) -> None:
        """`environment`: OpenTelemetry is set by its own variables."""
        self._config = config
        self._runtime = runtime
        self._node = node
        self._environment = environment if wanted(environment) else {}
        self._operations: list[Operation] = []
        self._watch = Watch(node.metrics, runtime, cpu_seconds, loop_lag)
        self._watch.gossip = lambda: () if node.membership is None else node.membership.members()
        self.service: ApiService | None = None
        if config.http is not None:
            self.service = ApiService(__version__, local=config.http.host in _LOOPBACK)
        if self.service is not None or config.sprawl_alerts_webhook_url or self._environment:
            node.when_built = self._built

    def start(self) -> None:
        """Once clients are served. Raises `ConfigError`."""
        if self._config.sprawl_alerts_webhook_url:
            self._watch.webhook = _webhook(self._config, self._runtime)
        if self._environment:
            self._watch.otel = _otel(self._node, self._config, self._runtime, self._environment)
        if self.service is not None:
            self.service.offer(self._operations)
        self._watch.start()

    async def stop(self) -> None:
        await self._watch.stop()

    def _built(self, parts: Parts, routes: dict[ApiKey, Handler], doors: Doors) -> None:
        self._watch.installed(parts, routes, doors)
        self._operations = operations_of(parts, routes, doors, self._runtime, self._watch)


def operations_of(
    parts: Parts, routes: dict[ApiKey, Handler], doors: Doors, runtime: Runtime, watch: Watch
) -> list[Operation]:
    asking = Asking(parts, routes, runtime.clock, doors.name)
    topics = Topics(asking)

    def seconds(group: str) -> dict[tuple[str, int], float]:
        return {(each.topic, each.partition): each.seconds for each in watch.lag.lags if each.group == group}

    return [
        *Clusters(asking).operations(),
        *topics.operations(),
        *Configs(asking).operations(),
        *Records(asking, topics, runtime.clock, runtime.rng).operations(),
        *Groups(asking, topics, seconds).operations(),
        *Alerting(lambda: watch.alerts.firing, runtime.clock.monotonic, AllowAll()).operations(),
    ]


def _otel(node: Node, config: BrokerConfig, runtime: Runtime, environment: Mapping[str, str]) -> OtelExport | None:
    try:
        return OtelExport(node.metrics, runtime, config.id, environment)
    except ImportError as problem:
        log.warning("OTEL_* variables ask for OpenTelemetry: pip install 'sprawl-broker[otel]' (%s)", problem)
        return None


def _webhook(config: BrokerConfig, runtime: Runtime) -> Webhook:
    url = config.sprawl_alerts_webhook_url
    try:
        return Webhook(url, f"{config.sprawl_host}/{config.id}" if config.sprawl_host else str(config.id), runtime)
    except ValueError as problem:
        raise ConfigError("sprawl.alerts.webhook.url", url, str(problem)) from None
