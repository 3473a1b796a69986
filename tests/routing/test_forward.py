"""Parts of a request that other nodes answer: who is asked again, and what the client is told in the end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sprawl.routing.forward import Part, Spread
from sprawl.runtime.simulated import Simulation
from sprawl_protocol.errors import ErrorCode

Answer = tuple[str, int]


def ask(answers: Sequence[ErrorCode], *, repeatable: bool) -> tuple[Answer, int]:
    """What the client is told of one part, and how often its node was asked. The last answer is given for ever."""
    asked = 0

    async def send(node: int, parts: Sequence[str]) -> list[Answer]:
        nonlocal asked
        asked += 1
        return [(part, int(answers[min(asked, len(answers)) - 1])) for part in parts]

    with Simulation(1) as world:
        spread: Spread[str, Answer] = Spread(
            node_of=lambda part: 2,
            send=send,
            error_of=lambda answer: answer[1],
            refusal=lambda part, error: (part, int(error)),
            clock=world.driver.runtime.clock,
        )
        (told,) = world.run(spread.ask([Part("a", repeatable)], 1.0))
    return told, asked


def test_a_node_that_is_starting_is_asked_again() -> None:
    told, asked = ask([ErrorCode.BROKER_NOT_AVAILABLE, ErrorCode.NONE], repeatable=True)
    assert told == ("a", 0)
    assert asked == 2


@pytest.mark.parametrize("repeatable", [True, False])
def test_of_a_node_that_is_starting_clients_hear_what_they_try_again_after(repeatable: bool) -> None:
    told, asked = ask([ErrorCode.BROKER_NOT_AVAILABLE], repeatable=repeatable)
    assert told == ("a", int(ErrorCode.LEADER_NOT_AVAILABLE))
    assert (asked > 1) is repeatable
