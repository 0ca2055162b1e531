"""The two stages of a run that begins: its data opened, then everything decided before the first step."""

from dataclasses import dataclass, field
from typing import Any

from residua.data.inner_split import split_training
from residua.jobs.default_weights import DefaultWeights
from residua.nn.network import Network
from residua.runs.probe_record import ProbeRecord
from residua.spec.recipe import Recipe
from residua.tasks.data_task import Unreadable
from residua.training.learn_task import AnyLearnTask
from residua.training.linear_probe import LinearProbe
from residua.weights.named import OpenedWeights


@dataclass(frozen=True, eq=False, slots=True)
class OpenedData:
    """A source after it was opened: stage one of two."""

    task: AnyLearnTask
    """The task of the data."""
    source: str
    """The source, absolute."""
    dataset: Any
    """Its training and validation examples."""
    unreadable: Unreadable
    """Examples that were left out, and why."""
    weights: OpenedWeights | None = None
    """The weights that training starts from; None where the seed draws them, or a Network brings them."""
    default: DefaultWeights = field(default_factory=DefaultWeights)
    """The weights that were taken by default."""

    @property
    def title(self) -> str:
        """The weights that a run begins from, for people."""
        if not self.weights:
            return "the network from Python"
        origin = self.weights.provenance
        return origin.text if origin else self.weights.title


@dataclass(frozen=True, eq=False, slots=True)
class PreparedRun:
    """Everything that is decided before the first step."""

    recipe: Recipe
    """The recipe, resolved."""
    task: AnyLearnTask
    """The task of the data."""
    dataset: Any
    """The examples."""
    network: Network
    """The network with its first weights."""
    notes: tuple[str, ...]
    """What was chosen and why, one line each."""
    unreadable: Unreadable = field(default_factory=dict)
    """Examples that were left out, and why."""
    stores_weights: bool = False
    """Whether the run must store the first weights: they came from Python, or are published by name."""
    is_timed: bool = False
    """Whether the length of the run depends on what was timed, so that the next time may give another."""
    probe: ProbeRecord | None = None
    """The linear probe that the first weights carry; None without one."""
    probe_of_all: LinearProbe | None = None
    """The probe fitted to the held-out training images, too, for a run that keeps it; None without one."""

    @property
    def learned(self) -> Any:
        """The dataset that training sees: without the test examples where others choose the weights."""
        return split_training(self.dataset, self.recipe.data.inner_val_fraction)
