"""CRC-32C of record batches: the `crc32c` package against `google-crc32c`. Run: `python -m tools.bench.crc`.

The bytes to be checked lie within a larger, writable buffer (a received frame), behind the batch's first 21 bytes.
`crc32c` takes that slice as it is; `google-crc32c` takes `bytes` only, so that the slice must be copied first.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

from crc32c import crc32c

SIZES = [100, 1_000, 16_000, 100_000, 1_000_000]


def nanoseconds(work: Callable[[], object]) -> float:
    """The fastest of seven rounds of about 20 ms: what disturbs a round only makes it slower."""
    count = 1
    while True:
        begun = time.perf_counter_ns()
        for _ in range(count):
            work()
        if (taken := time.perf_counter_ns() - begun) > 2_000_000:
            break
        count *= 4
    rounds = max(1, count * 20_000_000 // taken)
    best = float("inf")
    for _ in range(7):
        begun = time.perf_counter_ns()
        for _ in range(rounds):
            work()
        best = min(best, (time.perf_counter_ns() - begun) / rounds)
    return best


def main() -> None:
    google: Any = None
    try:
        google = importlib.import_module("google_crc32c")
    except ImportError:
        print("google-crc32c is not installed (pip install google-crc32c): only crc32c is measured")
    else:
        print(f"google-crc32c runs its {google.implementation!r} implementation")
    print(f"{'bytes':>9} | {'crc32c':>19} | {'google, with copy':>19} | {'google, bytes given':>19}")
    for size in SIZES:
        frame = bytearray((i * 2654435761 >> 7) & 0xFF for i in range(size + 100))
        view = memoryview(frame)
        given = bytes(view[50 : 50 + size])
        ways: list[Callable[[], int]] = [lambda v=view, n=size: crc32c(v[50 : 50 + n])]  # type: ignore[misc]
        if google is not None:
            ways += [
                lambda v=view, n=size: google.value(bytes(v[50 : 50 + n])),  # type: ignore[misc]
                lambda b=given: google.value(b),  # type: ignore[misc]
            ]
            assert len({way() for way in ways}) == 1
        cells = [f"{ns:>7.0f} ns {size / ns:>4.1f} GB/s" for ns in map(nanoseconds, ways)]
        print(f"{size:>9} | {' | '.join(f'{cell:>19}' for cell in cells)}")


if __name__ == "__main__":
    main()
