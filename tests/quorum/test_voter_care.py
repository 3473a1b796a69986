"""Who votes: three stay three while one is away; the lost are replaced, or go where enough stay."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sprawl.quorum.image import BrokerImage, ListenerImage
from sprawl.quorum.voter_care import next_voters, wanted_size
from sprawl.quorum.voters import Address, ReplicaKey, Voters

ME = ReplicaKey(1, UUID(int=1))


def broker(number: int, *, fenced: bool = False, directory: int | None = None) -> BrokerImage:
    return BrokerImage(
        id=number,
        listeners=(ListenerImage("PLAINTEXT", f"n{number}", 9092, 0),),
        rack=None,
        epoch=number,
        fenced=fenced,
        incarnation=UUID(int=100 + number),
        directories=(UUID(int=directory or number),),
    )


def voters(*numbers: int) -> Voters:
    return Voters.of(ReplicaKey(each, UUID(int=each)) for each in numbers)


def advised(now: Voters, brokers: Collection[BrokerImage], *gone: int, limit: int = 5) -> list[int] | None:
    wanted = next_voters(
        now,
        brokers,
        ME,
        caught_up=lambda key: True,
        gone=lambda node_id: node_id in gone,
        address_of=lambda each: Address(each.host, each.port),
        limit=limit,
    )
    return None if wanted is None else sorted(wanted.ids)


def test_as_many_vote_as_there_are_nodes_for() -> None:
    assert [wanted_size(brokers, 5) for brokers in range(1, 8)] == [1, 1, 3, 3, 5, 5, 5]
    assert wanted_size(9, 3) == 3


def test_new_nodes_come_to_vote_one_at_a_time() -> None:
    nodes = [broker(1), broker(2), broker(3)]
    assert advised(voters(1), nodes) == [1, 2]
    assert advised(voters(1, 2), nodes) == [1, 2, 3]
    assert advised(voters(1, 2, 3), nodes) is None


def test_three_stay_three_while_one_of_three_nodes_is_gone() -> None:
    assert advised(voters(1, 2, 3), [broker(1), broker(2), broker(3, fenced=True)], 3) is None


def test_three_stay_three_while_two_of_three_nodes_are_gone() -> None:
    assert advised(voters(1, 2, 3), [broker(1), broker(2, fenced=True), broker(3, fenced=True)], 2, 3) is None


def test_another_node_takes_the_vote_of_one_that_is_gone() -> None:
    nodes = [broker(1), broker(2), broker(3, fenced=True), broker(4)]
    assert advised(voters(1, 2, 3), nodes, 3) == [1, 2, 3, 4]
    assert advised(voters(1, 2, 3, 4), nodes, 3) == [1, 2, 4]


def test_of_five_voters_the_lost_go_and_three_stay() -> None:
    nodes = [broker(1), broker(2), broker(3), broker(4, fenced=True), broker(5, fenced=True)]
    assert advised(voters(1, 2, 3, 4, 5), nodes, 4, 5) == [1, 2, 3, 5]
    assert advised(voters(1, 2, 3, 5), nodes, 4, 5) == [1, 2, 3]
    assert advised(voters(1, 2, 3), nodes, 4, 5) is None


def test_a_node_that_came_back_with_an_empty_disk_loses_the_vote_of_the_old_one_first() -> None:
    nodes = [broker(1), broker(2), broker(3, directory=33)]
    assert advised(voters(1, 2, 3), nodes) == [1, 2]
    assert advised(voters(1, 2), nodes) == [1, 2, 3]


def test_a_node_that_was_taken_out_of_a_cluster_of_three_leaves_one_voter() -> None:
    nodes = [broker(1), broker(2)]
    assert advised(voters(1, 2, 3), nodes, 3) == [1, 2]
    assert advised(voters(1, 2), nodes, 3) == [1]
