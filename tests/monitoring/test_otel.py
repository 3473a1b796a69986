"""Metrics by OpenTelemetry's protocol, to a receiver that counts what it gets."""

from __future__ import annotations

import asyncio

import pytest

from sprawl.monitoring.otel import OtelExport, attributes, interval, wanted
from sprawl.observability.http import HttpRequest, StatusServer
from sprawl.observability.metrics import Registry
from sprawl.observability.status import Page
from sprawl.runtime.real import RealRuntime


class Receiver:
    def __init__(self) -> None:
        self.got: list[HttpRequest] = []

    def serves(self, path: str) -> bool:
        return True

    async def answer(self, request: HttpRequest) -> Page:
        self.got.append(request)
        return Page(200, "application/x-protobuf", b"")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318/v1/metrics"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_METRICS_EXPORTER": "none"}, False),
    ],
)
def test_the_variables_say_whether_anything_is_exported(environment: dict[str, str], expected: bool) -> None:
    assert wanted(environment) is expected


def test_the_interval_is_in_milliseconds_and_has_a_floor() -> None:
    assert interval({}) == 60
    assert interval({"OTEL_METRIC_EXPORT_INTERVAL": "5000"}) == 5
    assert interval({"OTEL_METRIC_EXPORT_INTERVAL": "1"}) == 1
    assert interval({"OTEL_METRIC_EXPORT_INTERVAL": "often"}) == 60


def test_labels_come_back_as_they_were() -> None:
    registry = Registry()
    registry.counters("x_total", "X.", "topic", "how").of('odd "name"\\\n,a="b"', "in").add()
    [(_, _, labels, _)] = registry.samples()
    assert attributes(labels) == {"topic": 'odd "name"\\\n,a="b"', "how": "in"}


async def test_all_metrics_are_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http.metric_exporter")
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # type: ignore[import-not-found,unused-ignore]
        ExportMetricsServiceRequest,
    )

    registry, runtime, receiver = Registry(), RealRuntime(), Receiver()
    registry.counters("x_total", "X.", "topic").of("orders").add(3)
    registry.gauge("y", "Y.", lambda: 1.5)
    server = StatusServer(runtime.network, {}, receiver)
    port = await server.start("127.0.0.1", 0)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        export = OtelExport(registry, runtime, 7, environment)
        async with asyncio.timeout(60):
            await export.export()
    finally:
        await server.stop()
    assert receiver.got[0].path == "/v1/metrics"
    told = ExportMetricsServiceRequest.FromString(receiver.got[0].body).resource_metrics[0]
    about = {each.key: each.value.string_value for each in told.resource.attributes}
    assert (about["service.name"], about["service.instance.id"]) == ("sprawl", "7")
    metrics = {each.name: each for each in told.scope_metrics[0].metrics}
    assert metrics["x_total"].sum.is_monotonic
    assert metrics["x_total"].sum.data_points[0].as_double == 3 or metrics["x_total"].sum.data_points[0].as_int == 3
    assert metrics["y"].gauge.data_points[0].as_double == 1.5
