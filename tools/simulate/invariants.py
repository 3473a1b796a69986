"""What must hold inside a cluster at every moment, whatever befalls it.

In: the nodes of a simulated cluster, looked at again and again. Out: an `InvariantError` as soon as one of these is
broken:

- at most one leader per partition and leader epoch, in the metadata and on the nodes;
- a high watermark never goes back while a node lives, unless the replica is known to have lost its data;
- at most one leader of the quorum per quorum epoch, and one metadata log: the same offset, the same epoch and content;
- a node's quorum epoch never goes back, and it votes once in each;
- who is in sync or eligible has everything committed, and what a log calls durable is on the disk;
- what is committed is the same everywhere: of two replicas that say an offset is committed, both have the same batch;
  so for the metadata.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final
from uuid import UUID

from sprawl.groups.log import TOPIC as GROUPS_TOPIC
from sprawl.groups.registry import partition_of
from sprawl.partitions.partition import Partition
from sprawl.quorum.identifiers import uuid_of
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.raft import Role
from sprawl.quorum.state import NOBODY, QuorumState, state_in
from sprawl.quorum.voter_care import wanted_size
from sprawl.quorum.voters import ReplicaKey
from sprawl.storage.log import Log
from sprawl_protocol.errors import ApiError
from sprawl_protocol.records import headers
from tools.simulate.cluster import Member, SimulatedCluster

_Key = tuple[UUID, int]
_MOST_READ: Final = 1 << 22
_MOST_VOTERS: Final = 3


class InvariantError(AssertionError):
    """Two parts of the cluster believe what can't both be true."""


