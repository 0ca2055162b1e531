"""The worker processes of a loader: at which example each of them is, and what became of it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, MutableSequence
from contextlib import suppress
from multiprocessing.process import BaseProcess

from residua.data.decode import shown
from residua.errors import WorkerDiedError

CURE = "free memory, that of /dev/shm too, or set data.num_workers to 0"
"""What helps against most that ends a worker."""


class WorkerMonitor:
    """The workers of one loader, and which example each of them reads."""

    def __init__(self, workers: int, title: Callable[[int], str]) -> None:
        """An example is called by its `title`."""
        self.title = title
        self.rows: MutableSequence[int] = multiprocessing.RawArray("q", [-1] * (2 * workers))
        """In memory that all share: process and example of the first worker, of the second and so on."""
        self.workers: list[BaseProcess] = []
        self.began = False
        """Whether the first batch came."""
        self._over = threading.Event()

    def died(self, *processes: int) -> WorkerDiedError | None:
        """What became of these `processes`, or of all; None where none of them has ended."""
        for worker in self.workers:
            code, process = worker.exitcode, worker.pid or 0
            if code is not None and process in (processes or (process,)):
                how = signal.strsignal(-code) if code < 0 else f"exit code {code}"
                return WorkerDiedError(f"a worker process died ({how}){self._reading(process)}", CURE)
        return None

    def hung(self, seconds: float) -> WorkerDiedError:
        """That no batch came for so long. All are ended: torch would wait five seconds for one that hangs."""
        reading = self._reading(*self.rows[::2])
        self.clear()
        return WorkerDiedError(f"a worker process hangs (no batch for {seconds:g} s){reading}", CURE)

    def _reading(self, *processes: int) -> str:
        pairs = zip(self.rows[::2], self.rows[1::2], strict=True)
        titles = [shown(self.title(index)) for process, index in pairs if process in processes and index >= 0]
        return f" while it read {' or '.join(titles)}" if titles else ""

    def watch(self, seconds: float) -> None:
        """Have those that somebody stopped go on, so often.

        torch would wait without end for what such a one has announced.
        """
        while not self._over.wait(seconds):
            self.wake()

    def wake(self) -> None:
        """Have those that somebody stopped go on; the others do not notice."""
        for worker in self.workers:
            with suppress(ProcessLookupError):
                os.kill(worker.pid or 0, signal.SIGCONT)

    def clear(self) -> None:
        """End those that are left: one that is stopped does not heed what torch asked."""
        self._over.set()
        for worker in self.workers:
            while worker.exitcode is None:
                with suppress(RuntimeError):  # torch hears of it
                    worker.kill()
                    worker.join()
