"""The settings of several nodes on one machine, made from those of one.

In: the settings that were given, and how many nodes there shall be. Out: one `BrokerConfig` per node, or a
`ConfigError`. Node k, counted from 0, has every port k higher, its own number and its own directory below the one
that was given; all share a host label, and each has the others as seeds. `handover` is how a node is told its
settings, and `taken_over` how it reads them. Nothing here starts anything.
"""

from __future__ import annotations

import ipaddress
import json
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.config.listeners import Endpoint, HttpAddress, Seed, address

_SOURCE = "--nodes"
_REPLACED = ("log.dir", "broker.id")
"""Other names for keys that are set for each node."""


def members_of(config: BrokerConfig, nodes: int, host: str) -> tuple[BrokerConfig, ...]:
    """`host` is the label of this machine where none was set. Raises `ConfigError`."""
    if nodes < 1:
        raise ConfigError(_SOURCE, str(nodes), "must be at least 1.")
    doors = [_Doors.of(config, k, nodes) for k in range(nodes)]
    _check_apart(doors)
    return tuple(_member(config, k, doors, host) for k in range(nodes))


def directory_of(data_dir: str, node_id: int) -> str:
    """Where a node of several keeps its data."""
    return posixpath.join(data_dir, f"node-{node_id}")


def handover(config: BrokerConfig) -> bytes:
    """Settings as one line of JSON: `{key: [value, source]}`."""
    return (
        json.dumps({key: [value, config.sources.get(key, "")] for key, value in config.given.items()}).encode() + b"\n"
    )


def taken_over(line: bytes) -> BrokerConfig:
    """The settings of such a line. Raises `ConfigError`."""
    settings = json.loads(line)
    return BrokerConfig.of(
        {key: value for key, (value, _) in settings.items()}, {key: source for key, (_, source) in settings.items()}
    )


@dataclass(frozen=True, slots=True)
class _Doors:
    """Every address of one node."""

    endpoints: tuple[Endpoint, ...]
    http: HttpAddress | None

    @classmethod
    def of(cls, config: BrokerConfig, k: int, nodes: int) -> _Doors:
        def port(key: str, first: int) -> int:
            if first == 0 and nodes > 1:
                raise ConfigError(key, config.given.get(key), "several nodes need ports that are known: 0 is for one.")
            if first + k > 65535:
                raise ConfigError(key, config.given.get(key), f"node {k + 1} of {nodes} would have port {first + k}.")
            return first + k

        return cls(
            tuple(
                Endpoint(
                    one.name,
                    one.protocol,
                    one.host,
                    port("listeners", one.port),
                    one.advertised_host,
                    one.advertised_port and port("advertised.listeners", one.advertised_port),
                )
                for one in config.endpoints
            ),
            config.http and HttpAddress(config.http.host, port("sprawl.http.listener", config.http.port)),
        )

    @property
    def bound(self) -> list[tuple[str, int]]:
        http = [] if self.http is None else [(self.http.host, self.http.port)]
        return [*((one.host, one.port) for one in self.endpoints), *http]

    @property
    def seed(self) -> Seed:
        """Where the other nodes of this machine find this one."""
        first = self.endpoints[0]
        return Seed(_reachable(first.host), first.port)


def _check_apart(doors: Iterable[_Doors]) -> None:
    taken: set[tuple[str, int]] = set()
    for one in doors:
        for host, port in one.bound:
            if port and (host, port) in taken:
                raise ConfigError(
                    _SOURCE,
                    None,
                    f"two nodes would have {address(host, port)}: listeners and the status address of one node must "
                    "be as many ports apart as there are nodes.",
                )
            taken.add((host, port))


def _member(config: BrokerConfig, k: int, doors: list[_Doors], host: str) -> BrokerConfig:
    own = doors[k]
    seeds = [*(one.seed for one in doors if one is not own), *config.seeds]
    made = {
        "node.id": str(config.id + k),
        "log.dirs": directory_of(config.data_dir, config.id + k),
        "listeners": ",".join(f"{one.name}://{address(one.host, one.port)}" for one in own.endpoints),
        "advertised.listeners": ",".join(
            f"{one.name}://{address(one.advertised_host, one.advertised_port)}" for one in own.endpoints
        ),
        "sprawl.http.listener": "" if own.http is None else address(own.http.host, own.http.port),
        "sprawl.host": config.sprawl_host or host,
        "sprawl.seeds": ",".join(dict.fromkeys(map(str, seeds))),
    }
    if k == 0 and "sprawl.expected.nodes" not in config.given and not config.seeds:
        made["sprawl.expected.nodes"] = str(len(doors))
    kept = {key: value for key, value in config.given.items() if key not in _REPLACED}
    return BrokerConfig.of({**kept, **made}, {**config.sources, **dict.fromkeys(made, _SOURCE)})


def _reachable(host: str) -> str:
    """An address of this machine for one that means all of them."""
    try:
        ip = ipaddress.ip_address(host or "0.0.0.0")  # noqa: S104 - named in order to be replaced
    except ValueError:
        return host
    if not ip.is_unspecified:
        return host
    return "127.0.0.1" if ip.version == 4 else "::1"
