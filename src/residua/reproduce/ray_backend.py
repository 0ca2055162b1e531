"""The same runs as tasks on a Ray cluster: on any machine, with retries, each going on where it stood."""

import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from residua.errors import DivergedError, RunBusyError
from residua.jobs.run_pool import Listen, PoolEntry, finish
from residua.runs.run import Run
from residua.training.events import EpochRow, Note

RETRIES = 3
"""How often a run is begun again, elsewhere, when its machine is lost."""
POLL_SECONDS = 1.0
"""How often the machines are asked what is done."""
PATIENCE_SECONDS = 120.0
"""How long a run that another process still holds is waited for."""


REACH_SECONDS = 5.0
"""How long a cluster has to answer."""
CURE = "begin one with `ray start --head`, or give --ray local"


class Cluster:
    """Trains entries as Ray tasks. The folder of the runs must be one that every machine sees."""

    def __init__(self, address: str, *, threads: int) -> None:
        """Join the cluster at `address` (`auto`, `local`, host:port); one run takes `threads` cores.

        ValueError where there is none.
        """
        try:
            import ray
        except ImportError:
            raise ValueError("--ray needs the package ray: pip install 'residua[ray]'") from None
        self._ray, self._threads = ray, threads
        self._joined = not ray.is_initialized()
        if self._joined:
            _reach(address)
            where = None if address == "local" else address
            try:
                ray.init(where, log_to_driver=False, logging_level=logging.ERROR)
            except ConnectionError:
                raise ValueError(f"no Ray cluster at {address}: {CURE}") from None

    def __enter__(self) -> "Cluster":
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        """Leave the cluster, if it was joined here."""
        if self._joined:
            self._ray.shutdown()

    def train(self, entries: Sequence[PoolEntry], *, listen: Listen, stop: Callable[[], bool]) -> None:
        """Train each, from where it stands; one whose machine dies goes on on another.

        Stopping leaves every run at a checkpoint. A loss that is not finite is told to `listen`; whatever
        else a run raises is raised here.
        """
        gpus = 1 if self._ray.cluster_resources().get("GPU") else 0
        task = self._ray.remote(_task).options(num_cpus=self._threads, num_gpus=gpus, max_retries=RETRIES)
        flag = entries[0].path.parent.absolute() / ".stop"
        flag.parent.mkdir(parents=True, exist_ok=True)
        flag.unlink(missing_ok=True)
        entries = [replace(entry, path=entry.path.absolute()) for entry in entries]
        told = {entry.name: len(Run(entry.path).metrics) for entry in entries}
        waiting = {task.remote(entry, flag): entry for entry in entries}
        try:
            while waiting:
                if stop():
                    flag.touch()
                done, _ = self._ray.wait(list(waiting), timeout=POLL_SECONDS)
                for entry in waiting.values():
                    _tell(entry, told, listen)
                for reference in done:
                    entry, trouble = waiting.pop(reference), self._ray.get(reference)
                    if trouble:
                        listen(entry.name, Note(f"{entry.name}: {trouble}"))
        finally:
            flag.unlink(missing_ok=True)


def _reach(address: str) -> None:
    """ValueError unless somebody answers at `address`, which Ray itself would find out in minutes."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"--ray {address}: give auto, local, or host:port")
    try:
        socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
    except OSError:
        raise ValueError(f"nobody answers at {address}: {CURE}") from None


def _task(entry: PoolEntry, flag: Path) -> str:
    """On some machine: finish `entry`, or leave at a checkpoint once the file `flag` is there.

    What made its loss infinite; empty for none.
    """
    given_up = time.monotonic() + PATIENCE_SECONDS
    while not flag.exists():
        try:
            finish(entry, listen=lambda *_: None, stop=flag.exists)
        except DivergedError as error:
            return str(error)
        except RunBusyError:  # the process that lost its machine may live on for a while, and hold the run
            if time.monotonic() > given_up:
                raise
            time.sleep(POLL_SECONDS)
            continue
        break
    return ""


def _tell(entry: PoolEntry, told: dict[str, int], listen: Listen) -> None:
    """Tell `listen` of the epochs that `entry` has finished since it was last asked."""
    rows, length = Run(entry.path).metrics, entry.recipe.budget
    for values in rows[told[entry.name] :]:
        epochs = -(-length.steps * values["epoch"] // values["step"]) if length.steps else length.epochs
        listen(entry.name, EpochRow(values, epochs))
    told[entry.name] = max(told[entry.name], len(rows))
