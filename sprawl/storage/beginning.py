"""Where a log begins, noted beside its segments: `log-start-offset`, and `reset-to` while a log is begun anew.

A log whose older part is in the cloud tier only begins before its first segment: `log-start-in-tier` says where.

A reset is one step, whatever happens: once `reset-to` is there, durably, the old segments count for nothing, and
`finish_reset` removes them, now or at the next start. Each of its steps may be done twice.
"""

from __future__ import annotations

from typing import Final

from sprawl.runtime import FileSystem
from sprawl.storage.segment import base_offset_of, file_name

_START_FILE: Final = "log-start-offset"
"""The first offset kept, where that is not the first one in the files: DeleteRecords has moved it."""
_TIER_FILE: Final = "log-start-in-tier"
"""Where the log began when its first segments were left to the tier. It may have moved up since."""
_RESET_FILE: Final = "reset-to"


def noted_start(files: FileSystem, directory: str) -> int:
    """0 if none was noted. Raises `OSError`."""
    return _offset_in(files, f"{directory}/{_START_FILE}", "remove it to see all records again") or 0


def note_start(files: FileSystem, directory: str, offset: int) -> None:
    """Raises `OSError`."""
    files.write_atomic(f"{directory}/{_START_FILE}", f"{offset}\n".encode())


def noted_tier_start(files: FileSystem, directory: str) -> int | None:
    """None: the log begins with its first segment. Raises `OSError`."""
    return _offset_in(files, f"{directory}/{_TIER_FILE}", "remove it to have the log without its part in the tier")


def note_tier_start(files: FileSystem, directory: str, offset: int) -> None:
    """Raises `OSError`."""
    files.write_atomic(f"{directory}/{_TIER_FILE}", f"{offset}\n".encode())


def forget_tier_start(files: FileSystem, directory: str) -> None:
    """Nothing of the log is in the tier, or what is there does not belong to it any more. Raises `OSError`."""
    if files.exists(f"{directory}/{_TIER_FILE}"):
        files.remove(f"{directory}/{_TIER_FILE}")
        files.sync_dir(directory)


def begin_reset(files: FileSystem, directory: str, offset: int) -> None:
    """From here on nothing of the log is left but that it begins at `offset`. Raises `OSError`: then all is left."""
    files.write_atomic(f"{directory}/{_RESET_FILE}", f"{offset}\n".encode())


def finish_reset(files: FileSystem, directory: str) -> None:
    """Make it so, if a reset was begun: one empty segment. Raises `OSError`."""
    offset = _offset_in(files, f"{directory}/{_RESET_FILE}", "remove it to have the log as it was")
    if offset is None:
        return
    for name in files.list(directory):
        if base_offset_of(name) is not None:
            files.remove(f"{directory}/{name}")
    if noted_start(files, directory) > offset:
        files.remove(f"{directory}/{_START_FILE}")
    files.sync_dir(directory)
    files.open(f"{directory}/{file_name(offset)}", create=True).close()
    files.sync_dir(directory)
    files.remove(f"{directory}/{_RESET_FILE}")
    files.sync_dir(directory)


def _offset_in(files: FileSystem, path: str, remedy: str) -> int | None:
    try:
        return int(files.read_bytes(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OSError(f"{path} is damaged: {error}; {remedy}") from None
