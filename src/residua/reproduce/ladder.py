"""The ladder of a class project: from stacked layers to 95 % on CIFAR-10, one idea a step, as plain values.

    rung  step  change                                              run         weights, view
    1     1     convolution, pooling, dropout, linear layers        stacked     raw, centre
    2     2a    tuned: a learning rate that rises and falls         tuned       raw, centre
          2b    wider, with batch norms                             wide        raw, centre
          2c    augmented: shifts and flips                         augmented   raw, centre
    3     3     skip connections                                    skip        raw, centre
    4     4a    half the images, a fifth of the labels flipped      flipped     raw, centre     (a step down)
          4b    labels cleaned                                      cleaned     raw, centre
          4c    all images                                          skip        raw, centre
    5     5a    stronger augmentation, longer                       strong      raw, centre
          5b    averaged weights                                    strong      ema, centre
          5c    mirrored testing                                    strong      ema, flip

Every step is compared with the one before it; 4a begins from 3. All runs but `strong` have as many updates:
fewer images do not also mean a shorter training. All numbers here are our choices.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from residua.reproduce.published import Budget
from residua.spec import zoo
from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.block import Block, Conv, Pool
from residua.spec.recipe import Averaging, Data, Optim, Plan, Recipe, Schedule
from residua.spec.recipe import Budget as Length
from residua.spec.zoo.stages import CIFAR

NAME = "project/ladder"
"""What `residua reproduce` calls it."""
TITLE = "the ladder of a class project: from stacked layers to 95 % on CIFAR-10"
"""One line: what it shows."""
DATA = "cifar10"
"""The data set it is about."""
Variant = Literal["all", "flipped", "cleaned", "fold-1", "fold-2"]
"""Which images and labels a run is trained on; `fold-1` and `fold-2` are each tested on the other."""
Weights = Literal["raw", "ema"]
"""Weights of the last step, or their running mean."""
USUAL_BATCH = 128
"""Images of an update for which learning rates of SGD are written; they are in proportion to the batch."""
ALL_IMAGES = (50_000, 10_000)
"""Training and test images of CIFAR-10."""
FLIPPED_SHARE = 0.2
"""Share of the labels that step 4a flips to another class."""
FOLDS: tuple[Variant, Variant] = ("fold-1", "fold-2")
"""Halves of the images of step 4a: a network trained on one predicts the labels of the other."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How large the ladder is at a budget."""

    epochs: int
    """Epochs of every run but the last, on all images; runs on fewer images have as many updates."""
    last_epochs: int
    """Epochs of the last run, `strong`."""
    widths: tuple[int, int, int]
    """Channels of the three stages of the wide network."""
    batch: int = USUAL_BATCH
    """Images of an update: few images need small batches, or there are hardly any updates."""
    images: tuple[int, int] | None = None
    """Training and test images that are used; None for all."""

    def updates(self, epochs: int) -> int:
        """Updates of so many epochs on all images."""
        return epochs * ((self.images or ALL_IMAGES)[0] // self.batch)


EXTENTS: Mapping[Budget, Extent] = {
    "smoke": Extent(4, 8, (24, 48, 96), 32, (5_000, 2_000)),
    "full": Extent(4, 36, (64, 256, 512)),
}
"""Budget -> extent. The last run of `full` is meant for 150 minutes, on two cores with bfloat16 units."""
WHITENED = Block("CA", (Conv(24, 2, bias=True, padding=0),))
"""The first layer of the wide network: each direction of 2 x 2 patches and its negative is a channel."""


@dataclass(frozen=True, slots=True)
class LadderRun:
    """One network that is trained."""

    name: str
    """Part of the name of its folder."""
    arch: Arch
    """The network."""
    variant: Variant
    """Its images and labels."""
    augment: Augment
    """Changes of its training images."""
    optim: Optim
    """Its optimizer and loss."""
    schedule: Schedule
    """Its learning rate."""
    epochs: int
    """Its length, where it is trained on all images."""
    updates: int
    """Its length, whatever its images."""
    batch: int
    """Images of an update."""
    average: Averaging = field(default_factory=Averaging)
    """Its averaged weights."""

    def recipe(self, source: str, *, threads: int) -> Recipe:
        """The recipe that trains it on `source`; the precision is left to the machine.

        Args:
            source: What `residua train` takes.
            threads: CPU threads.
        """
        return Recipe(
            f"ladder.{self.name}",
            self.arch,
            Data(source),
            self.augment,
            self.optim,
            self.schedule,
            Length(self.epochs, steps=0 if self.variant == "all" else self.updates, batch_size=self.batch),
            Plan(memory_format="channels_last", precision="auto", threads=threads),
            self.average,
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the ladder."""

    name: str
    """Number of its rung, and a letter where the rung has several: `2a`."""
    label: str
    """What changed, in a few words."""
    change: str
    """What changed, in a sentence."""
    run: str
    """Name of the run that it is measured on."""
    before: str
    """Name of the step that it is compared with; empty for the first."""
    weights: Weights = "raw"
    """Weights that are tested."""
    view: Literal["center", "flip"] = "center"
    """How each test image is shown."""


STEPS = (
    Step(
        "1",
        "stacked layers",
        "Convolutions, max-pools, dropout and linear layers, trained with AdamW at one learning rate.",
        "stacked",
        "",
    ),
    Step(
        "2a",
        "tuned",
        "The same network: a learning rate twice as high that rises and falls, and weight decay.",
        "tuned",
        "1",
    ),
    Step(
        "2b",
        "wider",
        "Wider layers with batch norms, SGD with Nesterov momentum at the high rate that these allow, and a "
        "first layer that whitens 2 x 2 patches.",
        "wide",
        "2a",
    ),
    Step(
        "2c",
        "augmented",
        "Training images are shifted by up to 4 pixels and flipped.",
        "augmented",
        "2b",
    ),
    Step(
        "3",
        "skip connections",
        "The same layers, with a shortcut around each pair of equal width.",
        "skip",
        "2c",
    ),
    Step(
        "4a",
        "bad data",
        "Only half of the images, and a fifth of their labels flipped on purpose, as many updates: a step "
        "down.",
        "flipped",
        "3",
    ),
    Step(
        "4b",
        "cleaned labels",
        "Labels that a network trained on other images rejects are corrected or dropped.",
        "cleaned",
        "4a",
    ),
    Step("4c", "all images", "The other half is added: again the run of step 3.", "skip", "4b"),
    Step(
        "5a",
        "stronger augmentation",
        "Cutout, reflected borders, alternating flips, label smoothing, and the longer training they need.",
        "strong",
        "4c",
    ),
    Step(
        "5b",
        "averaged weights",
        "The running mean of the weights of the same run is tested.",
        "strong",
        "5a",
        "ema",
    ),
    Step(
        "5c",
        "mirrored testing",
        "Each test image is shown as it is and mirrored; probabilities are averaged.",
        "strong",
        "5b",
        "ema",
        "flip",
    ),
)
"""From the bottom to the top."""


def wide_network(name: str, widths: tuple[int, int, int], *, has_shortcuts: bool) -> Arch:
    """A stem and three stages, each of a convolution, a max-pool and a pair of convolutions of equal width.

    Ours, after the layout of Page's ResNet-9 (2018), in which the pool follows the convolution, and the first
    layer of Jordan 2024.

    Args:
        name: Name of the network.
        widths: Channels of the stages.
        has_shortcuts: Whether each pair is skipped: all else is the same.
    """
    word, shortcut = ("(CNA CNA)", "Z") if has_shortcuts else ("CNA CNA", "")  # Z: here always the identity
    stages = tuple(
        (Block("CPNA", (Conv(width),), pool=Pool(2, 2, 0)), Block(word, (Conv(width), Conv(width)), shortcut))
        for width in widths
    )
    source = "after Page 2018 and Jordan 2024 (ours)"
    return Arch(name, "ladder", source, WHITENED, stages, classes=10, preprocess=CIFAR)


def ladder_runs(extent: Extent) -> dict[str, LadderRun]:
    """All runs by name, folds included, for one extent."""
    stacked = replace(zoo.arch("smallconvnet"), name="stacked")
    plain, residual = (
        wide_network(name, extent.widths, has_shortcuts=has_shortcuts)
        for name, has_shortcuts in (("wide", False), ("wide_skip", True))
    )
    unchanged, shifted = Augment("none", pad=0, flip=0.0), Augment("pad_crop", pad=4)
    strong = Augment("pad_crop", pad=4, border="reflect", alternate=True, cutout=8)
    scale = extent.batch / USUAL_BATCH
    fast = Optim(lr=0.1 * scale, momentum=0.9, nesterov=True, weight_decay=5e-4, whiten_stem=True)
    triangle = Schedule("linear", warmup=0.2)
    beginner = Optim(lr=1e-3, weight_decay=0.0, kind="adamw")
    tuned = replace(beginner, lr=2e-3, weight_decay=0.05)
    smooth = replace(fast, label_smoothing=0.2)
    average = Averaging(ema_decay=0.95, every=5)
    length = (extent.epochs, extent.updates(extent.epochs), extent.batch)
    longer = (extent.last_epochs, extent.updates(extent.last_epochs), extent.batch)
    runs = (
        LadderRun("stacked", stacked, "all", unchanged, beginner, Schedule("constant"), *length),
        LadderRun("tuned", stacked, "all", unchanged, tuned, triangle, *length),
        LadderRun("wide", plain, "all", unchanged, fast, triangle, *length),
        LadderRun("augmented", plain, "all", shifted, fast, triangle, *length),
        LadderRun("skip", residual, "all", shifted, fast, triangle, *length),
        LadderRun("flipped", residual, "flipped", shifted, fast, triangle, *length),
        *(LadderRun(fold, residual, fold, shifted, fast, triangle, *length) for fold in FOLDS),
        LadderRun("cleaned", residual, "cleaned", shifted, fast, triangle, *length),
        LadderRun("strong", residual, "all", strong, smooth, triangle, *longer, average),
    )
    return {run.name: run for run in runs}
