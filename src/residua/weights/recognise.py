"""Which listed network a bare file of weights is of: the one whose names and shapes its tensors have."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from residua.errors import CheckpointError, ConfigError
from residua.nn.network import build
from residua.spec import change, zoo
from residua.spec.arch import Arch
from residua.spec.named_network import arch_of, original_name
from residua.spec.walk import block_repeats
from residua.weights.dialect import Dialect, translate
from residua.weights.load import FIRST, dialect_of, head_keys, kind_distances, load
from residua.weights.same_tensors import clear_kind, kind_of, same_tensors

OTHERS = (
    *(f"preresnet{depth}:opening=timm" for depth in (18, 34, 50, 101, 152)),
    *(f"cifar_resnet{depth}:shortcut=B" for depth in (20, 32, 44, 56, 110)),
    *(f"cifar_resnet{depth}:shortcut=A_after" for depth in (20, 32, 44, 56, 110)),
)
"""Changed networks that libraries publish weights of."""
AUXILIARY = re.compile(r"aux\d\..+")
"""Tensors of heads that only training uses, by torchvision's names."""
END_LAYERS = 2
"""Convolutions that a file may have besides: the first, whose channels may differ, and the last of timm."""
VARIANTS: Mapping[str, str] = {"torchvision": "", "timm": "", "iduta": "_released"}
"""Naming scheme -> ending of the one of look-alikes (`zoo.VARIANTS`) that its owner's code computes."""


def recognise(state: Mapping[str, Tensor]) -> list[tuple[Arch, Dialect]]:
    """The networks that a file may be of, for as many classes and channels as it has.

    Args:
        state: Its weights under its names.

    Returns:
        Each network whose names and shapes are those of `state`, with its naming scheme. Look-alikes that the
        owner of the names does not compute are left out: torchvision and timm stride on the 3x3, iduta's code
        is `_released`. Of networks that differ in the zeros of option A, or in having shortcuts, only the one
        is left that the running statistics clearly fit.
    """
    convs = Counter(tuple(value.shape) for name, value in state.items() if _is_conv(name, value))
    fits = []
    for name in (*zoo.NAMES, *OTHERS):
        arch = arch_of(name)
        expected = Counter(dict(_conv_shapes(arch)))
        if expected <= convs and convs.total() - expected.total() <= END_LAYERS:
            fits += _fits(arch, state)
    fits = [(arch, dialect) for arch, dialect in fits if not _is_other_variant(arch, dialect, fits)]
    return _trained_as(fits, state) if len(fits) > 1 else fits


def fit_to(arch: Arch, state: Mapping[str, Tensor], *, source: str = "auto") -> tuple[Arch, Dialect]:
    """`arch` for the classes and channels of a file, and the naming scheme of the file.

    Args:
        arch: The network that the file is of.
        state: Its weights under its names.
        source: Naming scheme; `auto` recognises it.

    Raises:
        CheckpointError: A name shows that the weights are of another network.
        ConfigError: `source` is unknown.
    """
    with torch.device("meta"):
        network = build(arch)
    dialect = dialect_of(network, state, source=source)
    names = dialect.known(network.state_dict())
    head, first = (state.get(names.get(key, "")) for key in (head_keys(network)[0], FIRST))
    if head is not None and head.ndim:
        arch = change.with_classes(arch, len(head))
    if first is not None and first.ndim in (4, 5):
        arch = change.with_channels(arch, first.shape[1])
    return arch, dialect


def _fits(arch: Arch, state: Mapping[str, Tensor]) -> list[tuple[Arch, Dialect]]:
    try:
        arch, dialect = fit_to(arch, state)
        with torch.device("meta"):
            load(build(arch), state, source=dialect.name)
    except (CheckpointError, ConfigError):
        return []
    return [(arch, dialect)]


def _trained_as(fits: list[tuple[Arch, Dialect]], state: Mapping[str, Tensor]) -> list[tuple[Arch, Dialect]]:
    """Those of `fits` that the running statistics in `state` speak for; all where they tell nothing."""
    arch, dialect = fits[0]
    if not same_tensors(arch):
        return fits
    with torch.device("meta"):
        network = build(arch)
    kind = clear_kind(kind_distances(network, translate(state, dialect, network.state_dict(), to="ours")))
    return [(other, table) for other, table in fits if kind_of(other) == kind] or fits


def _is_other_variant(arch: Arch, dialect: Dialect, fits: list[tuple[Arch, Dialect]]) -> bool:
    """Whether another of `fits` is what the owner of these names computes, and `arch` is not."""
    if dialect.name not in VARIANTS or _variant(arch) == VARIANTS[dialect.name]:
        return False
    return any(_variant(other) == VARIANTS[dialect.name] for other, _ in fits)


def _variant(arch: Arch) -> str:
    name = original_name(arch.name)
    return next((suffix for suffix in zoo.VARIANTS if name.endswith(suffix)), "")


def _is_conv(name: str, value: Tensor) -> bool:
    return value.ndim in (4, 5) and not AUXILIARY.fullmatch(name)


def _conv_shapes(arch: Arch) -> Iterator[tuple[tuple[int, ...], int]]:
    """Shapes of the weights of all convolutions but the first, and how many have each."""
    shapes: Counter[tuple[int, ...]] = Counter()
    is_first = True
    for repeat in block_repeats(arch):
        for layer in repeat.layers:
            if layer.letter != "C" or layer.path == "side":
                continue
            if not is_first:
                conv = layer.conv
                time = (conv.time,) if arch.has_time else ()
                shapes[(conv.out, layer.width // conv.groups, *time, conv.kernel, conv.kernel)] += (
                    repeat.count
                )
            is_first = False
    return iter(shapes.items())
