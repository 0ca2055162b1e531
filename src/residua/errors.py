"""Errors for users: one line with what was given, what is allowed and what to do. Each has an exit code.

1  ResiduaError                       4  DataError                         6  DivergedError
2  ConfigError, MissingPackageError   5  CheckpointError, NonFiniteError   7  ResourceError, UnreachableError
3  RunBusyError
"""

from typing import ClassVar

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as in shells."""

_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "std::bad_alloc", "could not create a memory")
_PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn"}
"""Names of packages whose modules are called otherwise."""


class ResiduaError(Exception):
    """Base of all errors that residua raises for its users."""

    exit_code: ClassVar[int] = 1
    """Exit code of the command."""


class ConfigError(ResiduaError, ValueError):
    """A name, an option or a setting that cannot be used."""

    exit_code = 2


class SettingError(ConfigError):
    """A value that a setting cannot hold, whatever the other settings are."""


class WordError(ConfigError):
    """A word that breaks the notation (`spec/word.py`)."""

    def __init__(self, text: str, position: int) -> None:
        """`position` is the place in the word of the letter to change, from 0."""
        super().__init__(text)
        self.position = position


class MissingPackageError(ResiduaError, ImportError):
    """A Python package that residua needs is not installed, or cannot be imported."""

    exit_code = 2


class RunBusyError(ResiduaError, RuntimeError):
    """Another process writes the run; the message names it."""

    exit_code = 3


class DataError(ResiduaError, ValueError):
    """Data that cannot be used; the message names the file or the source."""

    exit_code = 4


class CheckpointError(ResiduaError, ValueError):
    """A file of weights or of a training state that cannot be used; the message names it."""

    exit_code = 5


class NewerFormatError(CheckpointError):
    """A file that a later residua wrote, which this version cannot read."""


class NonFiniteError(ResiduaError, ValueError):
    """A network that holds or computes NaN or infinity."""

    exit_code = 5


class DivergedError(ResiduaError, RuntimeError):
    """Loss or weights are no longer finite; the message names the step and the last good state."""

    exit_code = 6


class NonFiniteStepError(DivergedError):
    """A loss or gradient that is not finite, found at the same step by every process of a run."""


class ResourceError(ResiduaError, RuntimeError):
    """Disk, memory, a server or a process that is missing or has failed."""

    exit_code = 7


class UnreachableError(DataError):
    """A server that does not answer: no file is bad, the data cannot be read now."""

    exit_code = 7


class WorkerDiedError(ResourceError):
    """A data loader worker died or hangs; `args` are what happened and what to do."""

    def __str__(self) -> str:
        """What happened, and what to do."""
        return ": ".join(self.args)

    def at(self, when: str, *, cure: str) -> "WorkerDiedError":
        """This error with the moment `when` it happened, e.g. `after step 7`, and another `cure`: what to
        do."""
        return WorkerDiedError(f"{self.args[0]} {when}", cure)


class PeerLostError(ResourceError):
    """Another process of the run died or stalls."""


class PeerFailedError(ResourceError):
    """Another process of the run failed; this one repeats its message."""

    def __init__(self, kinds: tuple[str, ...], text: str, *, silent: bool) -> None:
        """`kinds` names the classes of the error there; `silent` when another process reports it."""
        super().__init__(text)
        self.kinds, self.silent = kinds, silent


class ProcessesDiedError(ResourceError):
    """Processes of a run died again after every restart."""


def missing_package(error: ImportError) -> MissingPackageError | None:
    """What to install after a failed import; None when a module of residua itself is missing."""
    name = (error.name or "").partition(".")[0]
    if name in ("", "residua"):
        return None
    package = _PACKAGES.get(name, name)
    if isinstance(error, ModuleNotFoundError):
        return MissingPackageError(f"{package} is needed and not installed: pip install {package}")
    cause = " ".join(str(error).split())
    return MissingPackageError(
        f"{package} is needed and cannot be imported ({cause}): pip install --force-reinstall {package}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out. torch and oneDNN raise a RuntimeError then, which only its text tells apart."""
    if isinstance(error, ResiduaError):
        return False
    return isinstance(error, MemoryError) or any(text in str(error) for text in _NO_MEMORY)


def known() -> list[type[ResiduaError]]:
    """Every class of error that has an exit code of its own."""
    return [
        kind
        for kind in globals().values()
        if isinstance(kind, type) and issubclass(kind, ResiduaError) and kind is not ResiduaError
    ]
