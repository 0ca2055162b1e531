"""Video: from clips in files, or panned over photographs, to one class each."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from residua.data.batches import Batch
from residua.data.images import ImageDataset, Images
from residua.data.listing import SourceListing, matched
from residua.data.scan import scan
from residua.measure.evaluate import Judgement
from residua.measure.views import CLIP, CLIP_VIEWS, VIDEO
from residua.nn.network import Network
from residua.predict.classifier import ready
from residua.runs.run import Run
from residua.spec import change
from residua.spec.arch import Arch
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.recipe import Data, Plan, Recipe
from residua.tasks.by_network import ByNetwork
from residua.tasks.classify import found
from residua.tasks.classify.verdict import ByClass
from residua.tasks.kind import MOST_WORKERS, Preview, Unreadable
from residua.tasks.run_data import own
from residua.tasks.survey import Survey
from residua.tasks.video import pages, protocol, sources
from residua.data.video import frame_cache
from residua.data.video import clips
from residua.tasks.video.answers import Filmed, filmed
from residua.tasks.video.batches import clip_of, testing, training
from residua.data.video.frame_cache import Cache
from residua.data.video.clips import Footage
from residua.tasks.video.sheet import EPOCHS, sheet
from residua.training.losses import LossFn, recipe_loss_fn
from residua.training.processes import world
from residua.training.processes.world import World
from residua.training.validate import validate_batches


@dataclass(frozen=True, eq=False)
class ClipDataset:
    """Both splits of a source of clips, and where their decoded frames are kept."""

    dataset: ImageDataset
    """The clips."""
    data: Data
    """How they are read."""

    @property
    def train(self) -> Images:
        """Clips to learn from."""
        return self.dataset.train

    @property
    def test(self) -> Images:
        """Clips that are never learned from."""
        return self.dataset.test

    @property
    def note(self) -> str:
        """One line that says what was found."""
        return self.dataset.note

    @cached_property
    def cache(self) -> Cache | None:
        """Where decoded clips are kept; None for what is in memory already, and where nobody wants it."""
        if self.train.pixels is not None or not self.data.resident_bytes:
            return None
        if self.data.cache:
            return frame_cache.kept(Path(self.data.cache), self.data.resident_bytes)
        return frame_cache.passing(self.data.resident_bytes)

    def footage(self, images: Images, arch: Arch) -> Footage:
        """`images`, which are one of the splits, as `arch` wants them."""
        return Footage(images, arch.preprocess, self.cache)


class Video(ByNetwork):
    """Sets of clips: `residua.tasks.kind.Kind` says what each method is for."""

    does, wants = "reads clips", "--data video:DIR"
    gate, takes = clips.CLIP, frozenset({"topk", "ensemble", "timeline"})

    def survey(self, source: str) -> Survey:
        """Its clips."""
        return Survey(sources.find(source, lenient=True))

    def open(self, data: Data, *, without: Unreadable, given: SourceListing | None = None) -> ClipDataset:
        """Both splits; of each clip, or of some of many, the first frame is decoded."""
        return ClipDataset(sources.open_clips(data.source, holdout=data.val_fraction, without=without), data)

    def unreadable(self, data: Data, given: SourceListing | None = None) -> Unreadable:
        """The clips that cannot be decoded to their end."""
        splits = sources.find(data.source).splits
        reasons = scan(splits, workers=min(MOST_WORKERS, world.cores())).reasons
        titles = [images.title(i) for images in splits for i in range(len(images))] if reasons else []
        return {titles[place]: why for place, why in reasons.items()}

    def proposal(self, sets: ClipDataset | None) -> tuple[str, str]:
        """Small moving photographs get a small network, which is inflated."""
        small = sets is not None and sets.train.pixels is not None
        return ("cifar_resnet20", "quick.moving") if small else ("iresnet3d18", "quick.clips")

    def suited(self, arch: Arch, sets: ClipDataset) -> Arch:
        """Classes as the set has; frames as small and as many as it has; an image network is inflated."""
        arch = change.with_classes(arch, len(sets.train.classes))
        if arch.clip is None:
            arch = inflate(arch, Clip())
        if sets.train.pixels is not None:
            side, frames = sets.dataset.size, sets.train.pixels.shape[1] // sets.train.pixels.shape[2]
            arch = change.with_preprocess(arch, replace(arch.preprocess, size=side, resize=side))
            clip = clip_of(arch)
            if clip.total > frames or clip.span > frames:
                each = min(clip.frames, frames)
                least = replace(clip, frames=each, stride=1, segments=min(clip.segments, frames // each))
                arch = replace(arch, clip=least)
        return arch

    def workers(self, recipe: Recipe, sets: ClipDataset) -> int:
        """One per core, each beside a process that decodes."""
        return min(MOST_WORKERS, world.cores())

    def reading(self, recipe: Recipe, sets: ClipDataset) -> str:
        """Which frames, and where they are kept."""
        arch = recipe.arch
        where = "in memory"
        if sets.train.pixels is None:
            room = recipe.data.resident_bytes / 2**30
            place = recipe.data.cache or "a folder that goes with the run"
            where = f"decoded once, up to {room:.3g} GiB in {place}" if room else "decoded anew every epoch"
        return f"{clip_of(arch).said}; {recipe.data.num_workers} workers, {where}"

    def hint(self, arch: Arch) -> str:
        """A network that sees frames one by one is blind to motion."""
        if arch.has_time:
            return ""
        return f"{arch.name} sees frames one by one: to see motion, leave --segments or give --frames"

    def batches(
        self,
        sets: ClipDataset,
        recipe: Recipe,
        *,
        first: int,
        steps: int,
        workers: int,
        world: World,
        device: str,
    ) -> Iterator[Batch]:
        """Random clips of training videos."""
        return training(
            sets.footage(sets.train, recipe.arch),
            recipe,
            first=first,
            steps=steps,
            workers=workers,
            rank=world.rank,
            world=world.size,
            device=torch.device(device),
        )

    def loss_fn(self, sets: ClipDataset, recipe: Recipe, plan: Plan) -> LossFn:
        """Cross-entropy."""
        return recipe_loss_fn(recipe, plan, sets.train)

    def resident_bytes(self, sets: ClipDataset, recipe: Recipe, plan: Plan) -> int:
        """None: decoded clips are files."""
        return 0

    def validate(
        self,
        network: Network,
        sets: ClipDataset,
        recipe: Recipe,
        *,
        plan: Plan,
        world: World,
        stop: Callable[[], bool],
    ) -> Judgement:
        """One clip of each test video, after every epoch; thirty are for the end."""
        size = max(protocol.TOGETHER, min(recipe.budget.batch_size, 4 * protocol.TOGETHER))
        batches = testing(
            sets.footage(sets.test, recipe.arch),
            recipe.arch,
            batch=size,
            workers=recipe.data.num_workers,
            rank=world.rank,
            world=world.size,
        )
        rounds = math.ceil(len(sets.test) / size / world.size)
        return validate_batches(network, batches, rounds, plan=plan, world=world, stop=stop)

    def judgement(self, run: Run, sets: ClipDataset) -> Judgement:
        """The same, of a finished run."""
        network, _, plan = ready(run.path)
        return protocol.judge(network, sets.footage(sets.test, network.arch), plan, CLIP)

    def report(self, run: Run, sets: ClipDataset, judged: Judgement) -> None:
        """Both accuracies, what metadata alone tell, curves, and the clips to look at first."""
        network, _, plan = ready(run.path)
        footage = sets.footage(sets.test, network.arch)
        video = protocol.judge(network, footage, plan, VIDEO, workers=run.recipe.data.num_workers)
        pages.write_report(run, sets.dataset, judged, video)

    def preview(self, recipe: Recipe, sets: ClipDataset, *, count: int, source: str) -> Preview:
        """As trained with and tested, frame by frame."""
        shown = f"clips   {min(count, len(sets.train))}, {EPOCHS} epochs of training each"
        return Preview(sheet(recipe, sets, count=count, source=source), (shown,))

    def examples(self, path: Path, data: str | None, classes: tuple[str, ...]) -> Images:
        """Clips, their classes in the order of `classes`."""
        sets = own(self, path, data)
        if sets is None:
            return sources.judging(str(data), classes=classes)
        return matched(sets.test, classes, owner="the network")

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
        """By one clip and by thirty, always: one alone misleads."""
        found.check_views(paths, views, CLIP_VIEWS)
        every = found.each(
            paths,
            lambda path, classes: self.examples(path, data, classes),
            show=_shown,
            views=tuple(CLIP_VIEWS),
            weights=weights,
            world=world,
            clip=lambda network, images, view: protocol.said(network.arch, protocol.rate(images), view),
        )
        return ByClass(found.averaged(every, paths) if ensemble else tuple(every))

    def predict(self, path: Path, files: Sequence[Path], *, topk: int, least: float | None) -> Filmed:
        """Classes of the whole video, and of its moments."""
        return filmed(path, files, topk=topk)


def _shown(network: Network, images: Images, plan: Plan, view: str) -> Judgement:
    return protocol.judge(network, Footage(images, network.preprocess), plan, view)
