"""State of the worker processes of one loader, as the training process sees it.

Two arrays in shared memory have one slot for each worker: its process number, and the index of the example
that it reads now. A worker writes its slot without a lock; the training process reads it only to name the
example in an error.

    starting --> reading <--> idle (queue full) --> ended (all batches read)
                    |
                    +-- killed, crashed or exited --> WorkerDiedError "died (Killed) while it read X"
                    |
                    +-- no batch for 60 seconds --> all workers are killed,
                                                    WorkerDiedError "hangs ... while it read X"
"""

import multiprocessing
import signal
from collections.abc import Callable, MutableSequence
from contextlib import suppress
from multiprocessing.process import BaseProcess

from residua.data.decode import printable_path
from residua.errors import WorkerDiedError

REMEDY = "free memory, that of /dev/shm too, or set data.num_workers to 0"
"""What helps against most failures of a worker."""
IDLE = -1
"""Index in the slot of a worker that reads no example."""


class WorkerMonitor:
    """The workers of one loader, and the example that each of them reads."""

    def __init__(self, workers: int, title: Callable[[int], str]) -> None:
        """Prepare the slots of `workers` processes; `title` names an example in errors."""
        self.title = title
        self.pids: MutableSequence[int] = multiprocessing.RawArray("q", workers)
        """Process number of each worker, written when it starts."""
        self.indices: MutableSequence[int] = multiprocessing.RawArray("q", [IDLE] * workers)
        """Index of the example that each worker reads, or IDLE."""
        self.processes: list[BaseProcess] = []
        """The worker processes, in any order."""
        self.has_batch = False
        """Whether the first batch arrived."""

    def find_dead(self, *pids: int) -> WorkerDiedError | None:
        """Look for a worker that has exited.

        Args:
            pids: Process numbers to look at; none for all workers.

        Returns:
            An error with the signal or exit code and the example it read; None when all of them run.
        """
        for process in self.processes:
            code, pid = process.exitcode, process.pid or 0
            if code is not None and pid in (pids or (pid,)):
                cause = signal.strsignal(-code) if code < 0 else f"exit code {code}"
                return WorkerDiedError(f"a worker process died ({cause}){self._reading(pid)}", REMEDY)
        return None

    def kill_hung(self, seconds: float) -> WorkerDiedError:
        """Kill all workers after no batch arrived for `seconds`.

        Returns:
            An error with the examples that the workers read.
        """
        reading = self._reading(*self.pids)
        self.kill_all()  # torch would wait five seconds for each worker that hangs
        return WorkerDiedError(f"a worker process hangs (no batch for {seconds:g} s){reading}", REMEDY)

    def kill_all(self) -> None:
        """Kill the workers that still run, and wait for them."""
        for process in self.processes:
            while process.exitcode is None:
                with suppress(RuntimeError):  # torch's signal handler raises this for the worker that we kill
                    process.kill()
                    process.join()

    def _reading(self, *pids: int) -> str:
        slots = zip(self.pids, self.indices, strict=True)
        titles = [printable_path(self.title(index)) for pid, index in slots if pid in pids and index != IDLE]
        return f" while it read {' or '.join(titles)}" if titles else ""
