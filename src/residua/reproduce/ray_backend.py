"""Train runs as tasks on a Ray cluster: on any machine, resumed on another one when a machine is lost.

driver                                 a machine of the cluster
------                                 ------------------------
one task for each entry    ------->    finish(entry): train from the newest checkpoint
every POLL_SECONDS:                    writes metrics and checkpoints into the run folder
  read the metrics that runs wrote     (shared by all machines)
  stop() is true: create `.stop`  -->  sees the file, saves and returns
task returned          <-----------    "" or the message of a DivergedError
machine lost: Ray starts the task again elsewhere, at most RETRIES times. The old process may still hold the
run's lock for a while; the new task waits up to LOCK_SECONDS for it.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from residua.errors import DivergedError, RunBusyError
from residua.events import EpochRow, Note
from residua.jobs.ray_cluster import joined_cluster
from residua.jobs.run_pool import PoolEntry, RunListener, finish
from residua.runs.run import Run

RETRIES = 3
"""How often a run is started again on another machine when its machine is lost."""
POLL_SECONDS = 1.0
"""Time between two looks at the tasks and at the metrics of the runs."""
LOCK_SECONDS = 120.0
"""How long a task waits for a run that another process still holds."""


class RayBackend:
    """A `RunBackend` that trains entries as Ray tasks. All machines must see the folder of the runs."""

    def __init__(self, address: str, *, threads: int) -> None:
        """Join a cluster.

        Args:
            address: `auto`, `local` (a cluster of this machine, for this process) or host:port.
            threads: CPU cores of one run.

        Raises:
            ConfigError: Ray is not installed, or there is no cluster at `address`.
        """
        self._threads = threads
        self._connection = ExitStack()
        self._ray = self._connection.enter_context(joined_cluster(address))

    def __enter__(self) -> "RayBackend":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self._connection.close()

    def train(self, entries: Sequence[PoolEntry], *, listen: RunListener, stop: Callable[[], bool]) -> None:
        """Train every entry from its newest checkpoint, as described at the top of this file.

        Args:
            entries: The runs; all in one folder.
            listen: Receives finished epochs, and a Note for a run whose loss is not finite.
            stop: Asked every POLL_SECONDS; True saves all runs and returns.

        Raises:
            Exception: Whatever else a task raised.
        """
        gpus = 1 if self._ray.cluster_resources().get("GPU") else 0
        task = self._ray.remote(_task).options(num_cpus=self._threads, num_gpus=gpus, max_retries=RETRIES)
        stop_file = entries[0].path.parent.absolute() / ".stop"
        stop_file.parent.mkdir(parents=True, exist_ok=True)
        stop_file.unlink(missing_ok=True)
        entries = [replace(entry, path=entry.path.absolute()) for entry in entries]
        reported = {entry.name: len(Run(entry.path).metrics) for entry in entries}
        running = {task.remote(entry, stop_file): entry for entry in entries}
        try:
            while running:
                if stop():
                    stop_file.touch()
                done, _ = self._ray.wait(list(running), timeout=POLL_SECONDS)
                for entry in running.values():
                    _report_epochs(entry, reported, listen)
                for reference in done:
                    entry, message = running.pop(reference), self._ray.get(reference)
                    if message:
                        listen(entry.name, Note(f"{entry.name}: {message}"))
        finally:
            stop_file.unlink(missing_ok=True)


def _task(entry: PoolEntry, stop_file: Path) -> str:
    """On a machine of the cluster: finish `entry`, or save and return once `stop_file` exists.

    Returns:
        The message of a DivergedError, or an empty text.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while not stop_file.exists():
        try:
            finish(entry, listen=lambda *_: None, stop=stop_file.exists)
        except DivergedError as error:
            return str(error)
        except RunBusyError:  # the process on the lost machine may still live and hold the run
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)
            continue
        break
    return ""


def _report_epochs(entry: PoolEntry, reported: dict[str, int], listen: RunListener) -> None:
    """Pass the epochs that `entry` finished since the last call to `listen`, and count them in `reported`."""
    rows, length = Run(entry.path).metrics, entry.recipe.budget
    for values in rows[reported[entry.name] :]:
        epochs = -(-length.steps * values["epoch"] // values["step"]) if length.steps else length.epochs
        is_held_out = entry.recipe.data.inner_val_fraction > 0
        listen(entry.name, EpochRow(values, epochs, is_held_out))
    reported[entry.name] = max(reported[entry.name], len(rows))
