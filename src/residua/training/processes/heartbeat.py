"""Heartbeats: how process 0 tells a process that works for a long time from one that stands still.

Each process counts up its own key of the store once a second, in a thread. A stopped process (SIGSTOP, a
frozen machine) counts no more. Process 0 reads the counters while it waits in `World.barrier`: a counter that
stays the same for longer than the stall time is a lost process. Steps need no heartbeat: their collective
operations time out.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from residua.errors import PeerLostError

BEAT_SECONDS = 1.0
"""Time between two heartbeats."""


@contextmanager
def heartbeat(store: Any, rank: int) -> Iterator[None]:
    """Send heartbeats of process `rank` to `store` while inside."""
    ended = threading.Event()

    def beat() -> None:
        with suppress(Exception):  # the store ends with process 0
            while not ended.wait(BEAT_SECONDS):
                store.add(f"alive/{rank}", 1)

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


class HeartbeatMonitor:
    """Watches the heartbeats of the other processes, on process 0."""

    def __init__(self, store: Any, size: int, *, seconds: float) -> None:
        """`size` is the number of processes; each must send a heartbeat within `seconds`."""
        self._store, self._seconds = store, seconds
        self._checked = time.monotonic()
        self._last = dict.fromkeys(range(1, size), (-1, self._checked))  # rank: its count, and since when

    def check(self) -> None:
        """Read the heartbeats, at most once a second.

        Raises:
            PeerLostError: A process sent none for too long.
        """
        now = time.monotonic()
        if now < self._checked + BEAT_SECONDS:
            return
        self._checked = now
        for rank, (beats, since) in self._last.items():
            count = self._store.add(f"alive/{rank}", 0)
            if count != beats:
                self._last[rank] = count, now
            elif now > since + self._seconds:
                raise PeerLostError(f"process {rank} of this run stands still: `residua resume` continues it")


def exit_with_parent(parent: int) -> None:
    """End this process once `parent` has ended: a killed launcher cannot end its processes."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
