"""Listeners: what is opened, what clients are told, what is refused."""

from __future__ import annotations

import pytest

from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.config.listeners import Endpoint, HttpAddress, address, http_address, is_loopback, seeds_of


def endpoints(**given: str) -> tuple[Endpoint, ...]:
    return BrokerConfig.of({key.replace("_", "."): value for key, value in given.items()}).endpoints


def refusal(**given: str) -> str:
    with pytest.raises(ConfigError) as caught:
        endpoints(**given)
    return str(caught.value)


def test_by_default_a_node_listens_on_loopback() -> None:
    (one,) = BrokerConfig().endpoints
    assert (one.name, one.host, one.port, one.advertised_host) == ("PLAINTEXT", "127.0.0.1", 9092, "127.0.0.1")


def test_several_listeners_with_names_and_advertised_addresses() -> None:
    inside, outside = endpoints(
        listeners="INSIDE://127.0.0.1:9092, OUTSIDE://[::1]:0",
        advertised_listeners="OUTSIDE://broker.example:19092",
        listener_security_protocol_map="INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
    )
    assert inside == Endpoint("INSIDE", "PLAINTEXT", "127.0.0.1", 9092, "127.0.0.1", 9092)
    assert outside == Endpoint("OUTSIDE", "PLAINTEXT", "::1", 0, "broker.example", 19092)


def test_kafkas_own_sample_file_needs_no_controller_listener() -> None:
    (one,) = endpoints(
        listeners="PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
        advertised_listeners="PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
        controller_listener_names="CONTROLLER",
    )
    assert one.name == "PLAINTEXT"


@pytest.mark.parametrize(
    "listener",
    [
        "PLAINTEXT://:9092",
        "PLAINTEXT://0.0.0.0:9092",
        "PLAINTEXT://[::]:9092",
        "PLAINTEXT://10.1.2.3:9092",
        "PLAINTEXT://example.org:9092",
    ],
)
def test_beyond_loopback_is_refused_unless_insecure(listener: str) -> None:
    assert "--insecure" in refusal(listeners=listener)
    (one,) = endpoints(
        listeners=listener, sprawl_insecure="true", advertised_listeners="PLAINTEXT://broker.example:9092"
    )
    assert one.advertised_host == "broker.example"


def test_an_address_nobody_can_connect_to_is_not_advertised() -> None:
    assert "advertised.listeners" in refusal(listeners="PLAINTEXT://0.0.0.0:9092", sprawl_insecure="true")


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL", "SASL_PLAINTEXT"])
def test_protocols_that_are_not_built_are_refused_by_name(protocol: str) -> None:
    assert f"{protocol} is not built yet" in refusal(listeners=f"{protocol}://127.0.0.1:9092")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"listeners": "127.0.0.1:9092"}, "NAME://host:port"),
        ({"listeners": "PLAINTEXT://127.0.0.1"}, "NAME://host:port"),
        ({"listeners": "PLAINTEXT://127.0.0.1:65536"}, "NAME://host:port"),
        ({"listeners": "PLAINTEXT://127.0.0.1:-1"}, "NAME://host:port"),
        ({"listeners": "PLAINTEXT://[::1:9092"}, "NAME://host:port"),
        ({"listeners": ""}, "at least one listener"),
        ({"listeners": "ODD://127.0.0.1:1"}, "ODD:PLAINTEXT"),
        ({"listeners": "PLAINTEXT://127.0.0.1:1,PLAINTEXT://127.0.0.1:2"}, "twice"),
        (
            {
                "listeners": "PLAINTEXT://127.0.0.1:1,B://127.0.0.1:1",
                "listener_security_protocol_map": "B:PLAINTEXT",
            },
            "twice",
        ),
        ({"advertised_listeners": "OTHER://a:1"}, "no such name"),
        ({"listener_security_protocol_map": "A:TELNET"}, "NAME:PROTOCOL"),
    ],
)
def test_a_wrong_listener_is_refused_in_plain_words(given: dict[str, str], words: str) -> None:
    assert words in refusal(**given)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_what_counts_as_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_status_address() -> None:
    assert http_address("") is None
    assert http_address("127.0.0.1:9644") == HttpAddress("127.0.0.1", 9644)
    assert http_address("http://[::1]:0/") == HttpAddress("::1", 0)
    assert http_address(":9644", insecure=True) == HttpAddress("", 9644)
    for wrong in ("9644", "127.0.0.1", "127.0.0.1:99999", "0.0.0.0:9644", ":9644"):
        with pytest.raises(ConfigError):
            http_address(wrong)


def test_addresses_are_written_with_brackets_where_needed() -> None:
    assert address("127.0.0.1", 1) == "127.0.0.1:1"
    assert address("::1", 1) == "[::1]:1"


def test_seeds_are_hosts_and_ports_each_once() -> None:
    texts = ["192.0.2.7:9092", "broker-2.example.org:65535", "[2001:db8::1]:1", "192.0.2.7:9092"]
    found = seeds_of(texts)
    assert [(one.host, one.port) for one in found] == [
        ("192.0.2.7", 9092),
        ("broker-2.example.org", 65535),
        ("2001:db8::1", 1),
    ]
    assert [str(one) for one in found] == texts[:3]


@pytest.mark.parametrize("text", ["host", "host:", ":9092", "host:0", "host:65536", "PLAINTEXT://host:9092", "::1:9"])
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="sprawl.seeds"):
        BrokerConfig.of({"sprawl.seeds": text})
