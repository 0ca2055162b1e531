"""Images, a split of labelled pictures in an array or in files, and Dataset, the two splits of a source."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import decode
from residua.spec.preprocess import Colour


@dataclass(frozen=True, eq=False)
class Files:
    """Many paths in two blocks of memory, which forked workers share where a list would be copied."""

    root: Path
    """Folder that the paths start from."""
    names: bytes
    """The relative paths one after another, in the bytes of the file system."""
    ends: NDArray[np.int64]
    """Where each path ends in `names`, after a first 0: (N + 1,)."""

    @classmethod
    def of(cls, root: Path, names: Sequence[str]) -> "Files":
        """The files `names`, relative to `root`."""
        encoded = [os.fsencode(name) for name in names]
        return cls(root, b"".join(encoded), np.cumsum([0, *map(len, encoded)], dtype=np.int64))

    def __len__(self) -> int:
        """Number of files."""
        return len(self.ends) - 1

    def __getitem__(self, i: int) -> Path:
        """Path of file `i`, from `root` on."""
        return self.root / self.name(i)

    def name(self, i: int) -> str:
        """Path of file `i` relative to `root`; bytes that are no UTF-8 are surrogates (`os.fsdecode`)."""
        return os.fsdecode(self.names[self.ends[i] : self.ends[i + 1]])

    def subset(self, indices: NDArray[np.int64]) -> "Files":
        """The files at `indices`, in that order."""
        return Files.of(self.root, [self.name(i) for i in indices])


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
    files: Files | None = None
    """The images when the set is files."""

    def __post_init__(self) -> None:
        """Check that the images are in one place and have a label each."""
        assert (self.pixels is None) != (self.files is None), "images are an array or files"
        assert len(self.labels) == len(self.files if self.pixels is None else self.pixels)  # type: ignore[arg-type]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def title(self, i: int) -> str:
        """How image `i` is called: its relative path, or `test 17`. Printable wherever UTF-8 is."""
        if self.files is None:
            return f"{self.name} {i}"
        return self.files.name(i).encode("utf-8", "backslashreplace").decode()

    def image(self, i: int, colour: Colour) -> Image.Image:
        """Image `i` in mode RGB or L. DataError names the file when it cannot be decoded."""
        if self.files is not None:
            return decode(self.files[i], colour=colour)
        assert self.pixels is not None
        pixels = self.pixels[i]
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        return image.convert("RGB" if colour == "rgb" else "L")

    def subset(self, indices: NDArray[np.int64]) -> "Images":
        """The images at `indices`, in that order, under the same name and with the same classes."""
        pixels = None if self.pixels is None else self.pixels[indices]
        files = None if self.files is None else self.files.subset(indices)
        return replace(self, labels=self.labels[indices], pixels=pixels, files=files)


@dataclass(frozen=True, eq=False)
class Dataset:
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
