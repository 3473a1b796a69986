"""Elections that are asked for, and preferred leaders that return."""

from __future__ import annotations

import pytest

from sprawl.quorum.elections import Election, ElectionType, elect, elections, return_leaders
from sprawl.quorum.image import PartitionImage, TopicImage
from sprawl.quorum.leadership import TopicRules
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.quorum.placed import at, first, placed, rules, then

PREFERRED, UNCLEAN = ElectionType.PREFERRED, ElectionType.UNCLEAN


def one(_: TopicImage) -> TopicRules:
    return rules()


def risky(_: TopicImage) -> TopicRules:
    return rules(unclean=True)


def test_the_preferred_leader_leads_again() -> None:
    image = placed(at([1, 2, 3], 2, [2, 1]))
    now = first(then(image, elect(image, Election("t", 0, PREFERRED), one)))
    assert (now.leader, now.leader_epoch, now.isr, now.recovering) == (1, 5, (2, 1), False)


def test_an_unclean_election_lets_a_replica_lead_that_lacks_records() -> None:
    image = placed(at([1, 2, 3], -1, []), fenced=[1])
    now = first(then(image, elect(image, Election("t", 0, UNCLEAN), one)))
    assert (now.leader, now.leader_epoch, now.isr, now.recovering) == (2, 5, (2,), True)


@pytest.mark.parametrize(
    ("partition", "fenced", "kind", "code"),
    [
        (at([1, 2], 1, [1, 2]), [], PREFERRED, ErrorCode.ELECTION_NOT_NEEDED),
        (at([1, 2], 2, [2]), [], PREFERRED, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE),
        (at([1, 2], 2, [2]), [1], PREFERRED, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE),
        (at([1, 2, 3], 3, [2, 3]), [], PREFERRED, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE),
        (at([1, 2], -1, []), [1], PREFERRED, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE),
        (at([1, 2], 2, [2]), [], UNCLEAN, ErrorCode.ELECTION_NOT_NEEDED),
        (at([1, 2], -1, []), [1, 2], UNCLEAN, ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE),
    ],
    ids=["leads", "lags", "fenced", "not the first", "nobody leads", "somebody leads", "nobody lives"],
)
def test_elections_that_are_not_held(
    partition: PartitionImage, fenced: list[int], kind: ElectionType, code: ErrorCode
) -> None:
    image = placed(partition, fenced=fenced)
    for rules_of in (one, risky):
        with pytest.raises(ApiError) as refusal:
            elect(image, Election("t", 0, kind), rules_of)
        assert refusal.value.code is code


@pytest.mark.parametrize(("topic", "partition"), [("missing", 0), ("t", 1), ("t", -1)])
def test_there_must_be_such_a_partition(topic: str, partition: int) -> None:
    with pytest.raises(ApiError) as refusal:
        elect(placed(at([1], 1, [1])), Election(topic, partition, PREFERRED), one)
    assert refusal.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_all_partitions_may_be_meant() -> None:
    image = placed(at([1], 1, [1]), at([2], 2, [2]))
    assert elections(image, UNCLEAN) == [Election("t", 0, UNCLEAN), Election("t", 1, UNCLEAN)]


def test_only_leaders_that_can_return_do() -> None:
    image = placed(
        at([1, 2], 2, [2, 1]), at([1, 2], 2, [2]), at([1, 2], 1, [1, 2]), at([3, 2], 2, [2, 3]), at([1, 2], -1, [])
    )
    after = then(image, return_leaders(image, one))
    assert [each.leader for each in after.topics["t"].partitions] == [1, 2, 1, 3, -1]
    assert return_leaders(after, one) == []
    assert len(return_leaders(image, one, limit=1)) == 1
