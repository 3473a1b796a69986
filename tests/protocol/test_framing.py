"""Frames out of a byte stream however it is cut; what is refused before memory is spent on it; headers."""

from __future__ import annotations

import itertools
import struct
import tracemalloc
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.framing import (
    GROWTH,
    LEAST_ROOM,
    SCRATCH_BYTES,
    FrameReader,
    frame_request,
    frame_response,
    parse_request_header,
)
from sprawl_protocol.messages import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    FetchableTopicResponse,
    FetchResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    MetadataRequest,
    PartitionData,
)

MIB = 1024 * 1024


def framed(frames: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack(">i", len(frame)) + frame for frame in frames)


def feed(reader: FrameReader, data: bytes) -> list[memoryview]:
    """As a transport does: never more at once than the buffer it was given takes."""
    found = []
    while data:
        buffer = reader.get_buffer(-1)
        assert len(buffer) > 0
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        buffer.release()
        found += reader.advance(count)
        data = data[count:]
    return found


def pieces(data: bytes, cuts: Sequence[int]) -> Iterable[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return (data[start:end] for start, end in itertools.pairwise(places))


sizes = st.one_of(st.integers(0, 40), st.integers(0, 3000), st.sampled_from([LEAST_ROOM - 1, LEAST_ROOM + 1, 70_000]))
frames_of_any_size = st.lists(
    st.builds(lambda size, byte: bytes([byte]) * size, sizes, st.integers(0, 255)), max_size=8
)


@given(frames_of_any_size, st.lists(st.integers(0, 2**20), max_size=12), st.sampled_from([8, 100, SCRATCH_BYTES]))
def test_any_split_of_the_stream_gives_the_same_frames(frames: list[bytes], cuts: list[int], scratch: int) -> None:
    reader = FrameReader(scratch=bytearray(scratch))
    found = [frame for piece in pieces(framed(frames), cuts) for frame in feed(reader, piece)]
    assert found == frames
    assert not reader.in_frame


def test_a_stream_of_single_bytes() -> None:
    frames = [b"", b"a", b"hello", bytes(300)]
    reader = FrameReader()
    assert [frame for byte in framed(frames) for frame in feed(reader, bytes([byte]))] == frames


@given(st.lists(st.binary(max_size=300), min_size=2, max_size=6), st.data())
def test_connections_may_share_one_scratch_buffer(frames: list[bytes], data: st.DataObject) -> None:
    scratch = bytearray(128)
    readers = [FrameReader(scratch=scratch) for _ in range(3)]
    streams = [framed(frames) for _ in readers]
    found: list[list[memoryview]] = [[] for _ in readers]
    while any(streams):
        turn = data.draw(st.sampled_from([index for index, stream in enumerate(streams) if stream]))
        count = data.draw(st.integers(1, 200))
        found[turn] += feed(readers[turn], streams[turn][:count])
        streams[turn] = streams[turn][count:]
    assert found == [frames] * 3


def test_frames_keep_their_bytes_and_may_be_written_to() -> None:
    reader = FrameReader()
    first, second = feed(reader, framed([b"first", b"second"]))
    large = feed(reader, framed([b"x" * 100_000]))[0]
    feed(reader, framed([b"-" * 1000] * 500))
    assert (first, second, large) == (b"first", b"second", b"x" * 100_000)
    for frame in (first, second, large):
        frame[:2] = b"!!"  # base offsets are stamped in place
        assert not frame.readonly


def test_a_frame_that_has_begun_is_told() -> None:
    reader = FrameReader()
    assert not reader.in_frame
    for byte in framed([b"ab"])[:-1]:
        feed(reader, bytes([byte]))
        assert reader.in_frame
    assert feed(reader, b"b") == [b"ab"]
    assert not reader.in_frame


# -- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [-1, -(2**31), 1001, 2**31 - 1])
def test_a_length_out_of_bounds_is_refused_by_number(size: int) -> None:
    with pytest.raises(ProtocolError, match=str(size)):
        feed(FrameReader(1000), struct.pack(">i", size))


def test_the_limit_is_told() -> None:
    with pytest.raises(ProtocolError, match=r"1001 bytes; 1000 are allowed.*socket\.request\.max\.bytes"):
        feed(FrameReader(1000), struct.pack(">i", 1001))
    assert feed(FrameReader(1000), framed([bytes(1000)])) == [bytes(1000)]


def test_the_limit_may_be_raised_after_authentication() -> None:
    reader = FrameReader(10)
    assert feed(reader, framed([b"0123456789"])) == [b"0123456789"]
    reader.max_frame = 11
    assert feed(reader, framed([b"0123456789a"])) == [b"0123456789a"]


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n"])
def test_http_is_recognised(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="HTTP request"):
        feed(FrameReader(), line)


def test_tls_is_recognised() -> None:
    with pytest.raises(ProtocolError, match="TLS handshake"):
        feed(FrameReader(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_noise_raises_nothing_but_protocol_error(noise: bytes, cuts: list[int]) -> None:
    reader = FrameReader(64)
    try:
        for piece in pieces(noise, cuts):
            for frame in feed(reader, piece):
                parse_request_header(frame)
    except ProtocolError as error:
        assert str(error)


# -- memory ------------------------------------------------------------------------------------------------------


def peak_of(reader: FrameReader, data: bytes) -> int:
    tracemalloc.start()
    try:
        feed(reader, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_announced_frame_costs_nothing_until_it_arrives() -> None:
    reader = FrameReader(scratch=bytearray(SCRATCH_BYTES))
    assert peak_of(reader, struct.pack(">i", 100 * MIB)) < 2 * LEAST_ROOM


def test_an_arriving_frame_costs_a_multiple_of_what_has_arrived() -> None:
    for arrived in (1000, 20_000, 300_000):
        reader = FrameReader(scratch=bytearray(SCRATCH_BYTES))
        data = struct.pack(">i", 100 * MIB) + bytes(arrived)
        assert peak_of(reader, data) < (GROWTH + 4) * arrived + 2 * LEAST_ROOM


def test_a_refused_length_costs_nothing() -> None:
    reader = FrameReader(scratch=bytearray(SCRATCH_BYTES))
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            feed(reader, struct.pack(">i", 2**30))
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


# -- headers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "tagged"), [(0, b""), (2, b""), (3, b"\0"), (5, b"\0")])
def test_request_header_in_both_shapes(version: int, tagged: bytes) -> None:
    frame = struct.pack(">hhih", ApiKey.API_VERSIONS, version, 77, 4) + b"kcat" + tagged + b"body"
    header = parse_request_header(memoryview(frame))
    assert (header.api_key, header.api_version, header.correlation_id) == (ApiKey.API_VERSIONS, version, 77)
    assert header.client_id == "kcat"
    assert frame[header.body :] == b"body"


def test_request_header_without_client_id() -> None:
    frame = struct.pack(">hhih", ApiKey.METADATA, 1, 5, -1) + b"body"
    header = parse_request_header(memoryview(frame))
    assert header.client_id is None
    assert frame[header.body :] == b"body"


def test_tagged_fields_of_a_request_header_are_skipped() -> None:
    tags = b"\x02" + b"\x00\x03abc" + b"\x81\x01\x00"
    frame = struct.pack(">hhih", ApiKey.METADATA, 9, 5, 0) + tags + b"body"
    assert frame[parse_request_header(memoryview(frame)).body :] == b"body"


def test_header_of_an_api_that_is_not_known() -> None:
    header = parse_request_header(memoryview(struct.pack(">hhih", 9999, 42, 1, 2) + b"me"))
    assert (header.api_key, header.api_version, header.client_id) == (9999, 42, "me")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        bytes(9),
        struct.pack(">hhih", 3, 1, 1, 5) + b"abcd",
        struct.pack(">hhih", 3, 1, 1, -2),
        struct.pack(">hhih", 3, 1, 1, 2) + b"\xff\xfe",
        struct.pack(">hhih", 3, 9, 1, 0),
        struct.pack(">hhih", 3, 9, 1, 0) + b"\x01\x00\x7f",
        struct.pack(">hhih", 3, 9, 1, 0) + b"\xff\xff\xff\xff\x0f",
        struct.pack(">hhih", 3, 9, 1, 0) + b"\xff" * 12,
    ],
)
def test_a_damaged_request_header_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_request_header(memoryview(frame))


@pytest.mark.parametrize("version", range(HeartbeatRequest.MIN_VERSION, HeartbeatRequest.MAX_VERSION + 1))
def test_a_framed_request_comes_back_whole(version: int) -> None:
    request = HeartbeatRequest(group_id="g", generation_id=3, member_id="m")
    (frame,) = feed(FrameReader(), b"".join(frame_request(9, "client", request, version)))
    header = parse_request_header(frame)
    assert (header.api_key, header.api_version, header.correlation_id) == (ApiKey.HEARTBEAT, version, 9)
    assert HeartbeatRequest.parse(frame, version, header.body) == request


def test_a_flexible_answer_has_tagged_fields_in_its_header_and_others_do_not() -> None:
    answer = HeartbeatResponse(error_code=27)
    assert b"".join(frame_response(9, answer, 3)) == framed([struct.pack(">i", 9) + answer.encode(3)])
    assert b"".join(frame_response(9, answer, 4)) == framed([struct.pack(">ib", 9, 0) + answer.encode(4)])


@pytest.mark.parametrize("version", range(ApiVersionsRequest.MAX_VERSION + 1))
def test_api_versions_is_always_answered_with_the_old_header(version: int) -> None:
    answer = ApiVersionsResponse()
    assert b"".join(frame_response(1, answer, version)) == framed([struct.pack(">i", 1) + answer.encode(version)])


def test_records_are_framed_without_a_copy() -> None:
    records = memoryview(bytes(50_000))
    answer = FetchResponse(
        responses=[FetchableTopicResponse(topic="t", partitions=[PartitionData(partition_index=0, records=records)])]
    )
    parts = frame_response(1, answer, 12)
    assert any(part is records or (isinstance(part, memoryview) and part.obj is records.obj) for part in parts)
    assert b"".join(parts) == framed([struct.pack(">ib", 1, 0) + answer.encode(12)])


def test_metadata_headers_change_with_version_nine() -> None:
    old, new = (b"".join(frame_request(1, "c", MetadataRequest(), version)) for version in (8, 9))
    assert old[4 + 11 :] == MetadataRequest().encode(8)
    assert new[4 + 11 :] == b"\0" + MetadataRequest().encode(9)
