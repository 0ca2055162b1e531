"""Recipe: everything that decides a training run, as one frozen value that the run stores as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from residua.errors import ConfigError
from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.detector import Detector
from residua.spec.record import (
    HUGE,
    MANY,
    check_field,
    check_range,
    from_plain,
    nearest,
    override,
    parse_json,
    paths,
)

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
"""Setting in residua 0.0 -> the same setting now. Recipes and commands with the old names still work."""


MAX_WORKERS = 256
"""Most processes that decode examples: each takes hundreds of megabytes."""
MAX_THREADS = 1024
"""Most CPU threads: with tens of thousands OpenMP ends the process."""
MAX_BATCH = 1 << 24
"""Most images of an update."""
MAX_BYTES = 1 << 50
"""Largest limit of memory: a pebibyte."""


@dataclass(frozen=True, slots=True)
class Data:
    """The dataset, and how it is read."""

    source: str
    """Training data: a folder, a label file, shards, `digits`, `cifar10[:DIR]` or `cifar100[:DIR]`."""
    val_fraction: float = 0.2
    """Share of each class held out for validation, between 0 and 1; unused where the source has a split.
    Unit: share."""
    inner_val_fraction: float = 0.0
    """Share of each class of the training examples that chooses the weights instead of training; the test
    split is evaluated once, at the end. 0 is off. Unit: share."""
    num_workers: int = -1
    """Processes that decode examples; 0 decodes in the training process, -1 chooses. Results are the same.
    Unit: processes."""
    resident_bytes: int = 2 << 30
    """Largest size, after resizing, of a split that is held in memory; 0 decodes every epoch. Unit: bytes."""
    balance: Literal["none", "weights", "sample"] = "none"
    """Class imbalance: `weights` weighs each loss by 1 / images of its class, `sample` draws classes equally
    often, `none` is off."""
    cache: str = ""
    """Folder for decoded clips, up to `resident_bytes`; empty uses a folder that is deleted after the run."""
    bad: Literal["error", "skip", "quarantine"] = "error"
    """Unreadable files: `error` stops before training, `skip` leaves them out, `quarantine` leaves them out
    and lists them in the run."""
    subtract: Literal["channel", "pixel"] = "channel"
    """Mean to subtract from each pixel: that of its channel, or of the same pixel in all training images
    (He et al. 2015, 3.4 and 4.2)."""

    def __post_init__(self) -> None:
        check_field("data.val_fraction", self.val_fraction, 0 < self.val_fraction < 1, "between 0 and 1")
        inner = self.inner_val_fraction
        check_field("data.inner_val_fraction", inner, 0 <= inner < 1, "a share from 0 (off) to below 1")
        check_range("data.num_workers", self.num_workers, -1, MAX_WORKERS, zero="choose")
        check_range("data.resident_bytes", self.resident_bytes, 0, MAX_BYTES, zero="decode every epoch")


@dataclass(frozen=True, slots=True)
class Optim:
    """The optimizer and the loss. `sgd`: v = momentum * v + gradient + weight_decay * w; w = w - lr * v."""

    lr: float = 0.1
    """Peak learning rate, above 0."""
    momentum: float = 0.9
    """Share of the last step that each step keeps; the first beta of AdamW and LAMB. 0 is off."""
    nesterov: bool = False
    """Nesterov momentum: look ahead along the momentum."""
    weight_decay: float = 1e-4
    """Weight decay (He et al. 2015, 3.4: 0.0001); 0 is off."""
    decay_norms_and_biases: bool = True
    """Apply weight decay to norms and biases too, as the papers do."""
    label_smoothing: float = 0.0
    """Label smoothing of the cross-entropy; 0 is off."""
    kind: Literal["sgd", "adamw", "lamb", "muon"] = "sgd"
    """torch's SGD or AdamW; LAMB (You et al. 2019) or Muon (Jordan 2024) of timm: extra `optim`."""
    beta2: float = 0.999
    """AdamW, LAMB and the AdamW inside Muon: share of the mean squared gradient that each step keeps."""
    grad_clip: float = 0.0
    """Largest norm of the gradient, over all parameters together; 0 is off."""
    layer_decay: float = 1.0
    """Learning rate of each block as a share of the next block's, above 0; 1 is off."""
    frozen_norms: bool = False
    """Batch norms keep their pretrained statistics and weights: for small batches and small datasets."""
    whiten_stem: bool = False
    """The first convolution whitens patches of the training images and is not trained (Jordan 2024, 3.2):
    short runs learn in fewer epochs."""
    aux_weight: float = 0.3
    """Weight of the loss of each auxiliary head (Szegedy et al. 2014, section 5: 0.3); 0 is off."""
    on_nonfinite: Literal["stop", "skip", "rollback"] = "stop"
    """After a NaN or infinite loss or gradient: end, leave out the update, or go back one checkpoint with
    half the learning rate."""

    def __post_init__(self) -> None:
        check_field("optim.lr", self.lr, 0 < self.lr <= HUGE, f"a number above 0, at most {HUGE:g}")
        check_field("optim.momentum", self.momentum, 0 <= self.momentum < 1, "a share from 0 to below 1")
        check_range("optim.weight_decay", self.weight_decay, 0, HUGE)
        smoothing = self.label_smoothing
        check_field("optim.label_smoothing", smoothing, 0 <= smoothing < 1, "a share from 0 to below 1")
        check_field("optim.beta2", self.beta2, 0 <= self.beta2 < 1, "0 <= beta2 < 1")
        check_range("optim.grad_clip", self.grad_clip, 0, HUGE, zero="off")
        check_field(
            "optim.layer_decay", self.layer_decay, 0 < self.layer_decay <= 1, "a share above 0, at most 1"
        )
        check_range("optim.aux_weight", self.aux_weight, 0, HUGE, zero="off")
        if self.nesterov and (not self.momentum or self.kind not in ("sgd", "muon")):
            raise ConfigError(
                f"optim.nesterov needs optim.momentum above 0 and optim.kind sgd or muon, not {self.kind} "
                f"with momentum {self.momentum}: add --set optim.nesterov=false"
            )


