"""Plays the same random requests to two brokers, Sprawl and Apache Kafka, and shows where their answers differ.

    python -m tests.groups.against_kafka 127.0.0.1:9092 127.0.0.1:9192 --seeds 40 --steps 70

Both need a topic `t` with 4 partitions and `group.initial.rebalance.delay.ms=0`. Five clients, two of them static,
join, sync, send heartbeats, leave, commit, fetch, describe and delete in all versions, one request at a time. Member
ids are replaced by names; where the two elect different leaders (Kafka takes the first in hash order) a seed ends
there. Not played: what differs on purpose (docs/groups.md). Not part of `make test`: it takes two brokers and a quiet
machine.
"""

from __future__ import annotations

import argparse
import random
import re
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    FindCoordinatorRequest,
    HeartbeatRequest,
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberIdentity,
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    SyncGroupRequest,
    SyncGroupRequestAssignment,
    SyncGroupResponse,
)
from tests.groups.script import subscription

CLIENTS = "aabbcsu"
STATIC = {"s": "static-s", "u": "static-u"}
KINDS = (
    ["join"] * 6
    + ["sync"] * 6
    + ["heartbeat", "commit", "describe"] * 2
    + ["leave", "fetch", "delete", "forget", "remove"]
)
OFFERS = [("range",)] * 12 + [("range", "sticky")] * 3 + [("sticky",)]
QUIET_SECONDS = 0.06
PATIENCE = 6


class Pending:
    """One request on a connection of its own, so that one that waits holds up no other."""

    def __init__(self, address: tuple[str, int], client: str, request: Request, version: int) -> None:
        self.client, self.request, self.version = client, request, version
        header = struct.pack(">hhih", request.API_KEY, version, 1, len(client)) + client.encode()
        frame = header + (b"\0" if request.is_flexible(version) else b"") + request.encode(version)
        self._received = bytearray()
        self._socket = socket.create_connection(address)
        self._socket.sendall(struct.pack(">i", len(frame)) + frame)
        self._socket.setblocking(False)

    def answer(self) -> Any:
        """The response once it is there, else None."""
        try:
            self._received += self._socket.recv(1 << 20)
        except BlockingIOError:
            return None
        kind: type[Response] = self.request.RESPONSE
        if len(self._received) < 4 or len(self._received) < 4 + int.from_bytes(self._received[:4], "big"):
            return None
        self._socket.close()
        return kind.parse(bytes(self._received), self.version, 8 + kind.header_version(self.version))


@dataclass
class Step:
    kind: str
    client: str
    version: int
    instance: str | None = None
    fresh: bool = False
    offers: tuple[str, ...] = ("range",)
    protocol_type: str = "consumer"
    protocol_name: str = "range"
    generation_off_by: int = 0
    partition: int = 0
    offset: int = 0


