"""VideoLearn: networks that predict one class for each video, and their training."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

import torch

from residua.data.batches import Batch
from residua.errors import ConfigError
from residua.measure.evaluate import evaluate
from residua.measure.evaluation import Evaluation
from residua.measure.views import CLIP, VIDEO
from residua.nn.network import Network
from residua.runs.run import Run
from residua.spec import change
from residua.spec.amount import quantity
from residua.spec.arch import Arch
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.recipe import Plan, Recipe
from residua.tasks.classify import hints
from residua.tasks.classify.learn_task import find_classifier, without_boxes
from residua.tasks.data_task import MAX_WORKERS
from residua.tasks.video import pages
from residua.tasks.video.batches import clip_of, training_batches
from residua.tasks.video.data_task import ClipDataset
from residua.tasks.video.predictor import ClipPredictor, load
from residua.tasks.video.preview import EPOCHS, preview_page
from residua.tasks.video.protocol import MAX_CLIPS, ClipProtocol, ClipValidation
from residua.training.learn_task import Preview
from residua.training.losses import LossFn, recipe_loss_fn
from residua.training.network import initial_network
from residua.training.processes import world
from residua.training.processes.world import World
from residua.training.validate import validate


class VideoLearn:
    """`residua.training.learn_task.LearnTask` of videos."""

    counts_wrong = True
    fine_tuning = ""

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

    def defaults(self, dataset: ClipDataset | None) -> tuple[str, str]:
        """Small panned photographs get a small image network, which is inflated."""
        small = dataset is not None and dataset.train.pixels is not None
        return ("cifar_resnet20", "quick.moving") if small else ("iresnet3d18", "quick.clips")

    def adapt(self, arch: Arch, dataset: ClipDataset, *, keep: bool = False) -> Arch:
        """Inflate an image network; frames in memory fix the size, and bound the number of frames."""
        arch = change.with_classes(arch, len(dataset.train.classes))
        if arch.clip is None:
            arch = inflate(arch, Clip())
        if dataset.train.pixels is not None:
            side, frames = (
                dataset.dataset.size,
                dataset.train.pixels.shape[1] // dataset.train.pixels.shape[2],
            )
            arch = change.with_preprocess(arch, replace(arch.preprocess, size=side, resize=side))
            clip = clip_of(arch)
            if clip.total > frames or clip.span > frames:
                each = min(clip.frames, frames)
                least = replace(clip, frames=each, stride=1, segments=min(clip.segments, frames // each))
                arch = replace(arch, clip=least)
        return arch

    def resize(self, arch: Arch, dataset: ClipDataset, size: int) -> Arch:
        """`arch` for `size` x `size` pixels. ConfigError for frames in memory, which have their size."""
        if dataset.train.pixels is not None:
            have = dataset.dataset.size
            raise ConfigError(f"image size {size}: these frames have {have} x {have} pixels, leave it out")
        return change.with_size(arch, size)

    def suit(self, recipe: Recipe, dataset: ClipDataset, *, settings: Collection[str]) -> Recipe:
        """`recipe` as it is: it is made for few videos."""
        return recipe

    def default_workers(self, recipe: Recipe, dataset: ClipDataset) -> int:
        """One a core; each starts a process that decodes."""
        return min(MAX_WORKERS, world.available_cores())

    def describe_input(self, recipe: Recipe, dataset: ClipDataset) -> str:
        """Which frames a clip has, and where decoded frames are kept."""
        arch = recipe.arch
        where = "in memory"
        if dataset.train.pixels is None:
            room = recipe.data.resident_bytes / 2**30
            place = recipe.data.cache or "a temporary folder"
            where = (
                f"decoded once, up to {room:.3g} GiB in {place}" if room else "decoded again in every epoch"
            )
        return f"{clip_of(arch).description}; {quantity(recipe.data.num_workers, 'worker')}, {where}"

    def hint(self, recipe: Recipe, dataset: ClipDataset) -> str:
        """A network that reads each frame on its own cannot detect motion."""
        if recipe.arch.has_time:
            return ""
        name = recipe.arch.name
        return f"{name} reads each frame on its own: to use motion, leave --segments out or give --frames"

    def final_hint(self, recipe: Recipe, row: Mapping[str, float]) -> str:
        """Whether more updates or more videos would help a poor result."""
        return hints.after(recipe, row)

    def batches(
        self,
        dataset: ClipDataset,
        recipe: Recipe,
        *,
        first: int,
        steps: int,
        workers: int,
        world: World,
        device: str,
    ) -> Iterator[Batch]:
        """Random clips of training videos."""
        return training_batches(
            dataset.clip_frames(dataset.train, recipe.arch),
            recipe,
            first=first,
            steps=steps,
            workers=workers,
            rank=world.rank,
            world=world.size,
            device=torch.device(device),
        )

    def loss_fn(self, dataset: ClipDataset, recipe: Recipe, plan: Plan) -> LossFn:
        """Cross-entropy, as the recipe says."""
        return recipe_loss_fn(recipe, plan, dataset.train)

    def resident_bytes(self, dataset: ClipDataset, recipe: Recipe, plan: Plan) -> int:
        """0: decoded frames are kept in files."""
        return 0

    def validate(
        self,
        network: Network,
        dataset: ClipDataset,
        recipe: Recipe,
        *,
        plan: Plan,
        world: World,
        stop: Callable[[], bool],
    ) -> Evaluation:
        """One clip of each test video; thirty clips are evaluated only for the report."""
        size = max(MAX_CLIPS, min(recipe.budget.batch_size, 4 * MAX_CLIPS))
        frames = dataset.clip_frames(dataset.test, recipe.arch)
        protocol = ClipValidation(size, recipe.data.num_workers)
        return validate(ClipPredictor(network, plan), frames, protocol, world=world, stop=stop)

    def evaluate_run(self, run: Run, dataset: ClipDataset) -> Evaluation:
        """One clip of each test video."""
        predictor = load(run.path)
        frames = dataset.clip_frames(dataset.test, predictor.network.arch)
        return evaluate(predictor, frames, ClipProtocol(CLIP))

    def write_report(self, run: Run, dataset: ClipDataset, result: Evaluation) -> None:
        """Accuracy of clips, of whole videos and of metadata alone, curves, and the worst mistakes."""
        predictor = load(run.path)
        frames = dataset.clip_frames(dataset.test, predictor.network.arch)
        protocol = ClipProtocol(VIDEO, run.recipe.data.num_workers, portion=len(frames))
        pages.write_report(run, dataset.dataset, result, evaluate(predictor, frames, protocol))

    def preview(self, recipe: Recipe, dataset: ClipDataset, *, count: int, source: str) -> Preview:
        """Clips as training and evaluation read them, frame by frame."""
        note = f"clips   {min(count, len(dataset.train))}, {EPOCHS} epochs of training each"
        return Preview(preview_page(recipe, dataset, count=count, source=source), (note,))
