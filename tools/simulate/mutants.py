"""Bugs as people make them, to be planted one by one: the simulation must catch nearly all of them.

One that survives is a hole in the simulation. A mutant names the words of the program it changes, so it breaks when
they change, and is to be written anew then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tools.simulate.planting import Mutant, planted
from tools.simulate.run import plan, simulate

_PACES: Final = (("dense", 25.0), ("calm", 60.0))
"""By turns, with the seconds of faults: some bugs need peace in between, as disks are wiped only while all is well."""

_PARTITION: Final = "sprawl.partitions.partition:Partition"
_WAITING: Final = "sprawl.partitions.waiting_room:WaitingRoom"
_INSYNC: Final = "sprawl.partitions.insync:InSync"
_FETCHER: Final = "sprawl.partitions.fetcher:ReplicaFetcher"
_DELTA: Final = "sprawl.quorum.delta:_Delta"
_RAFT: Final = "sprawl.quorum.raft:Raft"

MUTANTS: Final = (
    # -- acknowledging
    Mutant("ack-before-replication", f"{_PARTITION}._commit_of", "elif all_replicas:", "elif False:"),
    Mutant(
        "ack-of-a-duplicate-before-its-replication",
        f"{_PARTITION}.append",
        "commit = self._commit_of(duplicate.last_offset, all_replicas=all_replicas)",
        "commit = self._commit_of(duplicate.last_offset, all_replicas=False)",
    ),
    Mutant("ack-when-deposed", f"{_WAITING}.refuse", "commit.settle(reason)", "commit.settle(None)"),
    Mutant(
        "ack-with-too-few-in-sync",
        f"{_PARTITION}._advance",
        "insync is not None and len(insync.isr) >= self.min_isr",
        "insync is not None",
    ),
    Mutant(
        "wrong-offset-for-a-duplicate",
        f"{_PARTITION}.append",
        "Appended(duplicate.base_offset,",
        "Appended(log.log_end_offset,",
    ),
    # -- the high watermark
    Mutant(
        "high-watermark-from-own-log-end",
        f"{_PARTITION}._advance",
        "insync.committed(self.log.durable_offset)",
        "self.log.log_end_offset",
    ),
    Mutant(
        "high-watermark-without-followers",
        f"{_INSYNC}.committed",
        "for member in {*self.isr, *(self.pending or ())}:",
        "for member in ():",
    ),
    Mutant(
        "high-watermark-goes-back",
        f"{_PARTITION}._raise_high_watermark",
        "if committed <= self._high_watermark:",
        "if committed == self._high_watermark:",
    ),
    Mutant(
        "isr-shrinks-without-the-controller",
        f"{_INSYNC}.committed",
        "{*self.isr, *(self.pending or ())}",
        "{*(self.pending or self.isr)}",
    ),
    # -- reading
    Mutant(
        "read-of-the-uncommitted",
        f"{_PARTITION}.readable_until",
        "else self._high_watermark",
        "else self.log.log_end_offset",
    ),
    Mutant(
        "new-leader-believes-all-is-committed",
        f"{_PARTITION}.lead",
        "self._high_watermark = max(self._high_watermark, self.log.local_start_offset)",
        "self._high_watermark = self.log.log_end_offset",
    ),
    Mutant("no-epoch-check-on-fetch", f"{_PARTITION}.check_epoch", "if current_leader_epoch < 0 or", "if True or"),
    # -- following
    Mutant("deposed-leader-leads-on", f"{_PARTITION}.follow", "self.insync = None", "pass"),
    Mutant(
        "no-epoch-check-on-what-was-fetched",
        f"{_FETCHER}._take_one",
        "if (partition.leader, partition.leader_epoch) != (self._leader, place.leader_epoch) or partition.leading:",
        "if False:",
    ),
    Mutant("truncation-skipped", f"{_FETCHER}._cut", "await partition.cut(target)", "pass"),
    Mutant(
        "divergence-not-told",
        "sprawl.handlers.fetch:_diverged",
        "if epoch == wanted.last_fetched_epoch and end_offset >= wanted.offset:",
        "if True:",
    ),
    Mutant(
        "follower-reports-what-is-not-durable",
        f"{_FETCHER}._undurable",
        "if partition.log.durable_offset < partition.log.log_end_offset",
        "if False",
    ),
    Mutant(
        "only-the-first-leader-epoch-is-noted",
        "sprawl.storage.epochs:LeaderEpochs.assign",
        "if epoch <= self.latest:",
        "if self._entries:",
    ),
    # -- producers
    Mutant(
        "dedup-lost-at-leader-change",
        f"{_PARTITION}.lead",
        "self.epoch_start = self.log.log_end_offset",
        "self.epoch_start = self.log.log_end_offset; self.log.producers.clear()",
    ),
    Mutant(
        "no-dedup",
        "sprawl.storage.producers:ProducerStates.check",
        "if known is None:",
        "if True:",
    ),
    # -- in-sync sets and elections
    Mutant("isr-joined-too-early", f"{_INSYNC}.wanted", "state.end_offset >= least", "state.end_offset >= 0"),
    Mutant(
        "isr-change-on-stale-knowledge",
        "sprawl.quorum.isr_changes:_check_standing",
        "if wish.partition_epoch < partition.partition_epoch:",
        "if False:",
    ),
    Mutant(
        "unclean-election",
        "sprawl.quorum.leadership:_leader",
        "for candidates in (in_sync, eligible):",
        "for candidates in (in_sync, eligible, members):",
    ),
    Mutant(
        "wiped-disk-still-in-sync",
        "sprawl.quorum.brokers:register",
        "leadership.disk_lost(image, wish.id, rules_of)",
        "[]",
    ),
    Mutant("leader-epoch-not-raised", f"{_DELTA}.partition_change", "before.leader_epoch + led", "before.leader_epoch"),
    # -- the quorum
    Mutant("vote-not-kept", "sprawl.quorum.replica:QuorumReplica._keep", "keep(self._state, state)", "pass"),
    Mutant(
        "two-votes-in-an-epoch",
        f"{_RAFT}.vote_requested",
        "voted = self.state.voted_id != NOBODY",
        "self.state = QuorumState(self.state.epoch, begun=self.state.begun); voted = False",
    ),
    Mutant(
        "vote-for-a-shorter-log",
        f"{_RAFT}.vote_requested",
        "up_to_date = (last_epoch, end_offset) >= (self._log.last_epoch, self._log.end_offset)",
        "up_to_date = True",
    ),
    Mutant("committed-by-a-minority", f"{_RAFT}.advance", "held[self._log.voters.majority - 1]", "held[0]"),
    Mutant("elected-by-a-minority", f"{_RAFT}._count", "if granted >= voters.majority:", "if granted:"),
    Mutant(
        "metadata-fetched-before-it-is-durable",
        "sprawl.quorum.following:Follower._append",
        "await self._while_mending(replica.log.make_durable())",
        "pass",
    ),
    # -- the disk
    Mutant("no-sync", "sprawl.storage.writing:LogWriter._sync", "await active.file.sync()", "pass"),
    Mutant(
        "durable-before-the-sync",
        "sprawl.storage.writing:LogWriter._settle",
        "case Durability.FSYNC:",
        "case Durability.FSYNC:\n            self.durable_offset = self.written_offset; self._tell_durable()",
    ),
    Mutant(
        "failed-sync-believed",
        "sprawl.storage.writing:LogWriter._sync",
        "if not self.closed:\n                self._fail",
        "if not self.closed:\n                active.synced = size; continue\n                self._fail",
    ),
    Mutant(
        "failed-sync-not-written-again",
        "sprawl.storage.recovery:_Recovery._make_stable",
        "await segment.file.rewrite(start.position if segment.base_offset == start.segment else 0)",
        "pass",
    ),
    Mutant(
        "epochs-that-wrote-nothing-stay",
        "sprawl.storage.epochs:LeaderEpochs.assign",
        "while self._entries and self._entries[-1][0] > epoch and self._entries[-1][1] >= start_offset:",
        "while False:",
    ),
    Mutant(
        "a-single-voter-will-do",
        "sprawl.quorum.voter_care:next_voters",
        "size = max(here, min(_FEWEST, wanted_size(len(registered), limit)))",
        "size = here",
    ),
    Mutant(
        "what-was-cut-stays-in-memory",
        "sprawl.storage.cutting:LogCutter._end_at",
        "self._tail.truncate(place.offset)",
        "pass",
    ),
    Mutant(
        "a-follower-counts-for-one-record-more",
        f"{_PARTITION}.fetched_by",
        "broker_epoch, offset, self.log",
        "broker_epoch, offset + 1, self.log",
    ),
    # -- groups
    Mutant(
        "offset-commit-before-replication",
        "sprawl.routing.keyed_log:KeyedLog.append",
        "await appended.commit.wait()",
        "pass",
    ),
    Mutant(
        "offsets-read-before-they-are-all-known",
        "sprawl.routing.keyed_log:KeyedLog.read_all",
        "await source.until_established()",
        "pass",
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    mutant: str
    seed: int | None
    """That catches it; None: none of those that were tried."""
    problem: str


def caught_by(name: str, first: int, seeds: int, share: float = 1.0) -> Verdict:
    """The first seed that fails once the bug is planted, and doesn't without it. `share`: of the usual time."""
    (mutant,) = (each for each in MUTANTS if each.name == name)
    for seed in range(first, first + seeds):
        pace, seconds = _PACES[seed % len(_PACES)]
        world = plan(seed, share * seconds, pace=pace)
        with planted(mutant):
            problem = simulate(world).problem
        if problem and not simulate(world).problem:
            return Verdict(name, seed, problem)
    return Verdict(name, None, "")