@dataclass
class Side:
    """One broker and what its clients know."""

    address: tuple[str, int]
    group: str
    ids: dict[str, str] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)
    open: list[Pending] = field(default_factory=list)

    def find(self) -> None:
        """Wait until the coordinator answers."""
        for request, version, ready in (
            (FindCoordinatorRequest(key=self.group), 3, ErrorCode.NONE),
            (HeartbeatRequest(group_id=self.group, generation_id=1, member_id="x"), 4, ErrorCode.UNKNOWN_MEMBER_ID),
        ):
            answer = None
            while answer is None or answer.error_code != ready:
                pending = Pending(self.address, "finder", request, version)
                while (answer := pending.answer()) is None:
                    time.sleep(0.01)

    def waits(self, client: str) -> bool:
        return any(pending.client == client for pending in self.open)

    def play(self, step: Step) -> list[str]:
        self.open.append(Pending(self.address, step.client, self._request(step), step.version))
        return self.collect()

    def collect(self) -> list[str]:
        """What is answered until it has been quiet for a while, in words."""
        found: list[tuple[str, Any]] = []
        last = time.monotonic()
        while time.monotonic() - last < QUIET_SECONDS:
            for pending in list(self.open):
                answer = pending.answer()
                if answer is not None:
                    self.open.remove(pending)
                    found.append((pending.client, answer))
                    last = time.monotonic()
            time.sleep(0.002)
        found.sort(key=lambda each: each[0])
        return sorted(f"{client}: {self._told(client, answer)}" for client, answer in found)

    def _request(self, step: Step) -> Request:
        member_id = "" if step.fresh else self.ids.get(step.client, "")
        generation = self.generations.get(step.client, -1) + step.generation_off_by
        who: dict[str, Any] = {"group_id": self.group, "member_id": member_id}
        if step.instance is not None:
            who["group_instance_id"] = step.instance
        match step.kind:
            case "join":
                offers = [JoinGroupRequestProtocol(name=it, metadata=subscription(["t"])) for it in step.offers]
                return JoinGroupRequest(
                    session_timeout_ms=60_000,
                    rebalance_timeout_ms=60_000 if step.version else -1,
                    protocol_type=step.protocol_type,
                    protocols=offers,
                    **who,
                )
            case "sync":
                given = self.members if step.client == "a" else []
                named = {"protocol_type": "consumer", "protocol_name": step.protocol_name} if step.version >= 5 else {}
                return SyncGroupRequest(
                    generation_id=generation,
                    assignments=[
                        SyncGroupRequestAssignment(member_id=it, assignment=self.names[it].encode()) for it in given
                    ],
                    **named,
                    **who,
                )
            case "heartbeat":
                return HeartbeatRequest(generation_id=generation, **who)
            case "leave" if step.version < 3:
                return LeaveGroupRequest(group_id=self.group, member_id=member_id)
            case "leave" | "remove":
                leaver = MemberIdentity(
                    member_id="" if step.kind == "remove" else member_id, group_instance_id=step.instance
                )
                return LeaveGroupRequest(group_id=self.group, members=[leaver])
            case "commit":
                partition = OffsetCommitRequestPartition(
                    partition_index=step.partition, committed_offset=step.offset, committed_metadata="note"
                )
                topic = OffsetCommitRequestTopic(name="t", partitions=[partition])
                return OffsetCommitRequest(generation_id_or_member_epoch=generation, topics=[topic], **who)
            case "fetch":
                topics = [OffsetFetchRequestTopics(name="t", partition_indexes=[0, 1, 9])]
                asked = OffsetFetchRequestGroup(group_id=self.group, topics=topics)
                return OffsetFetchRequest(groups=[asked], require_stable=True)
            case "describe":
                return DescribeGroupsRequest(groups=[self.group])
            case "delete":
                return DeleteGroupsRequest(groups_names=[self.group])
            case _:
                forgotten = OffsetDeleteRequestPartition(partition_index=0)
                return OffsetDeleteRequest(
                    group_id=self.group, topics=[OffsetDeleteRequestTopic(name="t", partitions=[forgotten])]
                )

    def _name(self, member_id: str) -> str:
        """`a#2`: the second id that was seen of client a."""
        if member_id and member_id not in self.names:
            owner = member_id.rsplit("-", 5)[0]
            number = 1 + sum(name.startswith(f"{owner}#") for name in self.names.values())
            self.names[member_id] = f"{owner}#{number}"
        return self.names.get(member_id, "")

    def _told(self, client: str, answer: Any) -> str:
        match answer:
            case JoinGroupResponse():
                return self._joined(client, answer)
            case SyncGroupResponse():
                shown = f"{bytes(answer.assignment)!r} {answer.protocol_type} {answer.protocol_name}"
            case LeaveGroupResponse():
                shown = str(
                    [(self._name(it.member_id), it.group_instance_id, _code(it.error_code)) for it in answer.members]
                )
            case OffsetCommitResponse() | OffsetDeleteResponse():
                shown = str([_code(it.error_code) for topic in answer.topics for it in topic.partitions])
            case OffsetFetchResponse():
                (group,) = answer.groups
                offsets = [it for topic in group.topics for it in topic.partitions]
                shown = str([(it.committed_offset, it.metadata, _code(it.error_code)) for it in offsets])
            case DescribeGroupsResponse():
                (group,) = answer.groups
                members = sorted(
                    (self._name(it.member_id), it.group_instance_id, it.client_host, bytes(it.member_assignment))
                    for it in group.members
                )
                shown = f"{group.group_state} {group.protocol_type} {group.protocol_data} {members}"
            case DeleteGroupsResponse():
                shown = _code(answer.results[0].error_code)
            case _:
                shown = ""
        return f"{type(answer).__name__} {_code(getattr(answer, 'error_code', 0))} {shown}"

    def _joined(self, client: str, answer: JoinGroupResponse) -> str:
        error = ErrorCode(answer.error_code)
        if error in (ErrorCode.NONE, ErrorCode.MEMBER_ID_REQUIRED):
            self.ids[client] = answer.member_id
        elif error is ErrorCode.UNKNOWN_MEMBER_ID:
            self.ids.pop(client, None)
        if error is ErrorCode.NONE:
            self.generations[client] = answer.generation_id
        if answer.members:
            self.members = sorted(it.member_id for it in answer.members)
        members = sorted((self._name(it.member_id), it.group_instance_id or "") for it in answer.members)
        return (
            f"joined {error.name} as {self._name(answer.member_id)} generation={answer.generation_id}"
            f" {answer.protocol_type} {answer.protocol_name or ''} leader={self._name(answer.leader)}"
            f" skip={answer.skip_assignment} {members}"
        )


