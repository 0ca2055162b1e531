"""Split and Dataset: what every task's data have in common, whatever their examples are."""

from typing import Protocol


class Split(Protocol):
    """Labelled examples, found by index."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    def __len__(self) -> int:
        """Number of examples."""

    def title(self, i: int) -> str:
        """Name of example `i` in messages and lists."""

    def identity(self) -> bytes:
        """A digest that changes when the examples change."""


class Dataset(Protocol):
    """The two splits of a source."""

    @property
    def train(self) -> Split:
        """Training examples."""

    @property
    def test(self) -> Split:
        """Examples for evaluation, which are never trained on."""

    @property
    def note(self) -> str:
        """One line that describes the dataset."""
