"""`sprawl start --nodes 3`: what a user of one machine types, and what becomes of it when a node dies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compat_tests.cluster.journeys import confluent, create_topic
from compat_tests.cluster.load import Load, in_sync
from compat_tests.cluster.machine import Machine
from compat_tests.waiting import until


def test_the_death_of_one_node_leaves_the_others_running(tmp_path: Path, new_name: Callable[[], str]) -> None:
    topic = new_name()
    with Machine(tmp_path) as machine:
        confluent(machine.bootstrap, new_name())
        create_topic(machine.bootstrap, topic, 3)
        with Load(machine.bootstrap, topic, 3) as load:
            load.flows()
            machine.kill(2)
            machine.has_said(r"node-2 was ended by SIGKILL .* it is not started again")
            load.flows()
            assert machine.pid_of(1) is not None and machine.pid_of(3) is not None
            assert machine.pid_of(2) is None
        assert load.check() > 0
        assert machine.stop() == 1, "not every node ended cleanly, and that is said"


def test_with_restart_a_node_that_died_comes_back(tmp_path: Path, new_name: Callable[[], str]) -> None:
    topic = new_name()
    with Machine(tmp_path, "--restart") as machine:
        create_topic(machine.bootstrap, topic, 3)
        with Load(machine.bootstrap, topic, 3) as load:
            load.flows()
            killed = machine.pid_of(3)
            machine.kill(3)
            until("another process", lambda: machine.pid_of(3) not in (None, killed), 60)
            until("all in sync", lambda: in_sync(machine.bootstrap, topic, 3), 90)
        assert load.check() > 0
        assert machine.stop() == 0
