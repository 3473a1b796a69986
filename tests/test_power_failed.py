"""Whether power failed since the logs were last recovered: what may be torn in them depends on it."""

from __future__ import annotations

import pytest

from sprawl.node import _BOOT_ID, _power_failed
from sprawl.runtime.simulated import Simulation


@pytest.mark.parametrize(("noted", "failed"), [("now", False), ("before", True), (None, True)])
def test_a_machine_that_was_down_is_known_by_its_boot_id(noted: str | None, failed: bool) -> None:
    with Simulation(1) as world:
        runtime = world.node("a").runtime
        state = runtime.open_state("/node.sqlite")
        if noted is not None:
            state[_BOOT_ID] = runtime.boot_id if noted == "now" else noted
        assert _power_failed(state, runtime) is failed
