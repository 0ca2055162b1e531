"""DetectLearn: networks that predict boxes in images, and their training."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from residua.data.scenes import BoxDataset
from residua.errors import ConfigError
from residua.measure.evaluate import evaluate
from residua.nn.network import Network, build
from residua.runs.run import Run
from residua.spec import change, detector
from residua.spec.amount import format_bytes, quantity
from residua.spec.arch import Arch
from residua.spec.detector import Detector
from residua.spec.recipe import Optim, Plan, Recipe
from residua.tasks.data_task import MAX_WORKERS
from residua.tasks.detect import pages
from residua.tasks.detect.batches import BoxBatch, decoded_bytes, training_batches
from residua.tasks.detect.evaluation import BoxEvaluation, WholeImages
from residua.tasks.detect.learning import DetectionLossFn, initial_network, make_loss_fn
from residua.tasks.detect.network import DetectionNetwork
from residua.tasks.detect.predictor import BoxPredictor, load
from residua.tasks.detect.preview import EPOCHS, preview_page
from residua.training.learn_task import Preview
from residua.training.processes import world
from residua.training.processes.world import World
from residua.training.validate import validate

TIMING_SIZE = 300
"""Largest image, in pixels, with which the plan is timed; our choice: the fastest plan is the same at 800."""


class DetectLearn:
    """`residua.training.learn_task.LearnTask` of images with boxes."""

    counts_wrong = False
    fine_tuning = ""

    def defaults(self, dataset: BoxDataset | None) -> tuple[str, str]:
        """A detector that trains without pretrained weights."""
        return "ssd300_iresnet18", "quick.boxes"

    def find_network(self, name: str) -> tuple[Arch, Detector]:
        """The network called `DETECTOR_BACKBONE`."""
        head, arch = detector.named(name)
        detector.map_indices(head, arch)
        return arch, head

    def adapt(self, arch: Arch, dataset: BoxDataset, *, keep: bool = False) -> Arch:
        """`arch` with the classes of the boxes. ConfigError for a network that reads clips."""
        if arch.clip:
            raise ConfigError(
                f"{arch.name} reads clips, but the data are images: leave --frames out, or give another "
                "network"
            )
        return change.with_classes(arch, len(dataset.train.classes))

    def resize(self, arch: Arch, dataset: BoxDataset, size: int) -> Arch:
        """ConfigError: anchors are made for the size of a detector."""
        raise ConfigError(
            f"image size {size}: a detector has its own, give another one, e.g. -m ssd512_iresnet18"
        )

    def suit(self, recipe: Recipe, dataset: BoxDataset, *, settings: Collection[str]) -> Recipe:
        """`recipe` as it is: it is made for few images."""
        return recipe

    def complete_recipe(self, recipe: Recipe) -> Recipe:
        """Set the image size of the detector, and turn compilation off.

        Raises:
            ConfigError: A setting has no effect in detection.
        """
        if recipe.detector is None:
            raise ConfigError(
                "the data have boxes, but the recipe has no detector: give -m DETECTOR_BACKBONE"
            )
        detector.map_indices(recipe.detector, recipe.arch)
        augment = recipe.augment
        allowed = replace(type(augment)(augment.kind), flip=augment.flip, zoom=augment.zoom, pad=augment.pad)
        if augment.kind not in ("ssd", "none") or allowed != augment:
            raise ConfigError(
                "detection takes augment.kind ssd or none, augment.flip and augment.zoom: "
                "leave other settings of augment out"
            )
        if unused := _unused_settings(recipe):
            raise ConfigError(f"{', '.join(unused)}: no effect in detection, leave out")
        if recipe.plan.compile not in ("auto", "off"):
            raise ConfigError("plan.compile: detectors are not compiled, because every image has other boxes")
        arch = detector.for_boxes(recipe.arch, recipe.detector)
        return replace(recipe, arch=arch, plan=replace(recipe.plan, compile="off"))

    def timing_network(self, recipe: Recipe, network: DetectionNetwork) -> Network:
        """The backbone as a classifier of images of at most `TIMING_SIZE` pixels."""
        preprocess = recipe.arch.preprocess
        side = min(TIMING_SIZE, preprocess.size)
        small = replace(preprocess, size=side, resize=side)
        return build(change.with_preprocess(recipe.arch, small))

    def default_workers(self, recipe: Recipe, dataset: BoxDataset) -> int:
        """None where the images are in memory, else one a core."""
        return (
            0
            if self.resident_bytes(dataset, recipe, recipe.plan)
            else min(MAX_WORKERS, world.available_cores())
        )

    def describe_input(self, recipe: Recipe, dataset: BoxDataset) -> str:
        """Whether images come from memory or through workers."""
        size = decoded_bytes(dataset.train)
        if self.resident_bytes(dataset, recipe, recipe.plan):
            return f"decoded in memory, {format_bytes(size)}: they fit data.resident_bytes"
        return (
            f"{quantity(recipe.data.num_workers, 'worker')}: {format_bytes(size)} "
            "do not fit data.resident_bytes"
        )

    def hint(self, recipe: Recipe, dataset: BoxDataset) -> str:
        """Empty: `complete_recipe` refuses networks that do not fit."""
        return ""

    def final_hint(self, recipe: Recipe, row: Mapping[str, float]) -> str:
        """Empty: nothing is known of boxes that another length or more images would find."""
        return ""

    def initial_network(
        self, recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = lambda _: None
    ) -> DetectionNetwork:
        """Weights from the seed, or from a file."""
        return initial_network(recipe, classes, listen=listen)

    def batches(
        self,
        dataset: BoxDataset,
        recipe: Recipe,
        *,
        first: int,
        steps: int,
        workers: int,
        world: World,
        device: str,
    ) -> Iterator[BoxBatch]:
        """Augmented training images with their boxes."""
        return training_batches(
            dataset.train,
            recipe,
            first=first,
            steps=steps,
            workers=workers,
            rank=world.rank,
            world=world.size,
        )

    def loss_fn(self, dataset: BoxDataset, recipe: Recipe, plan: Plan) -> DetectionLossFn:
        """The sum of the detector's box and class losses."""
        return make_loss_fn(recipe.arch.preprocess, plan)

    def resident_bytes(self, dataset: BoxDataset, recipe: Recipe, plan: Plan) -> int:
        """The decoded training images, where they fit `data.resident_bytes`."""
        size = decoded_bytes(dataset.train)
        return size if size <= recipe.data.resident_bytes else 0

    def validate(
        self,
        network: DetectionNetwork,
        dataset: BoxDataset,
        recipe: Recipe,
        *,
        plan: Plan,
        world: World,
        stop: Callable[[], bool],
    ) -> BoxEvaluation:
        """Every test image."""
        protocol = WholeImages(recipe.data.num_workers)
        return validate(BoxPredictor(network, plan), dataset.test, protocol, world=world, stop=stop)

    def evaluate_run(self, run: Run, dataset: BoxDataset) -> BoxEvaluation:
        """Every test image."""
        return evaluate(load(run.path), dataset.test, WholeImages())

    def write_report(self, run: Run, dataset: BoxDataset, result: BoxEvaluation) -> None:
        """Curves, boxes predicted in some images, and the precision of each class."""
        pages.write_report(run, dataset, result)

    def preview(self, recipe: Recipe, dataset: BoxDataset, *, count: int, source: str) -> Preview:
        """Images as training and evaluation read them, with their boxes."""
        note = f"images  {min(count, len(dataset.train))}, {EPOCHS} epochs of training each"
        return Preview(preview_page(recipe, dataset, count, source), (note,))


def _unused_settings(recipe: Recipe) -> list[str]:
    """Paths of settings that have no effect in detection and are not at their defaults."""
    optim = recipe.optim
    changed = {
        "optim.layer_decay": optim.layer_decay != Optim().layer_decay,
        "optim.label_smoothing": optim.label_smoothing != Optim().label_smoothing,
        "optim.frozen_norms": bool(optim.frozen_norms),
        "schedule.warmup_error": bool(recipe.schedule.warmup_error),
        "average.bn_recalibration_images": bool(recipe.average.bn_recalibration_images),
        "plan.memory_limit": bool(recipe.plan.memory_limit),
        "data.balance": recipe.data.balance != "none",
    }
    return [path for path, is_changed in changed.items() if is_changed]
