"""ClassifyLearn: networks that predict one class for each image, and their training."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from residua.data.batches import Batch, training_batches
from residua.data.images import ImageDataset
from residua.errors import ConfigError
from residua.measure.evaluate import evaluate
from residua.measure.evaluation import Evaluation
from residua.measure.views import SingleView, max_batch_size
from residua.nn import device
from residua.nn.network import Network
from residua.predict.classifier import Classifier, load
from residua.recipes import few_images
from residua.runs.run import Run
from residua.spec import change
from residua.spec.amount import format_bytes, quantity
from residua.spec.arch import Arch
from residua.spec.detector import split_name
from residua.spec.named_network import arch_of
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Plan, Recipe
from residua.tasks.classify import hints, pages
from residua.tasks.classify.preview import preview_images, preview_page
from residua.tasks.data_task import MAX_WORKERS
from residua.training.learn_task import Preview
from residua.training.losses import LossFn, recipe_loss_fn
from residua.training.network import initial_network
from residua.training.processes import world
from residua.training.processes.world import World
from residua.training.validate import validate

SMALL = 64
"""Images up to this many pixels get the networks and the recipe that were made for CIFAR."""


class ClassifyLearn:
    """`residua.training.learn_task.LearnTask` of images."""

    counts_wrong = True
    fine_tuning = "finetune"

    def find_network(self, name: str) -> tuple[Arch, None]:
        """The classifier called `name`."""
        return find_classifier(name), None

    def complete_recipe(self, recipe: Recipe) -> Recipe:
        """`recipe` as it is."""
        return without_boxes(recipe)

    def initial_network(
        self, recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = lambda _: None
    ) -> Network:
        """Weights from the seed, or from a file."""
        return initial_network(recipe, classes, listen=listen)

    def timing_network(self, recipe: Recipe, network: Network) -> Network:
        """The network itself."""
        return network

    def defaults(self, dataset: ImageDataset | None) -> tuple[str, str]:
        """Small images get the networks and the recipe that were made for CIFAR."""
        small = dataset is None or dataset.size <= SMALL
        recipe = (
            "quick.digits"
            if dataset and dataset.name == "digits"
            else "quick.small"
            if small
            else "quick.photos"
        )
        return "cifar_resnet20" if small else "resnet18", recipe

    def adapt(self, arch: Arch, dataset: ImageDataset, *, keep: bool = False) -> Arch:
        """Take mean and deviation from an array; keep the network's input size for files, unless small.

        With `keep`, an array decides the size alone, and files decide nothing.

        Raises:
            ConfigError: The network reads clips.
        """
        if arch.clip:
            raise ConfigError(
                f"{arch.name} reads clips, but the data are images: give video:DIR, or a network for images"
            )
        arch = change.with_channels(arch, 1 if dataset.grey else 3)
        arch = change.with_classes(arch, len(dataset.train.classes))
        old, pixels = arch.preprocess, dataset.train.pixels
        if pixels is not None:
            side = dataset.size
            if keep:
                return change.with_preprocess(arch, replace(old, size=side, resize=side))
            mean, std = _statistics(pixels)
            return change.with_preprocess(
                arch, Preprocess(side, side, mean, std, old.colour, old.interpolation)
            )
        if dataset.size < old.size and dataset.size <= SMALL and not keep:
            return change.with_preprocess(arch, replace(old, size=dataset.size, resize=dataset.size))
        return arch

    def resize(self, arch: Arch, dataset: ImageDataset, size: int) -> Arch:
        """`arch` for `size` x `size` pixels, whatever the size of the images."""
        return change.with_size(arch, size)

    def suit(self, recipe: Recipe, dataset: ImageDataset, *, settings: Collection[str]) -> Recipe:
        """A smaller batch for few images; on a CPU also smaller photographs, unless weights read others."""
        count = len(dataset.train)
        recipe = few_images.with_batch(recipe, count, settings=settings)
        if not few_images.is_small(recipe, count) or dataset.train.files is None:
            return recipe
        if {few_images.SIZE, "arch.preprocess.resize", "weights"} & set(settings):
            return recipe
        if device.resolve_device(recipe.plan.device).type != "cpu":
            return recipe
        size = few_images.cpu_size(recipe.arch, dataset.size)
        return replace(recipe, arch=change.with_size(recipe.arch, size))

    def default_workers(self, recipe: Recipe, dataset: ImageDataset) -> int:
        """One a core where each view is made on its own, none where the images are in memory."""
        policy = recipe.augment.policy != "none"
        reads = recipe.augment.whole_images and (dataset.train.files is not None or policy)
        return min(MAX_WORKERS, world.available_cores()) if reads else 0

    def describe_input(self, recipe: Recipe, dataset: ImageDataset) -> str:
        """Whether images come from memory or through workers."""
        preprocess, most = recipe.arch.preprocess, recipe.data.resident_bytes
        bytes_ = len(dataset.train) * preprocess.size**2 * preprocess.channels
        if recipe.augment.whole_images:
            how = f"{recipe.augment.kind}, policy {recipe.augment.policy}"
            why = f"each view is computed again in every epoch ({how})"
            return f"{quantity(recipe.data.num_workers, 'worker')}: {why}"
        if bytes_ <= most:
            return f"in memory, {format_bytes(bytes_)}: it fits data.resident_bytes"
        return (
            f"{quantity(recipe.data.num_workers, 'worker')}: {format_bytes(bytes_)} "
            "do not fit data.resident_bytes"
        )

    def hint(self, recipe: Recipe, dataset: ImageDataset) -> str:
        """Few photographs, or a network for large images that reads small ones."""
        return hints.before(recipe, dataset, small=SMALL)

    def final_hint(self, recipe: Recipe, row: Mapping[str, float]) -> str:
        """Whether more updates or more images would help a poor result."""
        return hints.after(recipe, row)

    def batches(
        self,
        dataset: ImageDataset,
        recipe: Recipe,
        *,
        first: int,
        steps: int,
        workers: int,
        world: World,
        device: str,
    ) -> Iterator[Batch]:
        """Augmented training images."""
        return training_batches(
            dataset.train,
            recipe.arch.preprocess,
            recipe.augment,
            seed=recipe.seed,
            batch_size=recipe.budget.batch_size,
            drop_last=recipe.budget.drop_last,
            first=first,
            steps=steps,
            workers=workers,
            resident_bytes=recipe.data.resident_bytes,
            balance_classes=recipe.data.balance == "sample",
            rank=world.rank,
            world=world.size,
            device=torch.device(device),
        )

    def loss_fn(self, dataset: ImageDataset, recipe: Recipe, plan: Plan) -> LossFn:
        """Cross-entropy, as the recipe says."""
        return recipe_loss_fn(recipe, plan, dataset.train)

    def resident_bytes(self, dataset: ImageDataset, recipe: Recipe, plan: Plan) -> int:
        """Resized files that are kept in memory, and an array that is copied to an accelerator."""
        moves = torch.device(device.resolve_device(plan.device)).type != "cpu"
        each = (
            len(images) * recipe.arch.preprocess.size**2 * recipe.arch.channels
            for images in (dataset.train, dataset.test)
            if images.pixels is None or (moves and images is dataset.train)
        )
        return sum(bytes_ for bytes_ in each if bytes_ <= recipe.data.resident_bytes)

    def validate(
        self,
        network: Network,
        dataset: ImageDataset,
        recipe: Recipe,
        *,
        plan: Plan,
        world: World,
        stop: Callable[[], bool],
    ) -> Evaluation:
        """One centre crop of every test image."""
        side, size = recipe.arch.preprocess.size, recipe.budget.batch_size
        if not plan.memory_limit:
            size = max(size, max_batch_size(side, side))
        protocol = SingleView(size, recipe.data.num_workers, recipe.data.resident_bytes)
        return validate(Classifier(network, plan), dataset.test, protocol, world=world, stop=stop)

    def evaluate_run(self, run: Run, dataset: ImageDataset) -> Evaluation:
        """One centre crop of every test image."""
        return evaluate(load(run.path), dataset.test, SingleView())

    def write_report(self, run: Run, dataset: ImageDataset, result: Evaluation) -> None:
        """Curves, the confusion matrix, and the images to look at first."""
        pages.write_report(run, dataset, result)

    def preview(self, recipe: Recipe, dataset: ImageDataset, *, count: int, source: str) -> Preview:
        """Images as they are stored, trained on, tested, and read by the saved network."""
        images = preview_images(recipe, dataset, count)
        return Preview(preview_page(images, source), images.notes)


def find_classifier(name: str) -> Arch:
    """The classifier called `name`. ConfigError for the name of a detector, or of no network."""
    if split_name(name):
        raise ConfigError(f"{name} is a detector, but the data have no boxes: give voc:DIR or coco:DIR")
    return arch_of(name)


def without_boxes(recipe: Recipe) -> Recipe:
    """`recipe`, which must not be for detection. ConfigError when it is."""
    if recipe.detector or recipe.augment.kind == "ssd":
        raise ConfigError("the recipe is for detection, but the data have no boxes: give voc:DIR or coco:DIR")
    return recipe


def _statistics(pixels: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, from 0 to 1, to four decimals, from a histogram."""
    counts = [np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(pixels.shape[-1])]
    values = np.arange(256) / 255
    means = [float(values @ count / count.sum()) for count in counts]
    squares = [float(values**2 @ count / count.sum()) for count in counts]
    deviations = [max(square - mean**2, 1e-6) ** 0.5 for mean, square in zip(means, squares, strict=True)]
    return tuple(round(m, 4) for m in means), tuple(round(d, 4) for d in deviations)
