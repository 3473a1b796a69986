"""Incremental fetch sessions, KIP-227."""

from __future__ import annotations

import random
from uuid import UUID

import pytest

from sprawl.partitions.fetch_sessions import FetchPlan, FetchSessions, Key, Wanted
from sprawl_protocol.errors import ApiError, ErrorCode

NO_ID = UUID(int=0)


def wanted(index: int, offset: int = 0) -> Wanted:
    return Wanted("orders", NO_ID, index, offset, max_bytes=1024)


def key(index: int) -> Key:
    return ("orders", NO_ID, index)


class Client:
    """Asks as a consumer does, with the session it was given."""

    def __init__(self, sessions: FetchSessions) -> None:
        self.sessions = sessions
        self.now = 0.0

    def ask(self, session: int, epoch: int, named: list[Wanted], forgotten: list[Key] | None = None) -> FetchPlan:
        return self.sessions.plan(session, epoch, named, forgotten or [], by_topic_id=False, now=self.now)


@pytest.fixture
def client() -> Client:
    return Client(FetchSessions(slots=2, eviction_seconds=120, rng=random.Random(1)))


def test_a_request_without_session_gets_none(client: Client) -> None:
    plan = client.ask(0, -1, [wanted(0)])
    assert plan.session_id == 0
    assert plan.full
    assert len(client.sessions) == 0


def test_an_incremental_request_reads_what_the_session_remembers(client: Client) -> None:
    first = client.ask(0, 0, [wanted(0), wanted(1)])
    assert first.full
    assert first.session_id > 0
    second = client.ask(first.session_id, 1, [wanted(1, offset=7)])
    assert not second.full
    assert [(w.index, w.offset) for w in second.wanted] == [(0, 0), (1, 7)]


def test_forgotten_partitions_are_not_read_again(client: Client) -> None:
    first = client.ask(0, 0, [wanted(0), wanted(1)])
    second = client.ask(first.session_id, 1, [], forgotten=[key(0)])
    assert [w.index for w in second.wanted] == [1]


def test_a_partition_with_data_goes_to_the_end_of_the_line(client: Client) -> None:
    first = client.ask(0, 0, [wanted(0), wanted(1), wanted(2)])
    assert first.session is not None
    first.session.had_news(first.wanted[0])
    second = client.ask(first.session_id, 1, [])
    assert [w.index for w in second.wanted] == [1, 2, 0]


@pytest.mark.parametrize(
    ("session_offset", "epoch", "code"),
    [(0, 2, ErrorCode.INVALID_FETCH_SESSION_EPOCH), (1, 1, ErrorCode.FETCH_SESSION_ID_NOT_FOUND)],
)
def test_a_wrong_epoch_or_session_is_refused(client: Client, session_offset: int, epoch: int, code: ErrorCode) -> None:
    first = client.ask(0, 0, [wanted(0)])
    with pytest.raises(ApiError) as refused:
        client.ask(first.session_id + session_offset, epoch, [])
    assert refused.value.code is code


def test_a_session_made_with_names_refuses_topic_ids(client: Client) -> None:
    first = client.ask(0, 0, [wanted(0)])
    with pytest.raises(ApiError) as refused:
        client.sessions.plan(first.session_id, 1, [], [], by_topic_id=True, now=0.0)
    assert refused.value.code is ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR


def test_the_final_epoch_closes_the_session(client: Client) -> None:
    first = client.ask(0, 0, [wanted(0)])
    closing = client.ask(first.session_id, -1, [wanted(0)])
    assert closing.session_id == 0
    assert len(client.sessions) == 0


def test_without_room_a_client_is_served_without_a_session(client: Client) -> None:
    ids = {client.ask(0, 0, [wanted(0)]).session_id for _ in range(2)}
    assert 0 not in ids
    assert client.ask(0, 0, [wanted(0)]).session_id == 0
    client.now = 121.0
    assert client.ask(0, 0, [wanted(0)]).session_id > 0, "the longest idle session makes room"
    assert len(client.sessions) == 2


def test_the_epoch_wraps_to_one(client: Client) -> None:
    first = client.ask(0, 0, [wanted(0)])
    assert first.session is not None
    first.session.epoch = 2**31 - 1
    client.ask(first.session_id, 2**31 - 1, [])
    assert first.session.epoch == 1
