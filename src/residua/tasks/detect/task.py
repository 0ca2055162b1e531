"""Detect: from images with boxes to detectors of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from residua.data.decode import IMAGE
from residua.data.listing import SourceListing
from residua.data.open import find_boxes
from residua.data.scan import scan
from residua.data.scenes import BoxDataset, Scenes, build_box_dataset, match_box_classes
from residua.data.sources.table import parse_source
from residua.errors import DataError
from residua.nn import device
from residua.nn.device import place_network
from residua.nn.network import Network, build
from residua.runs.run import Run
from residua.spec import change, detector
from residua.spec.amount import format_bytes
from residua.spec.arch import Arch
from residua.spec.detector import Detector
from residua.spec.recipe import Data, Optim, Plan, Recipe
from residua.tasks.detect import pages
from residua.tasks.detect.answers import Boxed, boxed
from residua.tasks.detect.batches import BoxBatch, decoded_bytes, training_batches
from residua.tasks.detect.check import surveyed
from residua.tasks.detect.judging import BoxJudgement, judge
from residua.tasks.detect.learning import initial_network, load_trained, make_loss_fn
from residua.tasks.detect.network import DetectionNetwork
from residua.tasks.detect.predictor import LEAST, load
from residua.tasks.detect.preview import EPOCHS, page
from residua.tasks.detect.score import check
from residua.tasks.detect.verdict import ByBox, found
from residua.tasks.kind import MOST_WORKERS, Preview, Unreadable
from residua.tasks.run_data import own
from residua.tasks.survey import Survey
from residua.training.processes import world
from residua.training.processes.world import World

YARDSTICK = 300
"""Largest image, in pixels, by which arithmetic is timed: what suits the backbone there suits it at 800."""


class Detect:
    """Sets of images with boxes: `residua.tasks.kind.Kind` says what each method is for."""

    counts_wrong = False
    does, wants = "finds boxes", "--data voc:DIR or coco:DIR"
    media_type, takes = IMAGE, frozenset({"draw", "least"})

    def survey(self, source: str) -> Survey:
        """Its images, their boxes, and what is wrong with those."""
        return surveyed(find_boxes(source))

    def open(self, data: Data, *, without: Unreadable, given: SourceListing | None = None) -> BoxDataset:
        """Both splits; no image is decoded."""
        return build_box_dataset(find_boxes(data.source), without=without, skip=data.bad != "error")

    def unreadable(self, data: Data, given: SourceListing | None = None) -> Unreadable:
        """The images that cannot be decoded, and the boxes that cannot be used."""
        marked = find_boxes(data.source)
        splits = [scenes.images for scenes in marked.splits]
        reasons = scan(splits, workers=min(MOST_WORKERS, world.available_cores())).reasons
        titles = [images.title(i) for images in splits for i in range(len(images))] if reasons else []
        faults = {fault.key: fault.reason for fault in marked.faults}
        return {**{titles[i]: why for i, why in reasons.items()}, **faults}

    def proposal(self, sets: BoxDataset | None) -> tuple[str, str]:
        """A detector that learns from scratch."""
        return "ssd300_iresnet18", "quick.boxes"

    def drawn(self, name: str) -> tuple[Arch, Detector]:
        """`DETECTOR_BACKBONE`."""
        found, arch = detector.named(name)
        detector.map_indices(found, arch)
        return arch, found

    def suited(self, arch: Arch, sets: BoxDataset) -> Arch:
        """As many classes as there are kinds of boxes. ValueError for a network that reads clips."""
        if arch.clip:
            raise ValueError(
                f"{arch.name} would read clips, boxes are found in images: "
                "leave --frames, or take another network"
            )
        return change.with_classes(arch, len(sets.train.classes))

    def settled(self, recipe: Recipe) -> Recipe:
        """The image as large as the detector shows it. ValueError for what is meant for whole images."""
        if recipe.detector is None:
            raise ValueError("the data has boxes, the recipe finds none: give -m DETECTOR_BACKBONE")
        detector.map_indices(recipe.detector, recipe.arch)
        augment, plain = recipe.augment, type(recipe.augment)(recipe.augment.kind)
        used = replace(plain, flip=augment.flip, zoom=augment.zoom, pad=augment.pad)
        if augment.kind not in ("ssd", "none") or used != augment:
            raise ValueError("boxes are augmented by augment.kind ssd or none, .flip and .zoom alone")
        same = Optim().layer_decay, Optim().label_smoothing, 0, 0, "none"
        asked = (recipe.optim.layer_decay, recipe.optim.label_smoothing, recipe.average.bn_recalibration_images,
                 recipe.plan.memory_limit, recipe.data.balance)  # fmt: skip
        if asked != same or recipe.optim.frozen_norms or recipe.schedule.warmup_error:
            raise ValueError(
                "detectors take no optim.layer_decay, .smoothing, .frozen_norms (detector.norm does that), "
                "schedule.warmup_error, average.bn_recalibration_images, plan.memory_limit or data.balance: leave them"
            )
        if recipe.plan.compile not in ("auto", "off"):
            raise ValueError("plan.compile: detectors are not translated, for every image has other boxes")
        arch = detector.for_boxes(recipe.arch, recipe.detector)
        return replace(recipe, arch=arch, plan=replace(recipe.plan, compile="off"))

    def yardstick(self, recipe: Recipe, network: DetectionNetwork) -> Network:
        """The backbone as a classifier of images that are not too large."""
        seen = recipe.arch.preprocess
        side = min(YARDSTICK, seen.size)
        small = replace(seen, size=side, resize=side)
        return build(change.with_preprocess(recipe.arch, small))

    def workers(self, recipe: Recipe, sets: BoxDataset) -> int:
        """None for what is held in memory, else one per core."""
        return (
            0
            if self.resident_bytes(sets, recipe, recipe.plan)
            else min(MOST_WORKERS, world.available_cores())
        )

    def reading(self, recipe: Recipe, sets: BoxDataset) -> str:
        """From memory or through workers."""
        bytes_ = decoded_bytes(sets.train)
        if self.resident_bytes(sets, recipe, recipe.plan):
            return f"decoded in memory, {format_bytes(bytes_)}: they fit data.resident_bytes"
        return f"{recipe.data.num_workers} workers: {format_bytes(bytes_)} do not fit data.resident_bytes"

    def hint(self, arch: Arch) -> str:
        """None: networks that do not suit a detector were refused."""
        return ""

    def initial(
        self, recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = lambda _: None
    ) -> Any:
        """Drawn by the seed, or read from a file."""
        return initial_network(recipe, classes, listen=listen)

    def batches(
        self,
        sets: BoxDataset,
        recipe: Recipe,
        *,
        first: int,
        steps: int,
        workers: int,
        world: World,
        device: str,
    ) -> Iterator[BoxBatch]:
        """Augmented views of training images with their boxes."""
        return training_batches(
            sets.train, recipe, first=first, steps=steps, workers=workers, rank=world.rank, world=world.size
        )

    def loss_fn(self, sets: BoxDataset, recipe: Recipe, plan: Plan) -> Any:
        """The detector's own losses."""
        return make_loss_fn(recipe.arch.preprocess, plan)

    def resident_bytes(self, sets: BoxDataset, recipe: Recipe, plan: Plan) -> int:
        """All decoded training images, or none."""
        bytes_ = decoded_bytes(sets.train)
        return bytes_ if bytes_ <= recipe.data.resident_bytes else 0

    def validate(
        self,
        network: Any,
        sets: BoxDataset,
        recipe: Recipe,
        *,
        plan: Plan,
        world: World,
        stop: Callable[[], bool],
    ) -> BoxJudgement:
        """What is found in every test image."""
        workers = recipe.data.num_workers
        return judge(network, sets.test, plan=plan, workers=workers, world=world, stop=stop)

    def judgement(self, run: Run, sets: BoxDataset) -> BoxJudgement:
        """The same, of a finished run."""
        network, _ = load_trained(run.path)
        plan = replace(run.recipe.plan, device=str(device.resolve_device("auto")), precision="float32")
        return judge(place_network(network, plan), sets.test, plan=plan)

    def report(self, run: Run, sets: BoxDataset, judged: BoxJudgement) -> None:
        """Curves, what was found in some images, and how well each class was."""
        pages.write_report(run, sets, judged)

    def preview(self, recipe: Recipe, sets: BoxDataset, *, count: int, source: str) -> Preview:
        """As trained with and tested, their boxes drawn."""
        shown = f"images  {min(count, len(sets.train))}, {EPOCHS} epochs of training each"
        return Preview(page(recipe, sets, count, source), (shown,))

    def examples(self, path: Path, data: str | None, classes: tuple[str, ...]) -> tuple[Scenes, str]:
        """Images with boxes of `classes`, and the protocol that suits them."""
        sets = own(self, path, data)
        if sets is not None:
            return sets.test, sets.metric
        marked = find_boxes(parse_source(str(data)).absolute())
        if marked.faults:
            raise DataError(
                f"{len(marked.faults)} of the boxes of {data} cannot be used, e.g. {marked.faults[0].key}: "
                f"{marked.faults[0].reason}; `residua data check {data}` lists them: remove them"
            )
        return match_box_classes(marked.test or marked.train, classes), marked.metric

    def evaluate(
        self,
        paths: Sequence[Path],
        *,
        data: str | None,
        views: Sequence[str],
        weights: str,
        ensemble: bool,
        world: World,
    ) -> ByBox:
        """By every protocol; by those that suit the set where none is said."""
        check(views)

        def scenes(path: Path, classes: tuple[str, ...]) -> tuple[Scenes, str]:
            return self.examples(path, data, classes)

        return ByBox(tuple(found(path, scenes, views=views, weights=weights, world=world) for path in paths))

    def predict(self, path: Path, files: Sequence[Path], *, topk: int, least: float | None) -> Boxed:
        """Boxes with their classes."""
        return boxed(load(path), files, least=LEAST if least is None else least)
