"""Network: stem, stages of blocks, tail and heads of any `Arch`, and the maps of its stages."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from residua.errors import ConfigError
from residua.nn import clips, memory
from residua.nn.blocks import Classes, SideClasses, make_block, spell
from residua.nn.initialise import he_normal
from residua.nn.letters import LETTERS, Letter, Norm, letters
from residua.nn.letters_clip import clip_letters
from residua.nn.sequence import LayerSequence
from residua.nn.summary import summary
from residua.spec.arch import Arch
from residua.spec.change import with_classes, with_global_pool
from residua.spec.provenance import Provenance
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
        pretrained_from: The published weights from which its training began; None without any.
        num_features: Channels of the last map, which `forward_features` returns.
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
        self.pretrained_from: Provenance | None = None
        self.segments: memory.Segments = ()
        self.ceiling = 0
        read = partial(spell, letters=letters, eps=arch.norm_eps)
        stem = arch.stem
        self.stem = read(stem.word, arch.width, stem.convs, pool=stem.pool, drop=stem.drop)
        self.stages, sides = memory.UnitSequence(), {}
        width = stem.out(arch.width)
        for number, stage in enumerate(arch.stages):
            blocks = memory.UnitSequence()
            for index, block in enumerate(stage):
                blocks.append(make_block(block, width, letters, arch.norm_eps))
                width = sides[number, index] = block.out(width)
            self.stages.append(blocks)
        self.num_features = width
        self.tail = read(arch.tail, width, ())
        time = arch.has_time
        self.head = Classes(arch.head, width, arch.classes, flat=arch.is_flat, has_time=time, letters=letters)
        self.sides = nn.ModuleList(
            SideClasses(side, sides[side.stage, side.block], arch.classes, has_time=time, letters=letters)
            for side in arch.sides
        )
        he_normal(self)

    @property
    def head_hidden_size(self) -> int:
        """Numbers per image that the last linear layer reads."""
        return self.head.reads

    @property
    def num_classes(self) -> int:
        """Outputs of the last linear layer; 0 without one."""
        return int(getattr(self.get_classifier(), "out_features", 0))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs, or their numbers from 0 where they have no names."""
        return self.class_names or tuple(map(str, range(self.num_classes)))

    @property
    def in_chans(self) -> int:
        """Channels of the image."""
        return self.arch.channels

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """For the map of the stem and of each stage: channels, reduction and module, in timm's words."""
        rows = zip(self.arch.widths(), self.arch.map_strides(), self._map_modules(), strict=False)
        return [{"num_chs": width, "reduction": stride, "module": name} for width, stride, name in rows]

    def _map_modules(self) -> list[str]:
        layers = [f"stem.{name}" for name, _ in self.stem.named_children()]
        end = self.arch.stem_layers
        stem = "stem" if end >= len(layers) else layers[end - 1]
        return [stem, *(f"stages.{number}" for number in range(len(self.stages)))]

    @property
    def facts(self) -> dict[str, Any]:
        """What is stored beside its weights, as JSON values: `arch`, `classes`, maybe `pretrained_from`."""
        facts = {"arch": to_plain(self.arch), "classes": list(self.class_names)}
        return facts | ({"pretrained_from": to_plain(self.pretrained_from)} if self.pretrained_from else {})

    def __repr__(self) -> str:
        return summary(self, self.arch, self.class_names, self.num_classes)

    def tree(self) -> str:
        """Every module as text, as torch prints it."""
        return super().__repr__()

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
        stops = self._stops() if after else {}
        passage = self._passage({stops[place] for place in after})
        x = self._input_of_stem(x)
        if passage.is_plain:
            return self.stages(self.stem(x)), []
        return memory.run_units([self.stem, self.stages], x, passage, first=0), passage.outputs

    def _input_of_stem(self, x: Tensor) -> Tensor:
        x = clips.fold_segments(x, self.arch)
        return x.flatten(1) if self.arch.is_flat else x

    def _passage(self, after: Collection[int]) -> memory.Passage:
        segments = self.segments if torch.is_grad_enabled() else ()
        return memory.Passage(segments, after, self.ceiling)

    def _stops(self) -> dict[tuple[int, int], int]:
        """(stage, block) -> number of units up to the end of that block."""
        places = [(-1, 0)]
        for number, stage in enumerate(self.stages):
            places += [(number, index) for index in range(len(stage))]  # type: ignore[arg-type]
        return {place: stop for stop, place in enumerate(places, 1)}

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
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> tuple[Tensor, list[Tensor]] | list[Tensor]:
        """The last map and the maps of chosen stages, as timm's method of this name returns them.

        Args:
            x: Images (N, C, H, W) or clips (N, C, T, H, W).
            indices: 0 is the stem, before its pool where the first stage has maps of the pooled size; i is
                the i-th stage, -1 the last; a number n means the last n, None all.
            norm: Apply the tail to the map of the last stage too.
            stop_early: Leave out the stages after the last chosen one.
            output_fmt: Order of the axes; there is one.
            intermediates_only: Return only the list.

        Returns:
            The last map after the tail (with `stop_early`, the last map that was computed), and a list of
            maps in the order of `indices`.

        Raises:
            ConfigError: An index names no stage, or there is no such `output_fmt`.
        """
        if output_fmt != "NCHW":
            raise ConfigError(f"output_fmt is {output_fmt!r}: give 'NCHW'")
        end, by_index = self._maps(x, chosen := take_indices(self.arch, indices), stop_early=stop_early)
        last = len(self.stages)
        if not stop_early or last in by_index:
            end = self.tail(end)
        if norm and last in by_index:
            by_index[last] = end
        intermediates = [by_index[index] for index in chosen]
        return intermediates if intermediates_only else (end, intermediates)

    def _maps(
        self, x: Tensor, indices: Collection[int], *, stop_early: bool
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """The last map before the tail, and the map of each of `indices`."""
        chosen, stops = sorted(set(indices)), self._stops()
        ends = {stage + 1: stop for (stage, _), stop in stops.items()}  # the last block of a stage counts
        passage = self._passage([ends[index] for index in chosen if index])
        x, stem = self._input_of_stem(x), list[Tensor]()
        parts: list[nn.Module] = [self.stages] if not stop_early else [*self.stages][: chosen[-1]]
        if 0 in chosen:
            x = self.stem(x, keep=(self.arch.stem_layers, stem))  # a segment keeps only the map after a pool
            segments = [(max(start, 1), stop) for start, stop in passage.segments if stop > 1]
            passage.segments = tuple(segments)
            x = memory.run_units(parts, x, passage, first=1)
        else:
            x = memory.run_units([self.stem, *parts], x, passage, first=0)
        return x, dict(zip(chosen, [*stem, *passage.outputs], strict=True))

    def forward_head(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """The last map -> logits (N, classes); if `pre_logits`, the last layer's input (N, num_features)."""
        return clips.average_segments(self.head(x, pre_logits=pre_logits), self.arch)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) float -> logits (N, classes) float.

        While a network with auxiliary classifiers trains, a tuple: the logits, then theirs. The annotation is
        that of every other pass, because torch.jit.script reads it.
        """
        if not (self.training and self.sides):
            return self.forward_head(self.forward_features(x))
        last, maps = self.through(x, [(side.stage, side.block) for side in self.arch.sides])
        logits = self.forward_head(self.tail(last))
        side_logits = (side(x) for side, x in zip(self.sides, maps, strict=True))
        return logits, *(clips.average_segments(each, self.arch) for each in side_logits)  # type: ignore[return-value]

    def __prepare_scriptable__(self) -> nn.Module:
        """What `torch.jit.script` compiles: the graph of the network in its present mode."""
        return torch.fx.symbolic_trace(self)

    def get_classifier(self) -> nn.Module:
        """The last linear layer; `nn.Identity` after `reset_classifier(0)`."""
        return self.head[-1]

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the last layer by a new one.

        Args:
            num_classes: Outputs; 0 removes the layer, so that the network returns (N, head_hidden_size).
            global_pool: `avg`, `max` or `avgmax`: how the head reduces the last map. An empty text removes
                the whole head: the network returns its last map. None leaves it as it is; a removed head
                is made anew for classes.

        Raises:
            ConfigError: A value is out of range, or `global_pool` is empty and `num_classes` is not 0.
        """
        if num_classes < 0 or (num_classes and global_pool == ""):
            raise ConfigError(
                f"num_classes is {num_classes} with global_pool {global_pool!r}: give 0, "
                "or a number above 0 and a global_pool, e.g. 'avg'"
            )
        arch = with_global_pool(self.arch, global_pool) if global_pool else self.arch
        self.arch = with_classes(arch, num_classes) if num_classes else arch
        like = next(self.parameters())
        if global_pool == "":
            self.head.remove_layers()
        elif not self.head.pool and (global_pool or num_classes):
            flat, time = self.arch.is_flat, self.arch.has_time
            head = Classes(self.arch.head, self.num_features, num_classes or 1, flat=flat, has_time=time)
            self.head = head.to(like.device, like.dtype).train(self.training)
        for head in (module for module in self.modules() if isinstance(module, Classes)):
            head.replace_last(num_classes, like)
        if self.head.pool:
            self.head.pool = self.arch.head.pool
        self.class_names = ()

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, *, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove the layers that chosen maps do not need, as timm's method of this name does.

        Args:
            indices: The maps, as in `forward_intermediates`.
            prune_norm: Remove the tail too.
            prune_head: Remove the head, and with it auxiliary classifiers: the network returns its last map.

        Returns:
            The indices, counted from the front.
        """
        chosen = take_indices(self.arch, indices)
        last, count = max(chosen), len(self.stages)
        if prune_norm or last < count:
            self.tail = LayerSequence()
            self.arch = replace(self.arch, tail="")
        if last < count:
            self.stages = memory.UnitSequence(*[*self.stages][:last])
            self.num_features = self.arch.widths()[last]
            self.segments = tuple(pair for pair in self.segments if pair[1] <= len(self.units()))
        if 0 < last < count:
            self.arch = replace(self.arch, stages=self.arch.stages[:last], sides=())
        if last == 0:  # an Arch has stages: it stays
            self.stem = LayerSequence(OrderedDict([*self.stem.named_children()][: self.arch.stem_layers]))
        if prune_head:
            self.reset_classifier(0, "")
        if prune_head or last < count:
            self.sides = nn.ModuleList()
            self.arch = replace(self.arch, sides=())
        return list(chosen)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns that give each parameter its depth, as timm reads them for its layer decay.

        Args:
            coarse: Whether all blocks of a stage have one depth.
        """
        block = r"^stages\.(\d+)\.(\d+)"
        return {"stem": r"^stem", "blocks": r"^stages\.(\d+)" if coarse else [(block, None)]}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Gradient checkpointing: recompute each block in the backward pass, or not unless `enable`."""
        self.segments = tuple((i, i + 1) for i in range(1, len(self.units()))) if enable else ()


def take_indices(arch: Arch, indices: int | Sequence[int] | None) -> tuple[int, ...]:
    """Indices of maps counted from the front.

    Args:
        arch: The network.
        indices: 0 is the stem, i the i-th stage, -1 the last stage; a number n means the last n, None all.

    Raises:
        ConfigError: An index names no stage, or there are none.
    """
    count = len(arch.stages) + 1
    if isinstance(indices, int):
        indices = range(count - indices, count) if 0 < indices <= count else ()
    chosen = range(count) if indices is None else indices
    for index in chosen:
        if not (isinstance(index, int) and -count <= index < count):
            raise ConfigError(f"out_indices has {index}: {arch.name} has maps 0 to {count - 1}")
    if not chosen:
        raise ConfigError(f"out_indices names no map: {arch.name} has maps 0 to {count - 1}")
    return tuple(index % count for index in chosen)


class Features(nn.Module):
    """Images (N, C, H, W) or clips -> the maps of chosen stages: for detection, video and analysis.

    Attributes:
        network: Whose maps these are.
        indices: Stages counted from the front; 0 is the stem, before its pool where the first stage has maps
            of the pooled size.
        channels: Channels of each map.
        reductions: How many times smaller than the image each map is.
    """

    def __init__(self, network: Network, out_indices: int | Sequence[int] | None = None) -> None:
        """Choose the maps.

        Args:
            network: Whose maps these are.
            out_indices: As in `take_indices`; None means all.

        Raises:
            ConfigError: An index names no stage.
        """
        super().__init__()
        self.network = network
        self.indices = take_indices(network.arch, out_indices)
        self.channels = tuple(network.arch.widths()[i] for i in self.indices)
        self.reductions = tuple(network.arch.map_strides()[i] for i in self.indices)

    def __prepare_scriptable__(self) -> nn.Module:
        """What `torch.jit.script` compiles, as for `Network`."""
        return torch.fx.symbolic_trace(self)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Gradient checkpointing, as `Network.set_grad_checkpointing`."""
        self.network.set_grad_checkpointing(enable)

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
        ConfigError: There is no such `norm`, or it is `frozen` and the network reads clips or vectors.
    """
    table = clip_letters(norm) if arch.has_time else letters(norm, flat=arch.is_flat)
    return Network(arch, letters=table)
