"""A second copy of the two files that no run can do without, should a disk lose or damage one of them."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from residua.runs.run import RECIPE, SETS, SPARE, write
from residua.spec.recipe import read_recipe


def keep(path: Path) -> None:
    """Copy what says how the run at `path` is trained and on which examples."""
    files = {name: (path / name).read_text("utf-8") for name in (RECIPE, SETS)}
    write(path / SPARE, json.dumps({"files": files, "digest": _digest(files)}))


def mend(path: Path) -> list[str]:
    """Put back what the run at `path` lost; one line for each file.

    A copy that is lost is made anew, if it can be. A recipe that can be read stays as it is: people may edit
    it. Of the examples nobody writes but the run.
    """
    files = _kept(path / SPARE)
    if not files and all(_parses(path / name) for name in (RECIPE, SETS)):
        with suppress(OSError):  # it is a spare: a run that is finished may be where nobody can write
            (path / SPARE).parent.mkdir(exist_ok=True)
            keep(path)
    bad = [name for name, text in files.items() if not _is_good(path / name, text)]
    for name in bad:
        write(path / name, files[name])
    return [f"{path / name} was lost or damaged, so it is put back from {SPARE}" for name in bad]


def _kept(spare: Path) -> dict[str, str]:
    """The copies; none where the spare is itself lost or damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(spare.read_text("utf-8"))
        if found["digest"] == _digest(found["files"]):
            return dict(found["files"])
    return {}


def _is_good(file: Path, kept: str) -> bool:
    with suppress(OSError, ValueError):
        text = file.read_text("utf-8")
        return text == kept or (file.name == RECIPE and bool(read_recipe(text)))
    return False


def _parses(file: Path) -> bool:
    with suppress(OSError, ValueError):
        return bool(json.loads(file.read_text("utf-8")))
    return False


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
