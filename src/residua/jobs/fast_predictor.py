"""The predictor that computes many images soonest, for commands and for machines of a cluster."""

from collections.abc import Callable
from typing import Any

from residua.data.inputs import Inputs
from residua.events import Event
from residua.tasks.predict_task import AnyPredictTask, PredictOptions


def fast_predictor(
    task: AnyPredictTask,
    predictor: Any,
    inputs: Inputs,
    options: PredictOptions,
    listen: Callable[[Event], None],
) -> Any:
    """The predictor with the engine that `options` name; itself where its task has one engine.

    Args:
        task: How the network is used.
        predictor: As `task` loads it.
        inputs: What it is to predict.
        options: Name of the engine, and the batch size.
        listen: Receives what is measured.

    Raises:
        ConfigError: There is no such engine here.
    """
    if "engine" not in task.options or options.engine == "torch":
        return predictor
    from residua.tasks.classify.fast_engine import with_engine  # other engines take a second to import

    return with_engine(predictor, inputs, options, listen)
