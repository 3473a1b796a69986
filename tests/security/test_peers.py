"""The handshake between nodes, without a connection: who is believed, and what each side is told when one is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl.security.peers import (
    MAX_MESSAGE_BYTES,
    NONCE_BYTES,
    ConnectedToItself,
    PeerClientHandshake,
    PeerIdentity,
    PeerRefused,
    PeerServerHandshake,
)

SECRET = bytes(range(32))
OTHER_SECRET = bytes(32)
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
ONE = PeerIdentity(1, "AAAAAAAAAAAAAAAAAAAAAQ", CLUSTER)
TWO = PeerIdentity(2, "AAAAAAAAAAAAAAAAAAAAAg", CLUSTER)
CLIENT_NONCE = b"c" * NONCE_BYTES
SERVER_NONCE = b"s" * NONCE_BYTES


def sides(
    client: PeerIdentity = ONE, server: PeerIdentity = TWO, *, client_secret: bytes = SECRET, round_: int = 0
) -> tuple[PeerClientHandshake, PeerServerHandshake]:
    nonces = (bytes([round_]) + CLIENT_NONCE[1:], bytes([round_]) + SERVER_NONCE[1:])
    return PeerClientHandshake(client, client_secret, nonces[0]), PeerServerHandshake(server, SECRET, nonces[1])


def refusals(client: PeerClientHandshake, server: PeerServerHandshake) -> tuple[str, str]:
    """What the client finds wrong, and what the server does."""
    proof = client.answer(server.challenge(client.hello()))
    with pytest.raises(PeerRefused) as at_client:
        client.server()
    with pytest.raises(PeerRefused) as at_server:
        server.accept(proof)
    return str(at_client.value), str(at_server.value)


def test_both_sides_learn_who_the_other_is() -> None:
    client, server = sides()
    assert not server.begun
    challenge = server.challenge(client.hello())
    assert server.begun
    assert server.accept(client.answer(challenge)) == ONE
    assert client.server() == TWO


def test_both_sides_of_a_wrong_secret_are_told() -> None:
    at_client, at_server = refusals(*sides(client_secret=OTHER_SECRET))
    assert at_client == "node 2 does not have the same cluster secret as node 1: copy the file of one"
    assert at_server == "node 1 does not have the same cluster secret as node 2: copy the file of one"


def test_both_sides_of_two_clusters_with_one_secret_are_told() -> None:
    at_client, at_server = refusals(*sides(client=replace(ONE, cluster_id="another")))
    assert at_client == f"node 2 belongs to cluster {CLUSTER}, node 1 to cluster another"
    assert at_server == f"node 1 belongs to cluster another, node 2 to cluster {CLUSTER}"


def test_who_lacks_the_secret_is_not_told_what_else_is_wrong() -> None:
    reasons = refusals(*sides(client=PeerIdentity(2, "x", "another"), client_secret=OTHER_SECRET))
    assert all("secret" in reason and CLUSTER not in reason and "another" not in reason for reason in reasons)


def test_a_node_that_does_not_know_its_cluster_yet_learns_its_id() -> None:
    joining = replace(ONE, cluster_id="")
    client, server = sides(client=joining)
    assert server.accept(client.answer(server.challenge(client.hello()))) == joining
    assert client.server().cluster_id == CLUSTER


def test_a_node_that_does_not_know_its_cluster_still_needs_the_secret() -> None:
    at_client, at_server = refusals(*sides(client=replace(ONE, cluster_id=""), client_secret=OTHER_SECRET))
    assert "secret" in at_client
    assert "secret" in at_server


def test_a_node_that_connects_to_itself_is_told_so() -> None:
    assert set(refusals(*sides(client=TWO))) == {"node 2 has connected to itself"}
    client, server = sides(client=TWO)
    client.answer(server.challenge(client.hello()))
    with pytest.raises(ConnectedToItself):
        client.server()


def test_two_nodes_with_one_id_are_told_apart_by_their_directories() -> None:
    reasons = refusals(*sides(client=replace(TWO, directory_id=ONE.directory_id)))
    assert set(reasons) == {"there are two nodes with id 2: give one of them another (node.id)"}


def test_an_answer_recorded_from_another_handshake_proves_nothing() -> None:
    client, server = sides()
    recorded = server.challenge(client.hello())
    recorded_proof = client.answer(recorded)

    later_client, later_server = sides(round_=1)
    later_client.answer(recorded)
    with pytest.raises(PeerRefused, match="secret"):
        later_client.server()
    later_server.challenge(client.hello())
    with pytest.raises(PeerRefused, match="secret"):
        later_server.accept(recorded_proof)


def test_a_servers_own_proof_does_not_serve_as_a_clients() -> None:
    client, server = sides()
    challenge = server.challenge(client.hello())
    with pytest.raises(PeerRefused, match="secret"):
        server.accept(challenge[-32:])


@pytest.mark.parametrize("place", range(0, 110, 3))
def test_a_challenge_that_was_changed_on_its_way_is_not_believed(place: int) -> None:
    client, server = sides()
    changed = bytearray(server.challenge(client.hello()))
    changed[place % len(changed)] ^= 1
    with pytest.raises(PeerRefused):
        client.answer(bytes(changed))
        client.server()


def test_a_hello_that_was_changed_on_its_way_does_not_make_another_node_of_the_client() -> None:
    client, server = sides()
    hello = bytearray(client.hello())
    hello[3] = 7  # the node id's last byte
    proof = client.answer(server.challenge(bytes(hello)))
    with pytest.raises(PeerRefused, match="node 7 does not have"):
        server.accept(proof)


@pytest.mark.parametrize("wrong", [b"", b"\0" * 31, b"\0" * 33, b"\0" * 1_000_000], ids=len)
def test_a_proof_of_another_length_is_none(wrong: bytes) -> None:
    client, server = sides()
    server.challenge(client.hello())
    with pytest.raises(PeerRefused):
        server.accept(wrong)


def test_whatever_is_cut_short_or_too_long_is_refused() -> None:
    client, server = sides()
    hello = client.hello()
    for size in range(len(hello)):
        with pytest.raises(PeerRefused):
            server.challenge(hello[:size])
    with pytest.raises(PeerRefused):
        server.challenge(hello + b"\0")
    with pytest.raises(PeerRefused, match="limit"):
        server.challenge(hello + bytes(MAX_MESSAGE_BYTES))
    assert not server.begun


def test_a_nonce_must_have_its_length_and_a_node_its_number() -> None:
    _, server = sides()
    for node_id, nonce in ((1, b""), (1, b"\0" * 16), (-1, CLIENT_NONCE)):
        hello = node_id.to_bytes(4, "big", signed=True) + b"\0\0" + b"\0\0" + len(nonce).to_bytes(4, "big") + nonce
        with pytest.raises(PeerRefused):
            server.challenge(hello)


@given(st.binary(max_size=MAX_MESSAGE_BYTES + 1))
def test_garbage_is_refused_on_either_side(data: bytes) -> None:
    client, server = sides()
    with pytest.raises(PeerRefused):
        client.answer(data)
        client.server()
    with pytest.raises(PeerRefused):
        server.challenge(data)
        server.accept(data)
