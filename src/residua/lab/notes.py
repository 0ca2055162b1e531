"""Notes: tags and notes of runs in one file beside them, never in a run.

The file is `lab-notes.json` in the folder of the lab. It is read when it changed, and written in one step; a
damaged one is left as it is, and nothing is written over it.
"""

import json
import threading
from pathlib import Path
from typing import Any

from residua.errors import DataError, ResiduaError
from residua.files import read_file, write_file
from residua.spec.record import parse_json

FILE = "lab-notes.json"
"""Name of the file."""
MAX_TAGS = 20
"""Tags of a run."""
MAX_TAG = 40
"""Characters of a tag."""
MAX_NOTE = 10_000
"""Characters of a note."""


class Notes:
    """Tags and notes of the runs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = threading.Lock()

    def all(self) -> dict[str, dict[str, Any]]:
        """Run -> `tags` and `note`.

        Raises:
            DataError: The file is damaged.
            OSError: It cannot be read.
        """
        try:
            plain = parse_json(read_file(self.path))
        except FileNotFoundError:
            return {}
        except (ValueError, ResiduaError):
            raise self._damaged() from None
        if not isinstance(plain, dict):
            raise self._damaged()
        return {name: _checked(entry) for name, entry in plain.items() if isinstance(entry, dict)}

    def change(self, run: str, tags: list[str], note: str) -> None:
        """Replace tags and note of a run.

        Args:
            run: Its name.
            tags: At most `MAX_TAGS` of at most `MAX_TAG` characters; equal ones count once.
            note: At most `MAX_NOTE` characters.

        Raises:
            DataError: The file is damaged, or a text is too long.
            OSError: The file cannot be written.
        """
        tags = list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
        if len(tags) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in tags):
            raise DataError(f"give at most {MAX_TAGS} tags of at most {MAX_TAG} characters")
        if len(note) > MAX_NOTE:
            raise DataError(f"the note has {len(note):,} characters: give at most {MAX_NOTE:,}")
        with self._lock:
            entries = self.all()
            entries.pop(run, None)
            if tags or note.strip():
                entries[run] = {"tags": tags, "note": note.strip()}
            text = json.dumps(dict(sorted(entries.items())), indent=2, ensure_ascii=False)
            write_file(self.path, text.encode("utf-8", "replace"))

    def _damaged(self) -> DataError:
        return DataError(f"{self.path} is damaged: repair it, or move it away")


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    tags, note = entry.get("tags"), entry.get("note")
    texts = [tag[:MAX_TAG] for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return {"tags": texts[:MAX_TAGS], "note": note[:MAX_NOTE] if isinstance(note, str) else ""}
