"""A packet is read once, by the one it is for, and only if it comes from the cluster. Every refusal has its reason."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from sprawl.overlay.envelope import HEADER, MAX_BYTES, OVERHEAD, WINDOW, Envelope, Reason, Refused, Window
from sprawl.overlay.keys import expand, extract
from sprawl.overlay.members import Peer

SECRET = b"s" * 32
CLUSTER = "kHpQbWTaQ2yzPzbJc0P0Vw"


def envelope(node_id: int, life: int = 1, secret: bytes = SECRET, cluster_id: str = CLUSTER) -> Envelope:
    return Envelope(secret, cluster_id, node_id, life)


def peer(node_id: int, life: int = 1) -> Peer:
    return Peer(node_id, life, "host", 9093)


def refusal(receiver: Envelope, packet: bytes) -> Reason:
    with pytest.raises(Refused) as caught:
        receiver.open(packet)
    return caught.value.reason


def test_the_receiver_learns_message_sender_and_life() -> None:
    packet = envelope(1, life=7).seal(b"hello", peer(2, life=3))
    opened = envelope(2, life=3).open(packet)
    assert (opened.sender, opened.life, opened.message) == (1, 7, b"hello")
    assert b"hello" not in packet


def test_the_largest_message_fits_into_one_packet() -> None:
    packet = envelope(1).seal(bytes(MAX_BYTES - OVERHEAD), peer(2))
    assert len(packet) == MAX_BYTES
    assert len(envelope(2).open(packet).message) == MAX_BYTES - OVERHEAD


@pytest.mark.parametrize(
    ("sender", "to", "reason"),
    [
        (envelope(1, secret=b"t" * 32), peer(2), Reason.WRONG_SECRET),
        (envelope(1, cluster_id="another"), peer(2), Reason.OTHER_CLUSTER),
        (envelope(1), peer(3), Reason.OTHER_NODE),
        (envelope(1), peer(2, life=0), Reason.OTHER_LIFE),
        (envelope(1), peer(2, life=2), Reason.OTHER_LIFE),
    ],
    ids=lambda one: one.name if isinstance(one, Reason) else "",
)
def test_a_stranger_is_refused_with_the_reason(sender: Envelope, to: Peer, reason: Reason) -> None:
    assert refusal(envelope(2), sender.seal(b"hello", to)) is reason


def test_a_packet_is_accepted_once() -> None:
    receiver = envelope(2)
    packet = envelope(1).seal(b"hello", peer(2))
    receiver.open(packet)
    assert refusal(receiver, packet) is Reason.REPLAYED


def test_packets_may_come_out_of_order() -> None:
    sender, receiver = envelope(1), envelope(2)
    packets = [sender.seal(b"%d" % number, peer(2)) for number in range(100)]
    random.Random(5).shuffle(packets)
    for packet in packets:
        receiver.open(packet)
    assert {refusal(receiver, packet) for packet in packets} == {Reason.REPLAYED}


def test_what_is_older_than_the_window_is_refused_although_it_never_came() -> None:
    sender, receiver = envelope(1), envelope(2)
    packets = [sender.seal(b"", peer(2)) for _ in range(WINDOW + 1)]
    receiver.open(packets[-1])
    assert refusal(receiver, packets[0]) is Reason.TOO_OLD
    receiver.open(packets[1])


def test_a_sender_started_again_begins_anew_and_its_past_is_refused() -> None:
    first, second, receiver = envelope(1, life=10), envelope(1, life=11), envelope(2)
    receiver.open(first.seal(b"", peer(2)))
    unsent = first.seal(b"", peer(2))
    receiver.open(second.seal(b"", peer(2)))
    assert refusal(receiver, unsent) is Reason.EARLIER_LIFE


def test_a_receiver_started_again_accepts_nothing_recorded_before() -> None:
    packet = envelope(1).seal(b"", peer(2, life=1))
    assert refusal(envelope(2, life=2), packet) is Reason.OTHER_LIFE


def test_a_forged_later_life_does_not_shut_out_the_true_sender() -> None:
    """Were a life believed before its packet has proved genuine, anyone could silence a node with one datagram."""
    sender, receiver = envelope(1, life=1), envelope(2)
    forged = bytearray(envelope(1, life=99, secret=b"t" * 32).seal(b"", peer(2)))
    assert refusal(receiver, bytes(forged)) is Reason.WRONG_SECRET
    receiver.open(sender.seal(b"", peer(2)))


def test_a_forged_high_sequence_does_not_move_the_window() -> None:
    sender, receiver = envelope(1), envelope(2)
    receiver.open(sender.seal(b"", peer(2)))
    forged = bytearray(sender.seal(b"", peer(2)))
    forged[29:35] = b"\xff" * 6
    assert refusal(receiver, bytes(forged)) is Reason.WRONG_SECRET
    receiver.open(sender.seal(b"", peer(2)))


@given(st.integers(0, OVERHEAD + 4), st.integers(0, 7))
def test_no_bit_of_a_packet_can_be_changed(at: int, bit: int) -> None:
    packet = bytearray(envelope(1).seal(b"hello", peer(2)))
    packet[at] ^= 1 << bit
    with pytest.raises(Refused):
        envelope(2).open(bytes(packet))


@given(st.binary(max_size=2000))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(Refused):
        envelope(2).open(noise)


def test_too_large_is_refused_unread() -> None:
    assert refusal(envelope(2), bytes(MAX_BYTES + 1)) is Reason.TOO_LARGE


def test_a_new_life_has_a_new_key() -> None:
    """Its sequence numbers begin again, and a nonce must never serve twice under one key."""
    sender = envelope(1, life=1)
    one = sender.seal(b"hello", peer(2))
    sender.begin_life(2)
    other = sender.seal(b"hello", peer(2))
    assert one[29:35] == other[29:35], "same sequence number"
    assert one[HEADER.size :] != other[HEADER.size :]
    assert envelope(2).open(other).life == 2


def test_keys_are_those_of_rfc_5869() -> None:
    known = HKDF(hashes.SHA256(), 32, salt=CLUSTER.encode(), info=b"info").derive(SECRET)
    assert expand(extract(SECRET, CLUSTER), b"info") == known


@given(st.lists(st.integers(1, 3 * WINDOW), max_size=200))
def test_the_window_agrees_with_a_set(sequences: list[int]) -> None:
    window, seen = Window(), {0}
    for sequence in sequences:
        reason = window.check(sequence)
        if sequence <= max(seen) - WINDOW:
            assert reason is Reason.TOO_OLD
            continue
        assert reason is (Reason.REPLAYED if sequence in seen else None)
        if reason is None:
            window.mark(sequence)
            seen.add(sequence)
