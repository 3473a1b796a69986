"""Batches that come with the offsets they are to have: what `sprawl-admin topic import` sends, checked before the log.

In: the records field of a Produce request whose transactional id is `IMPORT`, and the partition it is for. Out: a
writable buffer and the headers of its batches, which follow on exactly where the log ends. Raises `ApiError`. Checksums
must be right; what a batch says of its leader epoch is written anew, outside of what the checksum covers.

Producer ids and transactions are refused: those of another cluster are not this one's, and a producer that is given the
same number here would be taken for the other. Whoever imports leaves out what was aborted, and makes the rest plain
records.
"""

from __future__ import annotations

from typing import Final

from sprawl.partitions.partition import Partition
from sprawl_protocol.batches import CONTROL, TRANSACTIONAL
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.primitives import Buffer
from sprawl_protocol.records import BatchHeader, check_crc, headers

IMPORT: Final = "sprawl.import"
"""The transactional id that says so: no producer's, for batches of transactions are refused."""


def check_import(records: Buffer | None, partition: Partition) -> tuple[memoryview, list[tuple[int, BatchHeader]]]:
    try:
        batches = headers(records or b"")
    except ProtocolError as problem:
        raise ApiError(ErrorCode.INVALID_RECORD, f"{partition}: {problem}") from None
    if records is None or not batches:
        raise ApiError(ErrorCode.INVALID_RECORD, f"{partition}: the request holds no records for this partition")
    due = partition.log.log_end_offset
    if batches[0][1].base_offset != due:
        raise ApiError(
            ErrorCode.OFFSET_OUT_OF_RANGE,
            f"{partition} ends at offset {due}; what is imported at {batches[0][1].base_offset} does not follow",
        )
    for position, header in batches:
        place = f"{partition}: the batch at offset {header.base_offset}"
        if header.base_offset != due:
            raise ApiError(ErrorCode.INVALID_RECORD, f"{place} does not follow the one before, which ends at {due}")
        if header.producer_id >= 0 or header.attributes & (CONTROL | TRANSACTIONAL):
            raise ApiError(ErrorCode.INVALID_RECORD, f"{place} has a producer id or belongs to a transaction")
        if not 0 <= header.record_count <= header.last_offset_delta + 1:
            raise ApiError(ErrorCode.INVALID_RECORD, f"{place} says that it has {header.record_count} records")
        if not check_crc(records, position, header):
            raise ApiError(ErrorCode.CORRUPT_MESSAGE, f"{place} has a wrong checksum")
        due = header.next_offset
    view = memoryview(records)
    return (memoryview(bytearray(view)) if view.readonly else view), batches
