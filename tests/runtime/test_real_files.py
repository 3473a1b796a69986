"""What only a real disk does: short writes, a full disk, file systems without RWF_NOWAIT, descriptors used again."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sprawl.runtime import Buffer
from sprawl.runtime.real import RealRuntime, run


@pytest.fixture
def runtime() -> Iterator[RealRuntime]:
    made = RealRuntime()
    yield made
    made.close()


def test_short_writes_are_finished(runtime: RealRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwritev

    def short(fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        whole = b"".join(buffers)
        return real(fd, [whole[: max(1, len(whole) // 3)]], offset)

    monkeypatch.setattr(os, "pwritev", short)
    file = runtime.files.open(str(tmp_path / "log"), create=True)
    file.append([b"abc", b"", bytes(range(256)) * 4, b"x"])
    file.append([b"end"])
    file.close()
    assert (tmp_path / "log").read_bytes() == b"abc" + bytes(range(256)) * 4 + b"xend"


def test_full_disk_leaves_the_file_as_it_was(runtime: RealRuntime, tmp_path: Path) -> None:
    """A limit on the size of files cuts a write short and then fails, just as a full disk does."""
    file = runtime.files.open(str(tmp_path / "log"), create=True)
    file.append([b"kept"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.append([b"x" * 4_000] * 5)
        assert file.size == 4
        assert os.path.getsize(file.path) == 4
        file.append([b" and goes on"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    file.close()
    assert (tmp_path / "log").read_bytes() == b"kept and goes on"


def test_cutting_back_is_tried_again_if_it_failed(
    runtime: RealRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write, real_cut = os.pwritev, os.ftruncate
    failing = True

    def write(fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        if failing:
            real_write(fd, [b"torn"], offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(fd, buffers, offset)

    def cut(fd: int, size: int) -> None:
        if failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real_cut(fd, size)

    file = runtime.files.open(str(tmp_path / "log"), create=True)
    file.append([b"kept"])
    monkeypatch.setattr(os, "pwritev", write)
    monkeypatch.setattr(os, "ftruncate", cut)
    with pytest.raises(OSError, match="No space left"):
        file.append([b"lost"])
    failing = False
    file.append([b"!"])
    file.close()
    assert (tmp_path / "log").read_bytes() == b"kept!"


def test_file_systems_without_nowait_are_read_in_a_thread(
    runtime: RealRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(fd: int, buffers: Sequence[Buffer], offset: int, flags: int) -> int:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "preadv", unsupported)
    file = runtime.files.open(str(tmp_path / "log"), create=True)
    file.append([b"hello"])
    assert file.read_now(0, 5) is None
    assert run(file.read(1, 100)) == b"ello"
    file.close()


def test_what_the_page_cache_has_in_part_is_not_given_in_part(
    runtime: RealRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset, flags: len(buffers[0]) // 2)
    file = runtime.files.open(str(tmp_path / "log"), create=True)
    file.append([b"hello"])
    assert file.read_now(0, 5) is None
    assert run(file.read(0, 5)) == b"hello"
    file.close()


def test_failed_sync_is_reported(runtime: RealRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    file = runtime.files.open(str(tmp_path / "log"), create=True)
    with pytest.raises(OSError, match="Input/output error"):
        run(file.sync())
    file.close()


def test_many_stores_stay_small(runtime: RealRuntime, tmp_path: Path) -> None:
    """The stores of a node share one cache and one write budget: memory does not grow with what is written."""
    before = _resident_mb()
    stores = [runtime.open_kv(str(tmp_path / f"kv{i}")) for i in range(3)]
    for store in stores:
        for first in range(0, 100_000, 1000):
            store.write([(b"%012d" % i, b"v" * 40) for i in range(first, first + 1000)])
    grown = _resident_mb() - before
    for store in stores:
        store.close()
    assert grown < 48, f"300,000 pairs in three stores took {grown} MB of memory"


def _resident_mb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20
