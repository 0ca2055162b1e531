"""The network around the blocks: stem, stages, tail and heads of any `Arch`."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from residua.nn import clips, memory
from residua.nn.blocks import Classes, SideClasses, block_of, spell
from residua.nn.initialise import he_normal
from residua.nn.letters import LETTERS, Letter, Norm, letters
from residua.nn.letters_clip import clip_letters
from residua.spec.arch import Arch
from residua.spec.change import with_classes
from residua.spec.record import to_plain


class Network(nn.Module):
    """Any `Arch` as a module: images (N, C, H, W) float in, logits (N, classes) out.

    With a `Clip`, clips (N, C, T, H, W) in; each of its S segments is a row of the batch up to the head, so
    maps are (N S, C, H, W), or (N S, C, T, H, W) where the network reads several frames together.
    `arch` is what it was spelled from; `preprocess` how pixels become its input; `class_names` what its
    outputs mean (empty until it is trained or loaded). A flat network takes vectors (N, width) too.
    `segments` of `units()` are computed twice to save memory; see `residua.nn.memory`, also for `ceiling`.
    """

    def __init__(self, arch: Arch, *, letters: Mapping[str, Letter] = LETTERS) -> None:
        """Fresh He-normal weights, drawn from torch's global generator."""
        super().__init__()
        self.arch, self.preprocess = arch, arch.preprocess
        self.class_names: tuple[str, ...] = ()
        self.segments: memory.Segments = ()
        self.ceiling = 0
        read = partial(spell, letters=letters, eps=arch.norm_eps)
        stem = arch.stem
        self.stem = read(stem.word, arch.width, stem.convs, pool=stem.pool, drop=stem.drop)
        self.stages, sides = nn.Sequential(), {}
        width = stem.out(arch.width)
        for number, stage in enumerate(arch.stages):
            blocks = nn.Sequential()
            for index, block in enumerate(stage):
                blocks.append(block_of(block, width, letters, arch.norm_eps))
                width = sides[number, index] = block.out(width)
            self.stages.append(blocks)
        self.tail = read(arch.tail, width, ())
        time = arch.has_time
        self.head = Classes(arch.head, width, arch.classes, flat=arch.is_flat, has_time=time, letters=letters)
        self.sides = nn.ModuleList(
            SideClasses(side, sides[side.stage, side.block], arch.classes, has_time=time, letters=letters)
            for side in arch.sides
        )
        he_normal(self)

    @property
    def num_features(self) -> int:
        """Numbers per image that the last linear layer reads."""
        return self.head.reads

    @property
    def facts(self) -> dict[str, Any]:
        """What a file of its weights says of it, as JSON values."""
        return {"arch": to_plain(self.arch), "classes": list(self.class_names)}

    def units(self) -> list[nn.Module]:
        """What a map runs through before the tail, in order: the stem and every block."""
        return [self.stem, *(block for stage in self.stages for block in stage.children())]

    def through(self, x: Tensor, after: Collection[tuple[int, int]] = ()) -> tuple[Tensor, list[Tensor]]:
        """(N, C, H, W) -> the last map before the tail, and those after the blocks (stage, block) of `after`.

        (-1, 0) is the stem. The maps come in the network's order.
        """
        stops, stop = {(-1, 0): 1}, 1
        for number, stage in enumerate(self.stages):
            for index in range(len(stage)):  # type: ignore[arg-type]
                stop = stops[number, index] = stop + 1
        x = clips.folded(x, self.arch)
        x = x.flatten(1) if self.arch.is_flat else x
        wanted = {stops[place] for place in after}
        return memory.forward(self.units(), x, self.segments, after=wanted, ceiling=self.ceiling)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the last map (N, width, H/stride, W/stride), after the tail."""
        y: Tensor = self.tail(self.through(x)[0])
        return y

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        *,
        norm: bool = False,
        intermediates_only: bool = False,
    ) -> tuple[Tensor, list[Tensor]] | list[Tensor]:
        """(N, C, H, W) -> the last map after the tail, and the maps of stages, as timm gives them.

        `indices` are as in `features_only` (0 is the stem, -1 the last stage); a number n means the last n,
        None all. `norm` applies the tail to the last stage's map too. ValueError for an index of no stage.
        """
        count = len(self.stages) + 1
        wanted = map_indices(
            self.arch, range(count - indices, count) if isinstance(indices, int) else indices
        )
        places = [(index - 1, len(self.arch.stages[index - 1]) - 1 if index else 0) for index in wanted]
        last, maps = self.through(x, places)
        end: Tensor = self.tail(last)
        by_index = dict(zip(sorted(set(wanted)), maps, strict=True))
        if norm and count - 1 in by_index:
            by_index[count - 1] = end
        found = [by_index[index] for index in wanted]
        return found if intermediates_only else (end, found)

    def forward_head(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """The last map -> logits (N, classes), or what the last linear layer reads (N, num_features)."""
        return clips.averaged(self.head(x, pre_logits=pre_logits), self.arch)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(N, C, H, W) float -> logits (N, classes) float.

        While a network with auxiliary classifiers trains, a tuple: the logits, then theirs.
        """
        if not (self.training and self.sides):
            return self.forward_head(self.forward_features(x))
        last, maps = self.through(x, [(side.stage, side.block) for side in self.arch.sides])
        logits = self.forward_head(self.tail(last))
        asides = (side(found) for side, found in zip(self.sides, maps, strict=True))
        return logits, *(clips.averaged(aside, self.arch) for aside in asides)

    def get_classifier(self) -> nn.Module:
        """The last linear layer."""
        return self.head[-1]

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh last layer for `num_classes` outputs; 0 leaves the features, (N, num_features)."""
        like = next(self.parameters())
        for head in (module for module in self.modules() if isinstance(module, Classes)):
            fresh = nn.Linear(head.reads, num_classes) if num_classes else nn.Identity()
            setattr(head, list(head._modules)[-1], fresh.to(like.device, like.dtype))
        if num_classes:
            self.arch = with_classes(self.arch, num_classes)
        self.class_names = ()

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        self.segments = tuple((i, i + 1) for i in range(1, len(self.units()))) if enable else ()


def map_indices(arch: Arch, indices: Sequence[int] | None) -> tuple[int, ...]:
    """`indices` of maps, counted from the front: 0 is the stem, i the i-th stage; None means all.

    ValueError when an index names no stage.
    """
    count = len(arch.stages) + 1
    for index in indices or ():
        if not -count <= index < count:
            raise ValueError(f"out_indices has {index}: {arch.name} has maps 0 to {count - 1}")
    return tuple(range(count) if indices is None else (index % count for index in indices))


def build(arch: Arch, *, norm: Norm = "batch") -> Network:
    """The network that `arch` spells, with fresh weights; seed torch first for a known draw."""
    table = clip_letters(norm) if arch.has_time else letters(norm, flat=arch.is_flat)
    return Network(arch, letters=table)
