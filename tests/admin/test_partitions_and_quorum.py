"""`sprawl-admin partition` and `quorum`: what is asked, what is shown, what is refused."""

from __future__ import annotations

from uuid import UUID

import pytest
from typer.testing import CliRunner

from sprawl.admin import cli
from sprawl.admin.partitions import elect, move, moves
from sprawl.admin.quorum import add_voter, describe_quorum, remove_voter
from sprawl.admin.session import USAGE, RefusedError
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    AddRaftVoterRequest,
    AddRaftVoterResponse,
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData,
    DescribeQuorumResponseReplicaState,
    DescribeQuorumResponseTopicData,
    ElectLeadersRequest,
    ElectLeadersResponse,
    ElectLeadersResponsePartitionResult,
    Listener,
    ListPartitionReassignmentsResponse,
    Node,
    OngoingPartitionReassignment,
    OngoingTopicReassignment,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
    RemoveRaftVoterRequest,
    RemoveRaftVoterResponse,
    ReplicaElectionResult,
)
from tests.admin.test_commands import Session

DIRECTORY = UUID(int=7)


def moved(error: ErrorCode = ErrorCode.NONE) -> AlterPartitionReassignmentsResponse:
    part = ReassignablePartitionResponse(partition_index=3, error_code=error, error_message="why")
    return AlterPartitionReassignmentsResponse(responses=[ReassignableTopicResponse(name="t", partitions=[part])])


@pytest.mark.parametrize("brokers", [[2, 3], None])
async def test_a_move_is_asked_for(brokers: list[int] | None) -> None:
    session = Session(moved())
    await move(session, "t", 3, brokers)  # type: ignore[arg-type]
    (asked,) = session.asked
    assert isinstance(asked, AlterPartitionReassignmentsRequest)
    assert (asked.topics[0].name, asked.topics[0].partitions[0].replicas) == ("t", brokers)


async def test_a_move_that_is_refused_says_why() -> None:
    session = Session(moved(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS))
    with pytest.raises(RefusedError, match="t-3: NO_REASSIGNMENT_IN_PROGRESS: why"):
        await move(session, "t", 3, None)  # type: ignore[arg-type]


async def test_moves_under_way_are_listed() -> None:
    part = OngoingPartitionReassignment(partition_index=0, replicas=[3, 1], adding_replicas=[3], removing_replicas=[1])
    session = Session(
        ListPartitionReassignmentsResponse(topics=[OngoingTopicReassignment(name="t", partitions=[part])])
    )
    assert await moves(session) == [  # type: ignore[arg-type]
        {"topic": "t", "partition": 0, "replicas": [3, 1], "adding": [3], "removing": [1]}
    ]


def elected(*codes: ErrorCode) -> ElectLeadersResponse:
    results = [
        ElectLeadersResponsePartitionResult(partition_id=number, error_code=code) for number, code in enumerate(codes)
    ]
    return ElectLeadersResponse(replica_election_results=[ReplicaElectionResult(topic="t", partition_result=results)])


async def test_an_election_that_is_not_needed_is_no_failure() -> None:
    session = Session(elected(ErrorCode.NONE, ErrorCode.ELECTION_NOT_NEEDED))
    found = await elect(session, None, None, unclean=False)  # type: ignore[arg-type]
    assert [(each["partition"], each["elected"]) for each in found] == [(0, True), (1, False)]
    (asked,) = session.asked
    assert isinstance(asked, ElectLeadersRequest)
    assert (asked.topic_partitions, asked.election_type) == (None, 0)


async def test_an_election_that_cannot_be_held_is_one() -> None:
    session = Session(elected(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE))
    with pytest.raises(RefusedError, match="ELIGIBLE_LEADERS_NOT_AVAILABLE"):
        await elect(session, "t", 0, unclean=True)  # type: ignore[arg-type]
    (asked,) = session.asked
    assert isinstance(asked, ElectLeadersRequest)
    assert asked.topic_partitions is not None
    assert (asked.topic_partitions[0].partitions, asked.election_type) == ([0], 1)


def quorum() -> DescribeQuorumResponse:
    def state(node: int, end: int) -> DescribeQuorumResponseReplicaState:
        return DescribeQuorumResponseReplicaState(replica_id=node, replica_directory_id=DIRECTORY, log_end_offset=end)

    part = DescribeQuorumResponsePartitionData(
        leader_id=1,
        leader_epoch=4,
        high_watermark=10,
        current_voters=[state(1, 11), state(2, 9)],
        observers=[state(3, -1)],
    )
    topic = DescribeQuorumResponseTopicData(topic_name="__cluster_metadata", partitions=[part])
    nodes = [
        Node(
            node_id=3,
            listeners=[
                Listener(name="A", host="a", port=1),
                Listener(name="PEER", host="c", port=2),
                Listener(name="HOST", host="h", port=0),
            ],
        )
    ]
    return DescribeQuorumResponse(topics=[topic], nodes=nodes)


async def test_the_quorum_is_described_by_its_replicas() -> None:
    found = await describe_quorum(Session(quorum()))  # type: ignore[arg-type]
    assert (found["leader"], found["epoch"], found["committed"]) == (1, 4, 10)
    assert [(each["node"], each["role"], each["lag"], each["address"]) for each in found["replicas"]] == [
        (1, "leader", 0, None),
        (2, "voter", 2, None),
        (3, "observer", None, "c:2"),
    ]


async def test_voters_are_named_by_their_numbers() -> None:
    session = Session(quorum(), AddRaftVoterResponse(), RemoveRaftVoterResponse())
    await add_voter(session, 3)  # type: ignore[arg-type]
    await remove_voter(session, 2)  # type: ignore[arg-type]
    _, add, _, remove = session.asked
    assert isinstance(add, AddRaftVoterRequest)
    assert isinstance(remove, RemoveRaftVoterRequest)
    assert (add.voter_id, add.voter_directory_id, add.listeners[0].host, add.listeners[0].port) == (
        3,
        DIRECTORY,
        "c",
        2,
    )
    assert (remove.voter_id, remove.voter_directory_id) == (2, DIRECTORY)
    with pytest.raises(RefusedError, match="node 9"):
        await add_voter(session, 9)  # type: ignore[arg-type]


async def test_a_voter_that_is_refused_says_why() -> None:
    session = Session(quorum(), AddRaftVoterResponse(error_code=ErrorCode.DUPLICATE_VOTER, error_message="it votes"))
    with pytest.raises(RefusedError, match="node 2: DUPLICATE_VOTER: it votes"):
        await add_voter(session, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        ["move", "t", "0"],
        ["move", "t", "0", "--to", "1,2", "--cancel"],
        ["move", "t", "0", "--to", "1,x"],
        ["move", "t", "-1", "--to", "1"],
        ["elect", "t"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli.app, ["partition", *arguments]).exit_code == USAGE


@pytest.mark.parametrize(
    "command",
    [
        ["partition", "move"],
        ["partition", "moves"],
        ["partition", "elect"],
        ["quorum", "describe"],
        ["quorum", "add-voter"],
        ["quorum", "remove-voter"],
    ],
)
def test_every_command_shows_an_example(command: list[str]) -> None:
    shown = CliRunner().invoke(cli.app, [*command, "--help"]).output
    assert " ".join(["sprawl-admin", *command]) in " ".join(shown.split())


def test_an_unclean_election_is_asked_about() -> None:
    assert CliRunner().invoke(cli.app, ["partition", "elect", "t", "0", "--unclean"], input="n\n").exit_code == 1
