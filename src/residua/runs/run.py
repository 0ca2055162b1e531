"""Run: the directory of one training run, who may write it, and what its files say.

    recipe.json, data.json      how the run is trained, and the identity of its examples; never without both
    checkpoints/                training states, best weights, first weights that came from Python, the last
                                layer of a probe, and the second copy of the two files above
    environment.json            versions, machine and source digest; where the run continued elsewhere
    metrics.jsonl               one row for each finished epoch
    probe.json                  the linear probe that the run began with
    rollbacks.json              steps to which training went back after NaN or infinity
    finished.json, report.html  written at the planned end
    .lock                       held by the process that writes the run

A run may come from somebody else, so it holds no links: `check_files` refuses them before anything is read,
written or deleted. The run directory itself may be a link. Reading a run imports nothing of training.
"""

import hashlib
import json
import os
import platform
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from residua.errors import CheckpointError, ConfigError, RunBusyError
from residua.files import check_kind, errors_name, file_lock, near_path, open_regular, read_file, write_file
from residua.nn.processor import processor_name
from residua.runs import records
from residua.runs.metric_rows import MetricRows
from residua.runs.records import Environment
from residua.spec.recipe import Recipe, read_recipe
from residua.spec.record import from_plain, to_json
from residua.version import __version__

RECIPE, DATA = "recipe.json", "data.json"
"""Files that every run has: how it is trained, and the identity of its examples."""
DIVERGED = "diverged.json"
"""The images of the last batch of a run whose loss was no longer finite."""
BACKUP = "checkpoints/spare.json"
"""A second copy of both; see `runs/metadata_backup.py`."""
EXACT = ("torch", "processor", "device", "processes")
"""What of the environment decides the last bits; threads, precision and memory format are in the recipe."""
_REPLACED = (
    "metrics.jsonl",
    "finished.json",
    "report.html",
    "quarantine.csv",
    "rollbacks.json",
    "probe.json",
)
_FILES = {RECIPE, DATA, "environment.json", DIVERGED, ".lock", *_REPLACED}
"""Names of files at the top of a run; other names there may be folders."""


