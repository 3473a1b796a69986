"""The states of a classic group, and the only table that says which may follow which.

    Empty                no members; may still hold committed offsets
    PreparingRebalance   members are being gathered: JoinGroup requests wait for their answer
    CompletingRebalance  a generation exists; its leader owes the assignment: SyncGroup requests wait for their answer
    Stable               every member of the generation can have its assignment
    Dead                 deleted, or no longer coordinated here; nothing leads out of it

The picture in docs/groups.md is drawn from `TRANSITIONS`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class GroupState(StrEnum):
    """The values are the names that Kafka's ListGroups and DescribeGroups answers carry."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


TRANSITIONS: Final[Mapping[GroupState, frozenset[GroupState]]] = MappingProxyType(
    {
        GroupState.EMPTY: frozenset({GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
        GroupState.PREPARING_REBALANCE: frozenset({GroupState.COMPLETING_REBALANCE, GroupState.EMPTY, GroupState.DEAD}),
        GroupState.COMPLETING_REBALANCE: frozenset(
            {GroupState.STABLE, GroupState.PREPARING_REBALANCE, GroupState.DEAD}
        ),
        GroupState.STABLE: frozenset({GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
        GroupState.DEAD: frozenset(),
    }
)
"""From a state to those that may follow it directly."""

CAN_REBALANCE: Final = frozenset(
    state for state, following in TRANSITIONS.items() if GroupState.PREPARING_REBALANCE in following
)
"""The states in which a change of membership starts a rebalance (rather than joining one that is under way)."""
