"""Evaluate a predictor on a labelled split, in one process or in several that share the work.

Each process takes every `size`-th batch of the split, the same batches that one process would make. The
outputs are gathered in the order of the split, so that the result does not depend on the number of processes.
After each batch the processes wait for each other: at a barrier, or in the caller's own `rounds`, by which
training also stops all of them at once.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import torch

T = TypeVar("T")
PredictorT = TypeVar("PredictorT", contravariant=True)
SplitT = TypeVar("SplitT", contravariant=True, bound="Sized")
BatchT = TypeVar("BatchT")
OutputT = TypeVar("OutputT")
EvaluationT = TypeVar("EvaluationT", covariant=True)


class Sized(Protocol):
    """Anything with a number of examples."""

    def __len__(self) -> int:
        """Number of examples."""


class Processes(Protocol):
    """The processes that share an evaluation, as one of them sees them."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def size(self) -> int:
        """Number of processes."""

    def gather(self, own: list[T]) -> list[T]:
        """The items of all processes, in the order in which they were dealt: rank 0, 1, ..., 0, 1, ..."""

    def barrier(self) -> None:
        """Wait until every process is here."""


@dataclass(frozen=True, slots=True)
class OneProcess:
    """`Processes` of a single process."""

    rank: int = 0
    """Its number."""
    size: int = 1
    """Number of processes."""

    def gather(self, own: list[T]) -> list[T]:
        """`own`, which are all there are."""
        return own

    def barrier(self) -> None:
        """Nothing to wait for."""


ALONE = OneProcess()
"""The default of `evaluate`."""


class Rounds(Protocol):
    """How processes wait for each other between batches."""

    def __call__(self, batches: Iterator[T], count: int, /) -> Iterator[T]:
        """The `batches` of this process in `count` rounds; a process may have one batch less than rounds."""


class EvaluationProtocol(Protocol[PredictorT, SplitT, BatchT, OutputT, EvaluationT]):
    """How the examples of a split are shown to a network, and what follows from its outputs."""

    def batch_size(self, predictor: PredictorT) -> int:
        """Examples that a process takes in a round."""

    def batches(self, predictor: PredictorT, split: SplitT, *, rank: int, size: int) -> Iterator[BatchT]:
        """Every `size`-th batch of the split, from batch `rank` on."""

    def outputs(self, predictor: PredictorT, batches: Iterator[BatchT]) -> list[OutputT]:
        """What the network computes for each of the batches, on the CPU."""

    def evaluation(self, split: SplitT, outputs: list[OutputT]) -> EvaluationT:
        """The evaluation that the outputs of all batches, in the split's order, make."""


def evaluate(
    predictor: PredictorT,
    split: SplitT,
    protocol: EvaluationProtocol[PredictorT, SplitT, BatchT, OutputT, EvaluationT],
    *,
    world: Processes = ALONE,
    rounds: Rounds | None = None,
) -> EvaluationT:
    """Compare the predictions for a labelled split with its labels.

    Args:
        predictor: A network with its preprocessing, on a device; see `predict.predictor`.
        split: The labelled examples.
        protocol: How each example is shown.
        world: The processes that share the work; all return the same evaluation.
        rounds: How they wait for each other; None waits at a barrier after each batch.

    Returns:
        The evaluation that the protocol makes: `Evaluation` of classes, `BoxEvaluation` of boxes.

    Raises:
        NonFiniteError: The network computes NaN or infinity.
        DataError: An example cannot be decoded.
    """
    count = math.ceil(len(split) / protocol.batch_size(predictor) / world.size)
    batches = protocol.batches(predictor, split, rank=world.rank, size=world.size)
    with torch.inference_mode():
        own = protocol.outputs(
            predictor, rounds(batches, count) if rounds else _with_barriers(batches, count, world)
        )
        return protocol.evaluation(split, world.gather(own))


def _with_barriers(batches: Iterator[T], count: int, world: Processes) -> Iterator[T]:
    for _ in range(count):
        yield from islice(batches, 1)
        world.barrier()  # a batch may take one process longer than another
