"""The JSON files of a run as values: their fields are checked, because a run may come from somebody else.

A file that is missing or is not JSON counts as lost: the run can do without it, or has a copy. A file with a
wrong value is refused by its name and the field.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from residua.errors import CheckpointError, ConfigError
from residua.files import read_file
from residua.spec.amount import quantity
from residua.spec.record import from_plain, parse_json

Value = TypeVar("Value")

TIMING = "images_per_second"
"""The metric that differs between equal runs, and may be unknown."""
_OLD_METRICS = {"rate": "lr"}


@dataclass(frozen=True, slots=True)
class Continuation:
    """A resume in another environment."""

    after_rows: int = 0
    """Epochs that were finished before."""
    moved: tuple[str, ...] = ()
    """One line for each difference."""


@dataclass(frozen=True, slots=True)
class Environment:
    """`environment.json`; early versions recorded less."""

    residua: str = "unknown"
    """Version of residua."""
    source: str = ""
    """SHA-256 of its source."""
    python: str = "unknown"
    """Version of Python."""
    versions: dict[str, str] = field(default_factory=dict)
    """Package -> version."""
    machine: str = "unknown"
    """Operating system and architecture."""
    processor: str = ""
    """Model of the CPU."""
    cores: int | None = None
    """Its cores."""
    device: str = ""
    """Device of the computation."""
    processes: int = 1
    """Processes that trained together."""
    job: str = ""
    """The launcher's name of the job."""
    moves: tuple[Continuation, ...] = ()
    """Where the run continued elsewhere."""

    @property
    def hardware(self) -> str:
        """`Linux-6.1-x86_64, 2 cores`."""
        return f"{self.machine}, {quantity(self.cores, 'core') if self.cores else 'unknown cores'}"

    @property
    def software(self) -> str:
        """`residua 0.1.0, Python 3.11.7, torch 2.15.0, numpy 2.4.6`."""
        versions = [f"{name} {version}" for name, version in self.versions.items()]
        return ", ".join([f"residua {self.residua}", f"Python {self.python}", *versions])


@dataclass(frozen=True, slots=True)
class Identity:
    """`data.json`: what must not change during a run."""

    classes: tuple[str, ...]
    """Names of the classes."""
    train: int
    """Training examples."""
    test: int
    """Test examples."""
    digest: str
    """Digest of labels, and of names or pixels."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Example that was left out -> reason."""


def read_environment(file: Path) -> dict[str, Any]:
    """The fields of `environment.json`; empty when it is lost.

    Raises:
        CheckpointError: A field is wrong.
    """
    facts = _parsed(file)
    return {} if facts is None else _checked(Environment, facts, file)


def read_identity(file: Path) -> dict[str, Any]:
    """The fields of `data.json`.

    Raises:
        CheckpointError: It is damaged, or a field is missing or wrong.
        OSError: It cannot be read.
    """
    if (facts := _parsed(file)) is None:
        file.stat()
        problem = f"{file} is damaged, so it cannot be checked that the examples are the same"
        raise CheckpointError(f"{problem}: put it back, or train again")
    return _checked(Identity, facts, file)


def read_rollbacks(file: Path) -> list[int]:
    """The steps in `rollbacks.json`; none when it is lost.

    Raises:
        CheckpointError: It holds anything else.
    """
    steps = _parsed(file)
    return [] if steps is None else list(_value(tuple[int, ...], steps, file))


def read_result(file: Path) -> dict[str, Any]:
    """The `result` in `finished.json`; empty when there is none, or it lacks a number."""
    facts = _parsed(file)
    result = facts.get("result") if isinstance(facts, dict) else None
    numbers = ("epoch", "test_error", "n")
    if not isinstance(result, dict) or not all(isinstance(result.get(name), int | float) for name in numbers):
        return {}
    return result if result["n"] > 0 else {}


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl` under the names of this version, without damaged ones."""
    rows = []
    with suppress(FileNotFoundError):
        for line in read_file(file).splitlines():
            with suppress(ConfigError):
                rows.append(read_row(parse_json(line)))
    return rows


def read_row(plain: Any, path: str = "row") -> dict[str, Any]:
    """A row of metrics under the names of this version.

    Args:
        plain: Its JSON value.
        path: Its name in messages.

    Raises:
        ConfigError: It has no step, or a metric is no finite number.
    """
    row = {_OLD_METRICS.get(name, name): value for name, value in _mapping(plain, path).items()}
    if type(step := row.get("step")) is not int or step < 0:
        raise ConfigError(f"{path}.step is {step!r:.60}: give a whole number, 0 or more")
    for name, value in row.items():
        if name != TIMING or value is not None:
            from_plain(float, value, path=f"{path}.{name}")
    return row


def _mapping(plain: Any, path: str) -> dict[str, Any]:
    return from_plain(dict[str, Any], plain, path=path)


def require(row: Mapping[str, Any], names: tuple[str, ...], file: Path) -> None:
    """CheckpointError when the `row` of metrics in `file` lacks one of the `names`."""
    for name in names:
        if name not in row:
            raise CheckpointError(f"{file} has no {name} in the row of step {row['step']}: put it back")


def _parsed(file: Path) -> Any:
    """The JSON value of `file`; None when it is lost."""
    with suppress(OSError, ConfigError):
        return parse_json(read_file(file))
    return None


def _checked(kind: type[Any], plain: Any, file: Path) -> dict[str, Any]:
    """The fields in `file`, those of `kind` with the right types."""
    _value(kind, plain, file)
    return dict(plain)


def _value(kind: type[Value], plain: Any, file: Path) -> Value:
    try:
        return from_plain(kind, plain, path=file.stem, others=True)
    except ConfigError as error:
        raise CheckpointError(f"{file} cannot be used: {error}") from None
