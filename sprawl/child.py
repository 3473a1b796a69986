"""One node of several that `sprawl.supervisor` runs: `python -m sprawl.child`.

In, from standard input: one line with the node's settings (`sprawl.config.members`). The supervisor keeps the other
end open for as long as it lives, and the node stops when that ends. Out: an exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Final

from sprawl.config.loading import Loaded
from sprawl.config.members import taken_over
from sprawl.process import run

_STDIN: Final = 0


def main() -> int:
    """Run the node; its exit code."""
    line = b"".join(_up_to_newline(_STDIN))
    if not line.endswith(b"\n"):
        return 1  # the supervisor was gone before it had said anything
    return run(Loaded(taken_over(line), ()), lifeline=_STDIN)


def _up_to_newline(fd: int) -> Iterator[bytes]:
    """Nothing of what follows may be left in a buffer: it is waited for at the descriptor."""
    while piece := os.read(fd, 65536):
        yield piece
        if piece.endswith(b"\n"):
            return


if __name__ == "__main__":
    sys.exit(main())
