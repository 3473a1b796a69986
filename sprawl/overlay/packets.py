"""Gossip's messages as bytes, and their sizes, so that one fits into a packet.

In: messages, or bytes from anyone who holds the cluster's key. Out: bytes, or messages; `ProtocolError` and nothing
else for what is no message. What is decoded is never larger than what came in. Fields that a later version adds as
tagged fields are passed over.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sprawl.overlay.members import NOBODY, Member, Rumour, State
from sprawl.overlay.messages import MAX_DIGEST_BYTES, DigestNote, Kind, Message, Snapshot
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.message import Struct, array, binary, field, int8, int32, int64, string
from sprawl_protocol.primitives import Buffer

VERSION: Final = 0
MAX_PACKET_BYTES: Final = 1400
"""On the wire, envelope included: below every usual MTU, so that no packet is ever fragmented."""
MAX_SNAPSHOT_BYTES: Final = 4 << 20
"""4,096 members with long names, and their digests."""
MAX_TEXT_BYTES: Final = 128
"""Of each text in a member's record."""
FIXED_BYTES: Final = 20
"""At most, of a message without rumours."""


class _Record(Struct):
    node_id: int = field(int32, default=0)
    life: int = field(int64, default=0)
    incarnation: int = field(int32, default=0)
    state: int = field(int8, default=0)
    by: int = field(int32, default=NOBODY)
    directory_id: str = field(string, default="")
    host: str = field(string, default="")
    gossip_port: int = field(int32, default=0)
    peer_host: str = field(string, default="")
    peer_port: int = field(int32, default=0)
    rack: str = field(string, default="")
    host_label: str = field(string, default="")
    software: str = field(string, default="")


class _Opinion(Struct):
    node_id: int = field(int32, default=0)
    life: int = field(int64, default=0)
    incarnation: int = field(int32, default=0)
    state: int = field(int8, default=0)
    by: int = field(int32, default=NOBODY)


class _Digest(Struct):
    node_id: int = field(int32, default=0)
    life: int = field(int64, default=0)
    version: int = field(int32, default=0)
    content: Buffer = field(binary, default=b"")


class _Packet(Struct, versions="0", flexible="0+"):
    kind: int = field(int8, default=0)
    number: int = field(int32, default=0)
    subject: int = field(int32, default=NOBODY)
    records: list[_Record] = field(array(_Record), default_factory=list)
    opinions: list[_Opinion] = field(array(_Opinion), default_factory=list)
    digests: list[_Digest] = field(array(_Digest), default_factory=list)


class _Snapshot(Struct, versions="0", flexible="0+"):
    records: list[_Record] = field(array(_Record), default_factory=list)
    opinions: list[_Opinion] = field(array(_Opinion), default_factory=list)
    digests: list[_Digest] = field(array(_Digest), default_factory=list)


def encode(message: Message) -> bytes:
    records, opinions = _split(message.rumours)
    return _Packet(
        kind=message.kind,
        number=message.number,
        subject=message.subject,
        records=records,
        opinions=opinions,
        digests=[_digest(note) for note in message.digests],
    ).encode(VERSION)


def decode(data: Buffer) -> Message:
    """Raises `ProtocolError`."""
    if len(data) > MAX_PACKET_BYTES:
        raise ProtocolError(f"a packet of {len(data)} bytes; {MAX_PACKET_BYTES} is the limit")
    packet = _Packet.parse(data, VERSION)
    try:
        kind = Kind(packet.kind)
    except ValueError:
        raise ProtocolError(f"no message is of kind {packet.kind}") from None
    rumours = _joined(packet.records, packet.opinions)
    return Message(kind, packet.number, packet.subject, rumours, _notes(packet.digests))


def encode_snapshot(snapshot: Snapshot) -> bytes:
    records, opinions = _split(snapshot.rumours)
    return _Snapshot(records=records, opinions=opinions, digests=[_digest(note) for note in snapshot.digests]).encode(
        VERSION
    )


def decode_snapshot(data: Buffer) -> Snapshot:
    """Raises `ProtocolError`."""
    if len(data) > MAX_SNAPSHOT_BYTES:
        raise ProtocolError(f"a snapshot of {len(data)} bytes; {MAX_SNAPSHOT_BYTES} is the limit")
    snapshot = _Snapshot.parse(data, VERSION)
    return Snapshot(_joined(snapshot.records, snapshot.opinions), _notes(snapshot.digests))


