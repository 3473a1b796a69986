"""What each idempotent producer last wrote to one log, so that a repeated batch is known and a gap is refused.

Pure, after KIP-98 and KIP-360. In: batch headers, in log order. Out: "a duplicate of that one", or a refusal. Of each
producer the last five batches are known: as many as a client may have in flight.

    incoming batch                                    decision
    epoch below the known one                         INVALID_PRODUCER_EPOCH
    one of the last five, same epoch, same sequences  duplicate: answered with its first place
    next sequence after the last                      append
    newer epoch, sequence 0                           append
    producer not known                                append (its state may have expired)
    anything else                                     OUT_OF_ORDER_SEQUENCE_NUMBER
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import BatchHeader

REMEMBERED_BATCHES: Final = 5
_ENTRY: Final = struct.Struct(">qhqB")
_BATCH: Final = struct.Struct(">iqiq")


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch that a producer wrote."""

    base_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int

    @property
    def base_offset(self) -> int:
        return self.last_offset - self.offset_delta

    @property
    def last_sequence(self) -> int:
        return (self.base_sequence + self.offset_delta) & 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Producer:
    """Replaced as a whole with each batch, so that a former state can be put back."""

    epoch: int
    batches: tuple[Batch, ...]
    """Oldest first, at most `REMEMBERED_BATCHES`."""
    last_timestamp: int


class ProducerStates:
    def __init__(self) -> None:
        self._producers: dict[int, Producer] = {}
        self._before: dict[int, Producer | None] = {}
        """States as of the last `commit`, of producers that changed since."""

    def __len__(self) -> int:
        return len(self._producers)

    def __getitem__(self, producer_id: int) -> Producer:
        return self._producers[producer_id]

    def __contains__(self, producer_id: int) -> bool:
        return producer_id in self._producers

    def items(self) -> list[tuple[int, Producer]]:
        return list(self._producers.items())

    def check(self, header: BatchHeader) -> Batch | None:
        """None if the batch may be appended, its first place if it was appended before. Raises `ApiError`."""
        known = self._producers.get(header.producer_id)
        if known is None:
            return None
        if header.producer_epoch < known.epoch:
            raise ApiError(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"producer {header.producer_id} is at epoch {known.epoch}, the batch has the older "
                f"{header.producer_epoch}",
            )
        if header.producer_epoch > known.epoch:
            if header.base_sequence != 0:
                raise _out_of_order(header, "a new epoch begins with sequence 0")
            return None
        for batch in known.batches:
            if batch.base_sequence == header.base_sequence and batch.offset_delta == header.last_offset_delta:
                return batch
        if known.batches:
            expected = (known.batches[-1].last_sequence + 1) & 0x7FFFFFFF
            if header.base_sequence != expected:
                raise _out_of_order(header, f"the next one is {expected}")
        return None

    def update(self, header: BatchHeader) -> None:
        """Note a batch that is now in the log, at the offset its header has."""
        producer_id = header.producer_id
        known = self._producers.get(producer_id)
        self._before.setdefault(producer_id, known)
        batch = Batch(header.base_sequence, header.last_offset, header.last_offset_delta, header.max_timestamp)
        if known is None or header.producer_epoch != known.epoch:
            batches: tuple[Batch, ...] = (batch,)
        else:
            batches = (*known.batches[1 - REMEMBERED_BATCHES :], batch)
        self._producers[producer_id] = Producer(header.producer_epoch, batches, header.max_timestamp)

    def commit(self) -> None:
        """What was noted is in the file: it will not be taken back."""
        self._before.clear()

    def roll_back(self) -> None:
        """Take back what was noted since the last `commit`: those batches never reached the file."""
        for producer_id, before in self._before.items():
            if before is None:
                del self._producers[producer_id]
            else:
                self._producers[producer_id] = before
        self._before.clear()

    def restore(self, state: ProducerStates) -> None:
        """Be as `state`, for good."""
        self._producers = dict(state._producers)
        self._before.clear()

    def after(self, written: Iterable[BatchHeader]) -> ProducerStates:
        """The state as of the last `commit`, and behind these batches of those that were noted since."""
        state = ProducerStates()
        state._producers = dict(self._producers)
        state._before = dict(self._before)
        state.roll_back()
        for header in written:
            state.note(header)
        return state

    def note(self, header: BatchHeader) -> None:
        """`update`, for whatever batch there is in a log."""
        if header.producer_id >= 0 and not header.is_control:
            self.update(header)

    def expire(self, now_ms: int, expiration_ms: int) -> None:
        """Forget producers that have been silent for longer than `producer.id.expiration.ms`."""
        for producer_id, producer in list(self._producers.items()):
            if now_ms - producer.last_timestamp > expiration_ms and producer_id not in self._before:
                del self._producers[producer_id]

    def clear(self) -> None:
        self._producers.clear()
        self._before.clear()

    def dump(self) -> bytes:
        out = bytearray()
        for producer_id, producer in self._producers.items():
            out += _ENTRY.pack(producer_id, producer.epoch, producer.last_timestamp, len(producer.batches))
            for batch in producer.batches:
                out += _BATCH.pack(batch.base_sequence, batch.last_offset, batch.offset_delta, batch.timestamp)
        return bytes(out)

    @classmethod
    def load(cls, data: bytes) -> ProducerStates:
        """Raises `ValueError` if the data is not what `dump` wrote."""
        states = cls()
        pos = 0
        try:
            while pos < len(data):
                producer_id, epoch, last_timestamp, count = _ENTRY.unpack_from(data, pos)
                pos += _ENTRY.size
                batches = []
                for _ in range(count):
                    batches.append(Batch(*_BATCH.unpack_from(data, pos)))
                    pos += _BATCH.size
                states._producers[producer_id] = Producer(epoch, tuple(batches), last_timestamp)
        except struct.error:
            raise ValueError("producer states end within an entry") from None
        return states


def _out_of_order(header: BatchHeader, expected: str) -> ApiError:
    return ApiError(
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        f"producer {header.producer_id} epoch {header.producer_epoch} sent sequence {header.base_sequence}: {expected}",
    )
