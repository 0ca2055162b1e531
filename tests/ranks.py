"""Several processes of one world, forked from the test: no import is paid for twice."""

import os
import signal
import socket
import time
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from residua.training.processes.world import STALL, World, process_group

LIMIT = 90.0
"""Seconds after which ranks count as hung."""
FAILED = 9
"""Exit code of a rank whose work raised an error."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def begin(size: int, work: Callable[[int], object], *, stall: float = 30.0) -> list[int]:
    """The process numbers of `size` ranks that do `work(rank)` in a launcher's environment."""
    port = free_port()
    return [_fork(size, rank, port, stall, work) for rank in range(size)]


def _fork(size: int, rank: int, port: int, stall: float, work: Callable[[int], object]) -> int:
    if child := os.fork():
        return child
    code = FAILED
    try:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port, STALL: stall}
        os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="localhost")
        work(rank)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def end(children: list[int], *, limit: float = LIMIT) -> list[int]:
    """Their exit codes, negative for a signal; those that hang are killed, and the test fails."""
    codes: dict[int, int] = {}
    until = time.monotonic() + limit
    while len(codes) < len(children) and time.monotonic() < until:
        for child in set(children) - set(codes):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                codes[child] = os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    for child in set(children) - set(codes):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert len(codes) == len(children), f"{len(children) - len(codes)} ranks still run after {limit} s"
    return [codes[child] for child in children]


def together(size: int, work: Callable[[World], object]) -> None:
    """Do `work` in `size` ranks that have joined, all of which must end well."""

    def joining(_rank: int) -> None:
        with process_group() as world:
            work(world)

    assert end(begin(size, joining)) == [0] * size


def apart(test: Callable[..., object]) -> Callable[..., None]:
    """A test in a process of its own, forked from this one."""

    @wraps(test)
    def run(*given: object, **named: object) -> None:
        assert end(begin(1, lambda _rank: test(*given, **named))) == [0]

    return run


def children_of(process: int) -> list[int]:
    """Processes that `process` has started and that live."""
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def lives(process: int) -> bool:
    """Whether it runs, or nobody has asked for its exit code yet."""
    return Path(f"/proc/{process}").exists()
