"""Split and Dataset: what every task's data have in common, whatever their examples are."""

from typing import Protocol

from residua.data.fingerprints import Fingerprints


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
        """A digest of names, labels and what else is known of the examples without opening their files."""

    def fingerprints(self) -> Fingerprints:
        """Name and fingerprint of every local file, in the order of the examples.

        Raises:
            DataError: A file cannot be read.
        """


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
