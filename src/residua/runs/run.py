"""Run: the directory of one training run, who may write it, and what it says."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

from residua.errors import RunBusyError
from residua.spec.recipe import Recipe, read_recipe
from residua.spec.record import to_json
from residua.version import __version__

RECIPE, SETS = "recipe.json", "data.json"
"""What every run has: how it is trained, and on which examples."""
SPARE = "checkpoints/spare.json"
"""A second copy of both: `runs/metadata_backup.py`."""
EXACT = ("torch", "processor", "device", "processes")
"""What of the environment decides the last bits; threads, precision and memory format are in the recipe."""
_LEFT = ("metrics.jsonl", "finished.json", "report.html", "quarantine.csv", "rollbacks.json")


@dataclass(frozen=True, slots=True)
class Run:
    """A directory: `recipe.json` (resolved), `metrics.jsonl`, `checkpoints/`, `report.html` and more."""

    path: Path
    """Where it is."""

    @property
    def checkpoints(self) -> Path:
        """The folder of training states."""
        return self.path / "checkpoints"

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe. ValueError when it cannot be read."""
        try:
            return read_recipe((file := self.path / RECIPE).read_text("utf-8"))
        except ValueError as error:
            wrote = self._environment().get("residua", __version__)
            hint = (
                "" if wrote == __version__ else f"; residua {wrote} wrote it, this is {__version__}: use that"
            )
            raise ValueError(f"{file}: {error}{hint}") from None

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One row per finished epoch, the oldest first; what is damaged is left out."""
        rows = []
        if (file := self.path / "metrics.jsonl").exists():
            for line in file.read_bytes().splitlines():
                with suppress(ValueError):
                    row = json.loads(line)
                    rows += [row] if isinstance(row, dict) and "step" in row else []
        return rows

    @property
    def finished(self) -> bool:
        """Whether training came to its planned end."""
        return (self.path / "finished.json").exists()

    def moved(self, place: Mapping[str, Any]) -> list[str]:
        """What is not as it was when the run began, and may change the last bits of what follows.

        `place` says where the arithmetic happens now; what an older version did not note is passed over.
        """
        then, now = self._environment(), {**environment(), **place}
        then, now = ({**found, **found.get("versions", {})} for found in (then, now))
        return [
            f"{name} is {now[name]}, was {then[name]}"
            for name in EXACT
            if name in then and now.get(name) != then[name]
        ]

    def record_move(self, lines: Sequence[str]) -> None:
        """Write down that the run went on although `lines` differ."""
        found = self._environment()
        said = [{"after_rows": len(self.metrics), "moved": list(lines)}]
        text = json.dumps({**found, "moves": found.get("moves", []) + said}, indent=2)
        write(self.path / "environment.json", text)

    @property
    def job(self) -> str:
        """What the launcher called the job that began the run; empty where none did."""
        return str(self._environment().get("job", ""))

    @property
    def knows_environment(self) -> bool:
        """Whether the run can still tell where it began."""
        return bool(self._environment())

    def record_environment(self, place: Mapping[str, Any]) -> None:
        """Write down anew where the run is, because what was written is lost."""
        write(self.path / "environment.json", json.dumps({**environment(), **place}, indent=2))

    def _environment(self) -> dict[str, Any]:
        found = _noted(self.path / "environment.json")
        return found if isinstance(found, dict) else {}

    @property
    def rollbacks(self) -> list[int]:
        """The steps to which training went back because numbers were lost, the oldest first."""
        return list(_noted(self.path / "rollbacks.json") or [])

    def record_rollback(self, step: int) -> None:
        """Write down that training went back to `step`."""
        write(self.path / "rollbacks.json", json.dumps([*self.rollbacks, step]))

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row to the metrics."""
        line = json.dumps(row, allow_nan=False) + "\n"
        with _named(file := self.path / "metrics.jsonl"), file.open("a") as lines:
            lines.write(line)
            lines.flush()
            os.fsync(lines.fileno())

    def rewind(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Go back to where `rows` were all: those after them will be made again, identically."""
        (self.path / "finished.json").unlink(missing_ok=True)
        write(self.path / "metrics.jsonl", "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))

    def finish(self, row: Mapping[str, Any]) -> None:
        """Mark the planned end, with the last scores."""
        write(self.path / "finished.json", json.dumps(row, indent=2, allow_nan=False))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run while inside. RunBusyError, naming the holder, when another process does."""
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        holding = [descriptor]

        def let_go() -> None:
            for number in holding:
                os.close(number)
            holding.clear()

        # A forked loader worker would keep the lock after a killed parent: it closes its copy at once.
        os.register_at_fork(after_in_child=let_go)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(descriptor, 1000).decode(errors="replace") or "another process"
                raise RunBusyError(
                    f"{self.path} is being written by {owner}: wait, or choose another -o"
                ) from None
            os.ftruncate(descriptor, 0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}".encode())
            yield
        finally:
            let_go()


def create(
    path: Path,
    recipe: Recipe,
    *,
    identity: Mapping[str, Any],
    place: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Run:
    """A fresh run at `path`, for images whose `identity` must stay what it is.

    `place` says where its arithmetic happens. FileExistsError when one is there already, unless `force`
    clears it; RunBusyError when held.
    """
    run = Run(path)
    path.mkdir(parents=True, exist_ok=True)
    with run.lock():
        if (path / RECIPE).exists():
            _refuse(run, force=force)
            for name in _LEFT:
                (path / name).unlink(missing_ok=True)
            shutil.rmtree(run.checkpoints, ignore_errors=True)
        run.checkpoints.mkdir(exist_ok=True)
        run.record_environment(place or {})
        write(path / SETS, json.dumps(identity, indent=2))
        write(path / RECIPE, to_json(recipe))  # last: a folder with a recipe is a run, and complete
    return run


def check_free(path: Path, *, force: bool = False) -> None:
    """What `create` would refuse is refused here, before the work of preparing a run is done."""
    if os.path.lexists(path) and not path.is_dir():
        path.stat()  # says what is wrong with a link
        raise FileExistsError(f"{path} is no folder: choose another -o")
    if (path / RECIPE).exists():
        there = Run(path)
        with nullcontext() if there.finished else there.lock():  # it may be where nobody can write
            _refuse(there, force=force)
    place = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    with _named(place), tempfile.TemporaryFile(dir=place):  # OSError where nothing can be made
        pass


def _refuse(run: Run, *, force: bool) -> None:
    if not force:
        hint = "choose another -o" if run.finished else f"go on with `residua resume {run.path}`"
        raise FileExistsError(f"{run.path} holds a run already: {hint}, or give --force to replace it")


def open_run(path: Path) -> Run:
    """The run at `path`. ValueError when there is none, OSError when links to it lead nowhere."""
    with suppress(FileNotFoundError, NotADirectoryError):
        path.stat()
    for name in (RECIPE, SETS):
        if not (path / name).is_file() and not (path / SPARE).is_file():
            raise ValueError(f"{path} is no run: it has no {name}; `residua train DATA -o {path}` makes one")
    return Run(path)


def next_free(folder: Path, name: str) -> Path:
    """`folder/name-N` with the smallest N that is not there."""
    return next(path for number in count(1) if not (path := folder / f"{name}-{number}").exists())


def write(path: Path, content: str | bytes) -> None:
    """Replace `path` with `content` in one step, so that no reader and no crash ever sees half of it.

    What is no text in a file name is written as its JSON escape. OSError names `path`.
    """
    encoded = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _named(path):
            with partial.open("wb") as file:
                file.write(encoded)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An OSError inside says `path`: a failed write knows none, and nobody knows the temporary file."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def environment() -> dict[str, Any]:
    """Versions, machine and the digest of residua's own source."""
    source = hashlib.sha256()
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        source.update(file.read_bytes())
    return {
        "residua": __version__,
        "source": source.hexdigest(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("torch", "torchvision", "numpy", "pillow")},
        "machine": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _noted(file: Path) -> Any:
    """The JSON in `file`; None when it is lost or damaged: a run goes on without."""
    with suppress(OSError, ValueError):
        return json.loads(file.read_text())
    return None


def _processor() -> str:
    """What the CPU calls itself: its kind decides which kernels torch takes."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
