"""What a directory store writes behind an object's bytes, in the same file, so that both come and go at once.

magic      8 bytes  "SPRAWLOB"
size       8 bytes  of the object, big endian
mark      16 bytes  of this put; also the object's etag
crc32c     4 bytes  of the object
crc32c     4 bytes  of the trailer up to here
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from crc32c import crc32c as checksum

_LAYOUT: Final = struct.Struct(">8sQ16sI")
_OWN: Final = struct.Struct(">I")
_MAGIC: Final = b"SPRAWLOB"
TRAILER_BYTES: Final = _LAYOUT.size + _OWN.size


@dataclass(frozen=True, slots=True)
class Trailer:
    size: int
    mark: str
    crc32c: int

    def pack(self) -> bytes:
        body = _LAYOUT.pack(_MAGIC, self.size, bytes.fromhex(self.mark), self.crc32c)
        return body + _OWN.pack(checksum(body))

    @classmethod
    def parse(cls, raw: bytes | bytearray, file_size: int) -> Trailer | None:
        """None if this does not end an object's file."""
        if len(raw) != TRAILER_BYTES or _OWN.unpack_from(raw, _LAYOUT.size)[0] != checksum(raw[: _LAYOUT.size]):
            return None
        magic, size, mark, crc32c = _LAYOUT.unpack_from(raw)
        if magic != _MAGIC or size + TRAILER_BYTES != file_size:
            return None
        return cls(size, mark.hex(), crc32c)
