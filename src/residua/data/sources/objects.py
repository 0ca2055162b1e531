"""Images from Python objects: arrays, torch Datasets, and sets of the Hugging Face `datasets` library.

What `residua.train(data)` takes, told apart by type, never by content:

    (X, y)                   a tuple that begins with an array or a tensor: images and their labels
    (train, val)             any other tuple of two: each is one of the sets below, or (X, y)
    mapping with "train"     splits by name, e.g. a `datasets.DatasetDict`
    datasets.Dataset         one column of images, one of class labels
    torch Dataset, list      (image, label) by index; the image as in `data/pictures.py`, or a path
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Subset

from residua.data.decode import one_line
from residua.data.download_settings import is_offline
from residua.data.fingerprints import Fingerprints
from residua.data.hub import check_hub
from residua.data.images import Images
from residua.data.items import Item
from residua.data.listing import ListingOptions, SourceListing
from residua.data.pictures import open_picture, pixels_of
from residua.errors import DataError, UnreachableError
from residua.spec.amount import quantity
from residua.spec.source import Source

PYTHON = "python"
"""The name of the source that a run on Python objects records: `python:CLASS`, `python:arrays`."""
VAL_SPLITS = ("validation", "valid", "val", "test")
"""Names of the split that a network is evaluated on while it trains, the first choice first."""

WHOLE = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
"""Types of a column of whole numbers, which are classes where no column has class labels."""
LABEL_NAMES = ("label", "labels")
"""What the column of classes is called, among several of whole numbers."""


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
        """Image `i` as a path or a picture. DataError for what is neither."""
        try:
            sample_image = self.samples[int(self.indices[i])][0]
        except Exception as error:  # code of the user
            raise DataError(f"sample {self.indices[i]} cannot be read: {one_line(error)}") from None
        if isinstance(sample_image, str | Path):
            return Path(sample_image)
        try:
            return open_picture(sample_image)
        except DataError as error:
            raise DataError(f"sample {self.indices[i]}: {error}") from None

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


def source_and_listing(data: object) -> tuple[str, SourceListing | None]:
    """The DATA argument of Python: the source as text, and its listing where `data` are objects.

    Raises:
        DataError: as `list_dataset_objects`.
    """
    if isinstance(data, str | Path):
        return str(data), None
    listing = list_dataset_objects(data)
    return listing.source, listing


def list_dataset_objects(data: object) -> SourceListing:
    """The images of Python objects, told apart as at the top of this file.

    Classes are those that a set names (`classes`, or the class labels of a Hugging Face set), the sorted
    texts of `y`, or else numbers. Labels of a torch Dataset come from `targets` or `labels` where there are,
    else from one pass over the samples.

    Raises:
        DataError: for objects of other kinds, labels that are no whole numbers or texts, and sets without a
            length.
    """
    first, second = _parts(data)
    kind = "arrays" if _is_arrays(first) else type(first).__name__
    train = _of_one(first, "train")
    val = None if second is None else _of_one(second, "val")
    source = f"{PYTHON}:{kind}"
    note = " of one set" if val is None else "given as two sets"
    return SourceListing(source, train, val, note, source)


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
        if is_offline():
            raise UnreachableError(f"hf:{name}: set HF_HUB_OFFLINE=1, too, to use what was downloaded before")
        check_hub("dataset", name)
    try:
        cell: Any = datasets.load_from_disk(name) if is_folder else datasets.load_dataset(name)
    except Exception as error:  # the library raises what its many back ends raise
        kind = UnreachableError if isinstance(error, ConnectionError) else DataError
        raise kind(
            f"hf:{name} cannot be loaded ({one_line(error)}): check the name and the network connection"
        ) from None
    splits = cell if isinstance(cell, dict) else {"train": cell}
    val = _val_split(splits, f"hf:{name}")
    train = _of_rows(splits["train"], "train", f"hf:{name}")
    if val is None:
        return SourceListing(f"hf:{name}", train, None, " of one table", name)
    test = _of_rows(splits[val], val, f"hf:{name}")
    return SourceListing(f"hf:{name}", train, test, f"splits train and {val}", name)


def _val_split(splits: Mapping[str, Any], owner: str) -> str | None:
    """The name of the split to evaluate on; None without one. DataError without a split `train`."""
    if "train" not in splits:
        raise DataError(f"{owner} has the splits {sorted(map(str, splits))} and no train")
    return next((name for name in VAL_SPLITS if name in splits), None)


def _parts(data: object) -> tuple[Any, Any]:
    """The training set and the validation set, or None."""
    if isinstance(data, Mapping):
        name = _val_split(data, f"a {type(data).__name__}")
        return data["train"], data[name] if name else None
    if not isinstance(data, tuple) or _is_arrays(data):
        return data, None
    if len(data) != 2:
        raise DataError(f"a tuple of {len(data)}: give (X, y), (train, val) or ((X, y), (X_val, y_val))")
    return data


def _is_arrays(data: object) -> bool:
    """Whether `data` is a pair (X, y) of images and labels."""
    return isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], np.ndarray | torch.Tensor)


def _of_one(samples: Any, name: str) -> Images:
    if _is_arrays(samples):
        x, y = samples
        return _of_arrays(x, y, name)
    library: Any = sys.modules.get("datasets")  # loaded, if the object is one of its sets
    if library and isinstance(samples, library.Dataset):
        return _of_rows(samples, name, "the set")
    kind = type(samples).__name__
    if isinstance(samples, DataLoader):
        raise DataError(f"a {kind} gives batches: give its images, loader.dataset")
    if isinstance(samples, np.ndarray | torch.Tensor):
        raise DataError(f"a {kind} has no labels: give (X, y)")
    if isinstance(samples, str | Path):
        raise DataError(f"{samples} in a tuple is no set: give one folder with train and val in it")
    return _of_objects(samples, name)


def _of_arrays(x: Any, y: Any, name: str) -> Images:
    pixels = pixels_of(x, several=True)
    labels = np.asarray(y.detach().cpu() if isinstance(y, torch.Tensor) else y)
    if labels.shape == (len(pixels), 1):  # as Keras stores them
        labels = labels[:, 0]
    if labels.shape != (len(pixels),):
        hint = f"give one label for each of the {len(pixels)} images"
        raise DataError(f"y has the shape {labels.shape}: {hint}, of one-hot rows y.argmax(1)")
    if len(labels) and all(isinstance(label, str) for label in labels.tolist()):
        names, numbers = np.unique(labels.astype(str), return_inverse=True)
        return Images(name, tuple(names.tolist()), numbers.astype(np.int64), pixels=pixels)
    numbers = _whole(labels.tolist(), "y")
    return Images(name, _class_names(None, numbers), numbers, pixels=pixels)


def _of_objects(samples: Any, name: str) -> Images:
    kind = type(samples).__name__
    try:
        count = len(samples)
    except TypeError:
        raise DataError(f"{kind} has no length: give a set with __len__ and __getitem__, no stream") from None
    try:
        targets = _targets(samples)
        if targets is None or len(targets) != count:
            targets = [samples[i][1] for i in range(count)]
    except Exception as error:  # code of the user
        raise DataError(f"{kind} cannot be used ({one_line(error)}): give (image, label) by index") from None
    if not count:
        raise DataError(f"{kind} has no sample: give (image, label) by index")
    labels = _whole(targets, kind)
    classes = _class_names(_named_classes(samples), labels)
    return Images(name, classes, labels, files=DatasetItems(samples, np.arange(count)))


def _targets(samples: Any) -> Any:
    """The labels that a set knows without reading an image; None where it knows none."""
    if isinstance(samples, Subset):
        targets = _targets(samples.dataset)
        return None if targets is None else [targets[i] for i in samples.indices]
    known = (getattr(samples, key, None) for key in ("targets", "labels"))
    return next((values for values in known if values is not None), None)


def _named_classes(samples: Any) -> Any:
    """The names of the classes that a set knows; None where it knows none."""
    return (
        _named_classes(samples.dataset) if isinstance(samples, Subset) else getattr(samples, "classes", None)
    )


def _whole(values: Sequence[Any], owner: str) -> NDArray[np.int64]:
    """(N,) the classes in `values`. DataError for what is no whole number from 0 on."""
    try:
        labels = np.array([int(value) for value in values], np.int64)
        is_whole = all(float(value) == label for value, label in zip(values, labels.tolist(), strict=True))
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # RuntimeError: of a tensor
        raise DataError(f"{owner} has labels that are no numbers of classes ({one_line(error)})") from None
    if not is_whole or (len(labels) and labels.min() < 0):
        raise DataError(f"{owner} has labels below 0, or no whole numbers: give classes from 0 on")
    return labels


def _class_names(names: Any, labels: NDArray[np.int64]) -> tuple[str, ...]:
    """`names`, or numbers where they do not name every label."""
    if isinstance(names, Sequence) and not isinstance(names, str) and len(names) > labels.max(initial=-1):
        return tuple(map(str, names))
    return tuple(map(str, range(int(labels.max(initial=0)) + 1)))


def _of_rows(table: Any, name: str, owner: str) -> Images:
    import datasets

    features = table.features
    images = [key for key, kind in features.items() if isinstance(kind, datasets.Image)]
    labels = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    whole = [key for key, kind in features.items() if getattr(kind, "dtype", "") in WHOLE]
    labels = labels or [key for key in whole if key in LABEL_NAMES] or whole
    if len(images) != 1 or len(labels) != 1:
        raise DataError(
            f"{owner} has {quantity(len(images), 'column')} of images and {len(labels)} of classes or whole "
            "numbers: one of each is needed; select_columns and class_encode_column make it so"
        )
    table = table.with_format(None)  # another would decode images and change labels
    column = table[labels[0]]
    if any(label is None or label < 0 for label in column):
        raise DataError(f"{owner} has images without a label in {name}: choose another split")
    numbers = np.array(column, np.int64)
    names = _class_names(getattr(features[labels[0]], "names", None), numbers)
    plain = table.cast_column(images[0], datasets.Image(decode=False))
    files = HubRows(plain, images[0], np.arange(len(numbers)))
    return Images(name, names, numbers, files=files)
