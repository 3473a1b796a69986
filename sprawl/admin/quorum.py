"""What `sprawl-admin quorum ...` asks and shows. Directory ids are spelled as Kafka spells them."""

from __future__ import annotations

import base64
from typing import Any, Final
from uuid import UUID

from sprawl.admin.session import RefusedError, Session
from sprawl_protocol.messages import (
    AddRaftVoterRequest,
    AddRaftVoterRequestListener,
    AddRaftVoterResponse,
    DescribeQuorumRequest,
    DescribeQuorumRequestPartitionData,
    DescribeQuorumRequestTopicData,
    DescribeQuorumResponse,
    Node,
    RemoveRaftVoterRequest,
    RemoveRaftVoterResponse,
)

_TOPIC: Final = "__cluster_metadata"
_PEER_LISTENER: Final = "PEER"


async def describe_quorum(session: Session) -> dict[str, Any]:
    """Raises `RefusedError`, `ClientError`."""
    asked = DescribeQuorumRequestTopicData(
        topic_name=_TOPIC, partitions=[DescribeQuorumRequestPartitionData(partition_index=0)]
    )
    answer = await session.ask(DescribeQuorumRequest(topics=[asked]), DescribeQuorumResponse)
    if answer.error_code:
        raise RefusedError.of("quorum", answer.error_code, answer.error_message)
    (found,) = answer.topics[0].partitions
    if found.error_code:
        raise RefusedError.of("quorum", found.error_code, found.error_message)
    where = {node.node_id: _address_of(node) for node in answer.nodes}
    end = max((each.log_end_offset for each in found.current_voters), default=0)
    return {
        "leader": found.leader_id,
        "epoch": found.leader_epoch,
        "committed": found.high_watermark,
        "replicas": [
            {
                "node": each.replica_id,
                "directory": _text(each.replica_directory_id),
                "role": "leader" if each.replica_id == found.leader_id else role,
                "end": each.log_end_offset,
                "lag": end - each.log_end_offset if each.log_end_offset >= 0 else None,
                "address": where.get(each.replica_id),
            }
            for role, replicas in (("voter", found.current_voters), ("observer", found.observers))
            for each in replicas
        ],
    }


async def add_voter(session: Session, node: int) -> None:
    """Raises `RefusedError`, `ClientError`."""
    replica = await _replica(session, node)
    host, _, port = (replica["address"] or "").rpartition(":")
    request = AddRaftVoterRequest(
        cluster_id=None,
        timeout_ms=session.timeout_ms,
        voter_id=node,
        voter_directory_id=_uuid(replica["directory"]),
        listeners=[AddRaftVoterRequestListener(name="PEER", host=host, port=int(port or 0))],
    )
    answer = await session.ask(request, AddRaftVoterResponse)
    if answer.error_code:
        raise RefusedError.of(f"node {node}", answer.error_code, answer.error_message)


async def remove_voter(session: Session, node: int) -> None:
    """Raises `RefusedError`, `ClientError`."""
    replica = await _replica(session, node)
    request = RemoveRaftVoterRequest(cluster_id=None, voter_id=node, voter_directory_id=_uuid(replica["directory"]))
    answer = await session.ask(request, RemoveRaftVoterResponse)
    if answer.error_code:
        raise RefusedError.of(f"node {node}", answer.error_code, answer.error_message)


async def _replica(session: Session, node: int) -> dict[str, Any]:
    """A node is known by its number here; what the quorum knows it by is looked up."""
    for replica in (await describe_quorum(session))["replicas"]:
        if replica["node"] == node:
            return dict(replica)
    raise RefusedError(f"node {node}: it does not follow the metadata; is it running?")


def _address_of(node: Node) -> str | None:
    """Where the other nodes find it: by Sprawl's listener for them; on a Kafka cluster the first is as good."""
    found = [each for each in node.listeners if each.name == _PEER_LISTENER] or node.listeners[:1]
    return f"{found[0].host}:{found[0].port}" if found else None


def _text(directory: UUID) -> str:
    return base64.urlsafe_b64encode(directory.bytes).decode().rstrip("=")


def _uuid(text: str) -> UUID:
    return UUID(bytes=base64.urlsafe_b64decode(text + "=="))
