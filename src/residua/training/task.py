"""Task: all that training must know of a kind of data; images, clips and boxes have one each, in `tasks`."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from residua.nn.network import Network
from residua.spec.recipe import Plan, Recipe
from residua.training.losses import LossFn
from residua.training.processes.world import World


class Split(Protocol):
    """Labelled examples, found by number."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    def __len__(self) -> int:
        """Number of examples."""

    def title(self, i: int) -> str:
        """How example `i` is called."""

    def identity(self) -> bytes:
        """A digest that changes when the examples are other ones."""


class Dataset(Protocol):
    """What a source holds: examples to learn from, and examples to judge by."""

    @property
    def train(self) -> Split:
        """Examples to learn from."""

    @property
    def test(self) -> Split:
        """Examples that are never learned from."""

    @property
    def note(self) -> str:
        """One line that says what was found."""


class ValidationResult(Protocol):
    """What a network said of every example of a split."""

    def row(self) -> dict[str, float]:
        """Numbers for the metrics of a run, one of them `test_error`: percent, the lower the better."""

    def score(self, *, split: str, weights: str, views: str = ...) -> Any:
        """The number that is reported, with its protocol."""


class LearnTask(Protocol):
    """What Fit asks of a kind of data. `sets` is always what the task itself opened."""

    @property
    def counts_wrong(self) -> bool:
        """Whether `loss_fn` counts how many examples were wrong, which makes a training error."""

    def batches(
        self,
        sets: Any,
        recipe: Recipe,
        *,
        first: int,
        steps: int,
        workers: int,
        world: World,
        device: str,
    ) -> Iterator[Any]:
        """This process's share of the global steps `first` to `steps` - 1, keyed by seed and step alone.

        A batch has what `data.batches.Batch` has: `labels` are one for each example.
        """

    def loss_fn(self, sets: Any, recipe: Recipe, plan: Plan) -> LossFn:
        """What a batch teaches."""

    def resident_bytes(self, sets: Any, recipe: Recipe, plan: Plan) -> int:
        """Bytes of the examples that training will keep in memory, beside those that are there already."""

    def validate(
        self,
        network: Network,
        sets: Any,
        recipe: Recipe,
        *,
        plan: Plan,
        world: World,
        stop: Callable[[], bool],
    ) -> ValidationResult:
        """What `network` says of the examples to judge by, the same for any number of processes.

        Asked when `stop()` is true on any of them, NonFiniteError when the network says no numbers.
        """
