"""Where brokers are, and on which machine."""

from __future__ import annotations

from uuid import UUID

from sprawl.quorum.addresses import HOST_LABEL, host_label, peer_address
from sprawl.quorum.image import BrokerImage, ListenerImage
from sprawl.quorum.voters import LISTENER, Address


def broker(*listeners: tuple[str, str, int]) -> BrokerImage:
    found = tuple(ListenerImage(name, host, port, 0) for name, host, port in listeners)
    return BrokerImage(id=1, listeners=found, rack=None, epoch=1, fenced=False, incarnation=UUID(int=1))


def test_the_host_is_what_the_broker_says() -> None:
    found = broker(("PLAINTEXT", "proxy", 9092), (LISTENER, "10.0.0.1", 9092), (HOST_LABEL, "machine-7", 0))
    assert host_label(found) == "machine-7"
    assert peer_address(found) == Address("10.0.0.1", 9092)


def test_without_a_label_its_address_is_the_host() -> None:
    assert host_label(broker(("PLAINTEXT", "proxy", 9092), (LISTENER, "10.0.0.1", 9092))) == "10.0.0.1"
    assert host_label(broker(("PLAINTEXT", "10.0.0.2", 9092))) == "10.0.0.2"
    assert host_label(broker()) == ""
