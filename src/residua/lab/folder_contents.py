"""What the views of networks and data may open: runs, files of weights and images, by names of the page.

Nothing here needs torch. No name is a path: the page names what these methods list.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from residua.data.open import check_is_local
from residua.errors import ConfigError, ResiduaError
from residua.lab.run_folder import MAX_DEPTH, RunFolder
from residua.runs.run import RECIPE, Run

WEIGHTS = (".th", ".pt", ".pth", ".safetensors")
"""Endings of files of weights."""
CIFAR_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
"""Folders that hold CIFAR-10 as its authors distribute it."""
CLEAN_TABLE = "clean.csv"
"""Name of the table that `residua data clean` writes."""
DIGITS = "digits"
"""Name of the images that are always there."""
MAX_FILES = 200
"""Files of weights that are listed."""


class FolderContents:
    """The networks and images of a folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    @property
    def root(self) -> Path:
        """The folder."""
        return self._folder.path

    def files(self) -> dict[str, Path]:
        """Files of weights in the folder by their names, those inside of runs left out."""
        weights = (path for path in walk(self._folder.path, MAX_DEPTH) if path.suffix in WEIGHTS)
        return {path.relative_to(self._folder.path).as_posix(): path for path in islice(weights, MAX_FILES)}

    def sources(self) -> dict[str, str]:
        """Images by what the page calls them -> their source."""
        sources = {DIGITS: DIGITS}
        for name in CIFAR_FOLDERS:
            for path in walk(self._folder.path, MAX_DEPTH, folders=True):
                if path.name == name:
                    sources[f"CIFAR-10 in {path.relative_to(self._folder.path).as_posix()}"] = (
                        f"cifar10:{path}"
                    )
        for name in sorted(self._folder.names()):
            with suppress(ResiduaError, OSError):
                source = Run(self._folder.run_path(name)).recipe.data.source
                check_is_local(source, named_by=name)
                if source not in sources.values():
                    sources[f"images of {name}"] = source
        return sources

    def tables(self) -> dict[str, Path]:
        """The tables of cleans by the names of their folders."""
        tables = (path for path in walk(self._folder.path, MAX_DEPTH) if path.name == CLEAN_TABLE)
        return {path.parent.relative_to(self._folder.path).as_posix(): path for path in tables}

    def source(self, images: str) -> str:
        """The source of what the page calls `images`.

        Raises:
            ConfigError: There is none.
        """
        sources = self.sources()
        if images not in sources:
            raise ConfigError("there are no such images in the folder: choose others")
        return sources[images]

    def path(self, name: str) -> Path:
        """The run or file called `name`.

        Raises:
            ConfigError: There is none.
        """
        files = self.files()
        return files[name] if name in files else self._folder.run_path(name)


def files_of(path: Path) -> list[Path]:
    """The files that hold the weights of a run, or a file of weights itself."""
    return [path] if path.is_file() else [file for file in (path / "checkpoints").glob("*") if file.is_file()]


def walk(folder: Path, depth: int, *, folders: bool = False) -> Iterator[Path]:
    """Files, or folders, below `folder`; runs, links and hidden names are left out."""
    with suppress(OSError):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            path = Path(entry.path)
            if entry.is_dir():
                if folders:
                    yield path
                if depth > 1 and not (path / RECIPE).is_file():
                    yield from walk(path, depth - 1, folders=folders)
            elif not folders:
                yield path
