"""A command with one fault at a chosen call: `python -m fault_injection MARK RANK ACT WHEN PLACE NTH WORDS`.

A signal from outside comes at some moment; this one comes right before or after the NTH call of PLACE in the
process of number RANK, of which there may be one. MARK is a file that tells when it came: where it is there
already, nothing comes. WORDS are those of `residua`.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

from command import Command
from residua.runs import checkpoint
from residua.runs.run import Run
from residua.training import validate
from residua.training.history import RunHistory


class Unnamed(Exception):
    """An error that residua has no name for."""


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise Unnamed("nobody thought of this")


ACTS = {"kill": kill, "raise": fail}
PLACES: dict[str, tuple[Any, str, str]] = {
    "step": (RunHistory, "after_step", ""),
    "judging": (validate, "evaluate", ""),
    "best": (checkpoint, "save_best_weights", ""),
    "row": (Run, "append_metrics", ""),
    "end": (Run, "mark_finished", ""),
    "sync": (os, "fsync", ".state-"),
    "rename": (os, "replace", "state-"),
    "prune": (os, "unlink", "state-"),
}
"""Owner and name of what is called, and how the name of the file begins for which it is called."""


def start_with_fault(
    mark: Path, aim: str, *words: object, begin: Callable[..., Command], rank: int = 0, **options: Any
) -> Command:
    """`begin` the command of `words`, to be hurt at `aim`, e.g. `kill before row 2`."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # for ranks, which a launcher starts afresh
    return begin(mark, rank, *aim.split(), *words, module="fault_injection", env=env, **options)


def fault_time(mark: Path) -> float:
    """Where `hurt` has acted, at which `time.monotonic()`."""
    return float(mark.read_text())


def _is_for(thing: int | str | Path, prefix: str) -> bool:
    path = os.readlink(f"/proc/self/fd/{thing}") if isinstance(thing, int) else thing
    return Path(path).name.startswith(prefix)


def _acting(
    work: Callable[..., Any], act: Callable[[], None], *, first: bool, nth: int, is_place: Callable[..., bool]
) -> Callable[..., Any]:
    """`work`, but its `nth` call acts `first`, or afterwards."""
    calls = []

    @wraps(work)
    def working(*given: Any, **named: Any) -> Any:
        calls.extend([1] * is_place(*given))
        due = len(calls) == nth and is_place(*given)
        if due and first:
            act()
        done = work(*given, **named)
        if due and not first:
            act()
        return done

    return working


def _main(mark: str, rank: str, act: str, moment: str, place: str, nth: str, *words: str) -> None:
    def once() -> None:
        said = Path(f"{mark}.{os.getpid()}")
        said.write_text(str(time.monotonic()))
        with suppress(FileExistsError):
            os.link(said, mark)  # whole as soon as it is there
            ACTS[act]()

    owner, name, prefix = PLACES[place]

    def is_place(*given: Any) -> bool:
        is_here = os.environ.get("RANK", "0") == rank
        return is_here and (not prefix or _is_for(given[-1], prefix))

    acting = _acting(getattr(owner, name), once, first=moment == "before", nth=int(nth), is_place=is_place)
    setattr(owner, name, acting)
    sys.argv = ["residua", *words]
    from residua.cli import main

    main()


if __name__ == "__main__":
    _main(*sys.argv[1:])
