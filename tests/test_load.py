"""What gossip tells of a node's load: rates between two looks, and unknown for what nobody counts."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sprawl.load import Counts, LoadMeter
from sprawl.overlay.digest import MOST_PARTITIONS, Digest, HotPartition

TOPIC = UUID(int=7)
FIRST = Counts(cpu_seconds=10.0, net_in=1e6, net_out=2e6, disk_written=3e6, loop_lag=0.25)
LATER = Counts(cpu_seconds=12.0, net_in=6e6, net_out=3e6, disk_written=3e6, loop_lag=0.002)


def test_rates_are_those_between_two_looks() -> None:
    meter = LoadMeter()
    meter.look(100.0, FIRST, 5e9, [])
    assert meter.look(105.0, LATER, 4e9, []) == Digest(
        cpu=0.4, net_in=1e6, net_out=2e5, disk_free=4e9, disk_write=0.0, loop_lag_ms=2.0
    )


def test_at_the_first_look_no_rate_is_known() -> None:
    assert LoadMeter().look(100.0, FIRST, 5e9, [((TOPIC, 0), 10**9)]) == Digest(disk_free=5e9, loop_lag_ms=250.0)


def test_what_is_not_counted_is_unknown_and_not_nought() -> None:
    meter = LoadMeter()
    meter.look(100.0, FIRST, None, [])
    found = meter.look(105.0, replace(LATER, disk_written=None, net_in=None), None, [])
    assert found.disk_write is found.net_in is found.disk_free is None
    assert found.net_out == 2e5
    assert meter.look(110.0, LATER, None, []).net_in is None, "there is nothing to compare it with"


def test_the_hottest_partitions_come_first_and_are_few() -> None:
    meter = LoadMeter()
    meter.look(0.0, Counts(), None, [((TOPIC, index), 1000) for index in range(20)])
    found = meter.look(2.0, Counts(), None, [((TOPIC, index), 1000 + 100 * index) for index in range(20)])
    assert len(found.hottest) == MOST_PARTITIONS
    assert found.hottest[0] == HotPartition(TOPIC, 19, 950.0)
    assert found.hottest[-1] == HotPartition(TOPIC, 14, 700.0)


def test_partitions_that_are_new_idle_or_were_cut_are_not_hot() -> None:
    meter = LoadMeter()
    meter.look(0.0, Counts(), None, [((TOPIC, 0), 10**9), ((TOPIC, 1), 500)])
    found = meter.look(1.0, Counts(), None, [((TOPIC, 0), 10), ((TOPIC, 1), 500), ((TOPIC, 2), 10**12)])
    assert found.hottest == ()


def test_a_counter_that_began_anew_is_no_negative_rate() -> None:
    meter = LoadMeter()
    meter.look(0.0, LATER, None, [])
    assert meter.look(1.0, FIRST, None, []).cpu == 0.0
