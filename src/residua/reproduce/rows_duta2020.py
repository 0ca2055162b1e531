"""Studies of Duta et al. 2020. A row without a source for its number shows no number."""

from collections.abc import Callable
from functools import partial
from typing import Any

from residua.reproduce.published import (
    BUDGETS,
    NO_PAPER_VALUE,
    Budget,
    Item,
    NamedNetwork,
    PaperClaim,
    PublishedRow,
    zoo_network,
)
from residua.spec import orders, widths
from residua.spec.arch import Arch
from residua.spec.block import Conv
from residua.spec.change import SHORTCUTS
from residua.spec.describe import cost
from residua.spec.orders import Order
from residua.spec.zoo import duta2020
from residua.spec.zoo.stages import CIFAR, CIFAR_STEM, Widths, stages

README = "the authors' README"
TOP1_ACCURACY = {
    50: (76.12, 77.31),
    101: (78.00, 78.64),
    152: (78.45, 79.34),
    200: (77.55, 79.48),
}
"""Layers -> top-1 accuracy in percent on ImageNet, one 224 crop: ResNet, iResNet (the authors' README)."""
BLOCKS = 6
"""Bottlenecks in each stage of the small networks trained instead of those of 50 layers: 56 layers."""


def small_arch(
    counts: tuple[int, ...],
    *,
    convs: Widths = widths.bottleneck,
    order: Order = orders.original,
    shortcut: tuple[str, bool] = SHORTCUTS["B"],
) -> Arch:
    """The paper's three ideas, alone or together, on the CIFAR stages of He et al. 2016; the layout is ours.

    Args:
        counts: Blocks in each of the three stages.
        convs: Widths and strides of a block's convolutions.
        order: Order of norm, activation and addition.
        shortcut: Word of the shortcut, and whether every block has it.
    """
    blocks = stages(counts, convs, order, narrow=16, shortcut=shortcut)
    return Arch(
        "", "cifar_resnet", "Duta et al. 2020, layout ours", CIFAR_STEM, blocks, classes=10, preprocess=CIFAR
    )


def at_baseline_cost(build: Callable[[tuple[int, ...]], Arch]) -> Arch:
    """`build` with the number of blocks in a stage whose multiply-adds come nearest to the baseline's."""
    baseline = cost(small_arch((BLOCKS,) * 3)).macs
    candidates = [build((count,) * 3) for count in range(2, 2 * BLOCKS)]
    return min(candidates, key=lambda arch: abs(cost(arch).macs - baseline))


def equal_cost_network(name: str, **parts: Any) -> NamedNetwork:
    """`small_arch` with these keyword arguments, at the baseline's cost."""
    return NamedNetwork(name, lambda: at_baseline_cost(partial(small_arch, **parts)))


