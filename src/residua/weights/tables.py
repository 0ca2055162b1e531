"""One table of names per source, their layer left and ours right, and which network reads which."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from torch import nn

from residua.nn.network import Network
from residua.weights.dialect import Dialect

RESIDUA = Dialect("residua", (("{layer}", "{layer}"),))
"""Our own names."""

LAYERS = (
    ("conv1", "stem.conv1"),
    ("bn1", "stem.norm1"),
    ("layer{stage+1}.{block}.conv{n}", "stages.{stage}.{block}.residual.conv{n}"),
    ("layer{stage+1}.{block}.bn{n}", "stages.{stage}.{block}.residual.norm{n}"),
    ("layer{stage+1}.{block}.conv{n}", "stages.{stage}.{block}.before.conv{n}"),
    ("layer{stage+1}.{block}.bn{n}", "stages.{stage}.{block}.before.norm{n}"),
)
"""What torchvision began and most others kept; a plain block has all its layers before the brackets."""

TORCHVISION = Dialect(
    "torchvision",
    (
        *LAYERS,
        ("layer{stage+1}.{block}.downsample.0", "stages.{stage}.{block}.shortcut.conv1"),
        ("layer{stage+1}.{block}.downsample.1", "stages.{stage}.{block}.shortcut.norm1"),
        ("fc", "head.linear1"),
    ),
    lacks=(("tail.{layer}", "it has no pre-activation networks, timm has"),),
)
"""`torchvision.models.resnet`; a plain net of the same depth has the same names without `downsample`."""

CIFAR = Dialect(
    "cifar",
    (
        *LAYERS,
        ("layer{stage+1}.{block}.shortcut.0", "stages.{stage}.{block}.shortcut.conv1"),
        ("layer{stage+1}.{block}.shortcut.1", "stages.{stage}.{block}.shortcut.norm1"),
        ("linear", "head.linear1"),
    ),
)
"""github.com/akamaster/pytorch_resnet_cifar10 and its many copies; option A, with zeros on both sides of the
channels, has no `shortcut` keys."""

IDUTA = Dialect(
    "iduta", (*TORCHVISION.rows, ("layer{stage+1}.{block}.bn{n}", "stages.{stage}.{block}.after.norm{n}"))
)
"""github.com/iduta/iresnet: torchvision's names, and `bn0` before the first convolution of a block."""

IDUTA_POOLED = Dialect(
    "iduta",
    tuple(
        (theirs.replace("sample.1", "sample.2").replace("sample.0", "sample.1"), ours)
        for theirs, ours in IDUTA.rows
    ),
)
"""The same with a max-pool first in every projection, as in its iResNet and iResGroup."""

TIMM_RESNETV2 = Dialect(
    "timm",
    (
        ("stem.conv", "stem.conv1"),
        ("stages.{stage}.blocks.{block}.conv{n}", "stages.{stage}.{block}.residual.conv{n}"),
        ("stages.{stage}.blocks.{block}.norm{n+1}", "stages.{stage}.{block}.residual.norm{n}"),
        ("stages.{stage}.blocks.{block}.norm{n+1}", "stages.{stage}.{block}.before.norm{n}"),
        ("stages.{stage}.blocks.{block}.downsample.conv", "stages.{stage}.{block}.shortcut.conv1"),
        ("norm", "tail.norm0"),
        ("head.fc", "head.linear1"),
    ),
    as_convs=("head.linear1",),
    lacks=(("stem.norm{n}", 'timm has its first norm in the first block: give opening="timm"'),),
)
"""timm's `resnetv2_*` with batch norm: norms count from 1, the last layer is a 1x1 convolution."""

BEARPAW = Dialect(
    "bearpaw",
    (
        ("conv1", "stem.conv1"),
        ("layer{stage+1}.{block}.conv{n}", "stages.{stage}.{block}.residual.conv{n}"),
        ("layer{stage+1}.{block}.bn{n+1}", "stages.{stage}.{block}.residual.norm{n}"),
        ("layer{stage+1}.{block}.downsample.0", "stages.{stage}.{block}.shortcut.conv1"),
        ("bn", "tail.norm0"),
        ("fc", "head.linear1"),
    ),
    lacks=(
        ("stem.norm1", "its shortcuts start before the first norm, as in docs/how-to/weights.md"),
        (
            "stages.{stage}.{block}.before.norm{n}",
            "its shortcuts start before the norm, as in docs/how-to/weights.md",
        ),
    ),
)
"""github.com/bearpaw/pytorch-classification, `preresnet` for CIFAR: projections read the raw map."""

A_MARTYN_LAYERS = (("conv{n}", "conv{n}"), ("bn{n}", "norm{n}"))
"""Layers of a block there and here."""
A_MARTYN_BLOCKS = (
    ("stack1.{block}", "stages.0.{block}"),
    ("stack2a", "stages.1.0"),
    ("stack2b.{block-1}", "stages.1.{block}"),
    ("stack3a", "stages.2.0"),
    ("stack3b.{block-1}", "stages.2.{block}"),
)
"""Blocks there and here: the first block of a stage has a name of its own."""
A_MARTYN = Dialect(
    "a-martyn",
    (
        ("convIn", "stem.conv1"),
        ("bnIn", "stem.norm1"),
        *(
            (f"{theirs}.{layer}", f"{ours}.{part}.{own_layer}")
            for theirs, ours in A_MARTYN_BLOCKS
            for part in ("residual", "before")
            for layer, own_layer in A_MARTYN_LAYERS
        ),
        ("fcOut", "head.linear1"),
    ),
    lacks=(("stages.{stage}.{block}.shortcut.{layer}", "its shortcuts are option A_after"),),
)
"""github.com/a-martyn/resnet, plain and residual networks for CIFAR, whose names are the same."""

