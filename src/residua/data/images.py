"""Images, one split of a dataset, in an array or in files; ImageDataset, its training and its test part."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import IMAGE, ChooseShrink, MediaType, convert_image, printable_path
from residua.data.fingerprints import Fingerprints
from residua.data.items import CombinedItems, Item, Items
from residua.errors import DataError
from residua.spec.preprocess import Colour


@dataclass(frozen=True, eq=False)
class Images:
    """One split: N labelled images, either in an array or in files."""

    name: str
    """Name of the split, e.g. `train`."""
    classes: tuple[str, ...]
    """Class names; a label is an index into them."""
    labels: NDArray[np.int64]
    """Class of each image: (N,)."""
    pixels: NDArray[np.uint8] | None = None
    """The images as (N, H, W, C) with C 1 or 3; None for files."""
    files: Items | None = None
    """The images as files, members of archives or objects; None for an array."""
    media_type: MediaType = IMAGE
    """How files are decoded: as images or as clips."""

    def __post_init__(self) -> None:
        assert (self.pixels is None) != (self.files is None), "images are an array or items"
        assert len(self.labels) == len(self.files if self.pixels is None else self.pixels)  # type: ignore[arg-type]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def title(self, i: int) -> str:
        """Name of image `i`: its relative path, or `test 17`; printable as UTF-8."""
        if self.files is None:
            return f"{self.name} {i}"
        return self.files.name(i).encode("utf-8", "backslashreplace").decode()

    def identity(self) -> bytes:
        """A digest of labels and pixels, or of labels and names of files."""
        digest = hashlib.sha256(self.labels.tobytes())
        digest.update(self.pixels.tobytes() if self.pixels is not None else b"")
        digest.update(self.files.identity() if self.files is not None else b"")
        return digest.digest()

    def fingerprints(self) -> Fingerprints:
        """Name and fingerprint of every local file; none of an array, whose pixels are in `identity`.

        Raises:
            DataError: A file cannot be read.
        """
        return iter(()) if self.files is None else self.files.fingerprints()

    def item(self, i: int) -> Item:
        """Image `i` as it is stored: a file, its bytes, or a picture.

        Raises:
            DataError: It cannot be read, or is a picture without pixels.
        """
        item = self._picture(i) if self.files is None else self.files[i]
        if isinstance(item, Image.Image) and 0 in item.size:
            size = f"{item.width} x {item.height}"
            raise DataError(f"{self.title(i)} is an empty picture of {size} pixels: remove it")
        return item

    def image(self, i: int, colour: Colour, shrink: ChooseShrink | None = None) -> Image.Image:
        """Decode image `i`.

        Args:
            i: index of the image.
            colour: `rgb` or `grey`.
            shrink: as in `decode`.

        Raises:
            DataError: with the name of a file that cannot be decoded.
        """
        item = self.item(i)
        if isinstance(item, Image.Image):
            return convert_image(self.media_type.stored_picture(item), colour=colour)
        if isinstance(item, Path):
            return self.media_type.decode(item, colour=colour, shrink=shrink)
        try:
            return self.media_type.decode(item, colour=colour, shrink=shrink)
        except DataError as error:
            raise DataError(f"{printable_path(self.title(i))}: {error}") from None

    def _picture(self, i: int) -> Image.Image:
        assert self.pixels is not None
        pixels = self.pixels[i]
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Start fetching the files at `indices`, which are read next."""
        if self.files is not None:
            self.files.prefetch(indices)

    def subset(self, indices: NDArray[np.int64]) -> "Images":
        """The images at `indices`, in that order, with the same name and classes."""
        pixels = None if self.pixels is None else self.pixels[indices]
        files = None if self.files is None else self.files.subset(indices)
        return replace(self, labels=self.labels[indices], pixels=pixels, files=files)


def concatenate(parts: Sequence[Images], *, name: str) -> Images:
    """Join `parts`, which have equal classes, into one split called `name`."""
    labels = np.concatenate([part.labels for part in parts])
    arrays = [part.pixels for part in parts if part.pixels is not None]
    if arrays:
        return Images(name, parts[0].classes, labels, pixels=np.concatenate(arrays))
    lots = [part.files for part in parts if part.files is not None]
    return Images(
        name, parts[0].classes, labels, files=CombinedItems.of(lots), media_type=parts[0].media_type
    )


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """The training and the test part of a source of images or clips, with equal classes."""

    name: str
    """The source as the user wrote it."""
    train: Images
    """Training images."""
    test: Images
    """Validation or test images."""
    grey: bool
    """Whether all images have one channel."""
    size: int
    """Side of a typical image in pixels: that of an array; the median shorter side of files."""
    note: str
    """One line for the user: counts, split and remarks."""
    has_split: bool = True
    """Whether the source says which images are for testing; else residua holds some out by hash."""
