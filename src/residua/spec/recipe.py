"""Recipe: all that decides a training run, as one frozen value that goes into the run as JSON."""

from dataclasses import dataclass, field
from typing import Literal

from residua.spec.arch import Arch


@dataclass(frozen=True, slots=True)
class Data:
    """Which images, and how they are read."""

    source: str
    """A folder, `digits`, or `cifar10[:DIR]`."""
    holdout: float = 0.2
    """Share of every class kept for validation when the source has no split of its own."""
    workers: int = -1
    """Processes that decode images; -1 lets the plan choose. Results do not depend on it."""
    resident_bytes: int = 2 << 30
    """Sets that fit in this many bytes, once resized, live in memory."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if not 0 < self.holdout < 1:
            raise ValueError(f"data.holdout is {self.holdout}: give a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class Augment:
    """What happens to a training image first; every draw is keyed by (seed, epoch, index)."""

    kind: Literal["pad_crop", "resized_crop", "none"] = "pad_crop"
    """Shift inside a padded border (CIFAR), or cut a random area and resize it (ImageNet)."""
    pad: int = 4
    """Border of zeros added on each side before the crop, in pixels (He et al. 2015, 4.2: 4)."""
    flip: float = 0.5
    """Chance of a left-right mirror."""
    area: tuple[float, float] = (0.25, 1.0)
    """Smallest and largest share of the image that a resized crop takes."""
    aspect: tuple[float, float] = (0.75, 4 / 3)
    """Smallest and largest width over height of a resized crop."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if self.pad < 0 or not 0 <= self.flip <= 1:
            raise ValueError(
                f"augment.pad is {self.pad} and augment.flip {self.flip}: give pad >= 0, 0 <= flip <= 1"
            )
        if not (0 < self.area[0] <= self.area[1] <= 1 and 0 < self.aspect[0] <= self.aspect[1]):
            raise ValueError(f"augment.area is {self.area} and augment.aspect {self.aspect}: give low, high")


@dataclass(frozen=True, slots=True)
class Optim:
    """Stochastic gradient descent: v = momentum * v + gradient + decay * w; w = w - rate * v."""

    rate: float = 0.1
    """Peak learning rate."""
    momentum: float = 0.9
    """Share of the last step that is kept."""
    nesterov: bool = False
    """Look ahead along the momentum."""
    decay: float = 1e-4
    """Weight decay (He et al. 2015, 3.4: 0.0001)."""
    decay_all: bool = True
    """Decay norms and biases too, as the papers do."""
    smoothing: float = 0.0
    """Label smoothing of the cross-entropy."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if self.rate <= 0 or not 0 <= self.momentum < 1 or self.decay < 0 or not 0 <= self.smoothing < 1:
            raise ValueError(f"{self}: give rate > 0, 0 <= momentum < 1, decay >= 0, 0 <= smoothing < 1")
        if self.nesterov and not self.momentum:
            raise ValueError("optim.nesterov needs optim.momentum above 0")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning rate by step; times are shares of all steps, so that they scale with epochs."""

    shape: Literal["step", "cosine", "linear", "constant"] = "step"
    """How the rate falls after the warm-up."""
    warmup: float = 0.0
    """Share of all steps before the peak."""
    warmup_rate: float = 0.0
    """Rate at the first step, as a share of the peak."""
    flat_warmup: bool = False
    """Hold the first rate through the warm-up (He et al. 2015, 4.2), instead of climbing."""
    drops: tuple[float, ...] = (0.5, 0.75)
    """`step`: shares of all steps where the rate falls to a tenth (32k, 48k of 64k: He et al. 2015, 4.2)."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if not 0 <= self.warmup < 1 or not 0 <= self.warmup_rate <= 1:
            raise ValueError(
                f"schedule.warmup is {self.warmup}, .warmup_rate {self.warmup_rate}: give shares below 1"
            )
        if any(not 0 < drop < 1 for drop in self.drops) or list(self.drops) != sorted(self.drops):
            raise ValueError(f"schedule.drops is {self.drops}: give rising shares between 0 and 1")


@dataclass(frozen=True, slots=True)
class Budget:
    """How long, and in what portions."""

    epochs: int = 164
    """Passes over the training images; the last, incomplete batch of an epoch is left out."""
    steps: int = 0
    """Updates; 0 leaves the length to `epochs`."""
    batch: int = 128
    """Images per update, over all processes."""
    save_seconds: float = 30.0
    """Longest time between two checkpoints of the training state; one is written after every epoch anyway."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if self.epochs < 1 or self.batch < 2 or self.steps < 0 or self.save_seconds < 0:
            raise ValueError(f"{self}: give epochs >= 1, batch >= 2, steps >= 0, save_seconds >= 0")


@dataclass(frozen=True, slots=True)
class Plan:
    """How the arithmetic is done; `auto` is measured here, and the choice is written into the run."""

    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `mps` or `auto`."""
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    """Order of axes in memory."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of the activations; weights stay float32."""
    threads: int = 0
    """CPU threads of torch; 0 takes what torch proposes. Other counts give other last bits."""
    memory_limit: int = 0
    """Bytes a training step may hold, of the process or on the accelerator; 0 computes nothing twice."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if self.threads < 0:
            raise ValueError(f"plan.threads is {self.threads}: give 0 or more")
        if self.memory_limit < 0:
            raise ValueError(f"plan.memory_limit is {self.memory_limit}: give bytes, or 0 for no limit")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run, from the network to the seed. Two equal recipes on one machine give equal weights."""

    name: str
    """Where the recipe comes from, e.g. `he2015.cifar`."""
    arch: Arch
    """The network, fully spelled out."""
    data: Data
    """Which images."""
    augment: Augment = field(default_factory=Augment)
    """What happens to them."""
    optim: Optim = field(default_factory=Optim)
    """How weights move."""
    schedule: Schedule = field(default_factory=Schedule)
    """How fast, when."""
    budget: Budget = field(default_factory=Budget)
    """How long."""
    plan: Plan = field(default_factory=Plan)
    """With which arithmetic."""
    weights: str = ""
    """A file or a run whose weights training starts from; empty for fresh ones."""
    seed: int = 0
    """Key of the initial weights, the order, the augmentation and the dropout."""
