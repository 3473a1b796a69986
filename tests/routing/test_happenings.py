"""What the metadata log shows of what the cluster did, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from sprawl.quorum import brokers, damage, elections, reassignments
from sprawl.quorum.batches import MetadataBatch
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.delta import apply
from sprawl.quorum.history import MetadataHistory, Step
from sprawl.quorum.image import LOST, ConfigKind, MetadataImage
from sprawl.quorum.isr_changes import alter_partition
from sprawl.quorum.leadership import TopicRules
from sprawl.quorum.reassignments import Reassignment
from sprawl.quorum.records import ConfigRecord, MetadataRecord
from sprawl.quorum.voters import ReplicaKey, Voters
from sprawl.routing.happenings import Happening, happenings
from tests.quorum.placed import TOPIC, at, directory, first, placed, rules, wish


def rules_of(_: object) -> TopicRules:
    return rules(2)


def step(image: MetadataImage, records: Sequence[MetadataRecord]) -> Step:
    after = apply(image, records, offset=image.offset + len(records))
    batch = MetadataBatch(image.offset + 1, after.offset, 0, 1000, list(records), [])
    nobody = Voters({})
    return Step(batch, image, after, nobody, nobody)


def told(image: MetadataImage, records: Sequence[MetadataRecord]) -> tuple[list[Happening], MetadataImage]:
    taken = step(image, records)
    return list(happenings(taken)), taken.after


def whole() -> MetadataImage:
    return placed(at([1, 2, 3], 1, [1, 2, 3]), at([1, 3, 2], 1, [1, 2, 3]), at([2, 1, 3], 2, [1, 2, 3]))


def kinds(found: Sequence[Happening]) -> list[tuple[str, str]]:
    return [(each.kind, each.subject) for each in found]


def test_a_death_is_told_with_the_leaders_that_it_made() -> None:
    image = placed(*[at([1, 2, 3], 1, [1, 2, 3])] * 2, at([1, 3, 2], 1, [1, 2, 3]), at([2, 1, 3], 2, [1, 2, 3]))
    found, _ = told(image, brokers.fence(image, 1, rules_of))
    assert kinds(found) == [("fenced", "node 1"), ("leader", "2 partitions"), ("leader", "t-2")]
    assert found[0].reason == "the controller has not heard of it in time"
    assert found[1].reason == "node 1 led: it is fenced"
    assert dict(found[1].more) == {"before": 1, "after": 2, "partitions": {"t": [0, 1]}}
    assert (found[2].more["before"], found[2].more["after"]) == (1, 3)


def test_a_leader_without_successor_is_told_and_so_is_its_return() -> None:
    image = placed(at([1], 1, [1]))
    found, image = told(image, brokers.fence(image, 1, rules_of))
    assert found[1].reason == "node 1 led: it is fenced; no other replica may lead"
    assert found[1].more["after"] == -1
    found, _ = told(image, brokers.unfence(image, 1, image.brokers[1].epoch, rules_of))
    assert kinds(found) == [("unfenced", "node 1"), ("leader", "t-0")]
    assert found[1].reason == "node 1 is back, and has all that was acknowledged"


def test_who_leaves_in_order_is_told_twice() -> None:
    image = whole()
    found, image = told(image, brokers.begin_shutdown(image, 1, 1, rules_of))
    assert [each.kind for each in found] == ["leaving", "leader", "leader"]
    assert found[1].reason == "node 1 led: it is shutting down"
    found, _ = told(image, brokers.fence(image, 1, rules_of))
    assert [(each.kind, each.reason) for each in found] == [("fenced", "it left in order")]


@pytest.mark.parametrize(("disk", "reason"), [(1, "it started anew"), (9, "it started anew, with another disk")])
def test_a_restart_that_nobody_saw(disk: int, reason: str) -> None:
    image = whole()
    if disk == 9:  # whoever is alive keeps its number
        image = replace(image, brokers={**image.brokers, 1: replace(image.brokers[1], shutting_down=True)})
    again = BrokerRegistration(1, "cluster", UUID(int=999), (), (directory(disk),), features={})
    found, _ = told(image, brokers.register(image, again, rules_of))
    assert (found[0].kind, found[0].reason) == ("restarted", reason)
    assert found[1].reason == f"node 1 led: {reason}"


def test_who_is_new_or_registers_again_while_fenced_is_no_news() -> None:
    image = whole()
    new = BrokerRegistration(9, "cluster", UUID(int=999), (), (directory(9),), features={})
    assert told(image, brokers.register(image, new, rules_of))[0] == []
    _, image = told(image, brokers.fence(image, 1, rules_of))
    again = replace(new, id=1, directories=(directory(1),))
    assert told(image, brokers.register(image, again, rules_of))[0] == []


def test_a_node_is_unregistered() -> None:
    image = whole()
    found, _ = told(image, brokers.unregister(image, 1, rules_of))
    assert kinds(found)[0] == ("unregistered", "node 1")
    assert found[1].reason == "node 1 led: it is not registered any more"


def test_the_preferred_leader_returns() -> None:
    image = placed(at([1, 2, 3], 2, [1, 2, 3]))
    (found,), _ = told(image, elections.return_leaders(image, rules_of))
    assert (found.kind, found.reason) == ("leader", "the preferred leader is in sync and leads again")


def test_an_unclean_election_says_what_it_may_cost() -> None:
    image = placed(at([1, 2], 1, [1]))
    found, _ = told(image, brokers.fence(image, 1, lambda _: rules(unclean=True)))
    assert "records may be lost" in found[1].reason


def test_a_move_says_that_it_was_one() -> None:
    image = placed(at([1, 2], 1, [1, 2]))
    _, image = told(image, reassignments.reassign(image, Reassignment("t", 0, (3, 4)), rules_of))
    found, _ = told(image, alter_partition(image, 1, wish(image, [1, 2, 3, 4]), rules_of))
    assert [(each.kind, each.reason) for each in found] == [("leader", "the partition has moved")]


def test_a_damaged_replica_is_told_and_its_repair_too() -> None:
    image = whole()
    found, image = told(image, damage.assign_directory(image, 1, LOST, TOPIC, 0, rules_of))
    assert kinds(found) == [("leader", "t-0"), ("damaged", "t-0")]
    assert found[0].reason == "node 1 led: its replica is damaged"
    assert found[1].more["broker"] == 1
    leader = first(image).leader
    found, _ = told(image, alter_partition(image, leader, wish(image, [1, 2, 3]), rules_of))
    assert [(each.kind, each.more["broker"]) for each in found] == [("repaired", 1)]


def weigh(node: int, value: str | None) -> list[MetadataRecord]:
    return [ConfigRecord(resource_type=ConfigKind.BROKER, resource_name=str(node), name="sprawl.weight", value=value)]


def test_a_drain_has_a_beginning_and_an_end() -> None:
    image = placed(at([1, 2], 1, [1, 2]), at([2, 1], 2, [1, 2]))
    found, image = told(image, weigh(2, "0"))
    assert kinds(found) == [("drain-begun", "node 2")]
    assert told(image, weigh(3, "0"))[0][1:] == [
        Happening("drained", "node 3", "other nodes have all that it had", {"broker": 3})
    ]
    for index in (0, 1):
        found, image = told(image, reassignments.reassign(image, Reassignment("t", index, (1, 3)), rules_of))
        assert found == []
        part = image.topics["t"].partitions[index]
        asked = replace(
            wish(image, [1, 2, 3]),
            partition=index,
            leader_epoch=part.leader_epoch,
            partition_epoch=part.partition_epoch,
        )
        found, image = told(image, alter_partition(image, part.leader, asked, rules_of))
        assert ("drained" in [each.kind for each in found]) is (index == 1)
    assert kinds(told(image, weigh(2, None))[0]) == [("drain-ended", "node 2")]


def test_voters_are_told_with_what_is_wrong_with_the_one_they_replace() -> None:
    keys = {each: ReplicaKey(each, directory(each)) for each in range(1, 5)}
    three = Voters.of(keys[each] for each in (1, 2, 3))
    image = placed(fenced={3})

    def change(before: Voters, after: Voters, image: MetadataImage = image) -> list[Happening]:
        return list(happenings(Step(MetadataBatch(11, 11, 0, 0, [], []), image, image, before, after)))

    (added,) = change(three, four := three.with_voter(keys[4], None))
    assert (added.kind, added.subject) == ("voter-added", "node 4")
    assert added.reason == "in the place of node 3: it is fenced"
    (removed,) = change(four, four.without(keys[3]))
    assert (removed.kind, removed.reason, removed.more["voters"]) == ("voter-removed", "it is fenced", [1, 2, 4])
    (spare,) = change(four, four.without(keys[3]), placed())
    assert spare.reason == "there are enough without it"
    assert change(Voters({}), three) == [], "a cluster is founded"
    other_disk = Voters.of([keys[1], keys[2], ReplicaKey(3, directory(9))])
    (removed,) = change(other_disk, other_disk.without(ReplicaKey(3, directory(9))), placed())
    assert removed.reason == "it came back with another disk"


def test_a_history_tells_batch_by_batch_however_many_are_committed_at_once() -> None:
    image = whole()
    fence = brokers.fence(image, 1, rules_of)
    fenced = apply(image, fence, offset=10 + len(fence))
    unfence = brokers.unfence(fenced, 1, 1, rules_of)
    batches = [
        MetadataBatch(11, 10 + len(fence), 0, 5, fence, []),
        MetadataBatch(11 + len(fence), 10 + len(fence) + len(unfence), 0, 6, unfence, []),
    ]
    steps: list[Step] = []
    history = MetadataHistory("cluster")
    history.restore(image, Voters({}))
    for batch in batches:
        history.take(batch)
    history.commit(batches[-1].last_offset + 1, steps.append)
    assert [each.batch for each in steps] == batches
    assert steps[0].before is image
    assert steps[0].after is steps[1].before
    assert steps[1].after is history.image
    assert [each.kind for one in steps for each in happenings(one)] == ["fenced", "leader", "leader", "unfenced"]
