"""Counters, gauges and histograms, and the text in which Prometheus reads them.

In: numbers, from anywhere in the node. Out: `Registry.render()`. The hot path may add to a counter's `value` directly.
Label values come from outside (topic names, client hosts), so their number is bounded: what comes after
`max_series` is counted together under `other`, and how much that was is a metric of its own.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Generic, Protocol, TypeVar

LATENCY_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
OTHER: Final = "other"
FOLDED: Final = "sprawl_metrics_folded_series"
_SLICE: Final = 1000
"""Lines that are written before others have their turn: half a millisecond."""

Rows = Iterable[tuple[tuple[str, ...], float]]
"""Label values, in the order of the labels, and the number."""


class Counter:
    """Only ever grows."""

    __slots__ = ("_read", "value")
    KIND: Final = "counter"

    def __init__(self) -> None:
        self.value: float = 0
        self._read: Callable[[], float] | None = None

    def follow(self, read: Callable[[], float]) -> None:
        """From now on the value is whatever `read` gives."""
        self._read = read

    def add(self, amount: float = 1) -> None:
        assert amount >= 0, "a counter only grows"
        self.value += amount

    def samples(self) -> Iterator[tuple[str, str, float]]:
        yield "", "", self.value if self._read is None else self._read()


class Gauge:
    """A value that goes up and down, or is asked for when it is read."""

    __slots__ = ("_read", "value")
    KIND: Final = "gauge"

    def __init__(self) -> None:
        self.value: float = 0
        self._read: Callable[[], float] | None = None

    def follow(self, read: Callable[[], float]) -> None:
        """From now on the value is whatever `read` gives."""
        self._read = read

    def samples(self) -> Iterator[tuple[str, str, float]]:
        yield "", "", self.value if self._read is None else self._read()


class Histogram:
    """How many observations fell under each bound."""

    __slots__ = ("_bounds", "_counts", "count", "total")
    KIND: Final = "histogram"

    def __init__(self, bounds: Sequence[float] = LATENCY_BUCKETS) -> None:
        assert list(bounds) == sorted(set(bounds)), "bounds ascend"
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.count = 0
        self.total: float = 0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.count += 1
        self.total += value

    def samples(self) -> Iterator[tuple[str, str, float]]:
        below = 0
        for bound, count in zip(self._bounds, self._counts, strict=False):
            below += count
            yield "_bucket", f'le="{_number(bound)}"', below
        yield "_bucket", 'le="+Inf"', self.count
        yield "_sum", "", self.total
        yield "_count", "", self.count


class _Metric(Protocol):
    def samples(self) -> Iterator[tuple[str, str, float]]: ...


M = TypeVar("M", bound=_Metric)


class Family(Generic[M]):
    """One name with labels: a metric for each combination of label values, up to a limit."""

    def __init__(self, make: Callable[[], M], labels: tuple[str, ...], max_series: int) -> None:
        self._make = make
        self._labels = labels
        self._max_series = max_series
        self._series: dict[tuple[str, ...], M] = {}
        self._folded: set[int] = set()
        """Hashes of the label values that had no room, as many as there is room for again."""

    @property
    def folded(self) -> int:
        return len(self._folded)

    def of(self, *values: str) -> M:
        """The metric for these label values. Keep it if it is used often."""
        assert len(values) == len(self._labels), f"labels are {self._labels}"
        found = self._series.get(values)
        if found is None:
            if len(self._series) >= self._max_series:
                if len(self._folded) < self._max_series:
                    self._folded.add(hash(values))
                values = (OTHER,) * len(self._labels)
            found = self._series.setdefault(values, self._make())
        return found

    def forget(self, *values: str) -> None:
        """Drop a series whose subject is gone, such as a deleted topic."""
        self._series.pop(values, None)

    def samples(self) -> Iterator[tuple[str, str, float]]:
        for values, metric in list(self._series.items()):
            pairs = _pairs(self._labels, values)
            for suffix, extra, number in metric.samples():
                yield suffix, f"{pairs},{extra}" if extra and pairs else pairs or extra, number


class Table:
    """One name with labels whose rows are asked for when they are read: what is known elsewhere is not kept twice."""

    def __init__(self, labels: tuple[str, ...], read: Callable[[], Rows], max_series: int) -> None:
        self._labels = labels
        self._read = read
        self._max_series = max_series
        self.folded = 0
        """At the last reading."""

    def samples(self) -> Iterator[tuple[str, str, float]]:
        rest: float = 0
        folded = 0
        for at, (values, number) in enumerate(self._read()):
            if at < self._max_series:
                yield "", _pairs(self._labels, values), number
            else:
                rest += number
                folded += 1
        self.folded = folded
        if folded:
            yield "", _pairs(self._labels, (OTHER,) * len(self._labels)), rest


class Registry:
    """All metrics of one node, by name."""

    def __init__(self, *, max_series: int = 1000) -> None:
        self._max_series = max_series
        self._metrics: dict[str, tuple[str, str, _Metric]] = {}

    def counter(self, name: str, text: str) -> Counter:
        return self._add(name, Counter.KIND, text, Counter())

    def gauge(self, name: str, text: str, read: Callable[[], float] | None = None) -> Gauge:
        gauge = self._add(name, Gauge.KIND, text, Gauge())
        if read is not None:
            gauge.follow(read)
        return gauge

    def histogram(self, name: str, text: str, bounds: Sequence[float] = LATENCY_BUCKETS) -> Histogram:
        return self._add(name, Histogram.KIND, text, Histogram(bounds))

    def counters(self, name: str, text: str, *labels: str) -> Family[Counter]:
        return self._add(name, Counter.KIND, text, Family(Counter, labels, self._max_series))

    def gauges(self, name: str, text: str, *labels: str) -> Family[Gauge]:
        return self._add(name, Gauge.KIND, text, Family(Gauge, labels, self._max_series))

    def histograms(
        self, name: str, text: str, *labels: str, bounds: Sequence[float] = LATENCY_BUCKETS
    ) -> Family[Histogram]:
        return self._add(name, Histogram.KIND, text, Family(lambda: Histogram(bounds), labels, self._max_series))

    def table(self, kind: str, name: str, text: str, labels: tuple[str, ...], read: Callable[[], Rows]) -> None:
        """`kind`: of all rows, `Counter.KIND` or `Gauge.KIND`. `read` must not give what changes while it is walked."""
        self._add(name, kind, text, Table(labels, read, self._max_series))

    @property
    def names(self) -> frozenset[str]:
        return frozenset((*self._metrics, FOLDED))

    def samples(self) -> Iterator[tuple[str, str, str, float]]:
        """All there is, as kind, name, labels as Prometheus writes them, and number."""
        for name, (kind, _, metric) in self._all():
            for suffix, labels, value in metric.samples():
                yield kind, name + suffix, labels, value

    def render(self) -> str:
        """Prometheus' text format, version 0.0.4."""
        return "\n".join(self._lines()) + "\n"

    async def render_in_turns(self) -> str:
        """The same, for a node that has other things to do meanwhile."""
        lines: list[str] = []
        for line in self._lines():
            lines.append(line)
            if len(lines) % _SLICE == 0:
                await asyncio.sleep(0)
        return "\n".join(lines) + "\n"

    def _lines(self) -> Iterator[str]:
        for name, (kind, text, metric) in self._all():
            yield f"# HELP {name} {text}"
            yield f"# TYPE {name} {kind}"
            for suffix, labels, value in metric.samples():
                yield f"{name}{suffix}{{{labels}}} {_number(value)}" if labels else f"{name}{suffix} {_number(value)}"

    def _all(self) -> Iterator[tuple[str, tuple[str, str, _Metric]]]:
        """What was folded is known once the others have been read."""
        yield from list(self._metrics.items())
        folded = [
            ((name,), float(metric.folded))
            for name, (_, _, metric) in self._metrics.items()
            if isinstance(metric, Family | Table) and metric.folded
        ]
        if folded:
            text = "Series of a metric that had no room and are counted together, under `other`."
            yield FOLDED, (Gauge.KIND, text, Table(("metric",), lambda: folded, len(folded)))

    def _add(self, name: str, kind: str, text: str, metric: M) -> M:
        assert name not in self._metrics, f"{name} is registered twice"
        self._metrics[name] = (kind, text, metric)
        return metric


def _pairs(labels: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(labels, values, strict=True))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
