"""Tasks: what residua learns from, each with its data, its loss and its numbers; the source says which.

Nothing is imported before it is asked for: the processes that decode clips begin here, too.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from residua.tasks.kind import Kind


def of(source: str) -> "Kind":
    """The task of `source`."""
    from residua.data.sources.table import HOLDS

    return _of_what(HOLDS.get(source.partition(":")[0], "images"))


def of_trained(paths: Sequence[Path], asked: Collection[str] = ()) -> "Kind":
    """The task of the networks at `paths`: runs, checkpoints or saved folders.

    ValueError when they are of several tasks, or for an option `asked` that has no effect in theirs.
    CheckpointError for a damaged file.
    """
    from residua.tasks.kind import OPTIONS

    known = [_facts(path) for path in paths]
    found = []
    for facts in known:
        clip = (facts.get("arch") or {}).get("clip")
        found.append(_of_what("boxes" if facts.get("detector") else "clips" if clip else "images"))
    for path, kind in zip(paths, found, strict=True):
        if type(kind) is not type(found[0]):
            raise ValueError(f"{path} is of another task than {paths[0]}: judge each alone")
    for option in asked:
        if known[0] and option not in found[0].takes:
            raise ValueError(f"--{option} is for {OPTIONS[option]}: leave it")
    return found[0]


def _of_what(held: str) -> "Kind":
    """The task of sets that hold `held`, as `data.sources.HOLDS` calls it."""
    if held == "boxes":
        from residua.tasks.detect.task import Detect

        return Detect()
    if held == "clips":
        from residua.tasks.video.task import Video

        return Video()
    from residua.tasks.classify.task import Classify

    return Classify()


def _facts(path: Path) -> Mapping[str, Any]:
    """What is written beside the weights at `path`; nothing where somebody else will say what is wrong."""
    from residua.predict.folder import CONFIG
    from residua.weights.store import is_ours, read

    for name in ("recipe.json", CONFIG):
        if (path / name).is_file():
            try:
                plain = json.loads((path / name).read_text("utf-8"))
            except ValueError:
                return {}
            return plain if isinstance(plain, dict) else {}
    return read(path)[1] if path.is_file() and is_ours(path) else {}
