"""Tasks: what residua learns from, each with its data, its loss and its numbers; the source says which."""

from residua.data.sources import BOXES
from residua.tasks.kind import Kind

__all__ = ["Kind", "of"]


def of(source: str) -> Kind:
    """The task of `source`; its packages are imported when first asked for."""
    if source.partition(":")[0] in BOXES:
        from residua.tasks.detect.task import Detect

        return Detect()
    from residua.tasks.classify.task import Classify

    return Classify()
