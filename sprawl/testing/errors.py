"""What can go wrong with a cluster under test, apart from what is meant to."""


class ClusterError(Exception):
    """All of them."""


class NotReadyError(ClusterError):
    """It took too long."""


class NodeFailedError(ClusterError):
    """A node could not start, or stopped by itself."""


class RefusedError(ClusterError):
    """The cluster answered with an error; `code` is Kafka's name of it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
