"""Each test runs one scenario of `program/scenarios.js`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compat_tests.node.building import build
from compat_tests.programs import Scenario, caller


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return build(tmp_path_factory.mktemp("node"))


@pytest.fixture
def scenario(program: list[str], bootstrap: str, new_name: Callable[[], str]) -> Scenario:
    return caller(program, bootstrap, new_name)


@pytest.mark.feature("produce and consume")
def test_records_come_back_in_order_with_their_offsets(scenario: Scenario) -> None:
    scenario("produce-consume")


@pytest.mark.feature("keys, headers, empty and null values")
def test_keys_values_and_headers_of_every_shape_survive(scenario: Scenario) -> None:
    scenario("shapes")


@pytest.mark.feature("compression")
def test_compressed_batches_survive(scenario: Scenario) -> None:
    scenario("compression")


@pytest.mark.feature("acks")
def test_each_kind_of_acknowledgement(scenario: Scenario) -> None:
    scenario("acks")


@pytest.mark.feature("idempotence")
def test_an_idempotent_producer_keeps_order_over_many_batches(scenario: Scenario) -> None:
    scenario("idempotent")


@pytest.mark.feature("seek by time")
def test_offsets_are_found_by_time(scenario: Scenario) -> None:
    scenario("seek-by-time")


@pytest.mark.feature("groups: join and leave")
def test_partitions_are_shared_out_as_members_join_and_leave(scenario: Scenario) -> None:
    scenario("join-and-leave")


@pytest.mark.feature("groups: committed offsets")
def test_a_new_member_goes_on_where_the_group_committed(scenario: Scenario) -> None:
    scenario("committed")


@pytest.mark.feature("admin: topics")
def test_topics_are_created_grown_and_deleted(scenario: Scenario) -> None:
    scenario("admin-topics")


@pytest.mark.feature("admin: configs")
def test_settings_are_altered_and_described(scenario: Scenario) -> None:
    scenario("admin-configs")


@pytest.mark.feature("admin: delete records")
def test_records_before_an_offset_are_deleted(scenario: Scenario) -> None:
    scenario("admin-records")


@pytest.mark.feature("admin: groups")
def test_groups_are_listed_described_and_deleted(scenario: Scenario) -> None:
    scenario("admin-groups")


@pytest.mark.feature("admin: cluster")
def test_the_cluster_is_described(scenario: Scenario) -> None:
    scenario("admin-cluster")


@pytest.mark.feature("errors")
def test_what_cannot_be_is_told_by_kafkas_own_errors(scenario: Scenario) -> None:
    scenario("errors")
