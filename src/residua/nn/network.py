"""Network: stem, stages of blocks, tail and heads of any `Arch`, and the maps of its stages."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from residua.errors import ConfigError
from residua.nn import clips, memory
from residua.nn.blocks import Classes, SideClasses, make_block, spell
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
    A flat network takes vectors (N, width) too.

    Attributes:
        arch: The value it was built from.
        preprocess: How pixels become its input.
        class_names: Names of its outputs; empty until it is trained or loaded.
        segments: Stretches of `units()` under gradient checkpointing; see `residua.nn.memory`.
        ceiling: Bytes of the process from which on free memory is released; see `residua.nn.memory`.
    """

    def __init__(self, arch: Arch, *, letters: Mapping[str, Letter] = LETTERS) -> None:
        """Build the layers and draw He-normal weights from torch's global generator.

        Args:
            arch: The network as a value.
            letters: What each letter becomes.
        """
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
                blocks.append(make_block(block, width, letters, arch.norm_eps))
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
        """What is stored beside its weights, as JSON values: `arch` and `classes`."""
        return {"arch": to_plain(self.arch), "classes": list(self.class_names)}

    def blocks(self) -> list[nn.Module]:
        """Every block of every stage, in order."""
        return [block for stage in self.stages for block in stage.children()]

    def block_names(self) -> list[str]:
        """Module names of the blocks, in order: `stages.0.1`."""
        stages = enumerate(self.stages)
        return [f"stages.{number}.{name}" for number, stage in stages for name, _ in stage.named_children()]

    def units(self) -> list[nn.Module]:
        """What a map runs through before the tail, in order: the stem and every block."""
        return [self.stem, *self.blocks()]

    def through(self, x: Tensor, after: Collection[tuple[int, int]] = ()) -> tuple[Tensor, list[Tensor]]:
        """The last map before the tail, and the maps after chosen blocks, in the network's order.

        Args:
            x: Images (N, C, H, W) or clips (N, C, T, H, W).
            after: (stage, block) of each chosen block, from 0; (-1, 0) is the stem.
        """
        stops, stop = {(-1, 0): 1}, 1
        for number, stage in enumerate(self.stages):
            for index in range(len(stage)):  # type: ignore[arg-type]
                stop = stops[number, index] = stop + 1
        x = clips.fold_segments(x, self.arch)
        x = x.flatten(1) if self.arch.is_flat else x
        chosen = {stops[place] for place in after}
        return memory.forward(self.units(), x, self.segments, after=chosen, ceiling=self.ceiling)

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
        """The last map and the maps of chosen stages, as timm's method of this name returns them.

        Args:
            x: Images (N, C, H, W) or clips (N, C, T, H, W).
            indices: 0 is the stem, i the i-th stage, -1 the last; a number n means the last n, None all.
            norm: Apply the tail to the map of the last stage too.
            intermediates_only: Return only the list.

        Returns:
            The last map after the tail, and a list of maps in the order of `indices`.

        Raises:
            ConfigError: An index names no stage.
        """
        count = len(self.stages) + 1
        chosen = map_indices(
            self.arch, range(count - indices, count) if isinstance(indices, int) else indices
        )
        places = [(index - 1, len(self.arch.stages[index - 1]) - 1 if index else 0) for index in chosen]
        last, maps = self.through(x, places)
        end: Tensor = self.tail(last)
        by_index = dict(zip(sorted(set(chosen)), maps, strict=True))
        if norm and count - 1 in by_index:
            by_index[count - 1] = end
        intermediates = [by_index[index] for index in chosen]
        return intermediates if intermediates_only else (end, intermediates)

    def forward_head(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """The last map -> logits (N, classes); if `pre_logits`, the last layer's input (N, num_features)."""
        return clips.average_segments(self.head(x, pre_logits=pre_logits), self.arch)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(N, C, H, W) float -> logits (N, classes) float.

        While a network with auxiliary classifiers trains, a tuple: the logits, then theirs.
        """
        if not (self.training and self.sides):
            return self.forward_head(self.forward_features(x))
        last, maps = self.through(x, [(side.stage, side.block) for side in self.arch.sides])
        logits = self.forward_head(self.tail(last))
        side_logits = (side(x) for side, x in zip(self.sides, maps, strict=True))
        return logits, *(clips.average_segments(each, self.arch) for each in side_logits)

    def get_classifier(self) -> nn.Module:
        """The last linear layer."""
        return self.head[-1]

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a new one for `num_classes` outputs; 0 returns (N, num_features)."""
        like = next(self.parameters())
        for head in (module for module in self.modules() if isinstance(module, Classes)):
            fresh = nn.Linear(head.reads, num_classes) if num_classes else nn.Identity()
            setattr(head, list(head._modules)[-1], fresh.to(like.device, like.dtype))
        if num_classes:
            self.arch = with_classes(self.arch, num_classes)
        self.class_names = ()

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Gradient checkpointing: recompute each block in the backward pass, or not unless `enable`."""
        self.segments = tuple((i, i + 1) for i in range(1, len(self.units()))) if enable else ()


def map_indices(arch: Arch, indices: Sequence[int] | None) -> tuple[int, ...]:
    """Indices of maps counted from the front.

    Args:
        arch: The network.
        indices: 0 is the stem, i the i-th stage, -1 the last stage; None means all.

    Raises:
        ConfigError: An index names no stage.
    """
    count = len(arch.stages) + 1
    for index in indices or ():
        if not -count <= index < count:
            raise ConfigError(f"out_indices has {index}: {arch.name} has maps 0 to {count - 1}")
    return tuple(range(count) if indices is None else (index % count for index in indices))


class Features(nn.Module):
    """Images (N, C, H, W) or clips -> the maps of chosen stages: for detection, video and analysis.

    Attributes:
        network: Whose maps these are.
        indices: Stages counted from the front; 0 is the stem.
        channels: Channels of each map.
        reductions: How many times smaller than the image each map is.
    """

    def __init__(self, network: Network, out_indices: Sequence[int] | None = None) -> None:
        """Choose the maps.

        Args:
            network: Whose maps these are.
            out_indices: As in `map_indices`; None means all.

        Raises:
            ConfigError: An index names no stage.
        """
        super().__init__()
        self.network = network
        self.indices = map_indices(network.arch, out_indices)
        self.channels = tuple(network.arch.widths()[i] for i in self.indices)
        self.reductions = tuple(network.arch.strides()[i] for i in self.indices)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The chosen maps in the order of `out_indices`; the last stage's with the tail applied."""
        maps = self.network.forward_intermediates(x, self.indices, norm=True, intermediates_only=True)
        assert isinstance(maps, list)
        return maps


def layer_groups(network: Network) -> list[list[str]]:
    """Names of parameters by depth: the stem, one group per block, and one of tail, head and side heads."""
    groups: dict[str, list[str]] = {}
    for name, _ in network.named_parameters():
        parts = name.split(".")
        key = ".".join(parts[:3]) if parts[0] == "stages" else parts[0] if parts[0] == "stem" else "head"
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def build(arch: Arch, *, norm: Norm = "batch") -> Network:
    """A new network with random weights; seed torch first for known ones.

    Args:
        arch: The network as a value.
        norm: Kind of batch norm.

    Raises:
        ConfigError: `norm` is `frozen` and the network reads clips or vectors.
    """
    table = clip_letters(norm) if arch.has_time else letters(norm, flat=arch.is_flat)
    return Network(arch, letters=table)
