"""Validation while a run trains: the test examples shared out over its processes, stopped on request."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from torch import nn

from residua.measure.evaluate import EvaluationProtocol, Sized, evaluate
from residua.training.prefetch import in_lockstep
from residua.training.processes.world import World

T = TypeVar("T")
BatchT = TypeVar("BatchT")
OutputT = TypeVar("OutputT")
EvaluationT = TypeVar("EvaluationT")


class HasNetwork(Protocol):
    """A predictor, as far as validation needs it."""

    @property
    def network(self) -> nn.Module:
        """The network on its device."""


PredictorT = TypeVar("PredictorT", bound=HasNetwork)
SplitT = TypeVar("SplitT", bound=Sized)


def validate(
    predictor: PredictorT,
    split: SplitT,
    protocol: EvaluationProtocol[PredictorT, SplitT, BatchT, OutputT, EvaluationT],
    *,
    world: World,
    stop: Callable[[], bool],
) -> EvaluationT:
    """Evaluate the network of a run, with the running statistics of process 0.

    Each process takes whole batches, the same that one process would make, so that the result does not depend
    on the number of processes.

    Args:
        predictor: The network with its preprocessing; it is left in eval mode.
        split: The test examples.
        protocol: How each example is shown.
        world: The processes of the run.
        stop: True once the user asked to stop.

    Returns:
        The evaluation, equal on every process.

    Raises:
        StopRequested: `stop` is true on some process.
        NonFiniteError: The network computes NaN or infinity.
    """

    def rounds(batches: Iterator[T], count: int) -> Iterator[T]:
        return in_lockstep(batches, count, world=world, stop=stop)

    world.broadcast_buffers(predictor.network)
    predictor.network.eval()
    return evaluate(predictor, split, protocol, world=world, rounds=rounds)
