"""LearnTask: what training needs to know about a task; images, videos and boxes implement it, in `tasks`."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from torch import Tensor, nn

from residua.data.dataset import Dataset
from residua.nn.network import Network
from residua.runs.run import Run
from residua.spec.arch import Arch
from residua.spec.detector import Detector
from residua.spec.recipe import Plan, Recipe
from residua.training.processes.world import World


class ValidationResult(Protocol):
    """The evaluation of a test split after an epoch."""

    def row(self) -> dict[str, float]:
        """Numbers for the metrics of a run, among them `test_error`: percent, lower is better."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What training and evaluation show the network, before anything is trained."""

    page: str
    """The page as HTML."""
    notes: tuple[str, ...]
    """Lines that describe it."""


DatasetT = TypeVar("DatasetT", bound=Dataset, contravariant=True)
NetworkT = TypeVar("NetworkT", bound=nn.Module)
BatchT = TypeVar("BatchT")
ResultT = TypeVar("ResultT", bound=ValidationResult)


class LearnTask(Protocol[DatasetT, NetworkT, BatchT, ResultT]):
    """How networks of one task are chosen, built, trained and evaluated while they train."""

    @property
    def counts_wrong(self) -> bool:
        """Whether `loss_fn` counts wrong examples, which gives a training error."""

    @property
    def fine_tuning(self) -> str:
        """Name of the default recipe with pretrained weights; empty where it is that of `defaults`."""

    def defaults(self, dataset: DatasetT | None) -> tuple[str, str]:
        """Names of the default network and of the default recipe for `dataset`; None before it is open."""

    def find_network(self, name: str) -> tuple[Arch, Detector | None]:
        """The network called `name`, and the detector behind it. ConfigError offers the nearest names."""

    def adapt(self, arch: Arch, dataset: DatasetT, *, keep: bool = False) -> Arch:
        """`arch` with the classes, channels and size of `dataset`.

        Args:
            arch: The network.
            dataset: The opened data.
            keep: Whether it reads pixels as its weights were trained: only what `dataset` fixes changes.

        Raises:
            ConfigError: It cannot read the data.
        """

    def resize(self, arch: Arch, dataset: DatasetT, size: int) -> Arch:
        """`arch` for inputs of `size` x `size` pixels. ConfigError where something else decides the size."""

    def suit(self, recipe: Recipe, dataset: DatasetT, *, settings: Collection[str]) -> Recipe:
        """A default `recipe` whose batch and input size suit `dataset`; `settings` are the user's paths."""

    def complete_recipe(self, recipe: Recipe) -> Recipe:
        """`recipe` with settings that follow from others. ConfigError for one without effect in this task."""

    def initial_network(
        self, recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = ...
    ) -> NetworkT:
        """The recipe's network before the first step; `listen` receives a line about a file that was read."""

    def timing_network(self, recipe: Recipe, network: NetworkT) -> Network:
        """The network by which memory formats and precisions are timed for `network`."""

    def default_workers(self, recipe: Recipe, dataset: DatasetT) -> int:
        """Loader workers where the recipe leaves the number open."""

    def describe_input(self, recipe: Recipe, dataset: DatasetT) -> str:
        """How examples reach the network, and why: one line."""

    def hint(self, recipe: Recipe, dataset: DatasetT) -> str:
        """What would help most, known before training: one line; empty for nothing."""

    def final_hint(self, recipe: Recipe, row: Mapping[str, float]) -> str:
        """What would help most after the last epoch, whose metrics are `row`: one line; empty for nothing."""

    def batches(
        self,
        dataset: DatasetT,
        recipe: Recipe,
        *,
        first: int,
        steps: int,
        workers: int,
        world: World,
        device: str,
    ) -> Iterator[BatchT]:
        """Training batches of this process for steps `first` to `steps` - 1, which depend on seed and step
        alone.

        A batch has `labels`, one for each example, and `chunk(count)`, its parts for gradient accumulation.
        """

    def loss_fn(
        self, dataset: DatasetT, recipe: Recipe, plan: Plan
    ) -> Callable[[nn.Module, BatchT], tuple[Tensor, Tensor]]:
        """From a network and a batch to the mean loss and the number of wrong examples, both scalars."""

    def resident_bytes(self, dataset: DatasetT, recipe: Recipe, plan: Plan) -> int:
        """Bytes of examples that training keeps in memory, beyond those that are in memory already."""

    def validate(
        self,
        network: NetworkT,
        dataset: DatasetT,
        recipe: Recipe,
        *,
        plan: Plan,
        world: World,
        stop: Callable[[], bool],
    ) -> ResultT:
        """Evaluate a network on the test split while it trains.

        Args:
            network: On the plan's device; left in eval mode.
            dataset: The opened data of the run.
            recipe: The recipe of the run.
            plan: Device, memory format and precision.
            world: The processes of the run, which share the work and return the same result.
            stop: Whether the user asked to stop.

        Returns:
            The evaluation, the same for any number of processes.

        Raises:
            StopRequested: `stop()` is true on one of the processes.
            NonFiniteError: The network computes NaN or infinity.
        """

    def evaluate_run(self, run: Run, dataset: DatasetT) -> ResultT:
        """The evaluation of the finished `run` on the test split, as `validate` makes it."""

    def write_report(self, run: Run, dataset: DatasetT, result: ResultT) -> None:
        """Write `report.html` into the finished `run`."""

    def preview(self, recipe: Recipe, dataset: DatasetT, *, count: int, source: str) -> Preview:
        """What the network receives of `count` training examples, before anything is trained.

        Args:
            recipe: The resolved recipe.
            dataset: The opened data.
            count: Examples, spread over the classes.
            source: Name of the data on the page.

        Returns:
            The page, and lines that describe it.

        Raises:
            DataError: An example cannot be read.
        """


AnyLearnTask: TypeAlias = LearnTask[Any, Any, Any, Any]
"""A LearnTask whose task is known only at run time: it comes from the source."""
