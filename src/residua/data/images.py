"""Images, a split of labelled pictures in an array or as items, and Dataset, the two splits of a source."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import IMAGE, ChooseShrink, MediaType, convert_image, printable_path
from residua.data.items import CombinedItems, Item, Items
from residua.errors import DataError
from residua.spec.preprocess import Colour


@dataclass(frozen=True, eq=False)
class Images:
    """One split: N labelled images, either in an array or in files."""

    name: str
    """What the split is called, e.g. `train`."""
    classes: tuple[str, ...]
    """Names of the classes; a label is a place in it."""
    labels: NDArray[np.int64]
    """Class of each image: (N,)."""
    pixels: NDArray[np.uint8] | None = None
    """The images as (N, H, W, C), C being 1 or 3, when the set is an array."""
    files: Items | None = None
    """The images when the set is files, members of archives, or objects."""
    media_type: MediaType = IMAGE
    """How files become pictures."""

    def __post_init__(self) -> None:
        """Check that the images are in one place and have a label each."""
        assert (self.pixels is None) != (self.files is None), "images are an array or items"
        assert len(self.labels) == len(self.files if self.pixels is None else self.pixels)  # type: ignore[arg-type]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def title(self, i: int) -> str:
        """How image `i` is called: its relative path, or `test 17`. Printable wherever UTF-8 is."""
        if self.files is None:
            return f"{self.name} {i}"
        return self.files.name(i).encode("utf-8", "backslashreplace").decode()

    def identity(self) -> bytes:
        """A digest of labels and pixels, or of labels and what the items are."""
        found = hashlib.sha256(self.labels.tobytes())
        found.update(self.pixels.tobytes() if self.pixels is not None else b"")
        found.update(self.files.identity() if self.files is not None else b"")
        return found.digest()

    def item(self, i: int) -> Item:
        """Image `i` as it is kept; that of an array as a picture."""
        if self.files is not None:
            return self.files[i]
        assert self.pixels is not None
        pixels = self.pixels[i]
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)

    def image(self, i: int, colour: Colour, shrink: ChooseShrink | None = None) -> Image.Image:
        """A picture of `i`, RGB or L, `shrink` as in `decode`. DataError names what cannot be decoded."""
        item = self.item(i)
        if isinstance(item, Image.Image):
            return convert_image(self.media_type.stored_picture(item), colour=colour)
        if isinstance(item, Path):
            return self.media_type.decode(item, colour=colour, shrink=shrink)
        try:
            return self.media_type.decode(item, colour=colour, shrink=shrink)
        except DataError as error:
            raise DataError(f"{printable_path(self.title(i))}: {error}") from None

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Have the files at `indices`, which are read next, fetched all at once."""
        if self.files is not None:
            self.files.prefetch(indices)

    def subset(self, indices: NDArray[np.int64]) -> "Images":
        """The images at `indices`, in that order, under the same name and with the same classes."""
        pixels = None if self.pixels is None else self.pixels[indices]
        files = None if self.files is None else self.files.subset(indices)
        return replace(self, labels=self.labels[indices], pixels=pixels, files=files)


def concatenate(parts: Sequence[Images], *, name: str) -> Images:
    """The images of all `parts`, which have the same classes, as one split called `name`."""
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
    """What a source holds: images to learn from and images to judge by, with the same classes."""

    name: str
    """The source, as it was given."""
    train: Images
    """Images to learn from."""
    test: Images
    """Images that are never learned from."""
    grey: bool
    """Whether all images have one channel."""
    size: int
    """Side of a typical image in pixels: that of an array; the median shorter side of files."""
    note: str
    """One line that says what was found."""
