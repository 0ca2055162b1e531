"""Images from Python objects: torch Datasets, and data sets of the Hugging Face `datasets` library."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import one_line
from residua.data.fingerprints import Fingerprints
from residua.data.hub import check_hub
from residua.data.images import Images
from residua.data.items import Item
from residua.data.listing import ListingOptions, SourceListing
from residua.errors import DataError, UnreachableError
from residua.spec.source import Source

PYTHON = "python"
"""The name of the source that a run on a Dataset object records: `python:CLASS`."""


@dataclass(frozen=True, eq=False)
class DatasetItems:
    """Images of a torch Dataset whose samples are (image, label)."""

    samples: Any
    """The Dataset."""
    indices: NDArray[np.int64]
    """Which of its samples: (N,)."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.indices)

    def __getitem__(self, i: int) -> Item:
        """Image `i`: a PIL image, a path, uint8 (H, W, C) or a tensor (C, H, W). DataError for others."""
        try:
            sample_image = self.samples[int(self.indices[i])][0]
        except Exception as error:  # code of the user
            raise DataError(f"sample {self.indices[i]} cannot be read: {one_line(error)}") from None
        return _item(sample_image, int(self.indices[i]))

    def name(self, i: int) -> str:
        """`sample 17`."""
        return f"sample {self.indices[i]}"

    def subset(self, indices: NDArray[np.int64]) -> "DatasetItems":
        """The images at `indices`, in that order."""
        return DatasetItems(self.samples, self.indices[indices])

    def identity(self) -> bytes:
        """Digest of which samples these are; pixels are not looked at."""
        return hashlib.sha256(self.indices.tobytes()).digest()

    def fingerprints(self) -> Fingerprints:
        """None: a Dataset may return other pixels at every call."""
        return iter(())

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Nothing: only the Dataset knows where its images are stored."""


@dataclass(frozen=True, eq=False)
class HubRows:
    """Images in a column of a Hugging Face dataset, as the encoded bytes that the gate decodes."""

    table: Any
    """The dataset."""
    column: str
    """Its column of images, undecoded."""
    indices: NDArray[np.int64]
    """Which of its rows: (N,)."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.indices)

    def __getitem__(self, i: int) -> Item:
        """Bytes or file of image `i`. DataError when the row has neither."""
        row = int(self.indices[i])
        cell = self.table[row][self.column]
        if cell and cell.get("bytes"):
            content: bytes = cell["bytes"]
            return content
        if cell and cell.get("path"):
            return Path(cell["path"])
        raise DataError(f"row {row} has no image: remove it")

    def name(self, i: int) -> str:
        """`row 17`."""
        return f"row {self.indices[i]}"

    def subset(self, indices: NDArray[np.int64]) -> "HubRows":
        """The images at `indices`, in that order."""
        return HubRows(self.table, self.column, self.indices[indices])

    def identity(self) -> bytes:
        """Digest of the fingerprint that the library keeps, and of which rows these are."""
        return hashlib.sha256(str(self.table._fingerprint).encode() + self.indices.tobytes()).digest()

    def fingerprints(self) -> Fingerprints:
        """None: the fingerprint of the library is in `identity`."""
        return iter(())

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Nothing: the library maps its files into memory."""


def list_dataset_objects(train: Any, test: Any = None) -> SourceListing:
    """The images of one or two torch Datasets of (image, label); their classes from `classes`, else numbers.

    Labels come from `targets` or `labels` where there are, else from one pass over the samples. DataError for
    labels that are no whole numbers, and for a set without a length.
    """
    source = f"{PYTHON}:{type(train).__name__}"
    first = _of_objects(train, "train")
    second = None if test is None else _of_objects(test, "val")
    return SourceListing(
        source, first, second, " of one Dataset" if second is None else "two Datasets", source
    )


def refuse_python(place: str, _options: ListingOptions) -> SourceListing:
    """DataError: only the program that made a Dataset object can give it again."""
    raise DataError(f"the images of {PYTHON}:{place} came from Python: give them again, as data=")


def is_local(source: Source) -> bool:
    """Whether `source` is a folder that `save_to_disk` wrote; others are asked for on the hub."""
    return Path(source.place or "").is_dir()


def find_hub(name: str, _options: ListingOptions) -> SourceListing:
    """List the images of a Hugging Face dataset.

    Args:
        name: its name on the hub, or a folder that `save_to_disk` wrote.

    Raises:
        DataError: when the library is missing, or there is not one column of images and one of class labels.
        UnreachableError: when the hub does not answer.
    """
    try:
        import datasets
    except ModuleNotFoundError:
        raise DataError("hf: needs the package datasets: pip install 'residua[hf]'") from None
    is_folder = Path(name).is_dir()
    if not is_folder and not datasets.config.HF_DATASETS_OFFLINE:
        check_hub("dataset", name)
    try:
        cell: Any = datasets.load_from_disk(name) if is_folder else datasets.load_dataset(name)
    except Exception as error:  # the library raises what its many back ends raise
        kind = UnreachableError if isinstance(error, ConnectionError) else DataError
        raise kind(
            f"hf:{name} cannot be loaded ({one_line(error)}): check the name and the network connection"
        ) from None
    splits = dict(cell) if isinstance(cell, dict) else {"train": cell}
    learn = splits.get("train")
    val = next((part for part in ("validation", "val", "test") if part in splits), None)
    if learn is None:
        raise DataError(f"hf:{name} has the splits {sorted(splits)} and no train")
    train = _of_rows(learn, "train", name)
    if val is None:
        return SourceListing(f"hf:{name}", train, None, " of one table", name)
    return SourceListing(
        f"hf:{name}", train, _of_rows(splits[val], val, name), f"splits train and {val}", name
    )


def _of_objects(samples: Any, name: str) -> Images:
    try:
        count = len(samples)
        targets = next(
            (values for key in ("targets", "labels") if (values := getattr(samples, key, None)) is not None),
            None,
        )
        if targets is None or len(targets) != count:
            targets = [samples[i][1] for i in range(count)]
        labels = np.array([int(label) for label in targets], np.int64)
    except Exception as error:  # code of the user
        raise DataError(
            f"{type(samples).__name__} cannot be used ({one_line(error)}): give (image, label)"
        ) from None
    if not count or labels.min() < 0:
        raise DataError(f"{type(samples).__name__} has no sample, or labels below 0: give (image, label)")
    names: Any = getattr(samples, "classes", None)
    classes = (
        tuple(map(str, names)) if _fits(names, labels) else tuple(map(str, range(int(labels.max()) + 1)))
    )
    return Images(name, classes, labels, files=DatasetItems(samples, np.arange(count)))


def _fits(names: Any, labels: NDArray[np.int64]) -> bool:
    return isinstance(names, Sequence) and len(names) > labels.max()


def _of_rows(table: Any, name: str, source: str) -> Images:
    import datasets

    features = table.features
    images = [key for key, kind in features.items() if isinstance(kind, datasets.Image)]
    labels = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    if len(images) != 1 or len(labels) != 1:
        raise DataError(
            f"hf:{source} has {len(images)} columns of images and {len(labels)} of class labels: "
            "one of each is needed"
        )
    numbers = np.array(table[labels[0]], np.int64)
    if len(numbers) and numbers.min() < 0:
        raise DataError(f"hf:{source} has images without a label in {name}: choose another split")
    plain = table.cast_column(images[0], datasets.Image(decode=False))
    files = HubRows(plain, images[0], np.arange(len(numbers)))
    return Images(name, tuple(features[labels[0]].names), numbers, files=files)


def _item(sample_image: Any, sample: int) -> Item:
    if isinstance(sample_image, Image.Image | Path):
        return sample_image
    if isinstance(sample_image, str):
        return Path(sample_image)
    pixels = np.asarray(sample_image)
    if not isinstance(sample_image, np.ndarray) and pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0)  # a tensor is (C, H, W)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (1,), (3,)):
        raise DataError(
            f"sample {sample} is {pixels.dtype} {pixels.shape}: give a PIL image or uint8 of 1 or 3 "
            "channels; normalising is done later"
        )
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else np.ascontiguousarray(pixels))
