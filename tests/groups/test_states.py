"""The table of transitions, and the picture that is drawn from it."""

from __future__ import annotations

import re
from pathlib import Path

from sprawl.groups.states import CAN_REBALANCE, TRANSITIONS, GroupState

DOCS = Path(__file__).parents[2] / "docs" / "groups.md"


def test_the_picture_in_the_documents_shows_the_table() -> None:
    drawn = {
        (GroupState(source), GroupState(target))
        for source, target in re.findall(r"^ +(\w+) --> (\w+)", DOCS.read_text(), re.MULTILINE)
    }
    assert drawn == {(source, target) for source, targets in TRANSITIONS.items() for target in targets}


def test_every_state_is_in_the_table_and_nothing_follows_dead() -> None:
    assert set(TRANSITIONS) == set(GroupState)
    assert TRANSITIONS[GroupState.DEAD] == frozenset()


def test_a_rebalance_never_starts_another() -> None:
    assert {GroupState.EMPTY, GroupState.COMPLETING_REBALANCE, GroupState.STABLE} == CAN_REBALANCE
