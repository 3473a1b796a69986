"""Listeners: which addresses a node opens, which it tells clients, and which it refuses to open.

In: `listeners`, `advertised.listeners` and `listener.security.protocol.map` as text. Out: one `Endpoint` per listener,
or a `ConfigError`. Secure as it comes: without encryption and authentication a node listens on loopback only, unless
told to be insecure. Nothing here opens a socket.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sprawl.config.definitions import split_list
from sprawl.config.errors import ConfigError

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_LISTENER: Final = re.compile(r"([A-Za-z0-9_.-]+)://(\[[0-9A-Fa-f:.%a-z]*\]|[^\[\]:/]*):([0-9]{1,5})", re.ASCII)
_ADDRESS: Final = re.compile(r"(?:http://)?(\[[0-9A-Fa-f:.]*\]|[^\[\]:/]*):([0-9]{1,5})/?", re.ASCII)
_SEED: Final = re.compile(r"(\[[0-9A-Fa-f:.%a-z]+\]|[^\[\]:/\s]+):([0-9]{1,5})", re.ASCII)
_ANYWHERE: Final = ("", "0.0.0.0", "::")  # noqa: S104 - named in order to be refused


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One Kafka listener."""

    name: str
    protocol: str
    host: str
    """Where to bind; empty means every address of the machine."""
    port: int
    """0 means any free port."""
    advertised_host: str
    advertised_port: int
    """0 means the port that was bound."""


@dataclass(frozen=True, slots=True)
class HttpAddress:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Seed:
    """Where another node may be found: it serves clients and nodes on one port."""

    host: str
    port: int

    def __str__(self) -> str:
        return address(self.host, self.port)


def address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. A name other than localhost is not believed to be."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def endpoints_of(
    listeners: Sequence[str],
    advertised: Sequence[str] | None,
    protocol_map: str,
    controllers: Iterable[str] = (),
    *,
    insecure: bool = False,
    source: str = "",
) -> tuple[Endpoint, ...]:
    """Raises `ConfigError`."""
    protocols = _protocols(protocol_map, source)
    skipped = {name.upper() for name in controllers}
    told = {
        name: (host, port) for name, host, port in (_split("advertised.listeners", x, "") for x in advertised or ())
    }
    endpoints: list[Endpoint] = []
    for text in listeners:
        name, host, port = _split("listeners", text, source)
        if name in skipped:
            continue
        protocol = protocols.get(name)
        if protocol is None:
            raise ConfigError(
                "listeners",
                text,
                f"no security protocol for the listener name {name}; add {name}:PLAINTEXT to "
                "listener.security.protocol.map.",
                source,
            )
        if protocol != "PLAINTEXT":
            raise ConfigError(
                "listeners",
                text,
                f"{protocol} is not built yet. Use a PLAINTEXT listener on 127.0.0.1 and a TLS proxy in front of it.",
                source,
            )
        if not insecure and not is_loopback(host):
            raise ConfigError(
                "listeners",
                text,
                f"{host or 'every address'} can be reached from other machines, and PLAINTEXT neither encrypts nor "
                "authenticates. Listen on 127.0.0.1, or accept that with --insecure.",
                source,
            )
        advertised_host, advertised_port = told.pop(name, (host, port))
        if advertised_host in _ANYWHERE:
            raise ConfigError(
                "advertised.listeners",
                f"{name}://{advertised_host}:{advertised_port}",
                "clients cannot connect to that address: set advertised.listeners to one that they can reach.",
                source,
            )
        if any(one.name == name for one in endpoints):
            raise ConfigError("listeners", text, f"the listener name {name} is there twice.", source)
        if port and any((one.host, one.port) == (host, port) for one in endpoints):
            raise ConfigError("listeners", text, f"the address {host}:{port} is there twice.", source)
        endpoints.append(Endpoint(name, protocol, host, port, advertised_host, advertised_port))
    for name in told.keys() - skipped:
        raise ConfigError("advertised.listeners", name, "there is no such name in listeners.", source)
    if not endpoints:
        raise ConfigError("listeners", ",".join(listeners), "at least one listener for clients is needed.", source)
    return tuple(endpoints)


def http_address(text: str, *, insecure: bool = False, source: str = "") -> HttpAddress | None:
    """The address of the status server; None for empty text. Raises `ConfigError`."""
    if not text:
        return None
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        raise ConfigError("sprawl.http.listener", text, "must be host:port, such as 127.0.0.1:9644.", source)
    host = match[1].strip("[]")
    if not insecure and not is_loopback(host):
        raise ConfigError(
            "sprawl.http.listener",
            text,
            f"{host or 'every address'} can be reached from other machines, without authentication. "
            "Use 127.0.0.1, or accept that with --insecure.",
            source,
        )
    return HttpAddress(host, int(match[2]))


def seeds_of(texts: Iterable[str], source: str = "") -> tuple[Seed, ...]:
    """Raises `ConfigError`."""
    seeds: list[Seed] = []
    for text in texts:
        match = _SEED.fullmatch(text)
        if match is None or not 0 < int(match[2]) <= 65535:
            raise ConfigError("sprawl.seeds", text, "must be host:port, such as 192.0.2.7:9092 or [::1]:9092.", source)
        seeds.append(Seed(match[1].strip("[]"), int(match[2])))
    return tuple(dict.fromkeys(seeds))


def _split(key: str, text: str, source: str) -> tuple[str, str, int]:
    match = _LISTENER.fullmatch(text)
    if match is None or int(match[3]) > 65535:
        raise ConfigError(
            key, text, "must be NAME://host:port, such as PLAINTEXT://127.0.0.1:9092 or PLAINTEXT://[::1]:9092.", source
        )
    return match[1].upper(), match[2].strip("[]"), int(match[3])


def _protocols(text: str, source: str) -> dict[str, str]:
    found = {name: name for name in PROTOCOLS}
    for item in split_list(text):
        name, _, protocol = (part.strip().upper() for part in item.partition(":"))
        if not name or protocol not in PROTOCOLS:
            raise ConfigError(
                "listener.security.protocol.map",
                item,
                f"must be NAME:PROTOCOL with a protocol of {', '.join(PROTOCOLS)}.",
                source,
            )
        found[name] = protocol
    return found
