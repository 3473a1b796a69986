"""librdkafka by ctypes: whole arrays of records per call, so that the broker is what is measured and not Python.

The library is the one inside the confluent-kafka package. Only what the loads need is declared. Payloads are neither
copied nor freed
by librdkafka: all records of a load share one buffer, which lives as long as its producer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka

_BLOCK, _PARTITION = 4, 8
_PRODUCER, _CONSUMER = 0, 1
_CHUNK = 10_000


class RdkafkaError(Exception):
    """librdkafka refused; the message is its own."""


class _Message(ctypes.Structure):
    _fields_ = (
        ("err", ctypes.c_int),
        ("topic", ctypes.c_void_p),
        ("partition", ctypes.c_int32),
        ("payload", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("key", ctypes.c_void_p),
        ("key_length", ctypes.c_size_t),
        ("offset", ctypes.c_int64),
        ("private", ctypes.c_void_p),
    )


def _load() -> ctypes.CDLL:
    package = Path(confluent_kafka.__file__).parent
    found = [*package.parent.glob("confluent_kafka.libs/librdkafka*"), *package.glob(".dylibs/librdkafka*")]
    if not found:
        raise RdkafkaError(f"no librdkafka beside {package}; install confluent-kafka from a wheel")
    library = ctypes.CDLL(str(found[0]))
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    signatures: dict[str, tuple[object, list[object]]] = {
        "conf_new": (pointer, []),
        "conf_set": (number, [pointer, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, size]),
        "new": (pointer, [number, pointer, ctypes.c_char_p, size]),
        "topic_new": (pointer, [pointer, ctypes.c_char_p, pointer]),
        "produce_batch": (number, [pointer, ctypes.c_int32, number, ctypes.POINTER(_Message), number]),
        "flush": (number, [pointer, number]),
        "outq_len": (number, [pointer]),
        "queue_new": (pointer, [pointer]),
        "consume_start_queue": (number, [pointer, ctypes.c_int32, ctypes.c_int64, pointer]),
        "consume_batch_queue": (ctypes.c_ssize_t, [pointer, number, ctypes.POINTER(ctypes.POINTER(_Message)), size]),
        "consume_stop": (number, [pointer, ctypes.c_int32]),
        "message_destroy": (None, [ctypes.POINTER(_Message)]),
        "queue_destroy": (None, [pointer]),
        "topic_destroy": (None, [pointer]),
        "destroy": (None, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return library


class _Client:
    """A librdkafka handle and its only topic. A context manager."""

    def __init__(self, kind: int, topic: str, settings: Mapping[str, object]) -> None:
        self._library = _load()
        conf = self._library.rd_kafka_conf_new()
        error = ctypes.create_string_buffer(512)
        for name, value in settings.items():
            if self._library.rd_kafka_conf_set(conf, name.encode(), str(value).encode(), error, 512) != 0:
                raise RdkafkaError(error.value.decode())
        self._handle = self._library.rd_kafka_new(kind, conf, error, 512)
        if not self._handle:
            raise RdkafkaError(error.value.decode())
        self._topic = self._library.rd_kafka_topic_new(self._handle, topic.encode(), None)

    def close(self) -> None:
        self._library.rd_kafka_topic_destroy(self._topic)
        self._library.rd_kafka_destroy(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BatchProducer(_Client):
    """Writes records of one size round robin over the partitions, in arrays of ten thousand."""

    def __init__(self, topic: str, partitions: int, size: int, settings: Mapping[str, object]) -> None:
        super().__init__(_PRODUCER, topic, settings)
        pattern = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/"
        self._payload = ctypes.create_string_buffer((pattern * (size // len(pattern) + 1))[:size], size)
        self._chunk = (_Message * _CHUNK)()
        for number, message in enumerate(self._chunk):
            message.partition = number * partitions // _CHUNK
            message.payload = ctypes.cast(self._payload, ctypes.c_void_p)
            message.length = size

    def produce(self, count: int) -> None:
        """Queues `count` records; blocks while librdkafka's own queue is full."""
        while count > 0:
            wanted = min(count, _CHUNK)
            taken = self._library.rd_kafka_produce_batch(
                self._topic, -1, _BLOCK | _PARTITION, ctypes.cast(self._chunk, ctypes.POINTER(_Message)), wanted
            )
            if taken <= 0:
                raise RdkafkaError(f"none of {wanted} records was taken; the first error is {self._chunk[0].err}")
            count -= taken

    def flush(self, seconds: float = 120.0) -> None:
        if self._library.rd_kafka_flush(self._handle, int(seconds * 1000)) != 0:
            raise RdkafkaError(f"{self._library.rd_kafka_outq_len(self._handle)} records are not acknowledged")


class BatchConsumer(_Client):
    """Reads every partition from its start, in arrays of up to ten thousand."""

    def __init__(self, topic: str, partitions: int, settings: Mapping[str, object]) -> None:
        super().__init__(_CONSUMER, topic, settings)
        self._partitions = partitions
        self._queue = self._library.rd_kafka_queue_new(self._handle)
        self._chunk = (ctypes.POINTER(_Message) * _CHUNK)()
        for partition in range(partitions):
            self._library.rd_kafka_consume_start_queue(self._topic, partition, 0, self._queue)

    def take(self, wait_ms: int = 1000) -> int:
        """How many records came; they are dropped."""
        count = int(self._library.rd_kafka_consume_batch_queue(self._queue, wait_ms, self._chunk, _CHUNK))
        destroy = self._library.rd_kafka_message_destroy
        records = 0
        for message in self._chunk[: max(count, 0)]:
            records += message.contents.err == 0
            destroy(message)
        return records

    def close(self) -> None:
        for partition in range(self._partitions):
            self._library.rd_kafka_consume_stop(self._topic, partition)
        self._library.rd_kafka_queue_destroy(self._queue)
        super().close()
