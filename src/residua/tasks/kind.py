"""Kind: what the jobs ask of a kind of data, besides what training asks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from residua.data.decode import Gate
from residua.data.listing import SourceListing
from residua.nn.network import Network
from residua.runs.run import Run
from residua.spec.arch import Arch
from residua.spec.detector import Detector
from residua.spec.recipe import Data, Recipe
from residua.tasks.survey import Survey
from residua.training.processes.world import World
from residua.training.task import Dataset, ValidationResult, LearnTask

MOST_WORKERS = 8
"""More processes than this wait for the disk."""

Unreadable = Mapping[str, str]
"""Titles of examples that cannot be decoded, and why."""


OPTIONS = {
    "topk": "networks that name classes",
    "ensemble": "networks that name classes",
    "timeline": "networks that read clips",
    "draw": "detectors",
    "least": "detectors",
}
"""What may be asked of trained networks of some kinds only, and of which."""


@dataclass(frozen=True, slots=True)
class Told:
    """A table for people, and what is said below it."""

    head: tuple[str, ...]
    """Names of the columns."""
    rows: tuple[tuple[str, ...], ...]
    """Cells, already formatted."""
    numeric: int = 0
    """The first of the columns that hold numbers; 0 where none does."""
    notes: tuple[str, ...] = ()
    """Lines below it."""


def check_free(places: Sequence[Path], *, force: bool) -> None:
    """FileExistsError for the first of `places` where something is, unless `force`."""
    if there := [place for place in places if place.exists() and not force]:
        raise FileExistsError(f"{there[0]} is there already: give --force to replace it")


@dataclass(frozen=True, slots=True)
class Preview:
    """What training and testing show a network, on a page."""

    page: str
    """The page as HTML."""
    notes: tuple[str, ...]
    """What it shows, a line each."""


class Answers(Protocol):
    """What a network said of files, one after the other; of one that cannot be read, why."""

    def __len__(self) -> int:
        """Files."""

    @property
    def errors(self) -> tuple[str, ...]:
        """Why there is no answer, for each file without one."""

    def told(self) -> Told:
        """For people."""

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """The head and the rows of a file: text, numbers and None."""

    def plain(self) -> list[dict[str, Any]]:
        """As JSON values, one for each file."""

    def show(self, place: Path, *, name: str, force: bool) -> str:
        """Draw them at `place`, a folder or a page, and say so; `name` is the network's.

        FileExistsError unless `force`. ValueError where there is nothing to draw.
        """


class Verdict(Protocol):
    """What trained networks said of examples that have labels, and how good that is."""

    def onward(self, path: Path) -> tuple[str, ...]:
        """Commands that may come next for the network at `path`."""

    @property
    def scores(self) -> list[Any]:
        """Numbers with their protocols, network after network."""

    def told(self) -> Told:
        """For people."""

    def plain(self) -> list[dict[str, Any]]:
        """The scores as JSON values, each with the network's name as `run`."""

    def answers(self, topk: int) -> Answers:
        """What the first network said of every example; `topk` classes, where it names them."""

    def page(self, command: str) -> str:
        """A page that shows it, and `command`, which measures it again."""


class Kind(LearnTask, Protocol):
    """One kind of data, from a source to a report. `sets` is always what `open` gave."""

    @property
    def does(self) -> str:
        """What its networks do: `reads clips`."""

    @property
    def wants(self) -> str:
        """How they are given examples to be judged by."""

    @property
    def gate(self) -> Gate:
        """How its files are told and read."""

    @property
    def takes(self) -> frozenset[str]:
        """Those of `OPTIONS` that have an effect on its trained networks."""

    def survey(self, source: str) -> Survey:
        """What `source` holds, before any file is opened, even where training would refuse it.

        DataError where there is nothing to look at.
        """

    def open(self, data: Data, *, without: Unreadable, given: SourceListing | None = None) -> Dataset:
        """The examples of `data.source`, or those `given`, but for those called as in `without`."""

    def unreadable(self, data: Data, given: SourceListing | None = None) -> Unreadable:
        """The examples that cannot be decoded, after a look at every one."""

    def proposal(self, sets: Any) -> tuple[str, str]:
        """Names of the network and of the recipe that suit `sets`, None before they are open."""

    def drawn(self, name: str) -> tuple[Arch, Detector | None]:
        """The network called `name`, and what finds boxes behind it. ValueError offers the nearest names."""

    def settled(self, recipe: Recipe) -> Recipe:
        """`recipe` with what follows from its other fields. ValueError for what can have no effect here."""

    def yardstick(self, recipe: Recipe, network: Any) -> Network:
        """What formats and precisions are timed on, before `network` is trained."""

    def suited(self, arch: Arch, sets: Any) -> Arch:
        """`arch` for the classes, channels and size of `sets`."""

    def workers(self, recipe: Recipe, sets: Any) -> int:
        """Processes that decode examples, where nobody chose."""

    def reading(self, recipe: Recipe, sets: Any) -> str:
        """How examples get to the network, and why: one line."""

    def hint(self, arch: Arch) -> str:
        """What would probably do better than `arch`, if anything: one line, or none."""

    def initial(
        self, recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = ...
    ) -> Network:
        """The recipe's network with its first weights; `listen` is told what was read from a file."""

    def judgement(self, run: Run, sets: Any) -> ValidationResult:
        """What the finished `run` says of the examples to judge by."""

    def report(self, run: Run, sets: Any, judged: Any) -> None:
        """Write `report.html` into the finished `run`."""

    def preview(self, recipe: Recipe, sets: Any, *, count: int, source: str) -> Preview:
        """`count` of the examples to learn from, spread over what there is, as the network meets them.

        DataError names one that cannot be read.
        """

    def examples(self, path: Path, data: str | None, classes: tuple[str, ...]) -> Any:
        """What the network at `path`, of `classes`, is judged by: `data`, or what its run kept apart.

        ValueError where nobody says which, or for another kind of data.
        """

    def evaluate(
        self,
        paths: Sequence[Path],
        *,
        data: str | None,
        views: Sequence[str],
        weights: str,
        ensemble: bool,
        world: World,
    ) -> Verdict:
        """What the networks at `paths` say of their `examples`, and how good that is, under each of `views`.

        ValueError for an unknown view; DataError, CheckpointError as they come.
        """

    def predict(self, path: Path, files: Sequence[Path], *, topk: int, least: float | None) -> Answers:
        """What the network at `path` says of `files`: `topk` classes, or boxes of a score from `least`."""
