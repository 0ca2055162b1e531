"""Recipe: all that decides a training run, as one frozen value that goes into the run as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.detector import Detector
from residua.spec.record import from_plain, override

OLD_NAMES: Mapping[str, str] = {
    "data.holdout": "data.val_fraction",
    "data.workers": "data.num_workers",
    "optim.rate": "optim.lr",
    "optim.decay": "optim.weight_decay",
    "optim.decay_all": "optim.decay_norms_and_biases",
    "optim.smoothing": "optim.label_smoothing",
    "optim.clip": "optim.grad_clip",
    "optim.side": "optim.aux_weight",
    "optim.lost": "optim.on_nonfinite",
    "average.decay": "average.ema_decay",
    "average.back": "average.lookahead",
    "average.recount": "average.bn_recalibration_images",
    "schedule.warmup_rate": "schedule.warmup_lr_factor",
    "schedule.most_drops": "schedule.max_drops",
    "budget.batch": "budget.batch_size",
}
"""Fields as residua 0.0 called them, and as they are called now: old recipes and old habits still work."""


@dataclass(frozen=True, slots=True)
class Data:
    """Which images, and how they are read."""

    source: str
    """A folder, a label file, shards, `digits`, `cifar10[:DIR]` or `cifar100[:DIR]`."""
    val_fraction: float = 0.2
    """Share of every class kept for validation when the source has no split of its own."""
    num_workers: int = -1
    """Processes that decode images; -1 lets the plan choose. Results do not depend on it."""
    resident_bytes: int = 2 << 30
    """Sets that fit in this many bytes, once resized, live in memory."""
    balance: Literal["none", "weights", "sample"] = "none"
    """For classes of unequal size: `weights` weighs their losses by 1/count, `sample` draws all equally."""
    cache: str = ""
    """Folder where decoded clips stay, up to `resident_bytes`; empty takes one that goes with the run."""
    bad: Literal["error", "skip", "quarantine"] = "error"
    """Files that are no images: refuse to begin, leave them out, or list them in the run besides."""
    subtract: Literal["channel", "pixel"] = "channel"
    """What is taken from every pixel: the mean of its channel, or its own over the training images
    (He et al. 2015, 3.4 and 4.2)."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if not 0 < self.val_fraction < 1:
            raise ValueError(f"data.val_fraction is {self.val_fraction}: give a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class Optim:
    """How gradients move weights. `sgd`: v = momentum * v + gradient + decay * w; w = w - rate * v."""

    lr: float = 0.1
    """Peak learning rate."""
    momentum: float = 0.9
    """Share of the last step that is kept; the first beta of AdamW and LAMB."""
    nesterov: bool = False
    """Look ahead along the momentum."""
    weight_decay: float = 1e-4
    """Weight decay (He et al. 2015, 3.4: 0.0001)."""
    decay_norms_and_biases: bool = True
    """Decay norms and biases too, as the papers do."""
    label_smoothing: float = 0.0
    """Label smoothing of the cross-entropy."""
    kind: Literal["sgd", "adamw", "lamb", "muon"] = "sgd"
    """torch's SGD or AdamW; LAMB (You et al. 2019) or Muon (Jordan 2024) of timm, which must be installed."""
    beta2: float = 0.999
    """AdamW, LAMB and Muon's AdamW: share of the squared gradients that is kept."""
    grad_clip: float = 0.0
    """Longest gradient, all tensors taken as one vector; 0 for any."""
    layer_decay: float = 1.0
    """Each block's rate as a share of that of the block above it; 1 for one rate."""
    frozen_norms: bool = False
    """Batch norms keep their statistics and weights: for small batches and small data."""
    aux_weight: float = 0.3
    """Weight of the loss of each auxiliary head (Szegedy et al. 2014, section 5: 0.3)."""
    on_nonfinite: Literal["stop", "skip", "rollback"] = "stop"
    """What follows a loss or a gradient that is no number: the run ends; that update is left out; or training
    goes back to the newest state and on at half the rate."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if (
            self.lr <= 0
            or not 0 <= self.momentum < 1
            or self.weight_decay < 0
            or not 0 <= self.label_smoothing < 1
        ):
            raise ValueError(
                f"{self}: give lr > 0, 0 <= momentum < 1, weight_decay >= 0, 0 <= label_smoothing < 1"
            )
        if self.nesterov and (not self.momentum or self.kind not in ("sgd", "muon")):
            raise ValueError(
                "optim.nesterov is true, which is for optim.momentum above 0 and optim.kind sgd or muon: "
                "give --set optim.nesterov=false too"
            )
        if (
            self.grad_clip < 0
            or self.aux_weight < 0
            or not 0 < self.layer_decay <= 1
            or not 0 <= self.beta2 < 1
        ):
            raise ValueError(
                f"{self}: give grad_clip >= 0, aux_weight >= 0, 0 < layer_decay <= 1, 0 <= beta2 < 1"
            )


@dataclass(frozen=True, slots=True)
class Averaging:
    """A second set of weights, the running mean of the first; and batch norms counted anew at the end."""

    ema_decay: float = 0.0
    """Share of the mean that is kept; 0 for no mean. It begins lower: (1 + n) / (10 + n) after n of them."""
    every: int = 1
    """Updates between two looks at the weights."""
    lookahead: bool = False
    """Put the mean back into the weights each time, which makes it Lookahead (Zhang et al. 2019)."""
    bn_recalibration_images: int = 0
    """Training images from which the norms' statistics are counted anew after the last update, as the
    released models of He et al. 2015 carry them; 0 leaves the moving averages."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if not 0 <= self.ema_decay < 1 or self.every < 1 or self.bn_recalibration_images < 0:
            raise ValueError(f"{self}: give 0 <= ema_decay < 1, every >= 1, bn_recalibration_images >= 0")
        if self.lookahead and not self.ema_decay:
            raise ValueError("average.lookahead needs average.ema_decay above 0")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning rate by step; times are shares of all steps, so that they scale with epochs."""

    shape: Literal["step", "cosine", "linear", "constant", "plateau"] = "step"
    """How the rate falls after the warm-up."""
    warmup: float = 0.0
    """Share of all steps before the peak."""
    warmup_lr_factor: float = 0.0
    """Rate at the first step, as a share of the peak."""
    flat_warmup: bool = False
    """Hold the first rate through the warm-up (He et al. 2015, 4.2), instead of climbing."""
    drops: tuple[float, ...] = (0.5, 0.75)
    """`step`: shares of all steps where the rate falls to a tenth (32k, 48k of 64k: He et al. 2015, 4.2)."""
    warmup_error: float = 0.0
    """Hold the first rate until the training error of a finished epoch is below this, in percent
    (He et al. 2015, 4.2: 80); 0 leaves the warm-up to its share of steps."""
    patience: int = 5
    """`plateau`: epochs without a better test error before the rate falls to a tenth."""
    max_drops: int = 3
    """`plateau`: how often it falls."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if not 0 <= self.warmup < 1 or not 0 <= self.warmup_lr_factor <= 1:
            raise ValueError(
                f"schedule.warmup is {self.warmup}, .warmup_rate {self.warmup_lr_factor}: give shares below 1"
            )
        if any(not 0 < drop < 1 for drop in self.drops) or list(self.drops) != sorted(self.drops):
            raise ValueError(f"schedule.drops is {self.drops}: give rising shares between 0 and 1")
        if not 0 <= self.warmup_error <= 100 or (
            self.warmup_error and (self.warmup or not self.warmup_lr_factor)
        ):
            raise ValueError(
                f"schedule.warmup_error is {self.warmup_error}: give percent, warmup 0 and a warmup_lr_factor > 0"
            )
        if self.patience < 1 or self.max_drops < 0:
            raise ValueError(f"{self}: give patience >= 1 and max_drops >= 0")


@dataclass(frozen=True, slots=True)
class Budget:
    """How long, and in what portions."""

    epochs: int = 164
    """Passes over the training images; the last, incomplete batch of an epoch is left out."""
    steps: int = 0
    """Updates; 0 leaves the length to `epochs`."""
    batch_size: int = 128
    """Images per update, over all processes."""
    save_seconds: float = 30.0
    """Longest time between two checkpoints of the training state; one is written after every epoch anyway."""
    accumulate: int = 1
    """Portions in which a batch goes through the network, for memory; norms and mixing see one portion."""
    patience: int = 0
    """Epochs without a better test error after which training ends early; 0 for never."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if self.epochs < 1 or self.batch_size < 2 or self.steps < 0 or self.save_seconds < 0:
            raise ValueError(f"{self}: give epochs >= 1, batch_size >= 2, steps >= 0, save_seconds >= 0")
        if not 1 <= self.accumulate <= self.batch_size // 2 or self.patience < 0:
            raise ValueError(f"{self}: give accumulate from 1 to half of the batch, and patience >= 0")


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
    compile: Literal["auto", "off", "whole", "blocks"] = "auto"
    """Translate the network into fused kernels: all of it, or block by block, equal ones once."""
    graphs: Literal["auto", "on", "off"] = "auto"
    """With compile on CUDA: replay kernels as CUDA graphs (torch's `reduce-overhead`)."""
    fused: Literal["auto", "on", "off"] = "auto"
    """One kernel for the whole update, where the optimiser has one."""
    sync_norm: bool = False
    """With several GPUs, let batch norms see the batch of all of them, not the share of one."""
    memory_limit: int = 0
    """Bytes a training step may hold, of the process or on the accelerator; 0 computes nothing twice."""

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if self.threads < 0:
            raise ValueError(f"plan.threads is {self.threads}: give 0 or more")
        if self.graphs == "on" and self.compile not in ("whole", "blocks"):
            raise ValueError("plan.graphs is on: give plan.compile whole or blocks with it")
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
    average: Averaging = field(default_factory=Averaging)
    """What is kept beside the weights."""
    detector: Detector | None = None
    """What finds boxes behind `arch`, for sets of boxes."""
    weights: str = ""
    """A file or a run whose weights training starts from; empty for fresh ones."""
    seed: int = 0
    """Key of the initial weights, the order, the augmentation and the dropout."""

    def __post_init__(self) -> None:
        """ValueError when two parts contradict each other, or the seed is more than generators take."""
        if not -(2**31) <= self.seed < 2**31:  # beside the step it must fit into 64 bits
            raise ValueError(f"seed is {self.seed}: give one of at most 9 digits")
        if self.plan.graphs == "on" and self.budget.accumulate > 1:
            raise ValueError("plan.graphs is on: a graph overwrites its gradients, leave budget.accumulate 1")
        if self.average.bn_recalibration_images and self.budget.patience:
            raise ValueError("average.bn_recalibration_images needs a planned end: leave budget.patience 0")


def read_recipe(text: str) -> Recipe:
    """The recipe written as JSON in `text`, also by a version that used `OLD_NAMES`.

    Raises:
        ValueError: `text` is not JSON or not a recipe; the message names the field.
    """
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    return from_plain(Recipe, _with_new_names(plain))


def override_recipe(recipe: Recipe, path: str, text: str) -> Recipe:
    """`recipe` with the field at the dotted `path`, under its new or its old name, read from `text`.

    Raises:
        ValueError: there is no such field, or it cannot hold `text`.
    """
    return override(recipe, OLD_NAMES.get(path, path), text)


def _with_new_names(plain: Any) -> Any:
    if not isinstance(plain, dict):
        return plain
    renamed = {}
    for part, fields in plain.items():
        names = (
            {name: OLD_NAMES.get(f"{part}.{name}", f"{part}.{name}") for name in fields}
            if isinstance(fields, dict)
            else {}
        )
        renamed[part] = (
            {names[name].partition(".")[2]: value for name, value in fields.items()} if names else fields
        )
    return renamed
