"""A real file goes through a topic line by line and chunk by chunk, and comes out byte by byte the same."""

from __future__ import annotations

import hashlib
import sysconfig
from pathlib import Path

import pytest

from compat_tests.kcat.conftest import Kcat

ALL = ("-C", "-e", "-q", "-o", "beginning")
_LEAST = 20 << 20


@pytest.fixture(scope="session")
def real_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tens of MB of real text: the system's word list if there is one, and the sources of Python's standard library."""
    path = tmp_path_factory.mktemp("file") / "real.txt"
    sources = [Path("/usr/share/dict/words"), *sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))]
    size = 0
    with path.open("wb") as out:
        for source in sources:
            if source.is_file() and size < 2 * _LEAST:
                text = source.read_bytes()
                size += out.write(text if text.endswith(b"\n") else text + b"\n")
    assert size > _LEAST, f"only {size} bytes of text found on this machine"
    return path


@pytest.mark.timeout(300)
@pytest.mark.feature("whole file, byte by byte")
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_file_line_by_line(topic: str, kcat: Kcat, real_file: Path, codec: str) -> None:
    data = real_file.read_bytes()
    # Empty lines are records too: kcat drops them unless told that they are values (-Z would make them null).
    lines = b"".join(line + b"\n" for line in data.split(b"\n") if line)
    kcat("-P", "-t", topic, "-z", codec, "-X", "enable.idempotence=true", given=lines, seconds=120)
    read = kcat(*ALL, "-t", topic, seconds=120)
    assert len(read) == len(lines)
    assert hashlib.sha256(read).digest() == hashlib.sha256(lines).digest()


@pytest.mark.timeout(300)
@pytest.mark.feature("whole file, byte by byte")
def test_a_file_in_chunks(topic: str, kcat: Kcat, real_file: Path, tmp_path: Path) -> None:
    data = real_file.read_bytes()
    chunks = [data[start : start + 300_000] for start in range(0, len(data), 300_000)]
    names = []
    for number, chunk in enumerate(chunks):
        path = tmp_path / f"{number:06}"
        path.write_bytes(chunk)
        names.append(str(path))
    kcat("-P", "-t", topic, "-X", "enable.idempotence=true", *names, seconds=120)
    read = kcat(*ALL, "-t", topic, "-f", "%s", seconds=120)
    assert hashlib.sha256(read).digest() == hashlib.sha256(data).digest()
