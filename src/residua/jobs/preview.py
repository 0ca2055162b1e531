"""What the network is shown of some examples, before anything is trained."""

from residua import tasks
from residua.jobs.prepare import TrainRequest, decide
from residua.tasks.kind import Preview


def preview(wish: TrainRequest, count: int) -> Preview:
    """`count` examples of `wish`, spread over the classes. ValueError and DataError as from `train`."""
    recipe, sets, _ = decide(wish)
    return tasks.of(wish.source).preview(recipe, sets, count=count, source=wish.source)
