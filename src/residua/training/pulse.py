"""Signs of life: by these the processes of a run tell one that works from one that stands still."""

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from residua.training.parting import PeerLost

STALL = "RESIDUA_STALL_SECONDS"
"""Variable that replaces `STALL_SECONDS`."""
STALL_SECONDS = 20.0
"""A process that others wait for so long in a step counts as lost; launchers end it within 30 s more."""
BEAT_SECONDS = 1.0
"""Between two signs of life."""


def stall_seconds() -> float:
    """Seconds after which a process that does not answer is given up. ValueError for a wrong setting."""
    text = os.environ.get(STALL, str(STALL_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ValueError(f"{STALL} is {text!r}: give seconds above 0")
    return seconds


@contextmanager
def beating(store: Any, rank: int) -> Iterator[None]:
    """Leave signs of life of process `rank` in `store` while inside: one that is stopped leaves none."""
    over = threading.Event()

    def beat() -> None:
        with suppress(Exception):  # the store is gone with process 0
            while not over.wait(BEAT_SECONDS):
                store.add(f"alive/{rank}", 1)

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        over.set()


class Watch:
    """What process 0 sees of the others while it waits for them."""

    def __init__(self, store: Any, size: int) -> None:
        """Begin to look at the signs in `store` of all `size` processes."""
        self._store = store
        self._seconds = stall_seconds()
        self._looked = time.monotonic()
        self._seen = dict.fromkeys(range(1, size), (-1, self._looked))

    def look(self) -> None:
        """PeerLost when one gave no sign for as long as a stall may last."""
        now = time.monotonic()
        if now < self._looked + BEAT_SECONDS:
            return
        self._looked = now
        for rank, (signs, since) in self._seen.items():
            found = self._store.add(f"alive/{rank}", 0)
            if found != signs:
                self._seen[rank] = found, now
            elif now > since + self._seconds:
                raise PeerLost(f"process {rank} of this run stands still: `residua resume` goes on")