TORCHVISION_VIDEO = Dialect(
    "torchvision",
    (
        ("stem.0", "stem.conv1"),
        ("stem.1", "stem.norm1"),
        ("layer{stage+1}.{block}.conv{n}.0", "stages.{stage}.{block}.residual.conv{n}"),
        ("layer{stage+1}.{block}.conv{n}.1", "stages.{stage}.{block}.residual.norm{n}"),
        ("layer{stage+1}.{block}.downsample.0", "stages.{stage}.{block}.shortcut.conv1"),
        ("layer{stage+1}.{block}.downsample.1", "stages.{stage}.{block}.shortcut.norm1"),
        ("fc", "head.linear1"),
    ),
)
"""`torchvision.models.video.r3d_18`: every convolution and its norm share a sequence."""

GOOGLENET = (("conv{n}.conv", "stem.conv{n}"), ("conv{n}.bn", "stem.norm{n}"), ("fc", "head.linear1"))
"""`torchvision.models.googlenet` around its inceptions."""


def torchvision(network: Network) -> Dialect:
    """torchvision's names for `network`: baselines count all layers or inceptions, clips have sequences."""
    make = BASELINES.get(network.arch.family)
    return make(network) if make else TORCHVISION


def timm(network: Network) -> Dialect:
    """timm's names for `network`: those of `resnetv2` when it ends in a norm, else torchvision's."""
    if network.arch.family in BASELINES:
        return Dialect("timm", (), lacks=(("{layer}", "choose torchvision"),))
    return TIMM_RESNETV2 if network.arch.tail else replace(TORCHVISION, name="timm")


def iduta(network: Network) -> Dialect:
    """The names in the authors' iResNet code for `network`."""
    pooled = any(block.shortcut.startswith("P") for block in network.arch.residual_blocks())
    return IDUTA_POOLED if pooled else IDUTA


def chenyaofo(network: Network) -> Dialect:
    """The names in github.com/chenyaofo/pytorch-cifar-models, which are torchvision's, for CIFAR networks."""
    if network.arch.family.startswith("cifar_"):
        return replace(TORCHVISION, name="chenyaofo")
    return Dialect("chenyaofo", (), lacks=(("{layer}", "its networks are for CIFAR: choose torchvision"),))


def a_martyn(network: Network) -> Dialect:
    """The names in github.com/a-martyn/resnet, whose option A has its zeros after the old channels."""
    if any(block.pads == "Z" for block in network.arch.residual_blocks()):
        advice = "its zeros stand after the channels: create the network with shortcut=A_after"
        return Dialect("a-martyn", (), lacks=(("{layer}", advice),))
    return A_MARTYN


DIALECTS: Mapping[str, Callable[[Network], Dialect]] = {
    "residua": lambda _: RESIDUA,
    "torchvision": torchvision,
    "timm": timm,
    "cifar": lambda _: CIFAR,
    "iduta": iduta,
    "bearpaw": lambda _: BEARPAW,
    "chenyaofo": chenyaofo,
    "a-martyn": a_martyn,
}
"""Every source by name, and the table a network reads of it; `auto` takes the first that fits."""


def _two_sequences(network: Network) -> Dialect:
    """Names of AlexNet and VGG: `features` and `classifier`, whose numbers count every layer."""
    if "R" in network.arch.stem.word:
        return Dialect("torchvision", (), lacks=(("{layer}", "its AlexNet has no response norm"),))
    maps = [name for part in ("stem", "stages") for name in _layers(network, part)]
    head = _layers(network, "head")
    return Dialect("torchvision", (*_counted("features", maps), *_counted("classifier", head)))


def _inceptions(network: Network) -> Dialect:
    """Names of GoogLeNet: `inception4b.branch2.0.conv`, the letter counting the forks of a stage."""
    rows = [*GOOGLENET]
    for number, stage in enumerate(network.stages, 3):
        forks = [(place, block) for place, block in stage.named_children() if "branches" in block._modules]
        for letter, (place, fork) in zip("abcde", forks, strict=False):
            ours = f"stages.{number - 3}.{place}.branches"
            for branch, layers in enumerate(fork.get_submodule("branches").children()):
                theirs = f"inception{number}{letter}.branch{branch + 1}"
                rows += _units(theirs, f"{ours}.{branch}", list(layers._modules))
    return Dialect("torchvision", tuple(rows), drops=r"aux[12]\..+")


def _units(theirs: str, ours: str, layers: list[str]) -> Iterator[tuple[str, str]]:
    """Rows of one branch, whose convolutions and pools are counted where there are several."""
    units = [layer for layer in layers if layer.startswith(("conv", "pool"))]
    for place, unit in enumerate(units):
        counted = f"{theirs}.{place}" if len(units) > 1 else theirs
        if unit.startswith("conv"):
            yield f"{counted}.conv", f"{ours}.{unit}"
            yield f"{counted}.bn", f"{ours}.{unit.replace('conv', 'norm')}"


BASELINES: Mapping[str, Callable[[Network], Dialect]] = {
    "alexnet": _two_sequences,
    "vgg": _two_sequences,
    "googlenet": _inceptions,
    "resnet3d": lambda _: TORCHVISION_VIDEO,
    "resgroup3d": lambda _: TORCHVISION_VIDEO,
}
"""Families that torchvision does not name as it names its residual networks for images."""


def _layers(network: Network, part: str) -> list[str]:
    """Full names of the layers of one part, in the order data meets them, those without weights included."""
    return [
        f"{part}.{name}"
        for name, module in network.get_submodule(part).named_modules()
        if not isinstance(module, nn.Sequential) and not list(module.children())
    ]


def _counted(theirs: str, layers: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{theirs}.{place}", ours) for place, ours in enumerate(layers))
