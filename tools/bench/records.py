"""What a broker does with record batches, each step by itself. Run: `python -m tools.bench.records`."""

from __future__ import annotations

from collections.abc import Callable

from sprawl_protocol.framing import FrameReader
from sprawl_protocol.produced import validate_produce, validate_records_inside
from sprawl_protocol.records import Record, build_batch, check_crc, read_header, records_of, stamp
from tools.bench.crc import nanoseconds

MANY = 1000


def main() -> None:
    records = [Record(0, 1_700_000_000_000 + index // 3, b"key%d" % index, bytes(100)) for index in range(MANY)]
    one = build_batch(records[:1])
    many = build_batch(records)
    one_header, many_header = read_header(one), read_header(many)
    print("per batch, of one record of 100 bytes")
    show("read_header", lambda: read_header(one))
    show("check_crc", lambda: check_crc(one, 0, one_header))
    show("stamp", lambda: stamp(one, 0, 5, 1))
    show("validate_produce", lambda: validate_produce(one))
    show("validate_records_inside", lambda: validate_records_inside(one, 0, one_header))
    show("build_batch", lambda: build_batch(records[:1]))
    print(f"per record, in batches of {MANY}")
    show("validate_produce", lambda: validate_produce(many), MANY)
    show("validate_records_inside", lambda: validate_records_inside(many, 0, many_header), MANY)
    show("records_of", lambda: list(records_of(many)), MANY)
    show("build_batch", lambda: build_batch(records), MANY)
    print("per frame, the copy out of what stands for the socket included")
    for size in (200, 16_000, 1_000_000):
        show(f"FrameReader, {size} bytes", receiving(size), max(1, 1_000_000 // size))


def receiving(size: int) -> Callable[[], None]:
    """About a megabyte of frames, in reads as large as the reader lets them be."""
    count = max(1, 1_000_000 // size)
    stream = memoryview((size.to_bytes(4, "big") + bytes(size)) * count)
    reader = FrameReader()

    def receive() -> None:
        at = found = 0
        while at < len(stream):
            buffer = reader.get_buffer()
            taken = min(len(buffer), len(stream) - at)
            buffer[:taken] = stream[at : at + taken]
            found += len(reader.advance(taken))
            at += taken
        assert found == count

    return receive


def show(name: str, work: Callable[[], object], per: int = 1) -> None:
    print(f"  {name:<28} {nanoseconds(work) / per:>9,.0f} ns")


if __name__ == "__main__":
    main()