@dataclass(frozen=True, slots=True)
class Averaging:
    """A running mean of the weights, and batch norm statistics recomputed after training."""

    ema_decay: float = 0.0
    """Share of the running mean that each average keeps, at most (1 + n) / (10 + n) after n averages; 0 is
    off."""
    every: int = 1
    """Updates between two averages, 1 or more. Unit: updates."""
    lookahead: bool = False
    """Copy each average back into the weights, which makes it Lookahead (Zhang et al. 2019)."""
    bn_recalibration_images: int = 0
    """Training images that give the batch norm statistics after the last update (the released models of He
    et al. 2015); 0 keeps moving averages. Unit: images."""

    def __post_init__(self) -> None:
        images = self.bn_recalibration_images
        check_field("average.ema_decay", self.ema_decay, 0 <= self.ema_decay < 1, "a share from 0 to below 1")
        check_range("average.every", self.every, 1, MANY)
        check_range("average.bn_recalibration_images", images, 0, MANY, zero="off")
        if self.lookahead and not self.ema_decay:
            raise ConfigError("average.lookahead needs average.ema_decay above 0: set both")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning rate by step; times are shares of all steps, so that they scale with the epochs."""

    shape: Literal["step", "cosine", "linear", "constant", "plateau"] = "step"
    """How the learning rate falls after the warm-up."""
    warmup: float = 0.0
    """Length of the warm-up as a share of all steps; 0 is off. Unit: share."""
    warmup_lr_factor: float = 0.0
    """Learning rate at the first step as a share of the peak, from 0 to 1. Unit: share."""
    flat_warmup: bool = False
    """Keep the first learning rate during the warm-up (He et al. 2015, 4.2) instead of raising it."""
    drops: tuple[float, ...] = (0.5, 0.75)
    """`step`: shares of all steps at which the learning rate is divided by 10 (He et al. 2015, 4.2: 32k and
    48k of 64k). Unit: share."""
    warmup_error: float = 0.0
    """Keep the first learning rate until the training error of an epoch is below this (He et al. 2015, 4.2:
    80); 0 is off. Unit: percent."""
    patience: int = 5
    """`plateau`: epochs without a lower validation error before the learning rate is divided by 10. Unit:
    epochs."""
    max_drops: int = 3
    """`plateau`: how often the learning rate is divided at most."""

    def __post_init__(self) -> None:
        factor, drops, error = self.warmup_lr_factor, self.drops, self.warmup_error
        is_rising = all(0 < drop < 1 for drop in drops) and list(drops) == sorted(drops)
        check_field("schedule.warmup", self.warmup, 0 <= self.warmup < 1, "a share from 0 to below 1")
        check_field("schedule.warmup_lr_factor", factor, 0 <= factor <= 1, "a share from 0 to 1")
        check_field("schedule.drops", drops, is_rising, "rising shares between 0 and 1")
        check_field("schedule.warmup_error", error, 0 <= error <= 100, "0 (off) to 100 percent")
        check_range("schedule.patience", self.patience, 1, MANY)
        check_range("schedule.max_drops", self.max_drops, 0, 100)
        if error and (self.warmup or not factor):
            raise ConfigError(
                f"schedule.warmup_error is {error} with schedule.warmup {self.warmup} and "
                f"schedule.warmup_lr_factor {factor}: give warmup 0 and a factor above 0 with it"
            )


@dataclass(frozen=True, slots=True)
class Budget:
    """How long training lasts, and in what portions."""

    epochs: int = 164
    """Passes over the training set, 1 or more. Unit: epochs."""
    steps: int = 0
    """Number of updates; 0 leaves the length to `epochs`. Unit: updates."""
    batch_size: int = 128
    """Images per update, over all processes together, 2 or more. Unit: images."""
    drop_last: bool = True
    """Leave out the last, incomplete batch of an epoch; off, it is filled with the first images of the
    epoch."""
    save_seconds: float = 30.0
    """Longest time between two checkpoints; one is written after every epoch in any case. Unit: seconds."""
    accumulate: int = 1
    """Portions in which a batch goes through the network, to save memory; batch norms and mixup see one
    portion. 1 is off. Unit: portions."""
    patience: int = 0
    """Early stopping: epochs without a lower validation error after which training ends; 0 is off. Unit:
    epochs."""

    def __post_init__(self) -> None:
        portions, half = self.accumulate, self.batch_size // 2
        check_range("budget.epochs", self.epochs, 1, MANY)
        check_range("budget.steps", self.steps, 0, MANY, zero="use epochs")
        check_range("budget.batch_size", self.batch_size, 2, MAX_BATCH)
        check_range("budget.save_seconds", self.save_seconds, 0, MANY)
        if not 1 <= portions <= half:  # no SettingError: a larger batch may come with it
            raise ConfigError(f"budget.accumulate is {portions}: give 1 (off) to {half}, half of the batch")
        check_range("budget.patience", self.patience, 0, MANY, zero="off")


@dataclass(frozen=True, slots=True)
class Plan:
    """How the arithmetic is done. `auto` is measured on this machine; the run stores what was chosen."""

    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `mps` or `auto`."""
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    """Order of the axes in memory."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of the activations; weights stay float32."""
    threads: int = 0
    """CPU threads of torch; 0 takes torch's default. Other counts change the last bits of the results. Unit:
    threads."""
    compile: Literal["auto", "off", "whole", "blocks"] = "auto"
    """torch.compile: the whole network, or block by block (equal blocks once). `auto` times both, if the run
    is long enough."""
    graphs: Literal["auto", "on", "off"] = "auto"
    """CUDA graphs (torch's `reduce-overhead`), which need `compile` whole or blocks."""
    fused: Literal["auto", "on", "off"] = "auto"
    """One kernel for the whole update, where the optimizer has one."""
    sync_norm: bool = False
    """With several GPUs, compute batch norm statistics over the batch of all GPUs."""
    memory_limit: int = 0
    """Most memory of a training step, of the process or on the accelerator; gradient checkpointing keeps to
    it. 0 is off. Unit: bytes."""

    def __post_init__(self) -> None:
        check_range("plan.threads", self.threads, 0, MAX_THREADS, zero="torch's default")
        check_range("plan.memory_limit", self.memory_limit, 0, MAX_BYTES, zero="off")
        if self.graphs == "on" and self.compile not in ("whole", "blocks"):
            raise ConfigError("plan.graphs is on without compilation: give plan.compile whole or blocks")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run, from the network to the seed. Two equal recipes on one machine give equal weights."""

    name: str
    """Name of the recipe that this one started from, e.g. `he2015.cifar`."""
    arch: Arch
    """The network, fully spelled out."""
    data: Data
    """The dataset, and how it is read."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the training images."""
    optim: Optim = field(default_factory=Optim)
    """The optimizer and the loss."""
    schedule: Schedule = field(default_factory=Schedule)
    """Learning rate by step."""
    budget: Budget = field(default_factory=Budget)
    """How long training lasts, and in what portions."""
    plan: Plan = field(default_factory=Plan)
    """How the arithmetic is done."""
    average: Averaging = field(default_factory=Averaging)
    """Averaged weights, and recomputed batch norm statistics."""
    detector: Detector | None = None
    """Detection head behind `arch`, for datasets of boxes; null for all others."""
    weights: str = ""
    """File or run whose weights training starts from (fine-tuning); empty for random weights."""
    probe: Literal["off", "first", "only"] = "off"
    """Linear probe: fit the last layer to the features that the frozen `weights` compute, `first` before
    training or `only`, without training."""
    seed: int = 0
    """Seed of the initial weights, the image order, augmentation and dropout; at most 9 digits."""

    def __post_init__(self) -> None:
        is_seed = -(2**31) <= self.seed < 2**31  # beside the step it must fit into 64 bits
        check_field("seed", self.seed, is_seed, "a whole number of at most 9 digits")
        if self.probe == "only" and self.data.inner_val_fraction:
            raise ConfigError("data.inner_val_fraction chooses among epochs: leave it 0 with probe=only")
        if self.optim.whiten_stem and self.weights:
            raise ConfigError(
                "optim.whiten_stem overwrites pretrained weights: add --from-scratch, or leave it off"
            )
        if self.optim.whiten_stem and (self.detector or self.arch.clip):
            raise ConfigError("optim.whiten_stem is for classifiers of images: leave it off")
        if self.plan.graphs == "on" and self.budget.accumulate > 1:
            raise ConfigError("plan.graphs overwrites gradients: leave budget.accumulate 1")
        if self.average.bn_recalibration_images and self.budget.patience:
            raise ConfigError("average.bn_recalibration_images needs a fixed length: leave budget.patience 0")


