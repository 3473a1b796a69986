"""What counting requests costs: `python -m tools.bench.counting`.

The same Produce request through a handler that does nothing, with and without the counting put before it, and the
additions that a partition makes; the least of many rounds. The share is of what a one-record request costs the whole
broker, which docs/performance.md measures.
"""

from __future__ import annotations

import timeit
from typing import Any

from sprawl.handlers.context import Handler, RequestContext
from sprawl.monitoring.traffic import Traffic
from sprawl.observability.metrics import Registry
from sprawl.quorum.image import MetadataImage
from sprawl.security.access import ANONYMOUS
from sprawl.wire.dispatch import Later
from sprawl_protocol.api import ApiKey
from sprawl_protocol.messages import ProduceRequest

ROUNDS, CALLS = 60, 20_000
REQUEST_US = 80.0
"""CPU of the broker for a one-record request: docs/performance.md, 0.08 s for 1,000."""


class Counts:
    def __init__(self) -> None:
        self.appends = self.records_in = self.bytes_in = 0


def least(work: Any) -> float:
    """Microseconds."""
    return min(timeit.repeat(work, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def main() -> None:
    def produce(context: RequestContext, request: ProduceRequest) -> Later:
        return Later()

    traffic = Traffic(Registry(), lambda: MetadataImage("cluster"), list, lambda: 0.0)
    routes: dict[ApiKey, Handler] = {ApiKey.PRODUCE: produce}
    traffic.count(routes)
    counted, request, counts = routes[ApiKey.PRODUCE], ProduceRequest(), Counts()
    context = RequestContext(12, "bench", "127.0.0.1", ANONYMOUS, "PLAINTEXT", 1)

    def additions() -> None:
        counts.appends += 1
        counts.records_in += 3
        counts.bytes_in += 100

    plain = least(lambda: produce(context, request))
    request_us = least(lambda: counted(context, request)) - plain
    partition_us = least(additions) - least(lambda: None)
    print(f"counting a request    {request_us:6.2f} us")
    print(f"counting a partition  {partition_us:6.2f} us")
    print(f"of a one-record Produce request of {REQUEST_US:.0f} us: {(request_us + partition_us) / REQUEST_US:.2%}")


if __name__ == "__main__":
    main()
