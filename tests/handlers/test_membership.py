"""UnregisterBroker, AddRaftVoter, RemoveRaftVoter and UpdateRaftVoter: what is refused, and what one node can do.

Voters that come and go are in tests/test_reassignment_simulated.py.
"""

from __future__ import annotations

from uuid import UUID

import pytest

from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.image import ListenerImage
from sprawl.security.access import Operation
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    AddRaftVoterRequest,
    AddRaftVoterRequestListener,
    RemoveRaftVoterRequest,
    UnregisterBrokerRequest,
    UpdateRaftVoterRequest,
    UpdateRaftVoterRequestListener,
)
from tests.handlers.metadata_node import Served, serve
from tests.handlers.wired import versions_of

OTHER = UUID(int=77)


def my_directory(served: Served) -> UUID:
    return served.member.quorum.me.directory_id


def test_a_broker_is_unregistered() -> None:
    async def run(served: Served) -> None:
        listener = ListenerImage("PLAINTEXT", "b", 1, 0)
        cluster_id = served.member.quorum.image.cluster_id
        await served.member.controller.register_broker(
            BrokerRegistration(2, cluster_id, UUID(int=1), (listener,), (UUID(int=2),))
        )
        served.access.forbidden = {(Operation.ALTER, "kafka-cluster")}
        refused = await served.ask(UnregisterBrokerRequest(broker_id=2))
        assert (refused.error_code, 2 in served.member.quorum.image.brokers) == (
            ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
            True,
        )
        served.access.forbidden = set()
        assert (await served.ask(UnregisterBrokerRequest(broker_id=2))).error_code == 0
        assert sorted(served.member.quorum.image.brokers) == [1]
        again = await served.ask(UnregisterBrokerRequest(broker_id=2))
        assert again.error_code == ErrorCode.BROKER_ID_NOT_REGISTERED

    serve(run)


@pytest.mark.parametrize("version", versions_of(AddRaftVoterRequest))
def test_voters_that_are_not_added(version: int) -> None:
    def add(voter: int, directory: UUID, cluster: str | None = None, port: int = 9092) -> AddRaftVoterRequest:
        listeners = [AddRaftVoterRequestListener(name="PEER", host="b", port=port)]
        return AddRaftVoterRequest(
            cluster_id=cluster, timeout_ms=300, voter_id=voter, voter_directory_id=directory, listeners=listeners
        )

    async def run(served: Served) -> None:
        for request, code in (
            (add(1, my_directory(served)), ErrorCode.DUPLICATE_VOTER),
            (add(1, OTHER), ErrorCode.DUPLICATE_VOTER),
            (add(2, OTHER), ErrorCode.REQUEST_TIMED_OUT),
            (add(2, UUID(int=0)), ErrorCode.INVALID_REQUEST),
            (add(-1, OTHER), ErrorCode.INVALID_REQUEST),
            (add(2, OTHER, port=0), ErrorCode.INVALID_REQUEST),
            (add(2, OTHER, cluster="another"), ErrorCode.INCONSISTENT_CLUSTER_ID),
        ):
            answer = await served.ask(request, version)
            assert (answer.error_code, bool(answer.error_message)) == (code, True), request
        served.access.forbidden = {(Operation.ALTER, "kafka-cluster")}
        refused = await served.ask(add(2, OTHER), version)
        assert refused.error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED
        assert served.member.quorum.voters.ids == [1]

    serve(run)


def test_voters_that_are_not_removed() -> None:
    async def run(served: Served) -> None:
        def remove(voter: int, directory: UUID, cluster: str | None = None) -> RemoveRaftVoterRequest:
            return RemoveRaftVoterRequest(cluster_id=cluster, voter_id=voter, voter_directory_id=directory)

        for request, code in (
            (remove(1, OTHER), ErrorCode.VOTER_NOT_FOUND),
            (remove(2, OTHER), ErrorCode.VOTER_NOT_FOUND),
            (remove(1, my_directory(served)), ErrorCode.INVALID_REQUEST),
            (remove(1, my_directory(served), "another"), ErrorCode.INCONSISTENT_CLUSTER_ID),
        ):
            assert (await served.ask(request)).error_code == code
        served.access.forbidden = {(Operation.ALTER, "kafka-cluster")}
        refused = await served.ask(remove(2, OTHER))
        assert refused.error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED
        assert served.member.quorum.voters.ids == [1]

    serve(run)


def test_a_voter_is_found_elsewhere() -> None:
    async def run(served: Served) -> None:
        quorum = served.member.quorum

        def update(epoch: int, directory: UUID, *ports: int) -> UpdateRaftVoterRequest:
            listeners = [UpdateRaftVoterRequestListener(name="PEER", host="elsewhere", port=port) for port in ports]
            return UpdateRaftVoterRequest(
                cluster_id=None,
                current_leader_epoch=epoch,
                voter_id=1,
                voter_directory_id=directory,
                listeners=listeners,
            )

        for request, code in (
            (update(quorum.epoch - 1, my_directory(served), 9), ErrorCode.FENCED_LEADER_EPOCH),
            (update(quorum.epoch + 1, my_directory(served), 9), ErrorCode.UNKNOWN_LEADER_EPOCH),
            (update(quorum.epoch, OTHER, 9), ErrorCode.VOTER_NOT_FOUND),
            (update(quorum.epoch, my_directory(served)), ErrorCode.INVALID_REQUEST),
        ):
            assert (await served.ask(request)).error_code == code
        answer = await served.ask(update(quorum.epoch, my_directory(served), 9093))
        leader = answer.current_leader
        assert answer.error_code == 0
        assert (leader.leader_id, leader.leader_epoch, leader.host, leader.port) == (1, quorum.epoch, "elsewhere", 9093)
        assert str(quorum.voters.address_of(1)) == "Address(host='elsewhere', port=9093)"

    serve(run)
