"""The network between the nodes: a program with one TUN device per member, which carries each packet to the device of
its destination, as `Rules` allows.

In, on standard input, a line of JSON per order: `{"links": [[1, 2]], "weather": {"blocked": true}}` sets directions of
links, `{"clear": true}` clears all. Out, on standard output: `{"networks": {"1": "/proc/../fd/7"}}` once all devices
are up, then a line for each order that was carried out, with the packets carried and dropped so far. Ends with its
input.

Member 1 is node 1 at 10.77.0.1, in a network of its own; member 100 is whoever started the switch, with all clients.
A device has no queue to speak of: what does not fit is lost, as on a wire.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import random
import selectors
import subprocess
import sys
import time
from typing import Any, Final

from tools.chaos.isolation import current_network, enter_network, new_network, open_tun
from tools.chaos.links import Rules, Weather

OUTSIDE: Final = 100
_PREFIX: Final = "10.77.0."
_MTU: Final = 9000
_BURST: Final = 64
_IPV4: Final = 4


def address(member: int) -> str:
    return f"{_PREFIX}{member}"


class Switch:
    def __init__(self, devices: dict[int, int], rules: Rules) -> None:
        self._devices = devices
        self._rules = rules
        self._late: list[tuple[float, int, int, bytes]] = []
        self._count = itertools.count()
        self._selector = selectors.DefaultSelector()
        for member, device in devices.items():
            self._selector.register(device, selectors.EVENT_READ, member)
        self._orders = b""
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
        self.carried = 0
        self.dropped = 0

    def run(self) -> None:
        while True:
            wait = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            for key, _ in self._selector.select(wait):
                if key.data is not None:
                    self._read(key.fd)
                elif not self._obey():
                    return
            self._deliver_late()

    def _read(self, device: int) -> None:
        for _ in range(_BURST):
            try:
                packet = os.read(device, 65_536)
            except BlockingIOError:
                return
            # Of an IPv4 header: bytes 12 to 15 are the source, 16 to 19 the destination; our /24 leaves the last one.
            if len(packet) < 20 or packet[0] >> 4 != _IPV4 or packet[19] not in self._devices:
                continue
            now = time.monotonic()
            arrival = self._rules.arrival(packet[15], packet[19], now)
            if arrival is None:
                self.dropped += 1
            elif arrival <= now:
                self._deliver(packet[19], packet)
            else:
                heapq.heappush(self._late, (arrival, next(self._count), packet[19], packet))

    def _deliver_late(self) -> None:
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, member, packet = heapq.heappop(self._late)
            self._deliver(member, packet)

    def _deliver(self, member: int, packet: bytes) -> None:
        try:
            os.write(self._devices[member], packet)
            self.carried += 1
        except OSError:
            self.dropped += 1

    def _obey(self) -> bool:
        piece = os.read(sys.stdin.fileno(), 65_536)
        if not piece:
            return False
        *lines, self._orders = (self._orders + piece).split(b"\n")
        for line in lines:
            order: dict[str, Any] = json.loads(line)
            if order.get("clear"):
                self._rules.clear()
            else:
                self._rules.set([(a, b) for a, b in order["links"]], Weather(**order["weather"]))
            _say({"carried": self.carried, "dropped": self.dropped})
        return True


def connect(members: list[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Devices by member, those of OUTSIDE in this process's network; and networks by member."""
    home = current_network()
    devices, networks = {}, {}
    for member in members:
        new_network()
        networks[member] = current_network()
        devices[member] = _device(member)
    enter_network(home)
    devices[OUTSIDE] = _device(OUTSIDE)
    return devices, networks


def _device(member: int) -> int:
    name = f"chaos{member}"
    device = open_tun(name)
    for command in (
        "ip link set lo up",
        f"ip link set {name} mtu {_MTU} txqueuelen 2000 up",
        f"ip addr add {address(member)}/24 dev {name}",
    ):
        subprocess.run(command.split(), check=True)
    return device


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> None:
    members, seed = [int(each) for each in sys.argv[1].split(",")], sys.argv[2]
    devices, networks = connect(members)
    _say({"networks": {member: f"/proc/{os.getpid()}/fd/{number}" for member, number in networks.items()}})
    Switch(devices, Rules(random.Random(f"links {seed}"))).run()


if __name__ == "__main__":
    main()
