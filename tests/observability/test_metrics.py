"""The metrics registry and Prometheus' text format."""

from __future__ import annotations

import pytest

from sprawl.observability.metrics import FOLDED, OTHER, Gauge, Histogram, Registry


def test_counters_and_gauges_are_rendered_with_help_and_type() -> None:
    registry = Registry()
    registry.counter("requests_total", "Requests.").add(3)
    registry.gauge("size_bytes", "Size.").value = 1.5
    registry.gauge("asked", "Asked for when read.", lambda: 7)
    assert registry.render() == (
        "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total 3\n"
        "# HELP size_bytes Size.\n# TYPE size_bytes gauge\nsize_bytes 1.5\n"
        "# HELP asked Asked for when read.\n# TYPE asked gauge\nasked 7\n"
    )


def test_a_histogram_counts_up_to_each_bound() -> None:
    registry = Registry()
    histogram = registry.histogram("seconds", "Time.", bounds=(0.1, 1))
    for value in (0.1, 0.5, 0.5, 2):
        histogram.observe(value)
    assert registry.render().splitlines()[2:] == [
        'seconds_bucket{le="0.1"} 1',
        'seconds_bucket{le="1"} 3',
        'seconds_bucket{le="+Inf"} 4',
        "seconds_sum 3.1",
        "seconds_count 4",
    ]


def test_labels_are_escaped_and_kept_apart() -> None:
    registry = Registry()
    family = registry.counters("bytes_total", "Bytes.", "topic", "how")
    family.of("a", "in").add()
    family.of('odd "name"\n', "in").add(2)
    assert registry.render().splitlines()[2:] == [
        'bytes_total{topic="a",how="in"} 1',
        'bytes_total{topic="odd \\"name\\"\\n",how="in"} 2',
    ]


def test_histograms_have_labels_beside_their_bounds() -> None:
    registry = Registry()
    registry.histograms("seconds", "Time.", "api", bounds=(1,)).of("Fetch").observe(0)
    assert 'seconds_bucket{api="Fetch",le="1"} 1' in registry.render()


def test_the_number_of_series_is_bounded() -> None:
    registry = Registry(max_series=2)
    family = registry.counters("x_total", "X.", "topic")
    for name in ("a", "b", "c", "d", "c"):
        family.of(name).add()
    assert registry.render().splitlines()[2:5] == [
        'x_total{topic="a"} 1',
        'x_total{topic="b"} 1',
        f'x_total{{topic="{OTHER}"}} 3',
    ]
    assert f'{FOLDED}{{metric="x_total"}} 2' in registry.render().splitlines(), "c and d had no room"
    family.forget("a")
    assert 'topic="a"' not in registry.render()


async def test_a_table_is_read_when_it_is_rendered_and_bounded_alike() -> None:
    registry, sizes = Registry(max_series=2), {"a": 1.0, "b": 2.0}
    registry.table(Gauge.KIND, "size", "Size.", ("topic",), lambda: [((name,), size) for name, size in sizes.items()])
    assert registry.render().splitlines()[2:] == ['size{topic="a"} 1', 'size{topic="b"} 2']
    sizes.update(c=3, d=4)
    assert registry.render().splitlines()[4] == f'size{{topic="{OTHER}"}} 7'
    assert f'{FOLDED}{{metric="size"}} 2' in registry.render().splitlines()
    assert await registry.render_in_turns() == registry.render()


def test_misuse_is_an_assertion() -> None:
    registry = Registry()
    counter = registry.counter("x", "X.")
    with pytest.raises(AssertionError):
        counter.add(-1)
    with pytest.raises(AssertionError):
        registry.gauge("x", "X again.")
    with pytest.raises(AssertionError):
        Histogram((2, 1))
