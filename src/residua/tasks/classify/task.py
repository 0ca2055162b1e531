"""Classify: from pictures in an array or in files to one class each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from residua.data.batches import Batch, training_batches
from residua.data.decode import IMAGE
from residua.data.images import ImageDataset, Images
from residua.data.listing import ListingOptions, SourceListing, build_dataset, match_classes
from residua.data.open import find, open_dataset, open_evaluation_split
from residua.data.scan import scan
from residua.measure.evaluate import Judgement
from residua.measure.views import VIEWS
from residua.measure.views import judge as look
from residua.nn import device
from residua.nn.network import Network
from residua.predict.classifier import load, ready
from residua.runs.run import Run
from residua.spec import change
from residua.spec.amount import format_bytes
from residua.spec.arch import Arch
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Data, Plan, Recipe
from residua.tasks.by_network import ByNetwork
from residua.tasks.classify import found, pages
from residua.tasks.classify.answers import Named, named
from residua.tasks.classify.preview import looks, page
from residua.tasks.classify.verdict import ByClass
from residua.tasks.kind import MOST_WORKERS, Preview, Unreadable
from residua.tasks.run_data import own
from residua.tasks.survey import Survey
from residua.training.losses import LossFn, recipe_loss_fn
from residua.training.processes import world
from residua.training.processes.world import World
from residua.training.validate import validate

SMALL = 64
"""Pictures up to this many pixels get the networks and the recipe that were made for CIFAR."""


class Classify(ByNetwork):
    """The kind of data that most sources hold: `residua.tasks.kind.Kind` says what each method is for."""

    does, wants = "reads images", "--data with images"
    media_type, takes = IMAGE, frozenset({"topk", "ensemble"})

    def survey(self, source: str) -> Survey:
        """Its images."""
        return Survey(find(source, options=ListingOptions(lenient=True)))

    def open(self, data: Data, *, without: Unreadable, given: SourceListing | None = None) -> ImageDataset:
        """Both splits; no image is decoded, every header is read."""
        if given is not None:
            return build_dataset(given, val_fraction=data.val_fraction, without=without)
        return open_dataset(data.source, val_fraction=data.val_fraction, without=without)

    def unreadable(self, data: Data, given: SourceListing | None = None) -> Unreadable:
        """The images that cannot be decoded."""
        splits = (given or find(data.source)).splits
        reasons = scan(splits, workers=min(MOST_WORKERS, world.available_cores())).reasons
        titles = [images.title(i) for images in splits for i in range(len(images))] if reasons else []
        return {titles[place]: why for place, why in reasons.items()}

    def proposal(self, sets: ImageDataset | None) -> tuple[str, str]:
        """Small pictures get what was made for CIFAR."""
        small = sets is None or sets.size <= SMALL
        recipe = (
            "quick.digits" if sets and sets.name == "digits" else "quick.small" if small else "quick.photos"
        )
        return "cifar_resnet20" if small else "resnet18", recipe

    def suited(self, arch: Arch, sets: ImageDataset) -> Arch:
        """Arrays bring their statistics; files are resized as the network wants, unless they are small.

        ValueError for a network that reads clips.
        """
        if arch.clip:
            raise ValueError(
                f"{arch.name} would read clips, but these are images: give video:DIR, or a network for images"
            )
        arch = change.with_channels(arch, 1 if sets.grey else 3)
        arch = change.with_classes(arch, len(sets.train.classes))
        old, pixels = arch.preprocess, sets.train.pixels
        if pixels is not None:
            mean, std = _statistics(pixels)
            side = sets.size
            return change.with_preprocess(
                arch, Preprocess(side, side, mean, std, old.colour, old.interpolation)
            )
        if sets.size < old.size and sets.size <= SMALL:
            return change.with_preprocess(arch, replace(old, size=sets.size, resize=sets.size))
        return arch

    def workers(self, recipe: Recipe, sets: ImageDataset) -> int:
        """One per core where views are made one by one, none for what is in memory."""
        policy = recipe.augment.policy != "none"
        reads = recipe.augment.whole_images and (sets.train.files is not None or policy)
        return min(MOST_WORKERS, world.available_cores()) if reads else 0

    def reading(self, recipe: Recipe, sets: ImageDataset) -> str:
        """From memory or through workers."""
        preprocess, most = recipe.arch.preprocess, recipe.data.resident_bytes
        bytes_ = len(sets.train) * preprocess.size**2 * preprocess.channels
        if recipe.augment.whole_images:
            why = f"every view is made anew ({recipe.augment.kind}, policy {recipe.augment.policy})"
            return f"{recipe.data.num_workers} workers: {why}"
        if bytes_ <= most:
            return f"in memory, {format_bytes(bytes_)}: it fits data.resident_bytes"
        return f"{recipe.data.num_workers} workers: {format_bytes(bytes_)} do not fit data.resident_bytes"

    def hint(self, arch: Arch) -> str:
        """Small pictures shrink to nothing in networks for large ones."""
        size = arch.preprocess.size
        if arch.strides()[-1] <= size and (size > SMALL or arch.family not in ("resnet", "plain")):
            return ""
        small = f"{arch.name} was drawn for 224 px and shrinks {size} px {arch.strides()[-1]} times"
        return f"{small}: networks for small pictures do better, e.g. -m cifar_resnet20"

    def batches(
        self,
        sets: ImageDataset,
        recipe: Recipe,
        *,
        first: int,
        steps: int,
        workers: int,
        world: World,
        device: str,
    ) -> Iterator[Batch]:
        """Augmented views of training images."""
        return training_batches(
            sets.train,
            recipe.arch.preprocess,
            recipe.augment,
            seed=recipe.seed,
            batch_size=recipe.budget.batch_size,
            first=first,
            steps=steps,
            workers=workers,
            resident_bytes=recipe.data.resident_bytes,
            balance_classes=recipe.data.balance == "sample",
            rank=world.rank,
            world=world.size,
            device=torch.device(device),
        )

    def loss_fn(self, sets: ImageDataset, recipe: Recipe, plan: Plan) -> LossFn:
        """Cross-entropy."""
        return recipe_loss_fn(recipe, plan, sets.train)

    def resident_bytes(self, sets: ImageDataset, recipe: Recipe, plan: Plan) -> int:
        """Files that are kept resized in memory, and an array where it moves to an accelerator."""
        moves = torch.device(device.resolve_device(plan.device)).type != "cpu"
        each = (
            len(images) * recipe.arch.preprocess.size**2 * recipe.arch.channels
            for images in (sets.train, sets.test)
            if images.pixels is None or (moves and images is sets.train)
        )
        return sum(bytes_ for bytes_ in each if bytes_ <= recipe.data.resident_bytes)

    def validate(
        self,
        network: Network,
        sets: ImageDataset,
        recipe: Recipe,
        *,
        plan: Plan,
        world: World,
        stop: Callable[[], bool],
    ) -> Judgement:
        """One centre crop of every test image."""
        return validate(network, sets.test, recipe, plan=plan, world=world, stop=stop)

    def judgement(self, run: Run, sets: ImageDataset) -> Judgement:
        """The same, of a finished run."""
        network, _, plan = ready(run.path)
        return look(network, sets.test, plan)

    def report(self, run: Run, sets: ImageDataset, judged: Judgement) -> None:
        """Curves, what was taken for what, and the pictures to look at first."""
        pages.write_report(run, sets, judged)

    def preview(self, recipe: Recipe, sets: ImageDataset, *, count: int, source: str) -> Preview:
        """As they are stored, trained with, tested, and shown to the saved network."""
        seen = looks(recipe, sets, count)
        return Preview(page(seen, source), seen.notes)

    def examples(self, path: Path, data: str | None, classes: tuple[str, ...]) -> Images:
        """Images, their classes in the order of `classes`."""
        sets = own(self, path, data)
        if sets is None:
            return open_evaluation_split(str(data), classes=classes)
        return match_classes(sets.test, classes, owner="the network")

    def evaluate(
        self,
        paths: Sequence[Path],
        *,
        data: str | None,
        views: Sequence[str],
        weights: str,
        ensemble: bool,
        world: World,
    ) -> ByClass:
        """By every view; once where none is said."""
        found.check_views(paths, views, VIEWS)
        every = found.each(
            paths,
            lambda path, classes: self.examples(path, data, classes),
            show=look,
            views=views or ("center",),
            weights=weights,
            world=world,
        )
        return ByClass(found.averaged(every, paths) if ensemble else tuple(every))

    def predict(self, path: Path, files: Sequence[Path], *, topk: int, least: float | None) -> Named:
        """Classes with their probabilities."""
        return named(load(path), files, topk=topk)


def _statistics(pixels: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, from 0 to 1, to four places, from a histogram of the values."""
    counts = [np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(pixels.shape[-1])]
    values = np.arange(256) / 255
    means = [float(values @ count / count.sum()) for count in counts]
    squares = [float(values**2 @ count / count.sum()) for count in counts]
    deviations = [max(square - mean**2, 1e-6) ** 0.5 for mean, square in zip(means, squares, strict=True)]
    return tuple(round(m, 4) for m in means), tuple(round(d, 4) for d in deviations)
