"""Where hosts are: datagrams go to addresses, members may give names.

In: hosts, and what their connections and packets showed. Out: an address, or None while it is not known. Asks nobody:
a TCP connection resolves a name by the way, and its other end is the answer.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import Final

_MOST: Final = 8192


class Addresses:
    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def of(self, host: str) -> str | None:
        return host if is_literal(host) else self._found.get(host)

    def learn(self, host: str, address: str) -> None:
        if address and not is_literal(host) and (host in self._found or len(self._found) < _MOST):
            self._found[host] = address

    def forget(self, host: str) -> None:
        self._found.pop(host, None)


@lru_cache(maxsize=_MOST)
def is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