@lru_cache(maxsize=8192)
def rumour_bytes(rumour: Rumour) -> int:
    """How much it adds to a packet."""
    records, opinions = _split((rumour,))
    return len(_Packet(records=records, opinions=opinions).encode(VERSION)) - len(_Packet().encode(VERSION))


def digest_bytes(note: DigestNote) -> int:
    return _DIGEST_BYTES + len(note.content)


def check(member: Member) -> None:
    """Whether it fits into packets. Raises `ValueError`."""
    if not member.host:
        raise ValueError("a member must have a host")
    for name in ("directory_id", "host", "peer_host", "rack", "host_label", "version"):
        text: str = getattr(member, name)
        if len(text.encode()) > MAX_TEXT_BYTES:
            raise ValueError(f"{name} is {text!r}: {MAX_TEXT_BYTES} bytes are the limit")


_DIGEST_BYTES: Final = 4 + 8 + 4 + 2 + 1


def _split(rumours: tuple[Rumour, ...]) -> tuple[list[_Record], list[_Opinion]]:
    """Both in their order. What is told of a node by record and by opinion may change places: rumours commute."""
    records = [_record(one, one.member) for one in rumours if one.member is not None]
    return records, [_opinion(one) for one in rumours if one.member is None]


def _record(rumour: Rumour, member: Member) -> _Record:
    return _Record(
        node_id=rumour.node_id,
        life=rumour.life,
        incarnation=rumour.incarnation,
        state=rumour.state,
        by=rumour.by,
        directory_id=member.directory_id,
        host=member.host,
        gossip_port=member.gossip_port,
        peer_host=member.peer_host,
        peer_port=member.peer_port,
        rack=member.rack,
        host_label=member.host_label,
        software=member.version,
    )


def _opinion(rumour: Rumour) -> _Opinion:
    return _Opinion(
        node_id=rumour.node_id,
        life=rumour.life,
        incarnation=rumour.incarnation,
        state=rumour.state,
        by=rumour.by,
    )


def _digest(note: DigestNote) -> _Digest:
    return _Digest(node_id=note.node_id, life=note.life, version=note.version, content=note.content)


def _joined(records: list[_Record], opinions: list[_Opinion]) -> tuple[Rumour, ...]:
    told = [_rumour(one, _member(one)) for one in records]
    return tuple(told + [_rumour(one, None) for one in opinions])


def _rumour(one: _Record | _Opinion, member: Member | None) -> Rumour:
    if one.node_id < 0 or one.life < 0 or one.incarnation < 0:
        raise ProtocolError(f"a rumour about node {one.node_id}, life {one.life}, incarnation {one.incarnation}")
    try:
        state = State(one.state)
    except ValueError:
        raise ProtocolError(f"a member cannot be in state {one.state}") from None
    return Rumour(one.node_id, state, one.life, one.incarnation, one.by, member)


def _member(one: _Record) -> Member:
    if not (0 < one.gossip_port < 65536 and 0 <= one.peer_port < 65536):
        raise ProtocolError(f"ports {one.gossip_port} and {one.peer_port}")
    member = Member(
        node_id=one.node_id,
        directory_id=one.directory_id,
        host=one.host,
        gossip_port=one.gossip_port,
        peer_host=one.peer_host,
        peer_port=one.peer_port,
        rack=one.rack,
        host_label=one.host_label,
        version=one.software,
        life=one.life,
        incarnation=one.incarnation,
    )
    try:
        check(member)
    except ValueError as problem:
        raise ProtocolError(str(problem)) from None
    return member


def _notes(digests: list[_Digest]) -> tuple[DigestNote, ...]:
    for one in digests:
        if one.node_id < 0 or one.life < 0 or one.version < 0 or len(one.content) > MAX_DIGEST_BYTES:
            raise ProtocolError(f"a digest of node {one.node_id}: version {one.version}, {len(one.content)} bytes")
    return tuple(DigestNote(one.node_id, one.life, one.version, bytes(one.content)) for one in digests)
