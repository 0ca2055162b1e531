"""The engine that classifies many images fastest: measured on the first of them, or taken by name."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from residua.data.inputs import Inputs
from residua.errors import DataError
from residua.events import Event
from residua.predict.classifier import Classifier
from residua.tasks.classify.picture_stream import BATCH_SIZE
from residua.tasks.predict_task import PredictOptions

FEW = 4 * BATCH_SIZE
"""Images for which nothing is measured: they are predicted sooner than an engine is prepared."""
FIRST = 8
"""Images on which engines must agree."""


def with_engine(
    classifier: Classifier, inputs: Inputs, options: PredictOptions, listen: Callable[[Event], None]
) -> Classifier:
    """The classifier with the engine that `options` name, `auto` for the fastest on this machine.

    Args:
        classifier: As it was loaded.
        inputs: What it is to classify.
        options: Name of the engine, and the batch size.
        listen: Receives what is done, and the measured table.

    Raises:
        ConfigError: There is no such engine here.
    """
    size = options.batch_size or BATCH_SIZE
    if options.engine != "auto":
        return classifier.with_engine(options.engine, batch_size=size)
    if len(inputs) < FEW:
        return classifier
    views, images = _first_views(classifier, inputs), len(inputs) * (1 + options.mirrored)
    return classifier.with_engine("auto", views, batch_size=size, images=images, listen=listen)


def _first_views(classifier: Classifier, inputs: Inputs) -> NDArray[np.uint8]:
    """Views of the first images that can be read; of none where few of them can."""
    views = []
    for i in range(min(len(inputs), 2 * FIRST)):
        try:
            views.append(classifier.view(inputs.item(i)))
        except DataError:
            continue
    side, channels = classifier.preprocess.size, classifier.preprocess.channels
    return np.stack(views[:FIRST]) if views else np.empty((0, channels, side, side), np.uint8)
