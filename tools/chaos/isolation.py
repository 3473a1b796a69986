"""A network and mounts that belong to this run alone, where the system allows it.

In: the program's own arguments. Out: the same program once more, inside new namespaces, whose end is this program's
end; or the reason why there are none. Nothing outside changes, and nothing is left behind: namespaces end with the last
process in them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

CLONE_NEWNET: Final = 0x40000000
_INSIDE: Final = "CHAOS_OF_SPRAWL_INSIDE"
_TUN: Final = Path("/dev/net/tun")
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_PROBE: Final = "import sys; from tools.chaos.isolation import open_tun; open_tun('probe0')"

_libc = ctypes.CDLL(None, use_errno=True)


def inside() -> bool:
    """Whether this process runs in namespaces of its own."""
    return os.environ.get(_INSIDE) == "1"


def obstacle() -> str:
    """Why there can be no namespaces here; empty if there can."""
    if sys.platform != "linux":
        return "namespaces need Linux"
    for command in ("unshare", "nsenter", "ip"):
        if shutil.which(command) is None:
            return f"there is no {command} command here"
    if not _TUN.exists():
        return f"there is no {_TUN} here"
    probe = subprocess.run(
        [*_unshare(), sys.executable, "-c", _PROBE], capture_output=True, text=True, check=False, timeout=60
    )
    if probe.returncode:
        said = (probe.stderr.strip().splitlines() or [f"exit code {probe.returncode}"])[-1]
        return f"no namespaces with a network device: {said}"
    return ""


def again_inside(module: str, arguments: list[str]) -> int:
    """Runs `python -m module` with these arguments in new namespaces and waits for it; its exit code."""
    command = [*_unshare(), sys.executable, "-m", module, *arguments]
    child = subprocess.Popen(command, env={**os.environ, _INSIDE: "1"}, start_new_session=True)

    def tell(number: int, _: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    return child.wait()


def _unshare() -> list[str]:
    """Processes have a namespace, too: when the first in it ends, so do all others."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]


def open_tun(name: str) -> int:
    """A new network device of this namespace; packets are read from and written to the descriptor. Raises OSError."""
    device = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def current_network() -> int:
    """A descriptor that stands for this process's network."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def new_network() -> None:
    """This process goes into a network of its own."""
    _told(_libc.unshare(CLONE_NEWNET))


def enter_network(network: int) -> None:
    _told(_libc.setns(network, CLONE_NEWNET))


def _told(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
