"""The tables that `residua data clean` wrote into the folder, with their images, and edits of them."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from residua.curate.apply import source_of_table
from residua.curate.clean import all_images
from residua.curate.sheet import Sheet, SheetEdit, edit_sheet, read_sheet
from residua.data.images import Images
from residua.data.listing import split_listing
from residua.data.open import find
from residua.data.split import VAL_FRACTION
from residua.errors import ConfigError
from residua.lab.folder_contents import FolderContents
from residua.lab.pictures import png
from residua.tasks.classify.pages import thumbnail

MAX_ROWS = 240
"""Most rows of a table that the page gets: those to review first."""
MAX_SOURCES = 2
"""Sources whose images are listed in memory."""


class CleanTables:
    """The tables of a folder by the names of their folders."""

    def __init__(self, contents: FolderContents) -> None:
        self._contents = contents
        self._known: OrderedDict[str, dict[str, tuple[Images, int]]] = OrderedDict()

    def read(self, name: str) -> dict[str, Any]:
        """A table for the page.

        Raises:
            ConfigError: There is none of that name, or it is damaged.
        """
        return _plain(read_sheet(self._file(name)))

    def edit(self, name: str, edits: Mapping[str, SheetEdit], *, digest: str) -> dict[str, Any]:
        """Write edits into a table; see `edit_sheet`.

        Raises:
            ConfigError: An edit cannot be used, or the table changed.
        """
        return _plain(edit_sheet(self._file(name), edits, digest=digest))

    def picture(self, name: str, title: str) -> bytes:
        """An image of a table as PNG.

        Raises:
            ConfigError: The source of the table has no image of that title.
            DataError: It cannot be read.
        """
        source = source_of_table(self._file(name))
        if source not in self._known:
            train, test, _ = split_listing(find(source), val_fraction=VAL_FRACTION)
            images = all_images(train, test)
            self._known[source] = {images.title(i): (images, i) for i in range(len(images))}
        self._known.move_to_end(source)
        while len(self._known) > MAX_SOURCES:
            self._known.popitem(last=False)
        titles = self._known[source]
        if title not in titles:
            raise ConfigError("there is no image of this name in the source")
        return png(thumbnail(*titles[title]))

    def _file(self, name: str) -> Path:
        files = self._contents.tables()
        if name not in files:
            raise ConfigError("there is no table of a clean of this name in the folder")
        return files[name]


def _plain(sheet: Sheet) -> dict[str, Any]:
    reviewed = [row for row in sheet.rows if row.reason]
    actions = [row.action for row in sheet.rows]
    return {
        "digest": sheet.digest,
        "classes": list(sheet.classes),
        "images": len(sheet.rows),
        "num_reasons": len(reviewed),
        "actions": {action: actions.count(action) for action in ("keep", "relabel", "drop")},
        "rows": [asdict(row) for row in reviewed[:MAX_ROWS]],
    }
