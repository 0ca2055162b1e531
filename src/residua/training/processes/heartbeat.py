"""Signs of life: by these the processes of a run tell one that works from one that stands still."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from residua.errors import PeerLostError

Address = tuple[str, int]
"""Machine and number of a process."""
BEAT_SECONDS = 1.0
"""Between two signs of life."""


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


class HeartbeatMonitor:
    """What process 0 sees of the others while it waits for them."""

    def __init__(self, store: Any, size: int, *, seconds: float) -> None:
        """Begin to look at the signs in `store` of all `size` processes: each owes one in `seconds`."""
        self._store, self._seconds = store, seconds
        self._looked = time.monotonic()
        self._seen = dict.fromkeys(range(1, size), (-1, self._looked))

    def look(self) -> None:
        """PeerLostError when one gave no sign for too long."""
        now = time.monotonic()
        if now < self._looked + BEAT_SECONDS:
            return
        self._looked = now
        for rank, (signs, since) in self._seen.items():
            found = self._store.add(f"alive/{rank}", 0)
            if found != signs:
                self._seen[rank] = found, now
            elif now > since + self._seconds:
                raise PeerLostError(f"process {rank} of this run stands still: `residua resume` goes on")


def address() -> Address:
    """Where this process is."""
    return socket.gethostname(), os.getpid()


def wake(members: Iterable[Address]) -> None:
    """Have those here that were stopped go on, and leave: launchers wait half a minute for them."""
    for host, process in members:
        if host == socket.gethostname() and process != os.getpid():
            with suppress(OSError):  # it may be gone
                os.kill(process, signal.SIGCONT)


def leave_with(parent: int) -> None:
    """A killed launcher cannot end its processes, so they end themselves."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
