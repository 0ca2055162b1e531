"""Tasks: what residua learns from, each with its data, its loss and its numbers; the source says which.


Nothing is imported before it is asked for: the processes that decode clips begin here, too.
"""

from typing import TYPE_CHECKING

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
