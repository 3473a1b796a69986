"""What S3 answers, as errors of the object store: each with what a person can do about it.

In: exceptions of botocore and aiohttp. Out: `StoreError`s. The codes are those of AWS, MinIO and Ceph.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    SSOError,
    UnauthorizedSSOTokenError,
)
from botocore.exceptions import (
    ConnectionError as ServerConnectionError,
)

from sprawl.objects.errors import (
    AccessDenied,
    ClockSkew,
    NoSuchBucket,
    NotFound,
    PreconditionFailed,
    StoreError,
    StoreUnavailable,
    Unsupported,
    WrongCredentials,
)

CREDENTIALS: Final = (
    "Set them as for any AWS tool: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN with temporary "
    "ones), or AWS_PROFILE"
)
PUT: Final = "s3:PutObject"
_UNKNOWN_CREDENTIALS: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired"}
    | {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidSecurity"}
)
_SKEWED: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
_NOT_FOUND: Final = frozenset({"NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NotFound", "404"})
_ELSEWHERE: Final = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
    | {"301", "307"}
)
_LATER: Final = frozenset(
    {"SlowDown", "SlowDownRead", "SlowDownWrite", "InternalError", "ServiceUnavailable", "Throttling", "RequestTimeout"}
    | {"RequestLimitExceeded", "ConditionalRequestConflict", "OperationAborted", "BadDigest", "IncompleteBody"}
    | {"XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "InvalidDigest", "XMinioServerNotInitialized"}
)
_DONE_ANYWAY: Final = frozenset({"InternalError", "RequestTimeout"})
_CANNOT: Final = frozenset({"NotImplemented", "MethodNotAllowed", "XNotImplemented"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of whom; for the words of an error."""

    url: str
    bucket: str
    key: str
    action: str
    """The permission that S3 asks for."""


@contextlib.contextmanager
def told(asked: Asked, now_ms: int) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _answered(asked, error, now_ms) from error
    except (NoCredentialsError, PartialCredentialsError, NoAuthTokenError) as error:
        raise WrongCredentials(f"there are no credentials for {asked.url} ({error})", CREDENTIALS) from error
    except (ProfileNotFound, CredentialRetrievalError, SSOError, UnauthorizedSSOTokenError) as error:
        raise WrongCredentials(f"the credentials for {asked.url} cannot be had ({error})", CREDENTIALS) from error
    except SSLError as error:
        raise StoreUnavailable(
            f"{asked.url} and this machine do not agree on TLS ({error})",
            "See that the endpoint speaks https and that its certificate is trusted here (AWS_CA_BUNDLE)",
        ) from error
    except (ServerConnectionError, HTTPClientError, IncompleteReadError) as error:
        raise StoreUnavailable(
            f"{asked.url} does not answer ({error})",
            "See that the store runs and that AWS_ENDPOINT_URL is right; it is tried again",
        ) from error
    except (aiohttp.ClientError, ConnectionError, ssl.SSLError, EOFError) as error:
        raise StoreUnavailable(f"the connection to {asked.url} broke ({error!r})", "It is tried again") from error
    except BotoCoreError as error:
        raise Unsupported(f"the request to {asked.url} cannot be made ({error})", "Look at the AWS settings") from error


def _answered(asked: Asked, error: ClientError, now_ms: int) -> StoreError:
    response: dict[str, Any] = dict(error.response)
    code = str(response.get("Error", {}).get("Code", ""))
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode") or 0)
    said = f"{code}: {response.get('Error', {}).get('Message', '')}".strip(": ")
    if code == "NoSuchBucket":
        return NoSuchBucket(
            f"there is no bucket {asked.bucket} at {asked.url}",
            f"Create it (aws s3 mb s3://{asked.bucket}), or change sprawl.tier.url or AWS_ENDPOINT_URL",
        )
    if code in _ELSEWHERE:
        region = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region") or response.get("Error", {}).get("Region")
        return NoSuchBucket(
            f"the bucket {asked.bucket} is in another region than {asked.url} was asked for ({said})",
            f"Set AWS_REGION={region}" if region else "Set AWS_REGION to the bucket's region",
        )
    if code in _UNKNOWN_CREDENTIALS:
        return WrongCredentials(f"{asked.url} does not know these credentials ({said})", CREDENTIALS)
    if code in _SKEWED:
        return ClockSkew(
            f"this machine's clock is {_skew(metadata, now_ms)} that of {asked.url} ({said})",
            "Set the clock (chrony, systemd-timesyncd): requests carry the time and are refused if it is off",
        )
    if code in _LATER or status in (429, 500, 502, 503, 504):
        unknown = status >= 500 and code not in ("SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable")
        return StoreUnavailable(
            f"{asked.url} asks to come again later ({status} {said})", outcome_unknown=unknown or code in _DONE_ANYWAY
        )
    if status == 412 or code == "PreconditionFailed":
        return PreconditionFailed(
            f"{asked.key} in {asked.url} is there already, or is not what it was",
            "Another put was first: look it up and decide anew",
        )
    if code == "NoSuchKey" and asked.action == PUT:  # a put that should replace what is gone
        return PreconditionFailed(f"{asked.key} in {asked.url} was deleted since", "Read it again and decide anew")
    if code in _NOT_FOUND:
        return NotFound(f"{asked.key} in {asked.url}")
    if code in _CANNOT or status == 501:
        return Unsupported(
            f"{asked.url} cannot do {asked.action} as the tier needs it ({said})",
            "Use a store with conditional puts and checksums: AWS S3, MinIO, Ceph of the last years",
        )
    if status in (401, 403):
        return AccessDenied(
            f"the credentials are not allowed {asked.action} on {asked.key or asked.bucket} at {asked.url} ({said})",
            f"Grant {asked.action} on this bucket and prefix to the user or role that the node runs with",
        )
    return Unsupported(f"{asked.url} refused {asked.action} on {asked.key or asked.bucket} ({status} {said})")


def _skew(metadata: dict[str, Any], now_ms: int) -> str:
    """How far ahead of the store's clock, or behind it."""
    try:
        date = parsedate_to_datetime(metadata["HTTPHeaders"]["date"])
    except (KeyError, ValueError):
        return "too far from"
    seconds = now_ms / 1000 - date.timestamp()
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"
