"""Jobs: commands of residua that the page starts, each in a process of its own.

    waiting --a place is free--> running --exit code 0-----> done
       |                            |   --another---------> failed
       +--cancel--> stopped         +--cancel: SIGTERM----> stopping --saved, exit code 75--> stopped

A job is the command that one would type, so it checks, saves and resumes as that does, and its lines are what
the page shows. `MAX_RUNNING` run at a time. Jobs are in a session of their own: Ctrl-C in the terminal of the
lab reaches them through `close`, which stops each as the page does and waits for it to save.
"""

import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from residua.errors import ConfigError, ResourceError

MAX_RUNNING = 2
"""Jobs that run at a time."""
MAX_JOBS = 100
"""Jobs in memory; the oldest that has ended is left out."""
MAX_LINES = 400
"""Lines of a job in memory, the latest ones."""
PUBLISH_SECONDS = 0.2
"""Shortest time between two events about a job."""
STOP_SECONDS = 60.0
"""Time a job has to save when the lab ends."""
JobState = Literal["waiting", "running", "stopping", "done", "failed", "stopped"]
STOPPED_CODE = 75
"""Exit code of a command that saved after a signal."""


@dataclass(slots=True)
class Job:
    """A command and what became of it."""

    id: str
    """Its name in addresses."""
    kind: str
    """Row of `job_kinds.KINDS`."""
    title: str
    """For people."""
    words: tuple[str, ...]
    """The command without `residua`."""
    folder: Path
    """A folder of its own for what it writes, deleted when the lab ends."""
    run: str = ""
    """The run it writes or reads."""
    page: str = ""
    """File in `folder` that is its result for people; empty for none."""
    state: JobState = "waiting"
    """See the opening of this module."""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_LINES))
    """What it printed."""
    exit_code: int | None = None
    """Of the process; None before its end."""
    started: float = 0.0
    """In seconds since 1970."""
    ended: float = 0.0
    """In seconds since 1970."""

    def facts(self) -> dict[str, Any]:
        """The job for the page; of two that reach it, the one of the later `time` is true."""
        return {
            "time": time.monotonic(),
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "command": ["residua", *self.words],
            "run": self.run,
            "page": bool(self.page) and self.state == "done",
            "state": self.state,
            "lines": list(self.lines),
            "exit_code": self.exit_code,
            "seconds": (self.ended or time.time()) - self.started if self.started else 0.0,
        }


class Jobs:
    """All jobs since the lab began."""

    def __init__(self, publish: Callable[[str, Any], None]) -> None:
        """Begin without jobs.

        Args:
            publish: Receives the event `job` with the facts of a job that changed.
        """
        self._publish = publish
        self._jobs: dict[str, Job] = {}
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._lock = threading.RLock()
        self._listings: dict[tuple[str, ...], Any] = {}
        self._listing_lock = threading.Lock()
        self._folder: Path | None = None
        self._is_closed = False

    def start(
        self,
        kind: str,
        title: str,
        words: Sequence[str],
        *,
        run: str = "",
        page: str = "",
        files: Mapping[str, str] = MappingProxyType({}),
    ) -> Job:
        """Start a command, or let it wait for a place.

        Args:
            kind: Name of the kind.
            title: For people.
            words: The command without `residua`; `{folder}` in a word is the folder of the job.
            run: The run that it writes or reads.
            page: File in the folder of the job that is its result for people.
            files: Files that the command reads: name in the folder of the job -> content.

        Raises:
            ResourceError: Too many jobs wait.
        """
        with self._lock:
            if self._is_closed:
                raise ResourceError("the lab is stopping: start it again")
            self._make_room()
            self._folder = self._folder or Path(tempfile.mkdtemp(prefix="residua-lab-"))
            name = secrets.token_hex(6)
            folder = self._folder / name
            folder.mkdir()
            for file, content in files.items():
                (folder / file).write_text(content, "utf-8")
            filled = tuple(word.replace("{folder}", str(folder)) for word in words)
            job = Job(name, kind, title, filled, folder, run, page)
            self._jobs[name] = job
            self._start_waiting()
        self._publish("job", job.facts())
        return job

    def listing(self, words: tuple[str, ...]) -> Any:
        """The JSON document that a command prints; the same command is not run twice.

        Raises:
            ResourceError: The command failed.
        """
        with self._listing_lock:
            if words not in self._listings:
                command = [sys.executable, "-m", "residua", *words]
                result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603
                if result.returncode:
                    raise ResourceError(
                        f"residua {words[0]} failed: {result.stderr.decode(errors='replace')[-200:]}"
                    )
                self._listings[words] = json.loads(result.stdout)
        return self._listings[words]

    def job(self, name: str) -> Job:
        """The job of that name.

        Raises:
            ConfigError: There is none.
        """
        try:
            return self._jobs[name]
        except KeyError:
            raise ConfigError("there is no job of this name since the lab began") from None

    def all(self) -> list[Job]:
        """All jobs, the latest first."""
        return list(self._jobs.values())[::-1]

    def cancel(self, name: str) -> Job:
        """Stop a job: it saves what it can.

        Raises:
            ConfigError: There is no such job.
        """
        job = self.job(name)
        with self._lock:
            if job.state == "waiting":
                job.state = "stopped"
            elif job.state in ("running", "stopping"):
                job.state = "stopping"
                self._processes[name].send_signal(signal.SIGTERM)
        self._publish("job", job.facts())
        return job

    def close(self) -> None:
        """Stop all jobs, wait for them to save, and delete their folders."""
        with self._lock:
            self._is_closed = True
            processes = list(self._processes.values())
        for process in processes:
            process.send_signal(signal.SIGTERM)
        limit = time.monotonic() + STOP_SECONDS
        for process in processes:
            try:
                process.wait(max(0.1, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _make_room(self) -> None:
        ended = [job for job in self._jobs.values() if job.state in ("done", "failed", "stopped")]
        if len(self._jobs) < MAX_JOBS:
            return
        if not ended:
            raise ResourceError(f"{MAX_JOBS} jobs wait already: stop some of them")
        shutil.rmtree(ended[0].folder, ignore_errors=True)
        del self._jobs[ended[0].id]

    def _start_waiting(self) -> None:
        """Start jobs that wait, while places are free."""
        for job in self._jobs.values():
            if job.state == "waiting" and len(self._processes) < MAX_RUNNING and not self._is_closed:
                words = [sys.executable, "-m", "residua", *job.words]
                self._processes[job.id] = subprocess.Popen(  # noqa: S603 (our own command)
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
                job.state, job.started = "running", time.time()
                threading.Thread(
                    target=self._follow, args=(job,), name="residua-lab-job", daemon=True
                ).start()

    def _follow(self, job: Job) -> None:
        """Read the lines of a job until it ends."""
        process = self._processes[job.id]
        self._publish("job", job.facts())
        published = 0.0
        assert process.stdout
        with suppress(ValueError):
            for line in process.stdout:
                job.lines.append(line.rstrip()[:2000])
                if time.monotonic() > published + PUBLISH_SECONDS:
                    published = time.monotonic()
                    self._publish("job", job.facts())
        code = process.wait()
        with self._lock:
            was_stopped = job.state == "stopping"
            job.exit_code, job.ended = code, time.time()
            is_stopped = code == STOPPED_CODE or (was_stopped and code != 0)
            job.state = "done" if code == 0 else "stopped" if is_stopped else "failed"
            del self._processes[job.id]
            self._start_waiting()
        self._publish("job", job.facts())
