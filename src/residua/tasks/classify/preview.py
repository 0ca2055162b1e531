"""What a network reads of an image: in training, in evaluation, and once it is saved and loaded again."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from residua.data.batch_augmentation import augment_batch
from residua.data.batches import Batch, training_batches
from residua.data.eval_view import eval_view
from residua.data.images import ImageDataset, Images
from residua.data.transforms import denormalise, normalise
from residua.predict import folder
from residua.predict.classifier import load
from residua.report.page import Numbers, Page, Picture, Pictures, Section, Table, Text, render
from residua.spec.amount import quantity
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Recipe
from residua.training.network import initial_network
from residua.version import __version__

EPOCHS = 4
"""Epochs of training on the page."""
SIDE = 224
"""Longest side of an image as it is stored, in pixels."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PreviewedImage:
    """One image, stored and as the network reads it."""

    title: str
    """Its path or number."""
    label: str
    """Its class."""
    stored: Pixels
    """As it is stored, (H, W) or (H, W, 3), at most a thumbnail."""
    trained: tuple[Pixels, ...]
    """The network's input in training, one an epoch."""
    evaluated: Pixels
    """The input in evaluation."""
    loaded: Pixels
    """The input of the network once it is saved and loaded again."""


@dataclass(frozen=True, eq=False)
class PreviewedImages:
    """Some images of a source under one recipe."""

    recipe: Recipe
    """The recipe."""
    images: tuple[PreviewedImage, ...]
    """The images."""

    @property
    def drift(self) -> int:
        """The largest difference of a pixel between evaluation and the loaded network, of 255."""
        return max(
            int(np.abs(image.evaluated.astype(int) - image.loaded.astype(int)).max()) for image in self.images
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines that describe the page."""
        size = self.recipe.arch.preprocess.size
        same = "the same pixels" if not self.drift else f"pixels differ by up to {self.drift} of 255"
        return (
            f"recipe  {self.recipe.name}: {self.recipe.augment.kind}, {size} x {size} pixels",
            f"images  {len(self.images)}, {EPOCHS} epochs of training each",
            f"saved   evaluation and the saved network read {same}",
        )


def preview_images(recipe: Recipe, dataset: ImageDataset, count: int) -> PreviewedImages:
    """Read training images as training, evaluation and the saved network do.

    Args:
        recipe: The resolved recipe.
        dataset: The opened data.
        count: Images, spread over the classes.

    Returns:
        The images and the network's inputs.

    Raises:
        DataError: An image cannot be read.
    """
    images, preprocess = _spread(dataset.train, count), recipe.arch.preprocess
    batches = list(
        training_batches(
            images,
            preprocess,
            recipe.augment,
            seed=recipe.seed,
            batch_size=len(images),
            first=0,
            steps=EPOCHS,
            workers=0,
            resident_bytes=recipe.data.resident_bytes,
            device=torch.device("cpu"),
        )
    )
    epochs = [_pixels(batch, preprocess) for batch in batches]
    network = initial_network(recipe, dataset.train.classes)
    with tempfile.TemporaryDirectory() as place:
        folder.save(network, Path(place) / "network")
        classifier = load(Path(place) / "network", device="cpu")
    previews = []
    for i in range(len(images)):
        item = images.item(i)
        evaluated = eval_view(images.image(i, preprocess.colour), preprocess)
        stored = images.image(i, preprocess.colour)
        stored.thumbnail((SIDE, SIDE))
        previews.append(
            PreviewedImage(
                images.title(i),
                images.classes[images.labels[i]],
                np.asarray(stored),
                tuple(epoch[i] for epoch in epochs),
                _flat(evaluated),
                _flat(classifier.view(item)),
            )
        )
    return PreviewedImages(recipe, tuple(previews))


def preview_page(preview: PreviewedImages, source: str) -> str:
    """The whole page as HTML."""
    augment, arch = preview.recipe.augment, preview.recipe.arch
    same = "the same pixels" if not preview.drift else f"pixels that differ by up to {preview.drift} of 255"
    images = f"{quantity(len(preview.images), 'image')} of {source} under {preview.recipe.name}"
    lead = f"{images}. Evaluation and the saved network read {same}."
    size = arch.preprocess.size
    numbers = (
        (f"{size} × {size}", f"pixels, {arch.preprocess.colour}"),
        (augment.kind, "augmentation"),
        (str(preview.drift), "largest difference between evaluation and saved network, of 255"),
    )
    settings = [(f"augment.{name}", str(getattr(augment, name))) for name in augment.__dataclass_fields__]
    sections = (
        Section("What the network reads", (Numbers(numbers), Text((_ORDER,)), *map(_row, preview.images))),
        Section("How to read this", (Text(_READING),)),
        Section(
            "Settings", (Table(("setting", "value"), tuple(settings), "Change one with --set PATH=VALUE."),)
        ),
    )
    return render(Page("What the network reads", lead, sections, f"Written by residua {__version__}."))


_ORDER = (
    f"Of each image: as it is stored; the input in evaluation; the input of the network once it is saved and "
    f"loaded again; then the inputs of {EPOCHS} epochs of training, with mixing and erasing."
)
_READING = (
    "If you cannot recognise what a training picture shows, neither can the network: crop or change less. "
    "If a mirrored or shifted picture means something else (digits, letters, left and right), set "
    "augment.flip=0.",
    "If the evaluation picture cuts off what matters, crop the photographs by hand, or choose another input "
    "size.",
)


def _row(image: PreviewedImage) -> Pictures:
    views = {"stored": image.stored, "evaluation": image.evaluated, "saved": image.loaded}
    views |= {f"epoch {k}": view for k, view in enumerate(image.trained, 1)}
    pictures = tuple(Picture(pixels, name, ()) for name, pixels in views.items())
    return Pictures(pictures, f"{image.title}: {image.label}", small=True)


def _spread(images: Images, count: int) -> Images:
    """The first images of each class in turn, until there are `count`."""
    rank = np.empty(len(images), np.int64)
    for label in np.unique(images.labels):
        members = np.flatnonzero(images.labels == label)
        rank[members] = np.arange(len(members))
    order = np.lexsort((images.labels, rank))[:count]
    return images.subset(order.astype(np.int64))


def _pixels(batch: Batch, preprocess: Preprocess) -> list[Pixels]:
    """The network's inputs of `batch`, by index in the split, back on the scale of pixels."""
    inputs = augment_batch(normalise(batch.images, preprocess), batch.augmentation)
    levels = denormalise(inputs, preprocess).numpy()
    return [_flat(levels[k]) for k in np.argsort(batch.indices)]


def _flat(view: Pixels) -> Pixels:
    """(C, S, S) as a page draws it: (S, S) or (S, S, 3)."""
    return np.ascontiguousarray(view[0] if view.shape[0] == 1 else view.transpose(1, 2, 0))
