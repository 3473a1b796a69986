"""Metrics by OpenTelemetry's protocol (OTLP over HTTP), set by its own `OTEL_*` variables.

In: the registry, read on the event loop, and the environment, which OpenTelemetry's SDK reads by itself. Out: exports,
made off the loop. The SDK is loaded only where a variable asks for it: `pip install 'sprawl-broker[otel]'`. The same
metrics as Prometheus gets, under the same names; histograms as their buckets, sums and counts.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sprawl import __version__
from sprawl.observability.metrics import Counter, Histogram, Registry
from sprawl.runtime import Runtime

log = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
_INTERVAL_MS: Final = 60_000
_LEAST_MS: Final = 1000
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}

Sample = tuple[str, str, str, float]
"""Kind, name, labels as Prometheus writes them, number."""


def wanted(environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_METRICS_EXPORTER") == "none":
        return False
    return any(environment.get(name) for name in _ENDPOINTS)


def interval(environment: Mapping[str, str]) -> float:
    """Seconds."""
    given = environment.get("OTEL_METRIC_EXPORT_INTERVAL", "")
    return max(int(given) if given.isdigit() else _INTERVAL_MS, _LEAST_MS) / 1000


class OtelExport:
    def __init__(self, registry: Registry, runtime: Runtime, node_id: int, environment: Mapping[str, str]) -> None:
        """Raises `ImportError` where the SDK is not installed."""
        self._registry = registry
        self._runtime = runtime
        self._seconds = interval(environment)
        self._data = importlib.import_module("opentelemetry.sdk.metrics.export")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        scope = importlib.import_module("opentelemetry.sdk.util.instrumentation")
        exporters = importlib.import_module("opentelemetry.exporter.otlp.proto.http.metric_exporter")
        given = {"service.name": "sprawl", "service.version": __version__, "service.instance.id": str(node_id)}
        named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        if named:
            del given["service.name"]
        self._resource = resources.Resource.create(given)
        self._scope = scope.InstrumentationScope("sprawl", __version__)
        self._exporter = exporters.OTLPMetricExporter()
        self._began = runtime.clock.wall_ms() * 1_000_000

    async def run(self) -> None:
        """For as long as the node lives."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.export()
            except Exception as problem:  # noqa: BLE001 - whatever an exporter raises, the node goes on
                log.warning("metrics could not be exported: %s", problem)

    async def export(self) -> None:
        samples, now = list(self._registry.samples()), self._runtime.clock.wall_ms() * 1_000_000
        await self._runtime.in_thread(lambda: self._exporter.export(self.data(samples, now)))

    def data(self, samples: Iterable[Sample], now: int) -> Any:
        """What the exporter takes. `now`: nanoseconds since the epoch."""
        kit = self._data
        points: dict[tuple[str, bool], list[Any]] = {}
        for kind, name, labels, number in samples:
            grows = kind in (Counter.KIND, Histogram.KIND)
            point = kit.NumberDataPoint(
                attributes=attributes(labels),
                start_time_unix_nano=self._began if grows else 0,
                time_unix_nano=now,
                value=number,
            )
            points.setdefault((name, grows), []).append(point)
        cumulative = kit.AggregationTemporality.CUMULATIVE
        metrics = [
            kit.Metric(
                name=name,
                description="",
                unit="",
                data=kit.Sum(data_points=some, aggregation_temporality=cumulative, is_monotonic=True)
                if grows
                else kit.Gauge(data_points=some),
            )
            for (name, grows), some in points.items()
        ]
        scoped = kit.ScopeMetrics(scope=self._scope, metrics=metrics, schema_url="")
        return kit.MetricsData([kit.ResourceMetrics(resource=self._resource, scope_metrics=[scoped], schema_url="")])


def attributes(labels: str) -> dict[str, str]:
    return {
        name: re.sub(r'\\[n"\\]', lambda found: _ESCAPED[found[0]], value) for name, value in _LABEL.findall(labels)
    }
