"""A second copy of the recipe and the identity of the examples: without these two files a run is lost.

create -> write_backup          the copy is written with the run, and again when its recipe is changed
resume -> restore_from_backup   a damaged original is replaced by the copy, a damaged copy is written anew
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from residua.files import read_file, write_file
from residua.runs.run import BACKUP, DATA, RECIPE
from residua.spec.recipe import read_recipe
from residua.spec.record import parse_json


def write_backup(path: Path) -> None:
    """Write the second copy of the recipe and the data identity of the run at `path`."""
    files = {name: read_file(path / name).decode("utf-8") for name in (RECIPE, DATA)}
    write_file(path / BACKUP, json.dumps({"files": files, "digest": _digest(files)}))


def restore_from_backup(path: Path) -> list[str]:
    """Replace the lost or damaged files of the run at `path` by their copies.

    A recipe that can be read stays as it is, because users may edit it; the data identity is written by the
    run alone. A lost copy is written anew, where the folder can be written.

    Returns:
        One line for each file that was restored.
    """
    copies = _read_copies(path / BACKUP)
    if not copies and all(_is_json(path / name) for name in (RECIPE, DATA)):
        with suppress(OSError):  # a finished run may be read-only
            (path / BACKUP).parent.mkdir(exist_ok=True)
            write_backup(path)
    damaged = [name for name, text in copies.items() if not _is_intact(path / name, text)]
    for name in damaged:
        write_file(path / name, copies[name])
    return [f"{path / name} was lost or damaged, so it is restored from {BACKUP}" for name in damaged]


def _read_copies(backup: Path) -> dict[str, str]:
    """Name -> text of the copies; empty when the backup is lost or damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = parse_json(read_file(backup))
        copies = {name: content["files"][name] for name in (RECIPE, DATA)}  # no other file is ever written
        if content["digest"] == _digest(copies) and all(isinstance(text, str) for text in copies.values()):
            return copies
    return {}


def _is_intact(file: Path, copy: str) -> bool:
    with suppress(OSError, ValueError):
        text = read_file(file).decode("utf-8")
        return text == copy or (file.name == RECIPE and bool(read_recipe(text)))
    return False


def _is_json(file: Path) -> bool:
    with suppress(OSError, ValueError):
        return bool(parse_json(read_file(file)))
    return False


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
