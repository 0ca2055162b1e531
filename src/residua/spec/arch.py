"""Arch: a whole network as one frozen value that spells out every layer and round-trips through JSON."""

from dataclasses import dataclass, field
from typing import Literal

from residua.errors import ConfigError
from residua.spec.block import MAX_WIDTH, MAX_WINDOW, Block, Fork
from residua.spec.clip import Clip
from residua.spec.preprocess import IMAGENET, Preprocess
from residua.spec.word import POOLS, check_word, split_word

GlobalPool = Literal["avg", "max", "avgmax"]
"""How a head reduces a cell of the map to one number for each channel."""


@dataclass(frozen=True, slots=True)
class Head:
    """The layers from the last map to one number per class."""

    word: str = "L"
    """Letters L, A and D in the order of the layers; the last L computes the classes."""
    widths: tuple[int, ...] = ()
    """Outputs of every L but the last."""
    grid: int = 1
    """The map is averaged to `grid` x `grid` cells, then flattened."""
    drop: float = 0.5
    """Share of values that a D sets to zero in training."""
    pool: GlobalPool = "avg"
    """What a cell of the grid is of the map: its average, its maximum, or the mean of both."""

    def __post_init__(self) -> None:
        check_word(self.word)
        if not self.word.replace(" ", "").endswith("L") or set(self.word) - set("LAD "):
            raise ConfigError(f"head {self.word!r}: give letters L, A and D that end in L")
        if (need := self.word.count("L") - 1) != len(self.widths):
            raise ConfigError(
                f"head {self.word!r} has {need} hidden L but {len(self.widths)} widths: give one each"
            )
        if not 1 <= self.grid <= MAX_WINDOW or not 0 <= self.drop < 1:
            allowed = f"a grid of 1 to {MAX_WINDOW} and a drop from 0 to below 1"
            raise ConfigError(f"head grid {self.grid}, drop {self.drop}: give {allowed}")
        if not all(1 <= width <= MAX_WIDTH for width in self.widths):
            raise ConfigError(f"head widths {self.widths}: give numbers from 1 to {MAX_WIDTH}")


@dataclass(frozen=True, slots=True)
class Side:
    """An auxiliary classifier behind an inner block, which helps to train the blocks before it."""

    stage: int
    """Number of the stage whose map it reads, from 0."""
    block: int
    """Number of the block in that stage whose output it reads, from 0."""
    stem: Block
    """Its first layers, e.g. `VCA`."""
    head: Head
    """Its layers from there to the classes."""


