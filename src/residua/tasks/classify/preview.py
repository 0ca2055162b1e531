"""What a network is shown of an image: in training, in testing, and once it is saved and loaded again."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from residua.data.batch_augmentation import touched
from residua.data.batches import Batch, training
from residua.data.images import ImageDataset, Images
from residua.data.transforms import as_pixels, normalise, test_view
from residua.predict import folder
from residua.predict.classifier import load
from residua.report.page import Numbers, Page, Picture, Pictures, Section, Table, Text, render
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Recipe
from residua.training.initial import initial
from residua.version import __version__

EPOCHS = 4
"""Passes that are shown of every image."""
SIDE = 224
"""Longest side of an image as it is stored, in pixels."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Seen:
    """One image, as the network meets it."""

    title: str
    """What it is called."""
    label: str
    """Its class."""
    stored: Pixels
    """As it is stored, (H, W) or (H, W, 3), at most a thumbnail."""
    trained: tuple[Pixels, ...]
    """As training shows it, one an epoch."""
    tested: Pixels
    """As testing shows it."""
    served: Pixels
    """As the saved network, loaded again, is shown it."""


@dataclass(frozen=True, eq=False)
class Looks:
    """Some images of a source under one recipe."""

    recipe: Recipe
    """The recipe."""
    seen: tuple[Seen, ...]
    """The images."""

    @property
    def drift(self) -> int:
        """The largest difference of a pixel between testing and the saved network, of 255."""
        return max(int(np.abs(one.tested.astype(int) - one.served.astype(int)).max()) for one in self.seen)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was shown, a line each."""
        size = self.recipe.arch.preprocess.size
        same = "the same pixels" if not self.drift else f"pixels differ by up to {self.drift} of 255"
        return (
            f"recipe  {self.recipe.name}: {self.recipe.augment.kind}, {size} x {size} pixels",
            f"images  {len(self.seen)}, {EPOCHS} epochs of training each",
            f"saved   testing and the saved network see {same}",
        )


def looks(recipe: Recipe, dataset: ImageDataset, count: int) -> Looks:
    """`count` images to learn from, spread over the classes. DataError for one that cannot be read."""
    images, preprocess = _spread(dataset.train, count), recipe.arch.preprocess
    batches = list(
        training(
            images,
            preprocess,
            recipe.augment,
            seed=recipe.seed,
            batch=len(images),
            first=0,
            steps=EPOCHS,
            workers=0,
            resident_bytes=recipe.data.resident_bytes,
            device=torch.device("cpu"),
        )
    )
    shown = [_pixels(batch, preprocess) for batch in batches]
    network = initial(recipe, dataset.train.classes)
    with tempfile.TemporaryDirectory() as place:
        folder.save(network, Path(place) / "network")
        served = load(Path(place) / "network")
    seen = []
    for i in range(len(images)):
        item = images.item(i)
        tested = test_view(images.image(i, preprocess.colour), preprocess)
        stored = images.image(i, preprocess.colour)
        stored.thumbnail((SIDE, SIDE))
        seen.append(
            Seen(
                images.title(i),
                images.classes[images.labels[i]],
                np.asarray(stored),
                tuple(epoch[i] for epoch in shown),
                _flat(tested),
                _flat(served.view(item)),
            )
        )
    return Looks(recipe, tuple(seen))


def page(found: Looks, source: str) -> str:
    """The whole page as HTML."""
    augment, arch = found.recipe.augment, found.recipe.arch
    same = "the same pixels" if not found.drift else f"pixels that differ by up to {found.drift} of 255"
    images = f"{len(found.seen)} images of {source} under {found.recipe.name}"
    lead = f"{images}. Testing and the saved network see {same}."
    size = arch.preprocess.size
    numbers = (
        (f"{size} × {size}", f"pixels, {arch.preprocess.colour}"),
        (augment.kind, "what training does first"),
        (str(found.drift), "largest difference, testing against saved, of 255"),
    )
    settings = [(f"augment.{name}", str(getattr(augment, name))) for name in augment.__dataclass_fields__]
    sections = (
        Section("What the network sees", (Numbers(numbers), Text((_ORDER,)), *map(_row, found.seen))),
        Section("How to read this", (Text(_READING),)),
        Section(
            "Settings", (Table(("setting", "value"), tuple(settings), "Change one with --set PATH=VALUE."),)
        ),
    )
    return render(Page("What the network sees", lead, sections, f"Written by residua {__version__}."))


_ORDER = (
    f"Of each image: as it is stored; as testing shows it; as the saved network, loaded again, is "
    f"shown it; then as {EPOCHS} epochs of training show it, mixing and erasing included."
)
_READING = (
    "If you can no longer tell what a training picture shows, neither can the network: crop or change less. "
    "If a mirrored or shifted picture means something else (digits, letters, left and right), say "
    "augment.flip=0.",
    "If the test picture cuts off what matters, cut the photographs by hand, or choose another input size.",
)


def _row(one: Seen) -> Pictures:
    shown = {"stored": one.stored, "test": one.tested, "saved": one.served}
    shown |= {f"epoch {k}": view for k, view in enumerate(one.trained, 1)}
    pictures = tuple(Picture(pixels, name, ()) for name, pixels in shown.items())
    return Pictures(pictures, f"{one.title}: {one.label}", small=True)


def _spread(images: Images, count: int) -> Images:
    """The first images of each class in turn, until there are `count`."""
    rank = np.empty(len(images), np.int64)
    for label in np.unique(images.labels):
        members = np.flatnonzero(images.labels == label)
        rank[members] = np.arange(len(members))
    order = np.lexsort((images.labels, rank))[:count]
    return images.subset(order.astype(np.int64))


def _pixels(batch: Batch, preprocess: Preprocess) -> list[Pixels]:
    """What the network gets of `batch`, by place in the set, back on the scale of pixels."""
    ready = touched(normalise(batch.images, preprocess), batch.touch)
    levels = as_pixels(ready, preprocess).numpy()
    return [_flat(levels[k]) for k in np.argsort(batch.indices)]


def _flat(view: Pixels) -> Pixels:
    """(C, S, S) as a page draws it: (S, S) or (S, S, 3)."""
    return np.ascontiguousarray(view[0] if view.shape[0] == 1 else view.transpose(1, 2, 0))
