"""ClassFolders: copies of inputs, sorted into a folder for each predicted class.

Nothing is moved, deleted or overwritten. A copy that is there already is not made again, so that a command
may be repeated or continued. Names of classes come from strangers: they become names that are safe on every
system.
"""

import os
import re
import shutil
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from PIL import Image

from residua.data.inputs import Inputs
from residua.data.items import Item
from residua.errors import ConfigError
from residua.files import file_sha256

UNSURE = "unsure"
"""The folder of inputs of which no class is likely enough."""
LONGEST_NAME = 100
"""Bytes of a folder's name, which every file system allows."""

_UNSAFE = re.compile(r"[^\w .()+,=@&'-]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices of Windows


@dataclass(slots=True)
class _Namesakes:
    """The files of one folder that are called `name.jpg`, `name-2.jpg` and so on."""

    count: int = 0
    """Those that were looked at, from the first."""
    digests: set[str] = field(default_factory=set)
    """Their contents."""


class ClassFolders:
    """The folders of one run of the command."""

    def __init__(self, root: Path) -> None:
        """Folders below `root`, which are made when they are needed.

        Raises:
            ConfigError: A file is at `root`.
        """
        if root.exists() and not root.is_dir():
            raise ConfigError(f"{root} is a file: give a folder")
        self.root = root
        self._names = {"": UNSURE}
        self._used = {UNSURE}
        self._namesakes: dict[Path, _Namesakes] = {}

    def copy(self, inputs: Inputs, i: int, name: str) -> None:
        """Copy input `i`, which can be read, into the folder of the class `name`, empty for unsure.

        Raises:
            DataError: It cannot be read any more.
            OSError: It cannot be copied.
        """
        item = inputs.item(i)
        folder = self.root / self.folder_name(name)
        folder.mkdir(parents=True, exist_ok=True)
        self._copy(item, folder, os.path.basename(inputs.title(i)))

    def folder_name(self, name: str) -> str:
        """The name of the folder of a class; two classes never share one, whatever the case of letters."""
        if name not in self._names:
            safe = safe_name(name)
            names = chain([safe], (f"{safe}-{number}" for number in count(2)))
            self._names[name] = next(each for each in names if each.casefold() not in self._used)
            self._used.add(self._names[name].casefold())
        return self._names[name]

    def _copy(self, item: Item, folder: Path, name: str) -> None:
        """Copy `item` under a free name, in one step; not if the same file is there."""
        draft = folder / f".{name}.{os.getpid()}.tmp"
        try:
            if isinstance(item, Path):
                shutil.copy2(item, draft)
            elif isinstance(item, Image.Image):
                name = f"{name}.png"
                item.save(draft, "PNG")
            else:
                draft.write_bytes(item)
            there = self._namesakes.setdefault(folder / name, _Namesakes())
            while os.path.lexists(target := _numbered(folder / name, there.count + 1)):
                there.count += 1
                there.digests |= {file_sha256(target)} if target.is_file() else set()
            if file_sha256(draft) not in there.digests:
                os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)


def _numbered(path: Path, number: int) -> Path:
    """`name.jpg` for 1, `name-2.jpg` for 2."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def safe_name(text: str) -> str:
    """A name for a folder that is as near to `text` as every file system allows, and leads nowhere else."""
    safe = _UNSAFE.sub("_", text).strip(" .")
    safe = safe.encode()[:LONGEST_NAME].decode(errors="ignore").strip(" .")
    return f"_{safe}" if not safe or _RESERVED.fullmatch(safe) else safe
