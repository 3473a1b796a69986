"""The corners of the protocol that clients depend on without saying so."""

from __future__ import annotations

import struct
from time import monotonic
from typing import Any

import pytest

from compat_tests import brokers
from compat_tests.raw.batches import batch
from compat_tests.raw.conftest import Connect, Connection, fetch_request, id_of, produce_request
from compat_tests.raw.wire import encode, message
from compat_tests.waiting import until

pytestmark = pytest.mark.feature("errors")


def header(api_key: int, version: int, correlation_id: int = 7, body: bytes = b"") -> bytes:
    """A frame with a v1 request header, whatever the key and version."""
    frame = struct.pack(">hhih", api_key, version, correlation_id, 3) + b"raw" + body
    return struct.pack(">i", len(frame)) + frame


def test_an_unknown_version_of_api_versions_gets_a_v0_answer_with_the_range(connection: Connection) -> None:
    connection.send_bytes(header(18, 99, body=b"\0\1\2\3"))
    frame = connection.receive_frame()
    correlation_id, error, count = struct.unpack_from(">ihi", frame)
    assert (correlation_id, error) == (7, 35)
    ranges = {key: (least, most) for key, least, most in struct.iter_unpack(">hhh", frame[10 : 10 + 6 * count])}
    assert ranges[18][0] == 0
    assert ranges[18][1] >= 4
    assert connection.ask(message("ApiVersionsRequest")(), 0).error_code == 0, "the connection goes on"


def test_api_versions_answers_carry_no_tagged_fields_in_their_header(connection: Connection) -> None:
    request = message("ApiVersionsRequest")(client_software_name="raw", client_software_version="1")
    connection.send_bytes(encode(request, 3, 5))
    correlation_id, error = struct.unpack_from(">ih", connection.receive_frame())
    assert (correlation_id, error) == (5, 0)


@pytest.mark.parametrize("name", ["", "bad name!", "-x"])
def test_a_client_software_name_that_is_none_is_an_invalid_request(connection: Connection, name: str) -> None:
    request = message("ApiVersionsRequest")(client_software_name=name, client_software_version="1")
    connection.send_bytes(encode(request, 3, 5))
    assert struct.unpack_from(">ih", connection.receive_frame()) == (5, 42)


@pytest.mark.skipif(brokers.is_kafka(), reason="Apache Kafka 4.3 has no ApiVersions v5")
@pytest.mark.parametrize(("cluster_id", "expected"), [(None, 0), ("another cluster", 129)])
def test_api_versions_v5_refuses_another_cluster(connection: Connection, cluster_id: str | None, expected: int) -> None:
    def compact(text: str | None) -> bytes:
        return b"\0" if text is None else bytes([len(text) + 1]) + text.encode()

    body = b"\0" + compact("raw") + compact("1") + compact(cluster_id) + struct.pack(">i", -1) + b"\0"
    connection.send_bytes(header(18, 5, body=body))
    _, error = struct.unpack_from(">ih", connection.receive_frame())
    assert error == expected


def test_an_unknown_api_closes_the_connection(connection: Connection) -> None:
    connection.send_bytes(header(999, 0))
    assert connection.closed_by_broker()


@pytest.mark.parametrize(("api_key", "version"), [(3, 99), (1, 3), (1, -1), (2, 0), (4, 0)])
def test_a_version_that_is_not_supported_closes_the_connection(connect: Connect, api_key: int, version: int) -> None:
    connection = connect()
    connection.send_bytes(header(api_key, version))
    assert connection.closed_by_broker()


@pytest.mark.parametrize("version", [0, 1, 2])
def test_old_versions_of_produce_are_advertised_but_refused(connection: Connection, topic: str, version: int) -> None:
    answer = connection.ask(message("ApiVersionsRequest")(), 0)
    assert {each.api_key: each.min_version for each in answer.api_keys}[0] == 0
    body = struct.pack(">hii", 1, 1000, 0)
    connection.send_bytes(header(0, version, body=body))
    assert connection.closed_by_broker()


def test_bytes_after_a_request_are_not_taken_for_part_of_it(connection: Connection) -> None:
    """A truncated body, or one longer than the request, closes the connection and does nothing else."""
    connection.send_bytes(header(3, 1, body=struct.pack(">i", 1000)))
    assert connection.closed_by_broker()


def test_a_request_that_comes_byte_by_byte_is_answered(connection: Connection, topic: str) -> None:
    request = message("MetadataRequest")
    frame = encode(request(topics=[request.MetadataRequestTopic(name=topic)]), 9, 77)
    for position in range(len(frame)):
        connection.send_bytes(frame[position : position + 1])
    answer = connection.receive(request, 9, 77)
    assert [each.name for each in answer.topics] == [topic]


def test_a_hundred_requests_in_one_write_are_answered_in_order(connection: Connection) -> None:
    request = message("ApiVersionsRequest")
    connection.send_bytes(b"".join(encode(request(), 0, number) for number in range(1000, 1100)))
    for number in range(1000, 1100):
        assert connection.receive(request, 0, number).error_code == 0


@pytest.mark.feature("pipelining")
def test_answers_keep_the_order_of_requests_even_behind_a_long_poll(connection: Connection, topic: str) -> None:
    wait = fetch_request(topic, 0, max_wait_ms=1000, topic_id=id_of(connection, topic))
    first = connection.send(wait, 12)
    second = connection.send(message("ApiVersionsRequest")(), 0)
    assert connection.receive(type(wait), 12, first).error_code == 0
    assert connection.receive(message("ApiVersionsRequest"), 0, second).error_code == 0


@pytest.mark.feature("pipelining")
def test_pipelined_produces_land_in_order(connection: Connection, topic: str) -> None:
    id_of(connection, topic)
    requests = [(produce_request(topic, batch(b"%d" % number)), 9) for number in range(200)]
    sent = [(connection.send(request, version), type(request)) for request, version in requests]
    answers = [connection.receive(kind, 9, each) for each, kind in sent]
    offsets = [answer.responses[0].partition_responses[0].base_offset for answer in answers]
    assert offsets == list(range(200))


@pytest.mark.feature("long poll")
def test_an_append_wakes_a_waiting_fetch(connect: Connect, topic: str) -> None:
    waiting, writing = connect(), connect()
    wait = fetch_request(topic, 0, max_wait_ms=20_000, topic_id=id_of(waiting, topic))
    number = waiting.send(wait, 12)
    writing.ask(produce_request(topic, batch(b"v")), 9)
    part: Any = waiting.receive(type(wait), 12, number).responses[0].partitions[0]
    assert (part.error_code, part.high_watermark) == (0, 1)
    assert len(part.records) > 0


@pytest.mark.feature("long poll")
def test_a_fetch_with_nothing_to_give_waits_as_long_as_asked(connection: Connection, topic: str) -> None:
    topic_id = id_of(connection, topic)
    # The first answers may come at once: a partition just made still has its first high watermark to tell.
    until(
        "quiet", lambda: connection.ask(fetch_request(topic, 0, max_wait_ms=0, topic_id=topic_id), 12).error_code == 0
    )
    asked = fetch_request(topic, 0, max_wait_ms=400, topic_id=topic_id)
    started = monotonic()
    part = connection.ask(asked, 12).responses[0].partitions[0]
    assert 0.3 < monotonic() - started < 5
    assert (part.error_code, len(part.records or b"")) == (0, 0)
