"""RunFolder: the runs below a folder, by their relative paths; no name leads out of the folder.

Links below the folder are not followed, neither to runs nor inside of them. The folder itself may be a link.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from residua.errors import ConfigError
from residua.runs.run import RECIPE

MAX_DEPTH = 4
"""Levels of folders that are searched for runs."""


class RunFolder:
    """A folder of runs, or one run."""

    def __init__(self, path: Path) -> None:
        """Take the folder at `path`.

        Raises:
            ConfigError: It is no folder.
        """
        if not path.is_dir():
            raise ConfigError(f"{path} is no folder: give a folder of runs, or a run")
        self.path = path.resolve()
        self._single = self.path.name if (self.path / RECIPE).is_file() else ""
        if self._single:
            self.path = self.path.parent

    def names(self) -> list[str]:
        """The runs, as relative paths with `/`, in no order."""
        return [self._single] if self._single else list(_names(self.path, "", MAX_DEPTH))

    def run_path(self, name: str) -> Path:
        """The run directory of a name.

        Raises:
            ConfigError: There is no such run, or the way to it leads through a link.
        """
        parts = name.split("/")
        is_plain = all(part not in ("", ".", "..") and not set(part) & {"\\", "\0"} for part in parts)
        if not is_plain or len(parts) > MAX_DEPTH or (self._single and name != self._single):
            raise _unknown()
        path = self.path
        for part in parts:
            path = path / part
            if path.is_symlink() or not path.is_dir():
                raise _unknown()
        if not (path / RECIPE).is_file() or (path / RECIPE).is_symlink():
            raise _unknown()
        return path


def _names(folder: Path, prefix: str, depth: int) -> Iterator[str]:
    with suppress(OSError):  # removed meanwhile, or not readable
        with os.scandir(folder) as entries:
            folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        for entry in folders:
            name = prefix + entry.name
            if entry.name.startswith("."):
                continue
            recipe = os.path.join(entry.path, RECIPE)
            if os.path.isfile(recipe) and not os.path.islink(recipe):
                yield name
            elif depth > 1:
                yield from _names(Path(entry.path), f"{name}/", depth - 1)


def _unknown() -> ConfigError:
    return ConfigError("there is no run of this name in the folder")
