"""Random events against a `ClassicGroup`: whatever members, time and the log do, some things are always true."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sprawl.groups.classic import ClassicGroup
from sprawl.groups.exchange import GroupLimits, Instant, JoinAnswer, SyncAnswer
from sprawl.groups.states import TRANSITIONS, GroupState
from sprawl_protocol.errors import ErrorCode
from tests.groups.script import Driver

NAMES = ("a", "b", "c", "d")
name = st.sampled_from(NAMES)
offers = st.sampled_from(("range:t1", "range:t1|sticky:t1", "sticky:t1|range:t1", "range:t2|sticky:t2"))
timeouts = st.sampled_from(("session=6s rebalance=10s", "session=30s rebalance=20s", "session=10s rebalance=5s"))


def command(template: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda chosen: template.format(*chosen))


commands = st.one_of(
    command("join {} offers={} {}", name, offers, timeouts),
    command("join {} offers={} {}", name, offers, timeouts),
    command("join {} id= v=3 offers={} {}", name, offers, timeouts),
    command("join {0} id= instance=i{0} offers={1} {2}", name, offers, timeouts),
    command("join {0} instance=i{0} offers={1} {2}", name, offers, timeouts),
    command("sync {} assign=a:1,b:2,c:3,d:4", name),
    command("sync {} assign=a:1,b:2,c:3,d:4", name),
    command("heartbeat {}", name),
    command("commit {}", name),
    command("leave {}", name),
    command("leave {} {}", name, name),
    command("leave-instance i{}", name),
    command("advance {}", st.sampled_from(("0s", "1s", "3s", "6s", "20s"))),
    st.sampled_from(("writes by-hand", "writes by-itself", "written", "written", "fail NOT_COORDINATOR", "restart")),
)


def check_invariants(driver: Driver) -> None:
    group = driver.group
    members = {member.member_id: member for member in group.members}
    assert group.leader is None or group.leader in members, "the leader is not a member"
    assert (group.leader is None) == (not members), "members without a leader, or a leader without members"
    if group.state is GroupState.EMPTY:
        assert not members
    if group.state in (GroupState.COMPLETING_REBALANCE, GroupState.STABLE):
        assert members, f"{group.state} without members"
        assert group.protocol_name is not None
        for member in members.values():
            assert group.protocol_name in [strategy.name for strategy in member.strategies], "a protocol not its own"
    if members:
        shared = set.intersection(*({each.name for each in member.strategies} for member in members.values()))
        assert shared, "members without a common protocol"
    open_tickets = {member.join_ticket for member in members.values()} | {
        member.sync_ticket for member in members.values()
    }
    unaccounted = {ticket for ticket in driver.waiting if ticket not in open_tickets}
    assert len(unaccounted) <= len(driver.open_writes), f"nobody will ever answer tickets {unaccounted}"
    assert not (group.pending_members & members.keys()), "both pending and a member"
    instances = [member.instance_id for member in members.values() if member.instance_id is not None]
    assert len(instances) == len(set(instances)), "one instance id, two members"


def check_answers(driver: Driver) -> None:
    """Over the whole history: one leader per generation, one protocol, and assignments only as the log has them."""
    leaders: dict[int, set[str]] = {}
    protocols: dict[int, set[str | None]] = {}
    for _, answer in driver.answered:
        if isinstance(answer, JoinAnswer) and answer.error is ErrorCode.NONE:
            protocols.setdefault(answer.generation, set()).add(answer.protocol_name)
            if answer.members and not answer.skip_assignment:
                leaders.setdefault(answer.generation, set()).add(answer.leader.split("-")[0])
                assert answer.member_id == answer.leader
                assert answer.member_id in [member.member_id for member in answer.members]
    assert all(len(names) == 1 for names in leaders.values()), f"two leaders in one generation: {leaders}"
    assert all(len(names) == 1 for names in protocols.values()), f"two protocols in one generation: {protocols}"


@settings(max_examples=250, deadline=None)
@given(
    delay=st.sampled_from(("0s", "3s")),
    size=st.sampled_from((2, 3, 100)),
    script=st.lists(commands, min_size=1, max_size=60),
)
@example(
    delay="0s", size=100, script=["join a id= v=3", "advance 0s", "writes by-hand", "sync a", "leave a", "restart"]
)
def test_whatever_happens(delay: str, size: int, script: list[str]) -> None:
    driver = Driver()
    driver.run(f"limits initial-delay={delay} max-size={size}")
    restarted = False
    for line in script:
        if line in ("written", "fail NOT_COORDINATOR") and not driver.open_writes:
            continue
        before = driver.group.state
        driver.run(line)
        restarted = restarted or line == "restart"
        check_invariants(driver)
        if before is not driver.group.state:
            assert TRANSITIONS[before], "something followed Dead"
        if not restarted:  # a restart takes the group back to what is in the log, generation and all
            check_answers(driver)
    driver.run("end NOT_COORDINATOR")
    assert not driver.waiting, "an answer was left hanging"


@settings(max_examples=100, deadline=None)
@given(script=st.lists(commands, min_size=1, max_size=40))
def test_an_assignment_is_handed_out_only_if_the_log_has_it(script: list[str]) -> None:
    driver = Driver()
    driver.run("limits initial-delay=0s")
    logged: list[bytes] = [b""]
    for line in script:
        if line in ("written", "fail NOT_COORDINATOR") and not driver.open_writes:
            continue
        driver.answered.clear()
        driver.run(line)
        if driver.group.stored is not None:
            logged += [member.assignment for member in driver.group.stored.members]
        for _, answer in driver.answered:
            if isinstance(answer, SyncAnswer) and answer.error is ErrorCode.NONE:
                assert answer.assignment in logged


@settings(max_examples=150, deadline=None)
@given(script=st.lists(commands, min_size=1, max_size=40))
def test_time_alone_brings_a_group_to_rest(script: list[str]) -> None:
    """If nobody ever asks again, everybody is answered and the group is empty in the end: no timer is forgotten."""
    driver = Driver()
    driver.run("limits initial-delay=3s")
    for line in script:
        if line in ("written", "fail NOT_COORDINATOR") and not driver.open_writes:
            continue
        driver.run(line)
    driver.run("writes by-itself")
    while driver.open_writes:
        driver.run("written")
    driver.run("advance 900s")
    assert not driver.waiting, "an answer was left hanging"
    assert driver.group.state is GroupState.EMPTY, driver.run("describe")
    assert not driver.group.pending_members


def test_a_restored_group_is_stored_as_it_was() -> None:
    driver = Driver()
    for line in ("limits initial-delay=0s", "join a v=3", "join b instance=i", "advance 0s", "sync a assign=a:1,b:2"):
        driver.run(line)
    stored = driver.group.stored
    assert stored is not None
    group = ClassicGroup.restore("g", GroupLimits(), stored, Instant(0.0, 5))
    assert group.stored == stored
    assert [member.assignment for member in group.members] == [b"1", b"2"]
    assert group.leader == stored.leader == "a-1"
    assert group.subscribed_topics == frozenset({"t1"})