def resgroup(width: int, stride: int) -> tuple[Conv, ...]:
    """ResGroup's bottleneck, eight channels to a group: a quarter of the paper's, as are the widths."""
    first, middle, last = widths.resgroup(width, stride)
    return first, Conv(middle.out, 3, stride, groups=middle.out // 8), last


def resgroupfix(width: int, stride: int) -> tuple[Conv, ...]:
    """ResGroupFix's bottleneck, 16 groups everywhere: a quarter of the paper's, as are the widths."""
    first, middle, last = widths.resgroup(width, stride)
    return first, Conv(middle.out, 3, stride, groups=16), last


PROJECTION = duta2020.PROJECTION
SMALL_RESNET = NamedNetwork("small_resnet56", lambda: small_arch((BLOCKS,) * 3))
SMALL_RESSTAGE = equal_cost_network("small_resstage", order=orders.resstage)
SMALL_PROJECTION = equal_cost_network("small_projection", shortcut=PROJECTION)
SMALL_RESGROUP = equal_cost_network("small_resgroup", convs=resgroup)
SMALL_RESGROUPFIX = equal_cost_network("small_resgroupfix", convs=resgroupfix)
SMALL_IRESNET = equal_cost_network("small_iresnet", order=orders.resstage, shortcut=PROJECTION)
SMALL_IRESNET_RELEASED = equal_cost_network(
    "small_iresnet_released", order=orders.resstage_released, shortcut=PROJECTION
)
SMALL_IRESGROUP = equal_cost_network(
    "small_iresgroup", order=orders.resstage, shortcut=PROJECTION, convs=resgroup
)
SMALL_IRESGROUPFIX = equal_cost_network(
    "small_iresgroupfix", order=orders.resstage, shortcut=PROJECTION, convs=resgroupfix
)
RESNET50_PROJECTION = NamedNetwork(
    "resnet50_projection",
    lambda: duta2020.iresnet("", depth=50, convs=widths.bottleneck, order=orders.original),
)
"""The improved projection in an otherwise original ResNet-50."""


def _row(
    label: str,
    network: NamedNetwork,
    small_network: NamedNetwork,
    accuracy: float | None = None,
    budgets: tuple[Budget, ...] = BUDGETS,
) -> PublishedRow:
    error = None if accuracy is None else round(100 - accuracy, 2)
    return PublishedRow(
        label,
        network,
        error,
        remark=NO_PAPER_VALUE if error is None else README,
        measure="top1_error",
        data="imagenet",
        budgets=budgets,
        small_network=small_network,
    )


BASELINE = _row("ResNet-50", zoo_network("resnet50"), SMALL_RESNET, 76.12)
IRESNET = _row("iResNet-50", zoo_network("iresnet50_released"), SMALL_IRESNET_RELEASED, 77.31)


def _imagenet_depth(depth: int) -> tuple[PublishedRow, ...]:
    """Baseline and iResNet of one depth; only 50 layers have small networks to be trained instead."""
    budgets: tuple[Budget, ...] = ("smoke", "small", "full") if depth == 50 else ("full",)
    resnet, iresnet = TOP1_ACCURACY.get(depth, (None, None))
    row = partial(_row, budgets=budgets)
    baseline = (
        (row(f"ResNet-{depth}", zoo_network(f"resnet{depth}"), SMALL_RESNET, resnet),) if resnet else ()
    )
    improved = row(
        f"iResNet-{depth}", zoo_network(f"iresnet{depth}_released"), SMALL_IRESNET_RELEASED, iresnet
    )
    return (*baseline, improved)


def _main_path(depth: int) -> tuple[PublishedRow, ...]:
    """The original network of one depth and ResStage's, to be counted."""
    return tuple(
        PublishedRow(
            f"{family}-{depth}",
            zoo_network(f"{family.lower()}{depth}"),
            remark=remark,
            measure="activations",
            data="imagenet",
        )
        for family, remark in (("ResNet", "one a block"), ("ResStage", "four, one a stage"))
    )


def _blocks_per_stage(depth: int) -> tuple[int, ...]:
    return duta2020.SPLIT_3002 if depth == 3002 else ((depth - 2) // 9,) * 3


def _cifar_depth(depth: int, data: str = "cifar10") -> tuple[PublishedRow, ...]:
    """Baseline and iResNet of one depth; digits, which have ten classes, stand in for CIFAR-10 alone."""
    budgets: tuple[Budget, ...] = (
        ("smoke", "small") if depth < 164 else ("small", "full") if depth == 164 else ("full",)
    )
    if data == "cifar100":
        budgets = tuple(budget for budget in budgets if budget != "smoke")
    counts = _blocks_per_stage(depth)
    resnet = NamedNetwork(f"small_resnet{depth}", partial(small_arch, counts))
    iresnet = NamedNetwork(
        f"small_iresnet{depth}", partial(small_arch, counts, order=orders.resstage, shortcut=PROJECTION)
    )
    remark = "does not converge (abstract)" if depth == 3002 else NO_PAPER_VALUE
    return (
        PublishedRow(f"ResNet-{depth}", resnet, remark=remark, budgets=budgets, panel="ResNet", data=data),
        PublishedRow(
            f"iResNet-{depth}", iresnet, remark=NO_PAPER_VALUE, budgets=budgets, panel="iResNet", data=data
        ),
    )


CIFAR_DEPTHS = (29, 56, 110, 164, 1001, 2000, 3002)
DEEPEST_LEARNS = PaperClaim(
    "3002 layers of iResNet learn, of the baseline do not: training error below 60 %, our choice",
    (("ResNet-3002", "iResNet-3002"),),
    "train_error",
    limit=60.0,
)
PAPER = "Duta et al. 2020"

ITEMS = (
    Item(
        "duta2020/resstage",
        "ResStage against the baseline at equal cost",
        f"{PAPER}, section 2.1",
        (BASELINE, _row("ResStage-50", zoo_network("resstage50_released"), SMALL_RESSTAGE)),
        conclusion="Four activations on the main path at any depth, instead of one a block.",
        claims=(PaperClaim("ResStage is better", (("ResNet-50", "ResStage-50"),)),),
        keeps_question=True,
    ),
    Item(
        "duta2020/main-path",
        "activations on the main path, by depth",
        f"{PAPER}, section 2.1",
        tuple(row for depth in (50, 101, 152, 200) for row in _main_path(depth)),
        "bars",
        conclusion="ResStage has four activations on the main path at any depth, one a stage; the original "
        "network has one a block.",
        claims=(
            PaperClaim(
                "ResStage has fewer activations on the main path at every depth",
                tuple((f"ResNet-{depth}", f"ResStage-{depth}") for depth in (50, 101, 152, 200)),
            ),
        ),
    ),
    Item(
        "duta2020/projection",
        "the max-pool projection against the baseline at equal cost",
        f"{PAPER}, section 2.2",
        (BASELINE, _row("ResNet-50, max-pool projection", RESNET50_PROJECTION, SMALL_PROJECTION)),
        conclusion="A strided 1x1 convolution skips three quarters of the positions; the max-pool picks "
        "among them. It adds no parameters; it still has a convolution and a norm.",
        claims=(
            PaperClaim(
                "the max-pool projection is better", (("ResNet-50", "ResNet-50, max-pool projection"),)
            ),
        ),
        keeps_question=True,
    ),
    Item(
        "duta2020/grouped",
        "grouped blocks against the baseline at equal cost",
        f"{PAPER}, section 2.3",
        (
            BASELINE,
            _row("ResGroup-50", zoo_network("resgroup50"), SMALL_RESGROUP),
            _row("ResGroupFix-50", zoo_network("resgroupfix50"), SMALL_RESGROUPFIX),
        ),
        conclusion="The 3x3 convolution, cheap in groups, has the most channels of its block.",
        keeps_question=True,
    ),
    Item(
        "duta2020/sum",
        "all improvements together against the baseline at equal cost",
        f"{PAPER}, section 2 and the authors' README",
        (
            BASELINE,
            IRESNET,
            _row("iResGroup-50", zoo_network("iresgroup50_released"), SMALL_IRESGROUP),
            _row("iResGroupFix-50", zoo_network("iresgroupfix50_released"), SMALL_IRESGROUPFIX),
        ),
        conclusion="ResStage and projection together gain 1.19 points at 50 layers (abstract). The baseline "
        "is the original ResNet.",
        claims=(PaperClaim("ResStage and projection together are better", (("ResNet-50", "iResNet-50"),)),),
        keeps_question=True,
    ),
    Item(
        "duta2020/depths",
        "ResNet and iResNet of 50 to 404 layers on ImageNet",
        f"{PAPER}, the authors' README",
        tuple(row for depth in (50, 101, 152, 200, 302, 404) for row in _imagenet_depth(depth)),
        conclusion="From 152 to 200 layers the baseline, the original ResNet, gets worse; iResNet does not.",
        claims=(
            PaperClaim("the baseline gets worse from 152 to 200 layers", (("ResNet-200", "ResNet-152"),)),
            PaperClaim(
                "iResNet is better at every depth",
                tuple((f"ResNet-{depth}", f"iResNet-{depth}") for depth in TOP1_ACCURACY),
            ),
        ),
    ),
    Item(
        "duta2020/depths-cifar",
        "ResNet and iResNet of up to 3002 layers on CIFAR-10",
        f"{PAPER}, abstract",
        tuple(row for depth in CIFAR_DEPTHS for row in _cifar_depth(depth)),
        "curves",
        conclusion="The abstract says that 3002 layers were trained, and that the baseline does not "
        "converge at such depths; how they are split over the stages is our choice.",
        claims=(DEEPEST_LEARNS,),
    ),
    Item(
        "duta2020/depths-cifar100",
        "ResNet and iResNet of up to 3002 layers on CIFAR-100",
        f"{PAPER}, abstract",
        tuple(row for depth in CIFAR_DEPTHS for row in _cifar_depth(depth, "cifar100")),
        "curves",
        conclusion="The same on a hundred classes: the heads have a hundred outputs, all else is equal.",
        claims=(DEEPEST_LEARNS,),
    ),
    Item(
        "duta2020/released",
        "iResNet as drawn against iResNet as the authors' code runs",
        "An experiment of ours, in no paper",
        (
            _row("iResNet-50 as drawn", zoo_network("iresnet50"), SMALL_IRESNET),
            _row("iResNet-50 as released", zoo_network("iresnet50_released"), SMALL_IRESNET_RELEASED, 77.31),
        ),
        conclusion="An in-place ReLU in the authors' code puts a second activation on the main path of every "
        "stage; no published number tells what it costs or gains.",
        keeps_question=True,
    ),
)
"""What can be trained. Not listed, because the paper's numbers and networks are not available: CIFAR tables,
COCO with SSD, Kinetics-400, Something-Something-v2, other ImageNet tables, and all figures.
"""
