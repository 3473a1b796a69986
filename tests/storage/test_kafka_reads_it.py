"""Kafka's own tool reads our segments: every codec, an idempotent producer, several segments, after a restart."""

from __future__ import annotations

import re

from sprawl_protocol.compression import Codec
from sprawl_protocol.records import Record, build_batch, headers
from tests.kafka_tools import dump_log_segments, needs_kafka
from tests.storage.conftest import Disk, written

pytestmark = needs_kafka


async def fill(disk: Disk) -> None:
    async with disk.log(internal_segment_bytes="3000") as log:
        for sequence, codec in enumerate([*Codec] * 4):
            records = [Record(0, 1_000 + n, b"key-%d" % n, b"value" * 20, [("header", b"x")]) for n in range(3)]
            view = memoryview(
                build_batch(records, compression=codec, producer_id=9, producer_epoch=1, base_sequence=3 * sequence)
            )
            log.append(view, headers(view), 2, now_ms=5_000)
            await written(log)


async def test_kafka_reads_every_record_of_every_segment(disk: Disk) -> None:
    await fill(disk)
    assert len(disk.segments) > 1
    text = "".join(dump_log_segments(path, "--print-data-log") for path in disk.segments)
    found = re.findall(r"^\| offset: (\d+) .*key: (\S+)", text, re.MULTILINE)
    assert found == [(str(n), f"key-{n % 3}") for n in range(60)]
    assert set(re.findall(r"compresscodec: (\w+)", text)) == {"none", "gzip", "snappy", "lz4", "zstd"}
    assert set(re.findall(r"producerId: (-?\d+)", text)) == {"9"}
    assert set(re.findall(r"partitionLeaderEpoch: (\d+)", text)) == {"2"}


async def test_kafka_finds_the_checksum_right_after_we_set_the_time(disk: Disk) -> None:
    async with disk.log(message_timestamp_type="LogAppendTime") as log:
        view = memoryview(build_batch([Record(0, 1_000, b"key", b"value")]))
        log.append(view, headers(view), 0, now_ms=777_777)
        await written(log)
    text = dump_log_segments(disk.segments[0], "--print-data-log")
    assert "LogAppendTime" in text
    assert "777777" in text
