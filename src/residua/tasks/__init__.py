"""Tasks: what residua learns from, each with its data, its loss and its numbers; the source says which."""

from residua.data.sources import CLIPS
from residua.tasks.kind import Kind

__all__ = ["Kind", "of"]


def of(source: str) -> Kind:
    """The task of `source`; its packages are imported when first asked for."""
    if source.partition(":")[0] in CLIPS:
        from residua.tasks.video.task import Video

        return Video()
    from residua.tasks.classify.task import Classify

    return Classify()
