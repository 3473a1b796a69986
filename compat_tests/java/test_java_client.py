"""Each test runs one scenario of `program/Scenarios.java` in a JVM of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compat_tests.java.building import build
from compat_tests.programs import Scenario, caller


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return build(tmp_path_factory.mktemp("classes"))


@pytest.fixture
def scenario(program: list[str], bootstrap: str, new_name: Callable[[], str]) -> Scenario:
    """Runs a scenario on a topic (and group) name of its own."""
    return caller(program, bootstrap, new_name)


@pytest.mark.feature("produce and consume")
def test_records_come_back_in_order_with_their_offsets(scenario: Scenario) -> None:
    scenario("produce-consume")


@pytest.mark.feature("keys, headers, empty and null values")
def test_keys_values_and_headers_of_every_shape_survive(scenario: Scenario) -> None:
    scenario("shapes")


@pytest.mark.feature("compression")
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_survive(scenario: Scenario, codec: str) -> None:
    scenario("compression", codec)


@pytest.mark.feature("large messages")
def test_a_large_message_goes_through_a_topic_that_allows_it(scenario: Scenario) -> None:
    scenario("large")


@pytest.mark.feature("idempotence")
def test_an_idempotent_producer_keeps_order_over_many_batches(scenario: Scenario) -> None:
    scenario("many-batches")


@pytest.mark.feature("many partitions")
def test_a_topic_of_a_hundred_partitions(scenario: Scenario) -> None:
    scenario("many-partitions")


@pytest.mark.feature("timestamps")
def test_log_append_time_is_the_brokers(scenario: Scenario) -> None:
    scenario("timestamps")


@pytest.mark.feature("seek by time")
def test_offsets_for_times_finds_the_first_record_at_or_after(scenario: Scenario) -> None:
    scenario("seek-by-time")


@pytest.mark.feature("groups: join and leave")
@pytest.mark.parametrize("assignor", ["RangeAssignor", "CooperativeStickyAssignor"])
def test_partitions_are_shared_out_as_members_join_and_leave(scenario: Scenario, assignor: str) -> None:
    scenario("join-and-leave", f"org.apache.kafka.clients.consumer.{assignor}")


@pytest.mark.feature("groups: static membership")
def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(scenario: Scenario) -> None:
    scenario("static-membership")


@pytest.mark.feature("groups: committed offsets")
def test_a_new_member_goes_on_where_the_group_committed(scenario: Scenario) -> None:
    scenario("committed")


@pytest.mark.feature("admin: topics")
def test_topics_are_created_described_grown_and_deleted(scenario: Scenario) -> None:
    scenario("admin-topics")


@pytest.mark.feature("admin: configs")
def test_settings_are_set_and_deleted_one_by_one(scenario: Scenario) -> None:
    scenario("admin-configs")


@pytest.mark.feature("admin: delete records")
def test_offsets_are_listed_and_records_deleted(scenario: Scenario) -> None:
    scenario("admin-records")


@pytest.mark.feature("admin: groups")
def test_groups_are_listed_described_altered_and_deleted(scenario: Scenario) -> None:
    scenario("admin-groups")


@pytest.mark.feature("admin: cluster")
def test_the_cluster_is_described(scenario: Scenario) -> None:
    scenario("admin-cluster")


@pytest.mark.feature("errors")
def test_what_cannot_be_is_told_by_kafkas_own_exceptions(scenario: Scenario) -> None:
    scenario("errors")
