"""Replicas of a quorum without logs, disks or links: the state machine alone, on a network that a script or a seed
drives. A log is a list of the epochs in which its entries were written; what a crash forgets is what was not kept."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from sprawl.quorum.raft import (
    Announce,
    AskForVote,
    Commit,
    Follow,
    Keep,
    Lead,
    Raft,
    RaftTimeouts,
    Role,
    StopLeading,
    Verdict,
    VoteAnswer,
)
from sprawl.quorum.state import NOBODY, QuorumState
from sprawl.quorum.voters import ReplicaKey, Voters

TIMEOUTS = RaftTimeouts(election=0.5, fetch=1.0)


def key(node: int) -> ReplicaKey:
    return ReplicaKey(node, UUID(int=node))


@dataclass
class PlainLog:
    voters: Voters
    epochs: list[int] = field(default_factory=list)
    durable_offset: int = 0
    start_offset: int = 0
    writable: bool = True

    @property
    def end_offset(self) -> int:
        return len(self.epochs)

    @property
    def last_epoch(self) -> int:
        return self.epochs[-1] if self.epochs else 0

    def end_of_epoch(self, epoch: int) -> tuple[int, int]:
        known = [each for each in self.epochs if each <= epoch]
        return (known[-1], len(known)) if known else (epoch, 0)


@dataclass
class Replica:
    node: int
    log: PlainLog
    raft: Raft
    kept: QuorumState


class World:
    """Checks, after every event, that an epoch has one leader, and that what is committed is committed everywhere."""

    def __init__(self, nodes: int, seed: int = 0, voters: int | None = None) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.voters = Voters.of(key(node) for node in range(1, (voters or nodes) + 1))
        self.replicas: dict[int, Replica] = {}
        self.down: set[int] = set()
        self.cut: set[tuple[int, int]] = set()
        """Links, one way, over which nothing passes."""
        self.network: list[tuple[int, int, Callable[[], None]]] = []
        self.leader_of: dict[int, int] = {}
        self.committed: list[int] = []
        for node in range(1, nodes + 1):
            self.boot(node, PlainLog(self.voters), QuorumState())

    def boot(self, node: int, log: PlainLog, kept: QuorumState) -> None:
        raft = Raft(key(node), kept, log, TIMEOUTS, random.Random(self.rng.random()).random, self.now)
        self.replicas[node] = Replica(node, log, raft, kept)
        self.carry_out(node)

    def crash(self, node: int) -> None:
        """What was not durable is gone."""
        replica = self.replicas[node]
        del replica.log.epochs[replica.log.durable_offset :]
        self.down.add(node)

    def restart(self, node: int) -> None:
        self.down.discard(node)
        self.boot(node, self.replicas[node].log, self.replicas[node].kept)

    # -- one step ---------------------------------------------------------------------------------------------------

    def carry_out(self, node: int) -> None:
        replica = self.replicas[node]
        for effect in replica.raft.take_effects():
            match effect:
                case Keep(state):
                    replica.kept = state
                case Lead(epoch, _):
                    assert self.leader_of.setdefault(epoch, node) == node, f"two leaders in epoch {epoch}"
                    held = replica.log.epochs[: len(self.committed)]
                    assert held == self.committed, f"leader {node} of epoch {epoch} lacks what is committed"
                    replica.log.epochs.append(epoch)
                case AskForVote():
                    self.send(node, effect.voter.node_id, lambda asked=effect: self.vote(node, asked))
                case Announce(voter, epoch):
                    self.send(node, voter.node_id, lambda to=voter, of=epoch: self.announce(node, to.node_id, of))
                case Commit(offset):
                    found = replica.log.epochs[:offset]
                    known = min(len(found), len(self.committed))
                    assert found[:known] == self.committed[:known], f"node {node} commits another history"
                    if len(found) > len(self.committed):
                        self.committed = list(found)
                case Follow() | StopLeading():
                    pass

    def send(self, source: int, target: int, deliver: Callable[[], None]) -> None:
        self.network.append((source, target, deliver))

    def deliver(self, index: int, *, lose: bool = False) -> None:
        source, target, deliver = self.network.pop(index)
        if not (lose or target in self.down or (source, target) in self.cut):
            deliver()

    def vote(self, source: int, asked: AskForVote) -> None:
        target = asked.voter.node_id
        answer = self.replicas[target].raft.vote_requested(
            key(source), asked.epoch, asked.last_epoch, asked.end_offset, pre_vote=asked.pre_vote, now=self.now
        )
        self.carry_out(target)
        self.send(target, source, lambda: self.voted(source, target, asked, answer))

    def voted(self, source: int, target: int, asked: AskForVote, answer: VoteAnswer) -> None:
        self.replicas[source].raft.vote_answered(key(target), asked, answer, self.now)
        self.carry_out(source)

    def announce(self, source: int, target: int, epoch: int) -> None:
        self.replicas[target].raft.epoch_begun(source, epoch, self.now)
        self.carry_out(target)

    def fetch(self, node: int) -> None:
        """A follower fetches from its leader; whole in one step, unless the link is cut."""
        me = self.replicas[node]
        leader = me.raft.leader_id
        if me.raft.role is not Role.FOLLOWER or leader in self.down:
            return
        if (node, leader) in self.cut or (leader, node) in self.cut:
            return
        log, epoch = me.log, me.raft.epoch
        if log.durable_offset < log.end_offset:
            log.durable_offset = log.end_offset
        other = self.replicas[leader]
        answer = other.raft.fetch_requested(key(node), epoch, log.end_offset, log.last_epoch, self.now)
        self.carry_out(leader)
        if answer.verdict is Verdict.REFUSED:
            me.raft.epoch_seen(other.raft.epoch, other.raft.leader_id, self.now)
        elif answer.verdict is Verdict.DIVERGED:
            found, end = log.end_of_epoch(answer.diverging_epoch)
            target = max(min(end, answer.diverging_end) if found == answer.diverging_epoch else end, 0)
            assert target >= me.raft.high_watermark
            del log.epochs[target:]
            log.durable_offset = min(log.durable_offset, target)
        else:
            assert answer.verdict is Verdict.READ
            log.epochs += other.log.epochs[log.end_offset :][: self.rng.randint(1, 4)]
            me.raft.leader_heard(leader, epoch, other.raft.high_watermark, self.now)
        self.carry_out(node)

    def propose(self, node: int) -> None:
        replica = self.replicas[node]
        if replica.raft.role is Role.LEADER:
            replica.log.epochs.append(replica.raft.epoch)

    def sync(self, node: int) -> None:
        replica = self.replicas[node]
        replica.log.durable_offset = replica.log.end_offset
        replica.raft.advance()
        self.carry_out(node)

    def tick(self, node: int) -> None:
        self.replicas[node].raft.tick(self.now)
        self.carry_out(node)

    @property
    def up(self) -> list[int]:
        return [node for node in self.replicas if node not in self.down]

    def leaders(self) -> list[int]:
        return [node for node in self.up if self.replicas[node].raft.role is Role.LEADER]

    def settle(self, seconds: float) -> None:
        """All is well for a while."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.05
            for node in self.up:
                self.tick(node)
                self.fetch(node)
                self.sync(node)
            while self.network:
                self.deliver(0)

    def leader(self) -> int:
        leaders = [node for node in self.leaders() if self.replicas[node].raft.leader_id != NOBODY]
        newest = max(self.replicas[node].raft.epoch for node in leaders)
        return next(node for node in leaders if self.replicas[node].raft.epoch == newest)
