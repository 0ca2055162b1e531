"""How the processes of a run part when one of them fails: one line for the user, one exit code for all."""

import json
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from residua.errors import PeerFailedError, PeerLostError

T = TypeVar("T")

PARTING_SECONDS = 10.0
"""How long a process that fails waits for the others to hear of it."""
HEARD_SECONDS = 2.0
"""How long the words of a process that failed may take; they are written before its connections close.

One that was killed leaves none, and the others need not be waited for: they have nothing to hear."""
ANSWER_SECONDS = 5.0
"""How long the notes may be asked for by a process that fails: rank 0, which serves them, may stand still."""
LOST = re.compile(r"gloo|NCCL|[Cc]onnection|[Tt]imed? ?out|[Bb]roken pipe|store|socket")
"""What torch says, in a plain RuntimeError, when another process does not answer."""
WHERE = re.compile(r"^\[[^]]*\] ")
"""Its own source file, which it says first."""


def part(error: Exception, store: Any, *, rank: int, size: int, close: Callable[[], None]) -> Exception:
    """What this process should raise for `error`, once the others have heard of it.

    An error of its own stays what it is, unless rank 0 says it instead. Where the others are lost, it is the
    error of the process that failed first, or PeerLostError when none said why. `store` holds the notes of all;
    `close` breaks the connections, which tells those who wait for this process that something happened.
    """
    kinds = tuple(kind.__name__ for kind in type(error).__mro__)
    known = isinstance(error, PeerFailedError)
    lost = known or "DistError" in kinds or (type(error) is RuntimeError and bool(LOST.search(str(error))))
    with suppress(Exception):  # the store is gone with rank 0, or silent
        within(ANSWER_SECONDS, lambda: store.check(["error"]))
        if not lost:
            store.compare_set("error", "", json.dumps([rank, kinds, str(error)]))
        closing = threading.Thread(target=close, daemon=True)
        closing.start()
        closing.join(PARTING_SECONDS)
        if lost and (known or until(lambda: store.check(["error"]), seconds=HEARD_SECONDS)):
            error = failed(store, silent=rank > 0)
        if rank == 0:
            store.set("heard", "")
        spoken = rank > 0 and not lost and until(lambda: store.check(["heard"]))
        store.add("left", 1)
        if rank == 0:  # it serves the store
            absent = isinstance(error, PeerLostError) or (lost and not isinstance(error, PeerFailedError))
            until(lambda: store.add("left", 0) == size, seconds=HEARD_SECONDS if absent else PARTING_SECONDS)
        if spoken:
            return PeerFailedError(kinds, str(error), silent=True)
    if lost and not isinstance(error, PeerFailedError):
        said = WHERE.sub("", str(error).splitlines()[0]).partition(". ")[0]
        return PeerLostError(f"another process of this run died or stalls ({said}): `residua resume` goes on")
    return error


def sockets() -> set[int]:
    """The handles of this process that are sockets."""
    found = set()
    for handle in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # that of the listing is closed by now
            if stat.S_ISSOCK(os.fstat(handle).st_mode):
                found.add(handle)
    return found


def hang_up(handles: Iterable[int], *, but: int) -> None:
    """End the connections among `handles`, except those of port `but`; the other ends hear of it at once."""
    for handle in handles:
        with suppress(OSError), socket.socket(fileno=os.dup(handle)) as connection:
            ports = connection.getsockname()[1], connection.getpeername()[1]  # OSError where it only listens
            if but not in ports:
                connection.shutdown(socket.SHUT_RDWR)


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What `ask` gives. PeerLostError after so long without: a process that stands still never answers."""
    answers: list[T] = []
    errors: list[Exception] = []

    def asking() -> None:
        try:
            answers.append(ask())
        except Exception as error:
            errors.append(error)

    asked = threading.Thread(target=asking, daemon=True)
    asked.start()
    asked.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise PeerLostError(
            f"process 0 of this run did not answer for {seconds:g} s: `residua resume` goes on"
        )
    return answers[0]


def failed(store: Any, *, silent: bool = True) -> PeerFailedError:
    """The error that some process left in `store`."""
    rank, kinds, text = json.loads(store.get("error"))
    return PeerFailedError(tuple(kinds), f"process {rank}: {text}" if rank else text, silent=silent)


def until(claim: Callable[[], bool], *, seconds: float = PARTING_SECONDS) -> bool:
    """Wait for `claim` to hold, at most so long; whether it does."""
    limit = time.monotonic() + seconds
    while not (true := claim()) and time.monotonic() < limit:
        time.sleep(0.02)
    return true
