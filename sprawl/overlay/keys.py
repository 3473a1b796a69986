"""Keys from the cluster's secret: HKDF with SHA-256 (RFC 5869), first extract, then expand per purpose.

The secret itself encrypts nothing; a key for one purpose says nothing about another.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES: Final = 32


def extract(secret: bytes, cluster_id: str) -> bytes:
    return hmac.digest(cluster_id.encode(), secret, hashlib.sha256)


def expand(root: bytes, info: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), KEY_BYTES, info).derive(root)
