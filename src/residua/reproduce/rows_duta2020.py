"""Studies of Duta et al. 2020; numbers that could not be read are said to be absent, never guessed."""

from collections.abc import Callable
from functools import partial
from typing import Any

from residua.reproduce.published import ABSENT, BUDGETS, Budget, Claim, Item, Net, PublishedRow, net
from residua.spec import orders, widths
from residua.spec.arch import Arch
from residua.spec.block import Conv
from residua.spec.change import SHORTCUTS
from residua.spec.describe import cost
from residua.spec.orders import Order
from residua.spec.zoo import duta2020
from residua.spec.zoo.stages import CIFAR, CIFAR_STEM, Widths, stages

README = "the authors' README"
ACCURACY = {
    50: (76.12, 77.31),
    101: (78.00, 78.64),
    152: (78.45, 79.34),
    200: (77.55, 79.48),
}
"""Top-1 accuracy in percent on ImageNet, one 224 crop: ResNet, iResNet (the authors' README)."""
BLOCKS = 6
"""Bottlenecks in each stage of the small networks that stand in for 50 layers: 56 layers."""


def small(
    counts: tuple[int, ...],
    *,
    convs: Widths = widths.bottleneck,
    order: Order = orders.original,
    shortcut: tuple[str, bool] = SHORTCUTS["B"],
) -> Arch:
    """Ours: the paper's three ideas, each alone or together, on the CIFAR stages of He et al. 2016."""
    blocks = stages(counts, convs, order, narrow=16, shortcut=shortcut)
    return Arch(
        "", "cifar_resnet", "Duta et al. 2020, layout ours", CIFAR_STEM, blocks, classes=10, preprocess=CIFAR
    )


def at_cost(build: Callable[[tuple[int, ...]], Arch]) -> Arch:
    """`build` with as many blocks in each stage as bring its multiply-adds nearest to the baseline's."""
    goal = cost(small((BLOCKS,) * 3)).macs
    found = [build((count,) * 3) for count in range(2, 2 * BLOCKS)]
    return min(found, key=lambda arch: abs(cost(arch).macs - goal))


def equal(name: str, **parts: Any) -> Net:
    """The small network with these parts, at the baseline's cost."""
    return Net(name, lambda: at_cost(partial(small, **parts)))


