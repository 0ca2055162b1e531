"""Predict many images: threads decode the next ones while the network computes; it needs no torch.

    decoding threads    item -> view        Pillow decodes and resizes without Python's lock
    this thread         views -> classes    the engine computes without it, too

At most two batches of views wait, so that a million images need the memory of a few.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import printable_path
from residua.data.inputs import Inputs
from residua.errors import DataError, NonFiniteError, UnreachableError
from residua.nn.malloc import retain_freed_memory
from residua.nn.processor import usable_cores
from residua.predict.picture_classifier import PictureClassifier, rows_of_views
from residua.predict.prediction import Prediction
from residua.tasks.classify.predictions import ClassPredictions
from residua.tasks.predict_task import PredictOptions

BATCH_SIZE = 16
"""Images computed at once: more are not faster on a CPU, and need more memory."""
MAX_THREADS = 8
"""Most decoding threads by default: more of them wait for the disk."""

View = NDArray[np.uint8] | DataError
"""What the network reads of an image, or why it cannot be read."""
Row = NDArray[np.float32] | DataError
"""The probability of each class, or why an image cannot be read."""


def predict_pictures(
    classifier: PictureClassifier, inputs: Inputs, options: PredictOptions, *, start: int = 0
) -> Iterator[ClassPredictions]:
    """Classify images, in order; one that cannot be read does not stop the others.

    Args:
        classifier: What reads and computes.
        inputs: The images.
        options: What is predicted of each.
        start: Index of the first image.

    Yields:
        The predictions for one batch at a time.

    Raises:
        UnreachableError: A server that holds images does not answer.
        NonFiniteError: The network computes NaN or infinity.
    """
    topk, first = min(options.topk, len(classifier.classes)), start
    for rows in probability_rows(classifier, inputs, options, start=start):
        titles = [inputs.title(first + place) for place in range(len(rows))]
        outputs = [
            row if isinstance(row, DataError) else Prediction(classifier.classes, tuple(row.tolist()))
            for row in rows
        ]
        yield ClassPredictions.of(titles, outputs, topk=topk, least=options.least)
        first += len(rows)


def probability_rows(
    classifier: PictureClassifier, inputs: Inputs, options: PredictOptions, *, start: int = 0
) -> Iterator[list[Row]]:
    """The probabilities (classes,) of images, or why one cannot be read, one batch at a time.

    Args:
        classifier: What reads and computes.
        inputs: The images.
        options: Batch size, threads, and whether mirror images are averaged.
        start: Index of the first image.

    Yields:
        A row or an error for each image of a batch.

    Raises:
        UnreachableError: A server that holds images does not answer.
        NonFiniteError: The network computes NaN or infinity.
    """
    size = options.batch_size or BATCH_SIZE
    # the blocks of one batch are those of the next: given back to the system, half of the time went into that
    with retain_freed_memory():
        views = _views(classifier, inputs, start, options.workers, ahead=2 * size)
        while batch := list(islice(views, size)):
            rows = iter(
                _rows(classifier, [view for view in batch if not isinstance(view, DataError)], options)
            )
            yield [view if isinstance(view, DataError) else next(rows) for view in batch]


def readable(row: Row) -> NDArray[np.float32]:
    """The probabilities of an image. DataError where it cannot be read."""
    if isinstance(row, DataError):
        raise row
    return row


def _rows(
    classifier: PictureClassifier, views: list[NDArray[np.uint8]], options: PredictOptions
) -> Sequence[NDArray[np.float32]]:
    """The probabilities of each view."""
    if not views:
        return ()
    rows = rows_of_views(classifier, views)
    if options.mirrored:
        rows = (rows + rows_of_views(classifier, [view[..., ::-1] for view in views])) * np.float32(0.5)
    if not np.isfinite(rows).all():
        raise NonFiniteError("the network computes NaN or infinity: its weights are damaged, make them again")
    return list(rows)


def _views(
    classifier: PictureClassifier, inputs: Inputs, start: int, workers: int, *, ahead: int
) -> Iterator[View]:
    """The view of each image from `start` on, decoded `ahead` of its use by threads."""

    def read(i: int) -> View:
        return _view(classifier, inputs, i)

    indices = iter(range(start, len(inputs)))
    threads = min(usable_cores(), MAX_THREADS) if workers < 0 else workers
    if not threads or len(inputs) - start == 1:
        yield from map(read, indices)
        return
    pool = ThreadPoolExecutor(threads, "residua-decode")
    try:
        waiting: deque[Future[View]] = deque(pool.submit(read, i) for i in islice(indices, ahead + threads))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(read, i) for i in islice(indices, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def _view(classifier: PictureClassifier, inputs: Inputs, i: int) -> View:
    """What the network reads of image `i`, or why it cannot be read."""
    item: object = None
    try:
        item = inputs.item(i)
        return classifier.view(item)
    except UnreachableError:  # the image is not bad: nothing can be read now
        raise
    except DataError as error:
        if isinstance(item, Path):  # which the error names
            return error
        return DataError(f"{printable_path(inputs.title(i))}: {error}")