def read_recipe(text: str | bytes) -> Recipe:
    """The recipe that `text` holds as JSON, with today's setting names or those of `OLD_NAMES`.

    Raises:
        ConfigError: `text` is not JSON or not a recipe; the message names the field.
    """
    plain = parse_json(text)
    if isinstance(plain, dict):
        plain = {name: _with_new_names(name, value) for name, value in plain.items()}
    return from_plain(Recipe, plain)


def override_recipe(recipe: Recipe, name: str, text: str) -> Recipe:
    """`recipe` with one setting changed.

    Args:
        recipe: The recipe to change.
        name: Dotted path of the setting, e.g. `optim.lr`, or its old name.
        text: The new value as JSON or as a bare word.

    Raises:
        ConfigError: There is no such setting, or it cannot be `text`.
    """
    return override(recipe, setting_path(name), text)


def override_settings(recipe: Recipe, changes: Mapping[str, str]) -> Recipe:
    """`recipe` with `changes` in any order that is valid: a refused one is tried again after the others.

    Args:
        recipe: The recipe to change.
        changes: Path or old name of each setting, and its new value as text.

    Raises:
        ConfigError: The first change that stays refused.
    """
    refused: dict[str, ValueError] = {}
    for path, text in changes.items():
        try:
            recipe = override_recipe(recipe, path, text)
        except ValueError as error:
            refused[path] = error
    if not refused:
        return recipe
    if len(refused) == len(changes):
        raise next(iter(refused.values()))
    return override_settings(recipe, {path: changes[path] for path in refused})


def setting_path(name: str) -> str:
    """The dotted path of the setting called `name`, today or in `OLD_NAMES`.

    Raises:
        ConfigError: There is no such setting; the message names the nearest ones.
    """
    known = paths(Recipe)
    path = OLD_NAMES.get(name, name)
    if path not in known:
        fields = [path for path in known if path.rpartition(".")[2] == name]
        hint = f"did you mean {' or '.join(fields)}?" if fields else nearest(name, known, aliases=OLD_NAMES)
        raise ConfigError(f"no setting {name!r}: {hint}")
    return path


def _with_new_names(section: str, fields: Any) -> Any:
    """The JSON value of a recipe's `section` with its old field names replaced."""
    if not isinstance(fields, dict):
        return fields
    renamed: dict[str, Any] = {}
    for name, value in fields.items():
        path = f"{section}.{name}"
        new = OLD_NAMES.get(path, path).removeprefix(f"{section}.")
        if new in renamed:
            raise ConfigError(f"{section}.{new} is given twice, also by its old name: give it once")
        renamed[new] = value
    return renamed