@dataclass(frozen=True, slots=True)
class Arch:
    """A network: stem, stages of blocks, tail and head, and the input it is designed for."""

    name: str
    """Its name in `list_models()`, with the changes of its layers and frames: `resnet34:shortcut=A`."""
    family: str
    """Family of networks, e.g. `resnet`."""
    source: str
    """Paper and table."""
    stem: Block
    """The first layers."""
    stages: tuple[tuple[Block | Fork, ...], ...]
    """Blocks, grouped as in the papers by the size of the map."""
    tail: str = ""
    """Letters N and A after the last block (He et al. 2016, appendix)."""
    head: Head = field(default_factory=Head)
    """The layers from the last map to the classes."""
    classes: int = 1000
    """Number of outputs."""
    preprocess: Preprocess = IMAGENET
    """The input it is designed for."""
    sides: tuple[Side, ...] = ()
    """Auxiliary classifiers, which run in training only."""
    norm_eps: float = 1e-5
    """Added to the variance in every norm, before the root."""
    clip: Clip | None = None
    """The frames it reads; None for images."""

    def __post_init__(self) -> None:
        if not 1 <= self.classes <= MAX_WIDTH:
            raise ConfigError(f"{self.name} with {self.classes} classes: give 1 to {MAX_WIDTH}")
        if not 0 < self.norm_eps <= 1:
            raise ConfigError(f"norm_eps of {self.name} is {self.norm_eps}: give a number above 0, at most 1")
        if not self.stages or not all(self.stages):
            raise ConfigError(f"{self.name} has a stage without blocks: give each stage at least one")
        if self.stem.has_shortcut:
            raise ConfigError(
                f"stem {self.stem.word!r} of {self.name} has brackets: only blocks of a stage skip"
            )
        if set(self.tail) - set("NA "):
            raise ConfigError(f"tail {self.tail!r} of {self.name}: give letters N and A")
        self._check_time()
        width = self.width
        for block in (self.stem, *self.blocks()):
            for branch in ways(block):
                self._check_block(branch, width)
            width = block.out(width)
        for side in self.sides:
            if not (0 <= side.stage < len(self.stages) and 0 <= side.block < len(self.stages[side.stage])):
                raise ConfigError(f"{self.name} has no block {side.block} in stage {side.stage} for a side")

    def _check_time(self) -> None:
        parts = (self.stem, *self.blocks(), *(side.stem for side in self.sides))
        spans = any(block.spans for block in parts)
        if spans and not self.has_time:
            raise ConfigError(f"{self.name} has windows over several frames: give a clip of 2 frames or more")
        if self.clip and self.has_time and not spans:
            raise ConfigError(
                f"{self.name} would read {self.clip.frames} frames together, but no window of it spans two: "
                "inflate it, or read one frame of several segments"
            )

    def _check_block(self, block: Block, width: int) -> None:
        if ("C" in block.word and self.is_flat) or (block.is_flat and not self.is_flat):
            raise ConfigError(f"{block.word!r} of {self.name}: write L in every word, or C in every word")
        self._check_join(block, width)
        for conv in block.convs:
            if width % conv.groups:
                raise ConfigError(
                    f"{width} channels into {conv} of {self.name}: they do not divide into groups"
                )
            width = conv.out

    def _check_join(self, block: Block, width: int) -> None:
        after = split_word(block.word)[2]
        if block.has_shortcut and {"C", "L"} & set(after):
            raise ConfigError(
                f"{block.word!r} of {self.name} convolves after the addition: start another block there"
            )
        if block.pads:
            (_, first), (_, inside), _ = block.parts()
            fork = first[-1].out if first else width
            if inside and inside[-1].out < fork:
                raise ConfigError(
                    f"{block.pads} of {self.name} cannot shrink {fork} channels to {inside[-1].out}: use C"
                )

    @property
    def channels(self) -> int:
        """Channels of the input image."""
        return self.preprocess.channels

    @property
    def has_time(self) -> bool:
        """Whether it reads several frames together, in maps (N, C, T, H, W)."""
        return self.clip is not None and self.clip.frames > 1

    @property
    def segments(self) -> int:
        """Segments of a video whose logits are averaged; 1 for images."""
        return self.clip.segments if self.clip else 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image (C, H, W) or of one clip (C, T, H, W)."""
        frames = (self.clip.total,) if self.clip else ()
        return (self.channels, *frames, self.preprocess.size, self.preprocess.size)

    @property
    def is_flat(self) -> bool:
        """Whether it flattens the image: all its layers read vectors."""
        return self.stem.is_flat

    @property
    def width(self) -> int:
        """Channels that the stem reads; in a flat network, the values of the whole image."""
        return self.channels * self.preprocess.size**2 if self.is_flat else self.channels

    def blocks(self) -> tuple[Block | Fork, ...]:
        """Every block of every stage, in order."""
        return tuple(block for stage in self.stages for block in stage)

    def residual_blocks(self) -> tuple[Block, ...]:
        """Every block with a shortcut, in order."""
        return tuple(block for block in self.blocks() if isinstance(block, Block) and block.has_shortcut)

    def widths(self) -> tuple[int, ...]:
        """Channels of the maps after the stem and after each stage."""
        width = self.stem.out(self.width)
        widths = [width]
        for stage in self.stages:
            for block in stage:
                width = block.out(width)
            widths.append(width)
        return tuple(widths)

    def strides(self) -> tuple[int, ...]:
        """How many times smaller than the image the maps after the stem and after each stage are."""
        stride = self.stem.stride()
        strides = [stride]
        for stage in self.stages:
            for block in stage:
                stride *= block.stride()
            strides.append(stride)
        return tuple(strides)

    @property
    def stem_layers(self) -> int:
        """Layers of the stem before the map that stands for it in `features_only`.

        Its last pool is left out where the first stage keeps the size of the map, as in timm: the map before
        that pool is the only one of its size.
        """
        word = self.stem.word.replace(" ", "")
        first = self.stages[0]
        keeps_size = all(block.stride() == 1 for block in first)
        return len(word.rstrip("".join(POOLS))) if keeps_size else len(word)

    def map_strides(self) -> tuple[int, ...]:
        """How many times smaller than the image the maps of `features_only` are."""
        stem, *stages = self.strides()
        pools = len(self.stem.word.replace(" ", "")) - self.stem_layers
        return (stem // self.stem.pool.stride**pools, *stages)

    def depth(self) -> int:
        """Depth as in the papers: convolutions and linear layers on the longest path, without shortcuts."""
        return sum(_depth(block) for block in (self.stem, *self.blocks())) + self.head.word.count("L")


def ways(block: Block | Fork) -> tuple[Block, ...]:
    """The branches of a fork; of a block, itself."""
    return block.branches if isinstance(block, Fork) else (block,)


def _depth(block: Block | Fork) -> int:
    return max(len(way.convs) for way in ways(block))
