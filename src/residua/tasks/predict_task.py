"""PredictTask: what a task does with trained networks: load a Predictor, predict files, evaluate.

Nothing here needs `residua.training`: a trained network is used without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, Union

from residua.data.decode import MediaType
from residua.data.inputs import Inputs
from residua.spec.recipe import MAX_WORKERS
from residua.spec.record import check_range
from residua.spec.text_table import TextTable

if TYPE_CHECKING:  # exported networks predict without torch
    from residua.data.listing import SourceListing
    from residua.measure.evaluate import Processes

OPTIONS = {
    "topk": "networks that name classes",
    "ensemble": "networks that name classes",
    "timeline": "networks that read clips",
    "draw": "detectors",
    "sort-into": "networks that name classes",
    "tta": "networks that classify images",
    "engine": "networks of images that are not exported",
}
"""Options of `evaluate` and `predict` that have an effect in some tasks only, and in which."""
MAX_BATCH_SIZE = 1 << 20
"""Most examples computed at once."""

Examples: TypeAlias = Union[str, "SourceListing"]
"""Labelled examples as a source, or as a listing of what came from Python."""


@dataclass(frozen=True, slots=True)
class Inference:
    """Where trained networks compute, and how examples reach them."""

    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the first accelerator, else the CPU."""
    batch_size: int = 0
    """Views, clips or files computed at once; 0 takes what the task finds suitable."""
    workers: int = 0
    """Processes that load data; 0 loads in this process."""

    def __post_init__(self) -> None:
        check_range("batch_size", self.batch_size, 0, MAX_BATCH_SIZE, zero="chosen for you")
        check_range("workers", self.workers, 0, MAX_WORKERS, zero="in this process")


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What trained networks are evaluated on, and how."""

    data: Examples | None = None
    """Labelled examples; None takes the test split of each run."""
    views: tuple[str, ...] = ()
    """Names of protocols; none takes the task's default."""
    weights: str = "auto"
    """Of a run: `raw`, `ema`, `best`, or `auto`."""
    ensemble: bool = False
    """Whether the probabilities of all networks are averaged."""
    inference: Inference = field(default_factory=Inference)
    """Device, batch size and workers."""


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """What is predicted of each input, and how inputs reach the network."""

    topk: int = 1
    """Classes for each input, where the task has classes."""
    least: float | None = None
    """Lowest probability of a class that is named, or lowest score of a box; None for the task's default."""
    mirrored: bool = False
    """Whether the probabilities of each image and of its mirror image are averaged."""
    batch_size: int = 0
    """Inputs that are computed at once; 0 takes what the task finds suitable."""
    workers: int = -1
    """Threads that decode images while others are computed; 0 decodes between batches, -1 is one a core."""
    engine: str = "torch"
    """What computes images: a name in `predict.engines.candidates`, or `auto` for the fastest here."""


class Predictions(Protocol):
    """Predictions for several inputs, in their order; an input that cannot be read has an error."""

    def __len__(self) -> int:
        """Number of inputs."""

    @property
    def errors(self) -> tuple[str, ...]:
        """Why there is no prediction, for each input without one."""

    @property
    def best_classes(self) -> tuple[str | None, ...]:
        """The likeliest class of each input: empty for an unsure one, None for one that cannot be read.

        Raises:
            ConfigError: The task has no classes of whole inputs.
        """

    def joined(self, others: Sequence[Any]) -> "Predictions":
        """These predictions and `others` of the same network and options, as one."""

    def table(self) -> TextTable:
        """Rows for the terminal."""

    def columns(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Head and rows of a CSV or Parquet file: text, numbers and None."""

    def to_json(self) -> list[dict[str, Any]]:
        """JSON values, one for each input."""

    def draw(self, place: Path, *, name: str, force: bool) -> str:
        """Draw the predictions.

        Args:
            place: A folder for pictures, or a page, whichever the task draws.
            name: Name of the network, for headings.
            force: Replace files that exist.

        Returns:
            One line that says what was drawn.

        Raises:
            FileExistsError: A file exists, and `force` is false.
            ConfigError: These predictions are not drawn.
        """


class Evaluations(Protocol):
    """Evaluations of one or several networks, each under one or several protocols."""

    @property
    def scores(self) -> list[Any]:
        """One `Score` or `BoxScore` for each network and protocol."""

    def table(self) -> TextTable:
        """Rows for the terminal."""

    def to_json(self) -> list[dict[str, Any]]:
        """The scores as JSON values, each with the network's path as `run`."""

    def predictions(self, topk: int) -> Predictions:
        """What the first network predicts for every example; `topk` classes, where it has classes."""

    def page(self, command: str) -> str:
        """The page as HTML; `command` is printed as the way to repeat the evaluation."""

    def next_commands(self, path: Path) -> tuple[str, ...]:
        """Commands that may follow for the network at `path`."""


PredictorT = TypeVar("PredictorT")
SplitT = TypeVar("SplitT", covariant=True)


class PredictTask(Protocol[PredictorT]):
    """How trained networks of one task are loaded and used."""

    @property
    def media_type(self) -> MediaType:
        """How input files are recognised and decoded."""

    @property
    def options(self) -> frozenset[str]:
        """Those of `OPTIONS` that have an effect in this task."""

    def load(
        self, path: Path, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
    ) -> PredictorT:
        """Load the Predictor of a run, a folder or a file; see `predict.predictor.load_predictor`."""

    def digest(self, predictor: PredictorT) -> str:
        """A digest of the weights, by which predictions that were interrupted know their network again."""

    def predict(
        self, predictor: PredictorT, inputs: Inputs, options: PredictOptions, *, start: int = 0
    ) -> Iterator[Predictions]:
        """Predict inputs, in order; one that cannot be read does not stop the others.

        Args:
            predictor: As `load` returns it.
            inputs: Images or videos.
            options: What is predicted of each.
            start: Index of the first input.

        Yields:
            The predictions for a few inputs at a time, so that a million of them need little memory.

        Raises:
            UnreachableError: A server that holds inputs does not answer.
            NonFiniteError: The network computes NaN or infinity.
        """


class EvaluateTask(PredictTask[PredictorT], Protocol[PredictorT, SplitT]):
    """How trained networks of one task are evaluated, besides."""

    def examples(self, path: Path, data: Examples | None, classes: tuple[str, ...]) -> SplitT:
        """Open the labelled examples for the evaluation of a network.

        Args:
            path: The run or file of the network.
            data: Where they are; None takes the test split of the run.
            classes: The network's classes, in whose order labels are given.

        Returns:
            The labelled split.

        Raises:
            ConfigError: There is neither `data` nor a run, or `data` belongs to another task.
            DataError: The examples cannot be used.
        """

    def evaluate(
        self, paths: Sequence[Path], request: EvaluationRequest, *, world: "Processes"
    ) -> Evaluations:
        """Evaluate the networks at `paths`.

        Args:
            paths: Runs, saved folders or checkpoint files; of images also exported files.
            request: On which examples, and how.
            world: The processes that share the work.

        Returns:
            The evaluations, network by network.

        Raises:
            ConfigError: A protocol is unknown, or the networks cannot be evaluated together.
            DataError: Examples cannot be used.
            CheckpointError: Weights cannot be used.
        """


AnyPredictTask: TypeAlias = PredictTask[Any]
"""A PredictTask whose task is known only at run time: it is read from the network's file."""
AnyEvaluateTask: TypeAlias = EvaluateTask[Any, Any]
"""The same for an EvaluateTask."""
