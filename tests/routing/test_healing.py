"""What a cluster does about its shape by itself: nothing, unless a node is gone, drained or new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from sprawl.quorum import brokers, reassignments
from sprawl.quorum.brokers import RAMP
from sprawl.quorum.delta import apply
from sprawl.quorum.image import ConfigKind, ListenerImage, MetadataImage
from sprawl.quorum.isr_changes import IsrWish, alter_partition
from sprawl.quorum.leadership import TopicRules
from sprawl.quorum.moves import Move
from sprawl.quorum.records import ConfigRecord, MetadataRecord, PartitionRecord, TopicRecord
from sprawl.routing.healing import WEIGHT, Act, Healing, MovePartition, SetRamp, weight_of
from tests.quorum.test_decisions import FIRST, IMAGE

TOPIC = UUID(int=7)
GRACE, STEP = 600.0, 60.0


def rules(_: object) -> TopicRules:
    return TopicRules(1, unclean_elections=False)


class World:
    def __init__(self, nodes: int, replicas: Iterable[tuple[int, ...]], at_once: int = 100) -> None:
        self.image: MetadataImage = IMAGE
        self.now = 0.0
        self.healing = self.controller(at_once)
        for node in range(1, nodes + 1):
            self.join(node)
        self.then([TopicRecord(name="orders", topic_id=TOPIC)])
        for index, nodes_of in enumerate(replicas):
            record = PartitionRecord(partition_id=index, topic_id=TOPIC, replicas=list(nodes_of), isr=list(nodes_of))
            self.then([replace_fields(record, leader=nodes_of[0])])

    @staticmethod
    def controller(at_once: int = 100) -> Healing:
        return Healing(lambda broker: str(broker.id), grace=GRACE, step=STEP, at_once=at_once)

    def then(self, records: list[MetadataRecord]) -> None:
        self.image = apply(self.image, records, offset=self.image.offset + len(records))

    def join(self, node: int) -> None:
        wish = replace(
            FIRST,
            id=node,
            incarnation=UUID(int=100 + node),
            directories=(UUID(int=200 + node),),
            listeners=(ListenerImage("PLAINTEXT", f"h{node}", 9092, 0),),
            rack=None,
        )
        self.then(brokers.register(self.image, wish, rules))
        self.then(brokers.unfence(self.image, node, self.image.brokers[node].epoch, rules))

    def fence(self, node: int) -> None:
        self.then(brokers.fence(self.image, node, rules))

    def set(self, node: int, key: str, value: str | None) -> None:
        self.then([ConfigRecord(resource_type=ConfigKind.BROKER, resource_name=str(node), name=key, value=value)])

    def step(self) -> list[Act]:
        """Ask, do it, and let every copy catch up at once."""
        acts = self.healing.acts(self.image, self.now)
        for act in acts:
            match act:
                case MovePartition():
                    self.then(reassignments.reassign(self.image, act.wish, rules))
                    self.caught_up(act.wish.partition)
                case SetRamp():
                    self.set(act.broker_id, RAMP, None if act.percent is None else str(act.percent))
        return acts

    def caught_up(self, index: int) -> None:
        partition = self.image.topics["orders"].partitions[index]
        members = [each for each in partition.replicas if self.image.brokers[each].active]
        isr = tuple((each, self.image.brokers[each].epoch) for each in members)
        wish = IsrWish(TOPIC, index, partition.leader_epoch, partition.partition_epoch, isr)
        self.then(alter_partition(self.image, partition.leader, wish, rules))

    def until_quiet(self) -> list[Act]:
        done: list[Act] = []
        for _ in range(100):
            acts = self.step()
            if not acts and self.now > 2000:
                return done
            done += acts
            self.now += STEP
        raise AssertionError("it never comes to rest")

    @property
    def held(self) -> Counter[int]:
        return Counter(each for partition in self.image.topics["orders"].partitions for each in partition.replicas)


def replace_fields(record: PartitionRecord, *, leader: int) -> PartitionRecord:
    record.leader = leader
    record.leader_epoch = record.partition_epoch = 0
    record.directories = [UUID(int=200 + each) for each in record.replicas]
    return record


THREE = [(1, 2, 3), (2, 3, 1), (3, 1, 2)] * 4


def test_a_whole_cluster_is_left_alone_however_it_was_placed() -> None:
    world = World(4, [(1, 2, 3)] * 12 + [(4, 1, 2)])
    assert world.until_quiet() == []


def test_a_node_that_is_away_is_awaited_and_then_replaced() -> None:
    world = World(4, [(1, 2, 3), (2, 3, 4), (3, 4, 1), (4, 1, 2)] * 3)
    world.fence(2)
    assert world.step() == []
    world.now = GRACE - 1
    assert world.step() == []
    world.now = GRACE
    acts = world.step()
    assert len(acts) == 9
    assert all(isinstance(act, MovePartition) and act.reason == "node left" for act in acts)
    assert world.held == Counter({1: 12, 3: 12, 4: 12})
    assert not any(Move.of(each).under_way for each in world.image.topics["orders"].partitions)


def test_a_node_that_comes_back_in_time_keeps_what_it_has() -> None:
    world = World(4, [(1, 2, 3), (2, 3, 4)] * 3)
    world.fence(2)
    world.step()
    world.then(brokers.unfence(world.image, 2, world.image.brokers[2].epoch, rules))
    world.now = GRACE + 1
    assert world.step() == []
    world.fence(2)
    world.now += GRACE - 1
    assert world.step() == [], "the grace begins anew"


def test_a_drained_node_is_emptied() -> None:
    world = World(4, [(1, 2, 3), (2, 3, 4), (3, 4, 1), (4, 1, 2)] * 3)
    world.set(3, WEIGHT, "0")
    world.until_quiet()
    assert world.held[3] == 0
    assert sum(world.held.values()) == 36


def test_where_there_is_nowhere_to_go_nothing_moves() -> None:
    world = World(3, THREE)
    world.set(3, WEIGHT, "0")
    assert world.until_quiet() == []


def test_no_more_move_at_once_than_may() -> None:
    world = World(4, [(1, 2, 3), (2, 3, 4), (3, 4, 1), (4, 1, 2)] * 3, at_once=2)
    world.set(3, WEIGHT, "0")
    first = world.healing.acts(world.image, 0.0)
    assert len(first) == 2
    for act in first:
        assert isinstance(act, MovePartition)
        world.then(reassignments.reassign(world.image, act.wish, rules))
    assert world.healing.acts(world.image, 1.0) == [], "while these are under way"


def test_a_new_node_is_given_its_share_in_steps() -> None:
    world = World(3, THREE)
    world.step()
    world.join(4)
    steps = []
    for _ in range(50):
        steps += [(act.percent, world.held[4]) for act in world.step() if isinstance(act, SetRamp)]
        world.now += STEP
    assert [percent for percent, _ in steps] == [50, 75, 100, None]
    shares = [share for _, share in steps]
    assert shares == sorted(shares), "more with every step"
    assert world.held[4] == 9, "its full share"
    assert weight_of(world.image, 4) == 1.0


def test_another_controller_goes_on_where_the_one_before_was() -> None:
    world = World(3, THREE)
    world.step()
    world.join(4)
    world.step()
    world.healing = world.controller()
    world.until_quiet()
    assert world.held[4] == 9


def test_a_new_node_waits_while_replicas_are_missing() -> None:
    world = World(3, THREE)
    world.step()
    world.fence(2)
    world.join(4)
    world.step()
    assert world.step() == []
    assert world.held[4] == 0


def test_nodes_of_a_cluster_that_holds_nothing_yet_are_all_alike() -> None:
    world = World(4, [])
    assert list(world.image.configured(ConfigKind.BROKER)) == []
