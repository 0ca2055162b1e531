"""Arch: a whole network as one frozen value that spells every layer and round-trips through JSON."""

from dataclasses import dataclass, field

from residua.spec.block import Block, Fork
from residua.spec.clip import Clip
from residua.spec.preprocess import IMAGENET, Preprocess
from residua.spec.word import check_word, split_word


@dataclass(frozen=True, slots=True)
class Head:
    """What turns the last map into one number per class."""

    word: str = "L"
    """Letters L, A and D in the order data meets them; the last L gives the classes."""
    widths: tuple[int, ...] = ()
    """Outputs of every L but the last."""
    grid: int = 1
    """The map is averaged to `grid` x `grid` cells, then flattened."""
    drop: float = 0.5
    """Share of values that a D sets to zero while training."""

    def __post_init__(self) -> None:
        """ValueError, saying what to change, when the parts disagree."""
        check_word(self.word)
        if not self.word.replace(" ", "").endswith("L") or set(self.word) - set("LAD "):
            raise ValueError(f"head {self.word!r}: give letters L, A and D that end in L")
        if (need := self.word.count("L") - 1) != len(self.widths):
            raise ValueError(
                f"head {self.word!r} has {need} hidden L but {len(self.widths)} widths: give one each"
            )
        if self.grid < 1 or not 0 <= self.drop < 1:
            raise ValueError(f"head grid {self.grid}, drop {self.drop}: give grid >= 1 and 0 <= drop < 1")


@dataclass(frozen=True, slots=True)
class Side:
    """An auxiliary classifier that reads a map on the way and helps to train what comes before it."""

    stage: int
    """Stage whose map it reads."""
    block: int
    """Block of that stage it comes after."""
    stem: Block
    """What meets the map first, e.g. `VCA`."""
    head: Head
    """From there to classes."""


@dataclass(frozen=True, slots=True)
class Arch:
    """A network: stem, stages of blocks, tail and head, and what it was drawn for."""

    name: str
    """Its name in `list_models()`."""
    family: str
    """The networks it belongs to, e.g. `resnet`."""
    source: str
    """Paper and table."""
    stem: Block
    """What meets the image first."""
    stages: tuple[tuple[Block | Fork, ...], ...]
    """Blocks, grouped where the papers group them: by the size of the map."""
    tail: str = ""
    """Letters N and A after the last block (He et al. 2016, appendix)."""
    head: Head = field(default_factory=Head)
    """From map to classes."""
    classes: int = 1000
    """Numbers that come out."""
    preprocess: Preprocess = IMAGENET
    """The input it was drawn for."""
    sides: tuple[Side, ...] = ()
    """Auxiliary classifiers, which run in training only."""
    norm_eps: float = 1e-5
    """What every norm adds to the variance before the root."""
    clip: Clip | None = None
    """The frames it reads; None reads images."""

    def __post_init__(self) -> None:
        """ValueError, saying what to change, when the parts disagree."""
        if self.classes < 1:
            raise ValueError(f"{self.name} with {self.classes} classes: give at least 1")
        if not self.stages or not all(self.stages):
            raise ValueError(f"{self.name} has a stage without blocks: give each stage at least one")
        if self.stem.has_shortcut:
            raise ValueError(
                f"stem {self.stem.word!r} of {self.name} has brackets: only blocks of a stage skip"
            )
        if set(self.tail) - set("NA "):
            raise ValueError(f"tail {self.tail!r} of {self.name}: give letters N and A")
        self._check_time()
        width = self.width
        for block in (self.stem, *self.blocks()):
            for branch in ways(block):
                self._check_block(branch, width)
            width = block.out(width)
        for side in self.sides:
            if not (0 <= side.stage < len(self.stages) and 0 <= side.block < len(self.stages[side.stage])):
                raise ValueError(f"{self.name} has no block {side.block} in stage {side.stage} for a side")

    def _check_time(self) -> None:
        parts = (self.stem, *self.blocks(), *(side.stem for side in self.sides))
        spans = any(block.spans for block in parts)
        if spans and not self.has_time:
            raise ValueError(f"{self.name} has windows over several frames: give a clip of 2 frames or more")
        if self.clip and self.has_time and not spans:
            raise ValueError(
                f"{self.name} would read {self.clip.frames} frames together, but no window of it spans two: "
                "inflate it, or read one frame of several segments"
            )

    def _check_block(self, block: Block, width: int) -> None:
        if ("C" in block.word and self.is_flat) or (block.is_flat and not self.is_flat):
            raise ValueError(f"{block.word!r} of {self.name}: write L in every word, or C in every word")
        self._check_join(block, width)
        for conv in block.convs:
            if width % conv.groups:
                raise ValueError(
                    f"{width} channels into {conv} of {self.name}: they do not divide into groups"
                )
            width = conv.out

    def _check_join(self, block: Block, width: int) -> None:
        after = split_word(block.word)[2]
        if block.has_shortcut and {"C", "L"} & set(after):
            raise ValueError(
                f"{block.word!r} of {self.name} convolves after the addition: start another block there"
            )
        if block.has_shortcut and "Z" in block.shortcut:
            (_, first), (_, inside), _ = block.parts()
            fork = first[-1].out if first else width
            if inside and inside[-1].out < fork:
                raise ValueError(f"Z of {self.name} cannot shrink {fork} channels to {inside[-1].out}: use C")

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
        """Stretches of a video whose logits are averaged; 1 for images."""
        return self.clip.segments if self.clip else 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one image (C, H, W), or of one clip (C, T, H, W)."""
        frames = (self.clip.total,) if self.clip else ()
        return (self.channels, *frames, self.preprocess.size, self.preprocess.size)

    @property
    def is_flat(self) -> bool:
        """Whether it flattens the image and reads vectors from the stem on."""
        return self.stem.is_flat

    @property
    def width(self) -> int:
        """Channels that enter the stem; of a flat network, the numbers of the whole image."""
        return self.channels * self.preprocess.size**2 if self.is_flat else self.channels

    def blocks(self) -> tuple[Block | Fork, ...]:
        """Every block of every stage, in order."""
        return tuple(block for stage in self.stages for block in stage)

    def residual_blocks(self) -> tuple[Block, ...]:
        """Those that skip something."""
        return tuple(block for block in self.blocks() if isinstance(block, Block) and block.has_shortcut)

    def widths(self) -> tuple[int, ...]:
        """Channels that come out of the stem and of each stage."""
        width, found = self.stem.out(self.width), []
        found.append(width)
        for stage in self.stages:
            for block in stage:
                width = block.out(width)
            found.append(width)
        return tuple(found)

    def strides(self) -> tuple[int, ...]:
        """How many times smaller than the image the maps after the stem and after each stage are."""
        stride, found = self.stem.stride(), []
        found.append(stride)
        for stage in self.stages:
            for block in stage:
                stride *= block.stride()
            found.append(stride)
        return tuple(found)

    def depth(self) -> int:
        """The papers' count of layers: convolutions and linear layers on the longest way, no shortcuts."""
        return sum(_layers(block) for block in (self.stem, *self.blocks())) + self.head.word.count("L")


def ways(block: Block | Fork) -> tuple[Block, ...]:
    """The branches of a fork; of a block, itself."""
    return block.branches if isinstance(block, Fork) else (block,)


def _layers(block: Block | Fork) -> int:
    return max(len(way.convs) for way in ways(block))