@dataclass(frozen=True, slots=True, init=False)
class Run:
    """A run directory; the opening of this module lists its files."""

    path: Path
    """Where it is."""

    def __init__(self, path: str | Path) -> None:
        """Name the run at `path`, which need not exist; no file is read."""
        object.__setattr__(self, "path", Path(path))

    @property
    def checkpoints(self) -> Path:
        """The folder of training states."""
        return self.path / "checkpoints"

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe.

        Raises:
            ConfigError: The file is damaged, or a later version wrote it.
            CheckpointError: As `check_files`.
            OSError: It does not exist.
        """
        self.check_files()
        file = self.path / RECIPE
        try:
            return read_recipe(read_file(file).decode("utf-8"))
        except ValueError as error:
            writer = self._environment().get("residua", __version__)
            hint = f"; residua {writer} wrote it, this is {__version__}: use that version"
            raise ConfigError(f"{file}: {error}{'' if writer == __version__ else hint}") from None

    @property
    def metrics(self) -> MetricRows:
        """One row for each finished epoch, the oldest first; damaged rows are left out."""
        return MetricRows(records.read_metrics(self.path / "metrics.jsonl"))

    def epochs(self, *names: str) -> list[dict[str, Any]]:
        """`metrics` of a run that has finished an epoch.

        Args:
            names: Metrics that each row must have.

        Raises:
            CheckpointError: There is no row, or one lacks a metric; the message names the file.
        """
        file, rows = self.path / "metrics.jsonl", self.metrics
        if not rows:
            raise CheckpointError(f"{file} has no row of a finished epoch: put it back")
        for row in rows:
            records.require(row, names, file)
        return rows

    @property
    def finished(self) -> bool:
        """Whether training reached its planned end."""
        return (self.path / "finished.json").exists()

    @property
    def rollbacks(self) -> list[int]:
        """The steps to which training went back after NaN or infinity, the oldest first."""
        return records.read_rollbacks(self.path / "rollbacks.json")

    @property
    def identity(self) -> dict[str, Any]:
        """The identity of the examples.

        Raises:
            CheckpointError: The file is damaged, or a field is missing or wrong.
            OSError: It cannot be read.
        """
        return records.read_identity(self.path / DATA)

    @property
    def environment(self) -> Environment:
        """Where the run began; unknown where `environment.json` is lost.

        Raises:
            CheckpointError: A field is wrong.
        """
        return from_plain(Environment, self._environment(), others=True)

    @property
    def job_id(self) -> str:
        """The launcher's name of the job that created the run; empty without one."""
        return str(self._environment().get("job", ""))

    @property
    def has_environment(self) -> bool:
        """Whether `environment.json` can be read."""
        return bool(self._environment())

    def environment_changes(self, hardware: Mapping[str, Any]) -> list[str]:
        """What differs from the environment in which the run began, and may change the last bits.

        Args:
            hardware: `device` and `processes` of the computation now.

        Returns:
            One line for each difference; facts that an older version did not record are left out.
        """
        then, now = self._environment(), {**environment(), **hardware}
        then, now = ({**facts, **facts.get("versions", {})} for facts in (then, now))
        return [
            f"{name} is {now[name]}, was {then[name]}"
            for name in EXACT
            if name in then and now.get(name) != then[name]
        ]

    def record_environment(self, hardware: Mapping[str, Any]) -> None:
        """Write `environment.json`: this environment and `hardware`."""
        write_file(self.path / "environment.json", json.dumps({**environment(), **hardware}, indent=2))

    def record_environment_changes(self, lines: Sequence[str]) -> None:
        """Add to `environment.json` that the run continued although `lines` differ."""
        facts = self._environment()
        changes = [{"after_rows": len(self.metrics), "moved": list(lines)}]
        text = json.dumps({**facts, "moves": facts.get("moves", []) + changes}, indent=2)
        write_file(self.path / "environment.json", text)

    def record_rollback(self, step: int) -> None:
        """Add `step` to the steps to which training went back."""
        write_file(self.path / "rollbacks.json", json.dumps([*self.rollbacks, step]))

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add one row to the metrics. ValueError when a number in it is not finite."""
        line = json.dumps(row, allow_nan=False) + "\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with errors_name(file := self.path / "metrics.jsonl"), open(open_regular(file, flags), "ab") as lines:
            lines.write(line.encode())
            lines.flush()
            os.fsync(lines.fileno())

    def rewrite_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace the metrics by `rows`, and mark the run as unfinished: later epochs are trained again."""
        (self.path / "finished.json").unlink(missing_ok=True)
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        write_file(self.path / "metrics.jsonl", text)

    @property
    def result(self) -> dict[str, Any]:
        """What the weights that were kept gave on the test split, in a run that held out training examples
        to choose them: `epoch`, `test_error` in percent and `n`; empty for other runs."""
        return records.read_result(self.path / "finished.json")

    def mark_finished(self, row: Mapping[str, Any]) -> None:
        """Write `finished.json` with the metrics of the last epoch, and the `result` where there is one."""
        write_file(self.path / "finished.json", json.dumps(row, indent=2, allow_nan=False))

    def check_files(self) -> None:
        """Check that all in the run are files and folders of its own.

        Raises:
            CheckpointError: The run holds a link, or a pipe, a device or a folder in the place of a file.
            OSError: A folder cannot be listed.
        """
        check_kind(self.checkpoints, stat.S_IFDIR)
        for folder in (self.path, self.checkpoints):
            with suppress(FileNotFoundError):
                for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                    is_known = folder == self.checkpoints or entry.name in _FILES
                    if is_known or not entry.is_dir(follow_symlinks=False):
                        check_kind(folder / entry.name)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run while inside.

        Raises:
            RunBusyError: Another process holds it; the message names that process.
            CheckpointError: As `check_files`.
        """
        self.check_files()
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = f"process {os.getpid()} on {socket.gethostname()} since {since}"
        with ExitStack() as stack:
            try:
                stack.enter_context(file_lock(self.path / ".lock", wait=False, holder=holder))
            except BlockingIOError as error:
                owner = error.args[0] or "another process"
                message = f"{self.path} is being written by {owner}: wait, or choose another -o"
                raise RunBusyError(message) from None
            yield

    def _environment(self) -> dict[str, Any]:
        return records.read_environment(self.path / "environment.json")


def create(
    path: Path,
    recipe: Recipe,
    *,
    identity: Mapping[str, Any],
    hardware: Mapping[str, Any] | None = None,
    force: bool = False,
    fill: Callable[[], object] = lambda: None,
) -> Run:
    """A new run at `path`.

    Args:
        path: The run directory, created when it does not exist.
        recipe: The resolved recipe.
        identity: The identity of the examples, which must not change while the run is trained.
        hardware: `device`, `processes` and `job` for `environment.json`.
        force: Whether a run that exists is replaced.
        fill: Writes further files, which belong to a complete run.

    Raises:
        FileExistsError: A run exists at `path`, without `force`.
        RunBusyError: Another process writes it.
        CheckpointError: A link, or something else than a file, is in the place of one.
    """
    run = Run(path)
    path.mkdir(parents=True, exist_ok=True)
    with run.lock():
        if (path / RECIPE).exists():
            _refuse_existing(run, force=force)
            for name in _REPLACED:
                (path / name).unlink(missing_ok=True)
            shutil.rmtree(run.checkpoints, ignore_errors=True)
        run.checkpoints.mkdir(exist_ok=True)
        fill()
        run.record_environment(hardware or {})
        write_file(path / DATA, json.dumps(identity, indent=2))
        write_file(path / RECIPE, to_json(recipe))  # last: a folder with a recipe is a complete run
    return run


def check_run_path(path: Path, *, force: bool = False) -> None:
    """Check that `create` can create a run at `path`, before the work of preparing it is done.

    Raises:
        FileExistsError: A run or a file exists at `path`, without `force`.
        RunBusyError: Another process writes the run there.
        CheckpointError: A link, or something else than a file, is in the place of one.
        OSError: The folder cannot be written.
    """
    if os.path.lexists(path) and not path.is_dir():
        path.stat()  # raises for a broken link
        raise FileExistsError(f"{path} is no folder: choose another -o")
    if path.is_dir():
        Run(path).check_files()
    if (path / RECIPE).exists():
        existing = Run(path)
        with nullcontext() if existing.finished else existing.lock():  # a finished run may be read-only
            _refuse_existing(existing, force=force)
    nearest = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    with errors_name(nearest), tempfile.TemporaryFile(dir=nearest):
        pass


def _refuse_existing(run: Run, *, force: bool) -> None:
    if not force:
        hint = "choose another -o" if run.finished else f"continue it with `residua resume {run.path}`"
        raise FileExistsError(f"{run.path} holds a run already: {hint}, or give --force to replace it")


def open_run(path: Path) -> Run:
    """The run at `path`.

    Raises:
        ConfigError: `path` is no run.
        CheckpointError: As `Run.check_files`.
        OSError: A link on the way is broken.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        path.stat()
        Run(path).check_files()
    for name in (RECIPE, DATA):
        if not (path / name).is_file() and not (path / BACKUP).is_file():
            meant = near_path(path)
            problem = f"{path} is no run{meant}: it has no {name}"
            raise ConfigError(problem + (f"; `residua train DATA -o {path}` makes one" if not meant else ""))
    return Run(path)


def environment() -> dict[str, Any]:
    """Versions, machine, and the SHA-256 of the source of residua."""
    source = hashlib.sha256()
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        source.update(file.read_bytes())
    return {
        "residua": __version__,
        "source": source.hexdigest(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("torch", "torchvision", "numpy", "pillow")},
        "machine": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
    }