class Invariants:
    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self._leaders: dict[tuple[_Key, int], int] = {}
        self._quorum_leaders: dict[int, int] = {}
        self._metadata: dict[int, tuple[int, int]] = {}
        """Metadata offset to its epoch and the checksum of the image there."""
        self._votes: dict[ReplicaKey, tuple[int, int]] = {}
        """Quorum epoch, and who was voted for in it."""
        self._committed: dict[_Key, int] = {}
        self._watermarks: dict[Partition, int] = {}
        self._images: dict[int, MetadataImage] = {}
        self._newest: MetadataImage | None = None
        """Of all that were ever seen: who has it may be down by now."""
        self.looks = 0

    # -- at every look ----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Raises `InvariantError`."""
        self.looks += 1
        for member in self._cluster.up:
            parts = member.node.parts if member.node is not None else None
            if parts is None:
                continue
            self._look_at_quorum(member)
            self._look_at_image(member, parts.quorum.image)
            for partition in parts.partitions:
                self._look_at_watermark(member, partition)
                self._look_at_disk(member, partition)
                if partition.leading:
                    key = (partition.topic_id, partition.index)
                    self._led_by(key, partition.leader_epoch, member.node_id, partition.topic)

        self._look_at_committed()

    def _look_at_quorum(self, member: Member) -> None:
        assert member.node is not None
        assert member.node.parts is not None
        replica = member.node.parts.quorum._replica
        if not replica.started or replica._stopped:
            return
        kept, believed = state_in(replica._state), replica.raft.state
        if (believed.epoch, believed.voted_id) != (kept.epoch, kept.voted_id):
            raise InvariantError(
                f"node {member.node_id} is in quorum epoch {believed.epoch} and voted for {believed.voted_id}; on its "
                f"disk are epoch {kept.epoch} and {kept.voted_id}"
            )
        self._look_at_vote(member, replica.me, kept)
        if replica.raft.role is Role.LEADER:
            epoch = replica.raft.epoch
            known = self._quorum_leaders.setdefault(epoch, member.node_id)
            if known != member.node_id:
                raise InvariantError(f"nodes {known} and {member.node_id} both lead the quorum in epoch {epoch}")

    def _look_at_vote(self, member: Member, me: ReplicaKey, kept: QuorumState) -> None:
        """What is on the disk: nothing is answered before it is there."""
        epoch, voted = self._votes.get(me, (0, NOBODY))
        if kept.epoch < epoch:
            raise InvariantError(f"node {member.node_id} was in quorum epoch {epoch}, and is in {kept.epoch}")
        if kept.epoch == epoch and voted not in (NOBODY, kept.voted_id):
            raise InvariantError(f"node {member.node_id} voted for {voted} in epoch {epoch}, then for {kept.voted_id}")
        self._votes[me] = (kept.epoch, kept.voted_id)

    def _look_at_committed(self) -> None:
        """Who is in sync, or eligible to lead, has everything committed, and has it on the disk."""
        image = self.newest_image()
        if image is not None and (self._newest is None or image.offset > self._newest.offset):
            self._newest = image
        for topic in self._newest.topics.values() if self._newest is not None else ():
            for each in topic.partitions:
                here = self.partitions((topic.id, each.index))
                newer = False
                for partition in here.values():
                    if partition.insync is not None:
                        mark = self._committed.get((topic.id, each.index), 0)
                        self._committed[topic.id, each.index] = max(mark, partition.high_watermark)
                        newer |= partition.insync.partition_epoch > each.partition_epoch
                if newer:
                    continue  # the leader has heard of another in-sync set than any node that is up
                committed = self._committed.get((topic.id, each.index), 0)
                for node in {*each.isr, *each.eligible_leader_replicas} & here.keys():
                    log = here[node].log
                    if log.damaged or log.failed or log.durable_offset >= committed:
                        continue
                    raise InvariantError(
                        f"{here[node]} is committed up to {committed}; node {node} counts as having that, and has "
                        f"{log.durable_offset}"
                    )

    def _look_at_disk(self, member: Member, partition: Partition) -> None:
        log = partition.log
        if log.failed or log.damaged or log.durable_offset < log.written_offset or log._cutting:
            return
        active = log.segments.active
        if not member.machine.disk.names.exists(active.file.path):
            return
        inode = member.machine.disk.names.get(active.file.path)
        if inode.stable < active.size:
            raise InvariantError(
                f"{partition} on node {member.node_id} calls offset {log.durable_offset} durable: of {active.size} "
                f"bytes only {inode.stable} are on the disk"
            )

    def _look_at_image(self, member: Member, image: MetadataImage) -> None:
        if self._images.get(member.node_id) is image or image.offset < 0:
            return
        self._images[member.node_id] = image
        seen = (image.epoch, _checksum(image))
        known = self._metadata.setdefault(image.offset, seen)
        if known != seen:
            raise InvariantError(
                f"node {member.node_id} has another metadata log: at offset {image.offset} "
                f"epoch {seen[0]} instead of {known[0]}, or another content"
            )
        for topic in image.topics.values():
            for each in topic.partitions:
                if each.leader >= 0:
                    self._led_by((topic.id, each.index), each.leader_epoch, each.leader, topic.name)

    def _led_by(self, key: _Key, epoch: int, leader: int, topic: str) -> None:
        known = self._leaders.setdefault((key, epoch), leader)
        if known != leader:
            raise InvariantError(f"{topic}-{key[1]} has two leaders in epoch {epoch}: nodes {known} and {leader}")

    def _look_at_watermark(self, member: Member, partition: Partition) -> None:
        if partition.lost:  # what was damaged is cut off; nobody counts on it
            self._watermarks.pop(partition, None)
            return
        before = self._watermarks.get(partition, 0)
        if partition.high_watermark < before:
            raise InvariantError(
                f"{partition} on node {member.node_id}: high watermark {partition.high_watermark}, was {before}"
            )
        end = partition.log.durable_offset
        if partition.leading and partition.high_watermark > end:
            raise InvariantError(f"{partition} on node {member.node_id}: high watermark beyond what is durable there")
        if partition.high_watermark <= end:  # a follower's disk may yet take back what is not durable
            self._watermarks[partition] = partition.high_watermark

    # -- what is known of the whole ---------------------------------------------------------------------------------

    def replicas(self) -> list[tuple[int, ...]]:
        """Of each partition that clients write to."""
        topics = self._newest.topics.values() if self._newest is not None else ()
        return [each.replicas for topic in topics for each in topic.partitions if len(each.replicas) > 1]

    def behind(self, group: str) -> bool:
        """Whether a node does not know yet who leads what is remembered of a group: one that led may still answer."""
        image = self._newest
        topic = image.topics.get(GROUPS_TOPIC) if image is not None else None
        if topic is None:
            return True
        index = partition_of(group, len(topic.partitions))
        epoch = topic.partitions[index].leader_epoch
        for member in self._cluster.up:
            parts = member.node.parts if member.node is not None else None
            known = parts.quorum.image.topics.get(GROUPS_TOPIC) if parts is not None else None
            if known is None or known.partitions[index].leader_epoch != epoch:
                return True
        return False

    def newest_image(self) -> MetadataImage | None:
        images = [member.node.parts.quorum.image for member in self._cluster.up if member.node and member.node.parts]
        return max(images, key=lambda image: image.offset, default=None)

    def leaders(self) -> list[int]:
        """The nodes that lead something, and the one that leads the quorum."""
        image = self.newest_image()
        led = [each.leader for topic in image.topics.values() for each in topic.partitions] if image else []
        quorum = [m.node_id for m in self._cluster.up if m.node and m.node.parts and m.node.parts.quorum.leading]
        return sorted({*led, *quorum} & self._cluster.members.keys())

    def partitions(self, key: _Key) -> dict[int, Partition]:
        """By node, wherever it is open."""
        found: dict[int, Partition] = {}
        for member in self._cluster.up:
            if member.node is not None and member.node.parts is not None:
                partition = member.node.parts.partitions.find_by_id(*key)
                if partition is not None:
                    found[member.node_id] = partition
        return found

    def ailing(self) -> str:
        """What keeps the cluster from being whole: every node active, every replica in sync and with all its data."""
        image = self.newest_image()
        if image is None:
            return "no node has any metadata"
        for member in self._cluster.members.values():
            if not member.up or member.node is None or not member.node.ready:
                return f"node {member.node_id} is not ready"
            broker = image.brokers.get(member.node_id)
            if broker is None or not broker.active:
                return f"node {member.node_id} is not active"
            assert member.node.parts is not None
            if member.node.parts.quorum.image.offset < image.offset:
                return f"node {member.node_id} has not caught up with the metadata"
            if uuid_of(member.node.parts.identity.directory_id) not in broker.directories and broker.directories:
                return f"node {member.node_id} is not known with its new disk"
        return self._ailing_voters(image) or self._ailing_partitions(image)

    def _ailing_voters(self, image: MetadataImage) -> str:
        leaders = [m for m in self._cluster.up if m.node and m.node.parts and m.node.parts.quorum.leading]
        if not leaders:
            return "the quorum has no leader"
        for leader in leaders:
            assert leader.node is not None
            assert leader.node.parts is not None
            voters = leader.node.parts.quorum.voters
            if len(voters) < wanted_size(len(self._cluster.members), _MOST_VOTERS):
                return f"the quorum has {len(voters)} voters"
            for key in voters.keys:
                broker = image.brokers.get(key.node_id)
                if broker is None or (broker.directories and key.directory_id not in broker.directories):
                    return f"the voter {key.node_id} is gone"
        return ""

    def _ailing_partitions(self, image: MetadataImage) -> str:
        for topic in image.topics.values():
            for each in topic.partitions:
                name = f"{topic.name}-{each.index}"
                if each.leader < 0:
                    return f"{name} has no leader"
                if set(each.isr) != set(each.replicas) or each.adding_replicas or each.removing_replicas:
                    return f"{name}: of the replicas {each.replicas} only {each.isr} are in sync"
                here = self.partitions((topic.id, each.index))
                most = max((partition.high_watermark for partition in here.values()), default=0)
                for node in each.replicas:
                    if node not in here or here[node].log.durable_offset < most:
                        return f"{name} lacks data on node {node}"
                if not here[each.leader].leading:
                    return f"{name} is not led yet by node {each.leader}"
        return ""

    # -- at the end -------------------------------------------------------------------------------------------------

    async def compare(self, damaged: Callable[[Member], bool]) -> int:
        """Read the committed part of every replica and compare; returns how many batches. Raises `InvariantError`.

        `damaged`: whose disk has damage that nobody came upon yet. What it can't read is no contradiction.
        """
        image = self.newest_image()
        assert image is not None, "no node has any metadata"
        compared = await self._compare("the metadata", self._metadata_logs(), damaged)
        for topic in image.topics.values():
            for each in topic.partitions:
                here = self.partitions((topic.id, each.index))
                in_sync = {node: (here[node].log, here[node].high_watermark) for node in each.isr if node in here}
                compared += await self._compare(f"{topic.name}-{each.index}", in_sync, damaged)
        return compared

    def _metadata_logs(self) -> dict[int, tuple[Log, int]]:
        found = {}
        for member in self._cluster.up:
            if member.node is not None and member.node.parts is not None:
                quorum = member.node.parts.quorum
                found[member.node_id] = (quorum._log._replica, quorum._replica.raft.high_watermark)
        return found

    async def _compare(self, name: str, logs: dict[int, tuple[Log, int]], damaged: Callable[[Member], bool]) -> int:
        compared = 0
        first: dict[int, tuple[tuple[int, int], int]] = {}
        for node, (log, high_watermark) in sorted(logs.items()):
            member = self._cluster.members[node]
            try:
                batches = await member.machine.run(_committed(log, high_watermark))
            except ApiError:
                if damaged(member):
                    continue
                raise
            for base, seen in batches.items():
                known, where = first.setdefault(base, (seen, node))
                compared += 1
                if known != seen:
                    raise InvariantError(f"{name}: nodes {where} and {node} differ at offset {base}")
        return compared


