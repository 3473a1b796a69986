"""The settings of several nodes on one machine: what differs between them, what they share, what is refused."""

from __future__ import annotations

import pytest

from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.config.members import handover, members_of, taken_over

BASE = {
    "listeners": "PLAINTEXT://127.0.0.1:9092",
    "sprawl.http.listener": "127.0.0.1:9644",
    "log.dirs": "/d",
    "num.partitions": "7",
}


def members(nodes: int = 3, **changes: str) -> tuple[BrokerConfig, ...]:
    given = {**BASE, **{key.replace("_", "."): value for key, value in changes.items()}}
    return members_of(BrokerConfig.of(given, {"num.partitions": "a file"}), nodes, "here")


def test_each_node_has_its_own_ports_number_and_directory() -> None:
    found = [(one.id, one.data_dir, one.endpoints[0].port, one.http and one.http.port) for one in members()]
    assert found == [(1, "/d/node-1", 9092, 9644), (2, "/d/node-2", 9093, 9645), (3, "/d/node-3", 9094, 9646)]


def test_everything_else_is_shared_and_keeps_its_source() -> None:
    assert {one.num_partitions for one in members()} == {7}
    assert {one.sources["num.partitions"] for one in members()} == {"a file"}


def test_numbers_go_on_from_the_one_that_was_given() -> None:
    assert [(one.id, one.data_dir) for one in members(2, node_id="4")] == [(4, "/d/node-4"), (5, "/d/node-5")]
    assert [one.id for one in members(2, broker_id="8")] == [8, 9]


def test_an_older_name_of_a_key_does_not_outlive_it() -> None:
    one = members_of(BrokerConfig.of({"log.dir": "/old", "broker.id": "2"}), 1, "here")[0]
    assert (one.id, one.data_dir) == (2, "/old/node-2")
    assert not {"log.dir", "broker.id"} & one.given.keys()


def test_advertised_ports_move_with_the_ports() -> None:
    found = members(
        2,
        listeners="IN://127.0.0.1:9092,OUT://127.0.0.1:9192",
        advertised_listeners="OUT://example.org:500",
        listener_security_protocol_map="IN:PLAINTEXT,OUT:PLAINTEXT",
    )
    assert [[(e.port, e.advertised_host, e.advertised_port) for e in one.endpoints] for one in found] == [
        [(9092, "127.0.0.1", 9092), (9192, "example.org", 500)],
        [(9093, "127.0.0.1", 9093), (9193, "example.org", 501)],
    ]


def test_ipv6_and_no_status_address() -> None:
    found = members(2, listeners="PLAINTEXT://[::1]:9092", sprawl_http_listener="")
    assert found[1].listeners == ("PLAINTEXT://[::1]:9093",)
    assert found[1].http is None
    assert [str(seed) for seed in found[1].seeds] == ["[::1]:9092"]


def test_each_node_has_the_others_and_those_of_other_machines_as_seeds() -> None:
    found = members(3, sprawl_seeds="192.0.2.7:9092")
    assert [[str(seed) for seed in one.seeds] for one in found] == [
        ["127.0.0.1:9093", "127.0.0.1:9094", "192.0.2.7:9092"],
        ["127.0.0.1:9092", "127.0.0.1:9094", "192.0.2.7:9092"],
        ["127.0.0.1:9092", "127.0.0.1:9093", "192.0.2.7:9092"],
    ]


def test_a_node_that_listens_everywhere_is_found_on_loopback() -> None:
    found = members(
        2,
        listeners="PLAINTEXT://0.0.0.0:9092",
        advertised_listeners="PLAINTEXT://192.0.2.1:9092",
        sprawl_insecure="true",
    )
    assert [str(seed) for seed in found[1].seeds] == ["127.0.0.1:9092"]


def test_the_first_waits_for_all_unless_told_otherwise() -> None:
    assert [one.sprawl_expected_nodes for one in members()] == [3, 1, 1]
    assert [one.sprawl_expected_nodes for one in members(sprawl_expected_nodes="6")] == [6, 6, 6]
    assert [one.sprawl_expected_nodes for one in members(sprawl_seeds="192.0.2.7:9092")] == [1, 1, 1]


def test_all_share_the_host_label() -> None:
    assert {one.sprawl_host for one in members()} == {"here"}
    assert {one.sprawl_host for one in members(sprawl_host="rack-3")} == {"rack-3"}


def test_one_node_may_have_any_free_port() -> None:
    (one,) = members(1, listeners="PLAINTEXT://127.0.0.1:0", sprawl_http_listener="127.0.0.1:0")
    assert (one.endpoints[0].port, one.endpoints[0].advertised_port, one.http and one.http.port) == (0, 0, 0)
    assert (one.seeds, one.sprawl_expected_nodes) == ((), 1)


@pytest.mark.parametrize(
    ("nodes", "changes", "words"),
    [
        (0, {}, "at least 1"),
        (2, {"listeners": "PLAINTEXT://127.0.0.1:0"}, "listeners=PLAINTEXT://127.0.0.1:0: several nodes need ports"),
        (2, {"sprawl_http_listener": "127.0.0.1:0"}, "sprawl.http.listener=127.0.0.1:0: several nodes"),
        (2, {"listeners": "PLAINTEXT://127.0.0.1:65535"}, "node 2 of 2 would have port 65536"),
        (2, {"advertised_listeners": "PLAINTEXT://a:65535"}, "advertised.listeners=PLAINTEXT://a:65535: node 2"),
        (3, {"sprawl_http_listener": "127.0.0.1:9094"}, "two nodes would have 127.0.0.1:9094"),
    ],
)
def test_what_cannot_be_is_refused_by_name(nodes: int, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("[", "\\[")):
        members(nodes, **changes)


def test_a_node_takes_over_exactly_what_was_handed_over() -> None:
    for one in members(2, sprawl_host='a "host" with\nodd letters \u00e9'):
        line = handover(one)
        assert line.count(b"\n") == 1
        again = taken_over(line)
        assert again == one
        assert (again.given, again.sources) == (one.given, one.sources)
