"""What can go wrong at the object store, each kind a class of its own. The text names the object or the store, says
what was wrong, and what to do about it.

`StoreUnavailable` and `Corrupt` may pass by themselves and are tried again before anybody sees them; the others will
not, and are told at once.
"""

from __future__ import annotations


class StoreError(Exception):
    """The root of the tree: `what` happened, and what to `do` about it."""

    def __init__(self, what: str, do: str = "") -> None:
        self.what = what
        self.do = do
        super().__init__(f"{what}. {do}" if do else what)


class NotFound(StoreError):
    """There is no such object."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"there is no object {where}",
            "It was deleted, or never finished; `sprawl-admin tier verify` lists what else is missing",
        )


class PreconditionFailed(StoreError):
    """A conditional put came too late: the object is there already, or is another than the one expected."""


class AccessDenied(StoreError):
    """The credentials are known to the store, but may not do this."""


class WrongCredentials(StoreError):
    """There are no credentials, or the store does not know them."""


class NoSuchBucket(StoreError):
    """The bucket, or the directory that stands for it, is not there."""


class ForeignBucket(StoreError):
    """The place belongs to another cluster."""


class ClockSkew(StoreError):
    """This machine's clock and the store's are too far apart for a request to be believed."""


class Unsupported(StoreError):
    """The store cannot do what the tier rests on."""


class InvalidKey(StoreError):
    """No object can have this name."""


class Corrupt(StoreError):
    """The bytes are not those that were put."""


class StoreUnavailable(StoreError):
    """The store did not answer, or asked to be left alone for a while.

    Whether it has carried out what it was asked is known only if `outcome_unknown` is false: then it has not.
    """

    def __init__(self, what: str, do: str = "", *, outcome_unknown: bool = True) -> None:
        super().__init__(what, do)
        self.outcome_unknown = outcome_unknown