async def _committed(log: Log, high_watermark: int) -> dict[int, tuple[int, int]]:
    """Base offset to checksum and leader epoch of every batch below the high watermark that is on this disk."""
    found: dict[int, tuple[int, int]] = {}
    offset, until = log.local_start_offset, min(high_watermark, log.log_end_offset)
    while offset < until:
        read = await log.read(offset, _MOST_READ, until)
        data = b"".join(read.buffers)
        if not data:
            break
        for _, header in headers(data):
            epoch = log.epochs.epoch_of(header.last_offset)
            if header.partition_leader_epoch != epoch:
                raise InvariantError(
                    f"{log}: the batch at {header.base_offset} is of leader epoch {header.partition_leader_epoch}; "
                    f"the log counts it to {epoch}"
                )
            found[header.base_offset] = (header.crc, header.partition_leader_epoch)
            offset = header.next_offset
    return found


def _checksum(image: MetadataImage) -> int:
    """Of what nodes act on; `controller_id` is each node's own opinion."""
    content = repr(
        (
            [(topic.name, topic.id, topic.partitions) for topic in sorted(image.topics.values(), key=lambda t: t.name)],
            [(each.id, each.epoch, each.fenced, each.shutting_down) for _, each in sorted(image.brokers.items())],
        )
    )
    return zlib.crc32(content.encode())
