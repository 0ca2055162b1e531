"""DataTask: what a task does with its data before training: survey them, find damage, open them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from residua.data.dataset import Dataset
from residua.data.decode import MediaType
from residua.data.images import Images
from residua.data.listing import SourceListing
from residua.spec.recipe import Data
from residua.tasks.survey import Survey

MAX_WORKERS = 8
"""Most loader workers by default: more of them wait for the disk."""

Unreadable = Mapping[str, str]
"""Titles of examples that cannot be decoded, and the reason of each."""

DatasetT = TypeVar("DatasetT", bound=Dataset, covariant=True)


class DataTask(Protocol[DatasetT]):
    """How the data of one task are found and opened."""

    @property
    def media_type(self) -> MediaType:
        """How its files are recognised and decoded."""

    def survey(self, source: str) -> Survey:
        """List what `source` holds, before any file is opened, even where training would refuse it.

        Raises:
            DataError: There is nothing to list.
        """

    def open(self, data: Data, *, without: Unreadable, listing: SourceListing | None = None) -> DatasetT:
        """Open both splits.

        Args:
            data: The source and its settings.
            without: Titles of examples to leave out.
            listing: The examples themselves, where they are Python objects and `data.source` is only a name.

        Returns:
            The dataset; no example is decoded.

        Raises:
            DataError: The examples cannot be used.
        """

    def unreadable(self, data: Data, *, workers: int, listing: SourceListing | None = None) -> Unreadable:
        """Decode every example once, in `workers` processes, and list those that fail; else as in `open`."""


AnyDataTask: TypeAlias = DataTask[Any]
"""A DataTask whose task is known only at run time: it comes from the source."""


def unreadable_titles(splits: Sequence[Images], reasons: Mapping[int, str]) -> dict[str, str]:
    """`reasons` by the title of the example, from those by its index over all `splits`."""
    titles = [images.title(i) for images in splits for i in range(len(images))] if reasons else []
    return {titles[i]: reason for i, reason in reasons.items()}