def _code(error_code: int) -> str:
    return ErrorCode(error_code).name


def choose(rng: random.Random, side: Side, static: dict[str, str]) -> Step:
    """Client a leads: it joins first and leaves last, since who leads after it is a matter of luck."""
    while True:
        client, kind = rng.choice(CLIENTS), rng.choice(KINDS)
        instance = static.get(client)
        others = [it for it in "bcsu" if it in side.ids]
        if kind in ("join", "sync", "leave", "remove") and side.waits(client):
            continue  # a second one while the first waits is answered differently, on purpose
        if (kind in ("leave", "remove") and client == "a" and others) or (kind == "remove" and instance is None):
            continue
        if (kind == "join" and client != "a" and "a" not in side.ids) or (kind == "delete" and rng.random() < 0.7):
            continue
        least, greatest = {
            "join": (5 if instance else 0, 9), "sync": (3 if instance else 0, 5), "leave": (3 if instance else 0, 5),
            "heartbeat": (3 if instance else 0, 4), "commit": (7 if instance else 2, 9), "describe": (0, 6),
            "remove": (5, 5), "fetch": (8, 8), "delete": (2, 2), "forget": (0, 0),
        }[kind]  # fmt: skip
        knows_instance = instance if kind in ("join", "sync", "heartbeat", "leave", "remove", "commit") else None
        return Step(
            kind,
            client,
            rng.randint(least, greatest),
            knows_instance,
            fresh=kind == "join" and client != "a" and rng.random() < (0.3 if instance else 0.05),
            offers=rng.choice(OFFERS),
            protocol_type="connect" if kind == "join" and rng.random() < 0.05 else "consumer",
            protocol_name="sticky" if rng.random() < 0.05 else "range",
            generation_off_by=rng.choice([-1, 1]) if rng.random() < 0.08 else 0,
            partition=rng.choice([0, 1, 9]),
            offset=rng.randrange(100),
        )


def compare(addresses: list[tuple[str, int]], seed: int, steps: int) -> bool:
    """Whether both said the same to the end."""
    rng = random.Random(seed)
    static = {**STATIC, "a": "static-a"} if seed % 2 else STATIC
    group = f"compared-{seed}-{time.time_ns()}"
    ours, theirs = sides = [Side(address, group) for address in addresses]
    for side in sides:
        side.find()
    told: list[str] = []
    for _ in range(steps):
        step = choose(rng, ours, static)
        first, second = ours.play(step), theirs.play(step)
        for _ in range(PATIENCE):
            if first == second:
                break
            time.sleep(0.3)
            first, second = sorted(first + ours.collect()), sorted(second + theirs.collect())
        told += [str(step), *(f"    {line}" for line in first)]
        if first != second:
            leaders = [set(re.findall(r"leader=(\S+)", " ".join(lines))) for lines in (first, second)]
            if leaders[0] != leaders[1]:
                return True
            print(f"seed {seed}:", *told[-12:], "  the other broker:", *(f"    {line}" for line in second), sep="\n")
            return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("broker", nargs=2, help="host:port")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=70)
    chosen = parser.parse_args()
    addresses = [(host, int(port)) for host, _, port in (broker.rpartition(":") for broker in chosen.broker)]
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    different = [seed for seed in seeds if not compare(addresses, seed, chosen.steps)]
    print(f"{len(seeds)} seeds of {chosen.steps} requests, {len(different)} with different answers {different or ''}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
