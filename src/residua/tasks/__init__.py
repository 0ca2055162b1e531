"""Tasks: what residua learns from, each with its data, its loss and its numbers; the source says which.

Nothing is imported before it is asked for: the processes that decode clips begin here, too.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from residua.data.found import Found
    from residua.tasks.kind import Kind


def find(source: str, *, lenient: bool = False) -> "Found":
    """What `source` holds, images or clips, before any is opened; `lenient` as in `data.sources.find`."""
    from residua.data.sources import CLIPS
    from residua.data.sources import find as find_images

    if source.partition(":")[0] in CLIPS:
        from residua.tasks.video import sources as clips

        return clips.find(source, lenient=lenient)
    return find_images(source, lenient=lenient)


def of(source: str) -> "Kind":
    """The task of `source`."""
    from residua.data.sources import BOXES, CLIPS

    if source.partition(":")[0] in BOXES:
        from residua.tasks.detect.task import Detect

        return Detect()
    if source.partition(":")[0] in CLIPS:
        from residua.tasks.video.task import Video

        return Video()
    from residua.tasks.classify.task import Classify

    return Classify()


def of_trained(paths: Sequence[Path], asked: Collection[str] = ()) -> "Kind":
    """The task of the networks at `paths`: runs, checkpoints or saved folders.

    ValueError when they are of several tasks, or for an option `asked` that has no effect in theirs.
    CheckpointError for a damaged file.
    """
    from residua.data.sources import BOXES, CLIPS
    from residua.tasks.kind import OPTIONS

    known = [_facts(path) for path in paths]
    found = []
    for facts in known:
        clip = (facts.get("arch") or {}).get("clip")
        found.append(of(f"{BOXES[0] if facts.get('detector') else CLIPS[0] if clip else ''}:"))
    for path, kind in zip(paths, found, strict=True):
        if type(kind) is not type(found[0]):
            raise ValueError(f"{path} is of another task than {paths[0]}: judge each alone")
    for option in asked:
        if known[0] and option not in found[0].takes:
            raise ValueError(f"--{option} is for {OPTIONS[option]}: leave it")
    return found[0]


def _facts(path: Path) -> Mapping[str, Any]:
    """What is written beside the weights at `path`; nothing where somebody else will say what is wrong."""
    from residua.deliver.folder import CONFIG
    from residua.weights.store import is_ours, read

    for name in ("recipe.json", CONFIG):
        if (path / name).is_file():
            try:
                plain = json.loads((path / name).read_text("utf-8"))
            except ValueError:
                return {}
            return plain if isinstance(plain, dict) else {}
    return read(path)[1] if path.is_file() and is_ours(path) else {}
