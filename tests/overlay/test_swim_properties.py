"""What must hold of gossip whatever happens: opinions commute, and after any trouble all nodes agree again."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl.overlay.lifeguard import SwimSettings
from sprawl.overlay.members import Rumour, State, What
from sprawl.overlay.messages import DigestNote, Kind, Message, Snapshot
from sprawl.overlay.packets import MAX_PACKET_BYTES, decode, decode_snapshot, encode, encode_snapshot, rumour_bytes
from sprawl.overlay.roster import Roster
from sprawl.overlay.rumours import Outbox
from sprawl.overlay.swim import MESSAGE_BYTES, Swim
from sprawl_protocol.errors import ProtocolError
from tools.gossip_world import World, member


def rumour(state: int, life: int, incarnation: int, by: int) -> Rumour:
    return Rumour(1, State(state), life, incarnation, by, replace(member(1), life=life, incarnation=incarnation))


RUMOURS = st.builds(rumour, st.integers(0, 3), st.integers(0, 2), st.integers(0, 3), st.integers(2, 5))


@given(st.lists(RUMOURS, max_size=8), st.randoms(use_true_random=False))
def test_opinions_end_the_same_in_whatever_order_they_come(rumours: list[Rumour], order: random.Random) -> None:
    """The node is known to begin with; somebody who is gone is not met."""
    known = Rumour(1, State.ALIVE, 0, 0, member=member(1))
    ranks = set()
    for _ in range(3):
        roster = Roster(SwimSettings(), random.Random(1))
        for one in [known, *rumours]:
            roster.apply(one, 0.0)
        ranks.add(roster.entries[1].rank)
        assert roster.present == (1 if roster.entries[1].state.present else 0)
        order.shuffle(rumours)
    assert len(ranks) == 1


@pytest.mark.parametrize("seed", range(12))
def test_after_any_trouble_all_agree_again(seed: int) -> None:
    chance = random.Random(seed)
    world = World(SwimSettings(sync_interval=10.0), seed)
    ids = range(chance.randint(3, 12))
    for node_id in ids:
        world.boot(node_id)
    world.know_all()
    for _ in range(25):
        one = chance.choice(ids)
        match chance.randrange(7):
            case 0 if len(world.up) > 2:
                world.crash(one)
            case 1 if not world.machines[one].up:
                world.boot(one, chance.choice(world.up))
            case 2:
                world.stall(one, chance.uniform(0.1, 20.0))
            case 3:
                side = set(chance.sample(ids, len(ids) // 2))
                world.cut |= {(a, b) for a in side for b in ids if b not in side}
            case 4:
                world.cut.clear()
            case 5:
                world.loss = chance.choice([0.0, 0.05, 0.3])
            case _:
                world.tcp = chance.random() < 0.7
        world.run(chance.uniform(0.1, 15.0))
    world.cut.clear()
    world.loss = 0.0
    world.tcp = True
    for node_id in ids:
        if not world.machines[node_id].up:
            world.boot(node_id, world.up[0])
    world.run(150.0)
    for node_id in ids:
        found = {one: world.state(one, node_id) for one in ids if one != node_id}
        assert set(found.values()) == {State.ALIVE}, f"seed {seed}: node {node_id} has {found}"
        assert world.machines[node_id].swim.health.score == 0
    world.seen.clear()
    world.run(60.0)
    assert not world.seen, f"seed {seed}: it does not calm down: {world.seen[:3]}"


def test_the_same_seed_is_the_same_story() -> None:
    def play() -> list[tuple[float, int, What, int]]:
        world = World(SwimSettings(), 7)
        for node_id in range(10):
            world.boot(node_id)
        world.know_all()
        world.loss = 0.2
        world.crash(3)
        world.run(60)
        return [(one.at, one.by, one.what, one.node_id) for one in world.seen]

    assert play() == play()


def test_no_message_is_larger_than_a_packet_and_news_travels_in_several() -> None:
    """A node meets five hundred others at once and tells a sixth of them all about them."""
    swim = Swim(member(0), SwimSettings(), random.Random(1), 0.0)
    swim.merge(Snapshot((Rumour(1, State.ALIVE, 0, 0, member=member(1)),), ()), 0.0)
    swim.merge(Snapshot(tuple(Rumour(n, State.ALIVE, 0, 0, member=member(n)) for n in range(2, 500)), ()), 0.0)
    swim.set_digest(bytes(256), 0.0)
    told = set()
    for number in range(1, 3000):
        swim.tick(number * 0.2)
        for _, message in swim.take_messages():
            assert len(encode(message)) <= MESSAGE_BYTES
            told |= {one.node_id for one in message.rumours}
    assert told == {0, *range(2, 500)}, "but what it learned when it was alone"


def test_an_item_is_told_so_often_and_no_more() -> None:
    outbox: Outbox[str] = Outbox(len)
    outbox.put(1, "one")
    told = [outbox.take(100, 4, to=9) for _ in range(10)]
    assert told == [["one"]] * 4 + [[]] * 6
    assert len(outbox) == 0


def test_what_was_told_least_goes_first_and_nothing_to_whom_it_is_about() -> None:
    outbox: Outbox[str] = Outbox(len)
    outbox.put(1, "one")
    assert outbox.take(100, 4, to=1) == []
    outbox.take(100, 4, to=9)
    outbox.put(2, "two")
    assert outbox.take(3, 4, to=9) == ["two"]


def test_newer_news_take_the_place_of_older() -> None:
    outbox: Outbox[str] = Outbox(len)
    outbox.put(1, "old")
    outbox.put(1, "new")
    assert outbox.take(100, 4, to=9) == ["new"]


@given(st.binary(max_size=MAX_PACKET_BYTES))
def test_noise_is_a_protocol_error_or_a_small_message(noise: bytes) -> None:
    for read in (decode, decode_snapshot):
        try:
            found = read(noise)
        except ProtocolError:
            continue
        assert len(found.rumours) + len(found.digests) <= len(noise)


@given(
    st.sampled_from(Kind),
    st.integers(0, 2**31 - 1),
    st.lists(RUMOURS, max_size=5),
    st.lists(st.builds(DigestNote, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.binary(max_size=256))),
)
def test_messages_come_out_as_they_went_in(
    kind: Kind, number: int, rumours: list[Rumour], notes: list[DigestNote]
) -> None:
    settled = tuple(one if number % 2 else replace(one, member=None) for one in rumours)
    message = Message(kind, number, 3, settled, tuple(notes[:2]))
    assert decode(encode(message)) == message
    snapshot = Snapshot(settled, tuple(notes))
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


def test_sizes_are_known_before_encoding() -> None:
    told = rumour(State.ALIVE, 1, 2, 3)
    with_one, with_none = encode(Message(Kind.PING, rumours=(told,))), encode(Message(Kind.PING))
    assert len(with_one) - len(with_none) == rumour_bytes(told)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes(MAX_PACKET_BYTES + 1), id="too long"),
        pytest.param(encode(Message(Kind.PING))[:-1], id="cut off"),
        pytest.param(b"\x09" + encode(Message(Kind.PING))[1:], id="unknown kind"),
        pytest.param(encode(Message(Kind.PING)) + b"\x00", id="trailing byte"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data)
