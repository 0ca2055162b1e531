"""Refusal: a request that gets no prediction, with its status and the reason that is counted."""

import math
from collections.abc import Mapping


class Refusal(Exception):
    """A request that is refused."""

    def __init__(self, status: int, text: str, *, reason: str, retry_after: float = 0.0) -> None:
        """Refuse a request.

        Args:
            status: HTTP status.
            text: What was wrong and what is allowed, without any byte of the request.
            reason: Label of the metric `residua_rejected_total`.
            retry_after: Seconds after which the client may try again; 0 for no such header.
        """
        super().__init__(text)
        self.status, self.text, self.reason, self.retry_after = status, text, reason, retry_after

    @property
    def headers(self) -> Mapping[str, str]:
        """`Retry-After` in whole seconds, rounded up, where it is known."""
        return {"Retry-After": str(max(1, math.ceil(self.retry_after)))} if self.retry_after else {}


class ConnectionLost(Exception):
    """The client closed the connection: no response is needed."""