def resgroup(width: int, stride: int) -> tuple[Conv, ...]:
    """ResGroup's bottleneck, eight channels to a group: a quarter of the paper's, as are the widths."""
    first, middle, last = widths.resgroup(width, stride)
    return first, Conv(middle.out, 3, stride, groups=middle.out // 8), last


def resgroupfix(width: int, stride: int) -> tuple[Conv, ...]:
    """ResGroupFix's bottleneck, 16 groups everywhere: a quarter of the paper's, as are the widths."""
    first, middle, last = widths.resgroup(width, stride)
    return first, Conv(middle.out, 3, stride, groups=16), last


PROJECTION = duta2020.PROJECTION
BASE = Net("small_resnet56", lambda: small((BLOCKS,) * 3))
STAGE = equal("small_resstage", order=orders.resstage)
PROJECTED = equal("small_projection", shortcut=PROJECTION)
GROUP = equal("small_resgroup", convs=resgroup)
GROUPFIX = equal("small_resgroupfix", convs=resgroupfix)
SUM = equal("small_iresnet", order=orders.resstage, shortcut=PROJECTION)
SUM_RELEASED = equal("small_iresnet_released", order=orders.resstage_released, shortcut=PROJECTION)
SUM_GROUP = equal("small_iresgroup", order=orders.resstage, shortcut=PROJECTION, convs=resgroup)
SUM_GROUPFIX = equal("small_iresgroupfix", order=orders.resstage, shortcut=PROJECTION, convs=resgroupfix)
ALONE = Net(
    "resnet50_projection",
    lambda: duta2020.iresnet("", depth=50, convs=widths.bottleneck, order=orders.original),
)
"""The improved projection in an otherwise original ResNet-50."""


def _row(
    label: str,
    net_: Net,
    stand_in: Net,
    accuracy: float | None = None,
    budgets: tuple[Budget, ...] = BUDGETS,
) -> PublishedRow:
    paper = None if accuracy is None else round(100 - accuracy, 2)
    said = README if paper is not None else ABSENT
    return PublishedRow(
        label,
        net_,
        paper,
        said=said,
        measure="top1_error",
        data="imagenet",
        budgets=budgets,
        stand_in=stand_in,
    )


BASELINE = _row("ResNet-50", net("resnet50"), BASE, 76.12)
IRESNET = _row("iResNet-50", net("iresnet50_released"), SUM_RELEASED, 77.31)


def _depth(depth: int) -> tuple[PublishedRow, ...]:
    """Baseline and iResNet of one depth; only 50 has small networks in its place."""
    budgets: tuple[Budget, ...] = ("smoke", "small", "full") if depth == 50 else ("full",)
    base, ours = ACCURACY.get(depth, (None, None))
    old = (_row(f"ResNet-{depth}", net(f"resnet{depth}"), BASE, base, budgets=budgets),) if base else ()
    new = net(f"iresnet{depth}_released")
    return (*old, _row(f"iResNet-{depth}", new, SUM_RELEASED, ours, budgets=budgets))


def _thirds(depth: int) -> tuple[int, ...]:
    return duta2020.SPLIT_3002 if depth == 3002 else ((depth - 2) // 9,) * 3


def _sweep(depth: int) -> tuple[PublishedRow, ...]:
    budgets: tuple[Budget, ...] = (
        ("smoke", "small") if depth < 164 else ("small", "full") if depth == 164 else ("full",)
    )
    counts = _thirds(depth)
    old = Net(f"small_resnet{depth}", partial(small, counts))
    new = Net(f"small_iresnet{depth}", partial(small, counts, order=orders.resstage, shortcut=PROJECTION))
    said = "does not converge (abstract)" if depth == 3002 else ABSENT
    return (
        PublishedRow(f"ResNet-{depth}", old, said=said, budgets=budgets, panel="ResNet"),
        PublishedRow(f"iResNet-{depth}", new, said=ABSENT, budgets=budgets, panel="iResNet"),
    )


def _absent(name: str, what: str, reason: str) -> Item:
    return Item(f"duta2020/{name}", what, f"Duta et al. 2020: {ABSENT}", reason=f"{ABSENT}; {reason}")


SWEEP = (29, 56, 110, 164, 1001, 2000, 3002)
PAPER = "Duta et al. 2020"

ITEMS = (
    Item(
        "duta2020/resstage",
        "ResStage against the baseline at equal cost",
        f"{PAPER}, section 2.1",
        (BASELINE, _row("ResStage-50", net("resstage50_released"), STAGE)),
        says="Four activations on the main path at any depth, instead of one a block.",
        is_scalable=True,
    ),
    Item(
        "duta2020/projection",
        "the max-pool projection against the baseline at equal cost",
        f"{PAPER}, section 2.2",
        (BASELINE, _row("ResNet-50, max-pool projection", ALONE, PROJECTED)),
        says="A strided 1x1 convolution skips three quarters of the positions; the max-pool picks among "
        "them. It adds no parameters; it still has a convolution and a norm.",
        is_scalable=True,
    ),
    Item(
        "duta2020/grouped",
        "grouped blocks against the baseline at equal cost",
        f"{PAPER}, section 2.3",
        (
            BASELINE,
            _row("ResGroup-50", net("resgroup50"), GROUP),
            _row("ResGroupFix-50", net("resgroupfix50"), GROUPFIX),
        ),
        says="The 3x3 convolution, cheap in groups, has the most channels of its block.",
        is_scalable=True,
    ),
    Item(
        "duta2020/sum",
        "all improvements together against the baseline at equal cost",
        f"{PAPER}, section 2 and the authors' README",
        (
            BASELINE,
            IRESNET,
            _row("iResGroup-50", net("iresgroup50_released"), SUM_GROUP),
            _row("iResGroupFix-50", net("iresgroupfix50_released"), SUM_GROUPFIX),
        ),
        says="ResStage and projection together gain 1.19 points at 50 layers (abstract).",
        claims=(Claim("ResNet-50", "iResNet-50"),),
        is_scalable=True,
    ),
    Item(
        "duta2020/depths",
        "ResNet and iResNet of 50 to 404 layers on ImageNet",
        f"{PAPER}, the authors' README",
        tuple(row for depth in (50, 101, 152, 200, 302, 404) for row in _depth(depth)),
        says="From 152 to 200 layers the baseline gets worse, iResNet does not.",
        claims=(Claim("ResNet-200", "ResNet-152"), Claim("ResNet-200", "iResNet-200")),
    ),
    Item(
        "duta2020/depths-cifar",
        "ResNet and iResNet of up to 3002 layers on CIFAR-10",
        f"{PAPER}, abstract",
        tuple(row for depth in SWEEP for row in _sweep(depth)),
        "curves",
        says="The abstract says that 3002 layers were trained, and that the baseline does not converge at "
        "such depths; how they are split over the stages is ours.",
        claims=(Claim("ResNet-3002", "iResNet-3002", "train_error"),),
    ),
    Item(
        "duta2020/released",
        "iResNet as drawn against iResNet as the authors' code runs",
        "An experiment of ours, in no paper",
        (
            _row("iResNet-50 as drawn", net("iresnet50"), SUM),
            _row("iResNet-50 as released", net("iresnet50_released"), SUM_RELEASED, 77.31),
        ),
        says="An in-place ReLU in the authors' code puts a second activation on the main path of every "
        "stage; nobody has published what it costs or gains.",
        is_scalable=True,
    ),
    _absent(
        "imagenet", "302 and 404 layers, pre-activation, other nets, stronger training", "see duta2020/depths"
    ),
    _absent("cifar", "CIFAR-10 and CIFAR-100, all depths and variants", "see duta2020/depths-cifar"),
    _absent("figures", "all figures", "none was seen"),
)
