"""Kind: what the jobs ask of a kind of data, besides what training asks."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from residua.data.found import Found
from residua.nn.network import Network
from residua.spec.arch import Arch
from residua.spec.detector import Detector
from residua.spec.recipe import Data, Recipe
from residua.training.run import Run
from residua.training.task import Judged, Sets, Task

MOST_WORKERS = 8
"""More processes than this wait for the disk."""

Unreadable = Mapping[str, str]
"""Titles of examples that cannot be decoded, and why."""


class Kind(Task, Protocol):
    """One kind of data, from a source to a report. `sets` is always what `open` gave."""

    def open(self, data: Data, *, without: Unreadable, given: Found | None = None) -> Sets:
        """The examples of `data.source`, or those `given`, but for those called as in `without`."""

    def unreadable(self, data: Data, given: Found | None = None) -> Unreadable:
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

    def judgement(self, run: Run, sets: Any) -> Judged:
        """What the finished `run` says of the examples to judge by."""

    def report(self, run: Run, sets: Any, judged: Any) -> None:
        """Write `report.html` into the finished `run`."""
