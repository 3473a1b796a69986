"""What the operating system says of a store's directory, as errors of the object store."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from sprawl.objects.errors import AccessDenied, InvalidKey, NoSuchBucket, NotFound, StoreUnavailable


@contextlib.contextmanager
def told(url: str, key: str) -> Iterator[None]:
    """Raises what a person can act on in the place of an `OSError`."""
    try:
        yield
    except FileNotFoundError as error:
        missing = error.filename or str(error)
        if url.removeprefix("file://").startswith(str(missing)):
            raise NoSuchBucket(
                f"there is no directory {missing}, where {url} should be",
                "Create or mount it, or change sprawl.tier.url; Sprawl makes the last directory of the path itself",
            ) from error
        raise NotFound(f"{key} in {url}") from error
    except NotADirectoryError as error:
        place = str(error.filename or key).rstrip("/")
        if url.removeprefix("file://").startswith(place):
            raise NoSuchBucket(f"{place} is a file, {url} needs a directory", "Change sprawl.tier.url") from error
        raise InvalidKey(f"{key} cannot be in {url}: {place} is an object", "Choose another name") from error
    except PermissionError as error:
        raise AccessDenied(
            f"the operating system does not let this node touch {error.filename or key} for {url}",
            "Give the user that runs the node the right to read and write there (chown, chmod)",
        ) from error
    except IsADirectoryError as error:
        raise InvalidKey(f"{key} in {url} is a directory: it has objects in it", "Choose another") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreUnavailable(
                f"there is no room left for {url}", "Make room there; it is tried again", outcome_unknown=False
            ) from error
        raise StoreUnavailable(f"{url} failed at {key}: {error}", "Look at the disk beneath it") from error
