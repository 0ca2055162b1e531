"""Source: the DATA argument of a command or of `residua.train`, parsed into a name and a place."""

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

_HUB = "hf"  # the one name whose place may be an identifier on a server: `hf:ylecun/mnist`


def is_address(place: str) -> bool:
    """Whether `place` is an address such as `https://...` or `s3://...` and not a path."""
    scheme, slashes, _ = place.partition("://")
    return bool(slashes) and scheme.isalnum()


def is_on_another_machine(place: str) -> bool:
    """Whether `place` names a server: an address, or a network share such as `//server/photos`."""
    return "://" in place or place.replace("\\", "/").startswith("//")


@dataclass(frozen=True, slots=True)
class Source:
    """A data source as the user wrote it: `photos`, `labels.csv`, `digits`, `voc:cells`, `s3://bucket/shards`.

    `str(source)` gives back the text that was parsed. Recipes keep this text as `data.source`.
    """

    name: str
    """The name before the colon, e.g. `voc`; empty for a plain folder, file or address."""
    place: str | None
    """Folder, file or address; the text behind the colon of a named source, None without a colon."""

    @classmethod
    def parse(cls, text: str, names: Collection[str]) -> "Source":
        """Take `text` apart.

        Args:
            text: the source as written: `NAME`, `NAME:PLACE` or `PLACE`.
            names: the known names. Text that begins with none of them is a path or an address, so a folder
                called `digits` is written `./digits`.
        """
        name, colon, place = text.partition(":")
        if name in names:
            return cls(name, place if colon else None)
        return cls("", text)

    def __str__(self) -> str:
        if not self.name:
            return self.place or ""
        return self.name if self.place is None else f"{self.name}:{self.place}"

    @property
    def is_named(self) -> bool:
        """Whether the source begins with a known name."""
        return bool(self.name)

    @property
    def label(self) -> str:
        """A short name for tables and run directories: the name, or the last part of the path.

        That is the name of a link, not of its target.
        """
        return self.name or os.path.basename(os.path.abspath(self.place or ""))

    def absolute(self) -> "Source":
        """The same source, readable from any working directory.

        Addresses, names of data sets on the Hugging Face hub and sources without a place stay as they are.
        """
        if not self.place or (not self.name and is_address(self.place)):
            return self
        if self.name == _HUB and not Path(self.place).is_dir():
            return self
        return replace(self, place=str(Path(self.place).absolute()))

    def is_missing(self) -> bool:
        """Whether the place is an absolute path at which there is no file or folder. No server is asked."""
        if is_on_another_machine(self.place or ""):
            return False
        path = Path(self.place or "")
        return path.is_absolute() and not path.exists()
