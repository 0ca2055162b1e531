"""Tables and figures of He et al. 2015, with the numbers they print."""

from residua.reproduce.published import (
    DRAWN_ONLY,
    Budget,
    Item,
    Measure,
    NamedNetwork,
    PaperClaim,
    PublishedRow,
    Reference,
    cifar_bottleneck_network,
    falling,
    zoo_network,
)

FIGURE_6_DEPTHS = (20, 32, 44, 56, 110)
"""Layers of the networks of figure 6."""
SMALL_DEPTHS = (20, 56)
"""Those that the budget `small` trains: the pair of figure 1."""
TABLE_6 = {
    20: (8.75, None, ""),
    32: (7.51, None, ""),
    44: (7.17, None, ""),
    56: (6.97, None, ""),
    110: (6.61, 0.16, "mean of 5; best 6.43"),
    1202: (7.93, None, ""),
}
"""Table 6: depth -> test error in percent, its standard deviation, remark."""
CURVE_ONLY = "curve"
"""Shown where the paper draws a curve and prints no number."""


def _budgets(depth: int) -> tuple[Budget, ...]:
    if depth > 110:
        return ("full",)
    return ("smoke", "small", "full") if depth in SMALL_DEPTHS else ("smoke", "full")


def _plain(depth: int, panel: str = "Plain networks") -> PublishedRow:
    remark = "above 60" if depth == 110 else CURVE_ONLY  # figure 6, caption
    network = zoo_network(f"cifar_plain{depth}")
    return PublishedRow(f"plain-{depth}", network, remark=remark, panel=panel, budgets=_budgets(depth))


def _residual(depth: int, panel: str = "Residual networks") -> PublishedRow:
    error, deviation, remark = TABLE_6[depth]
    network = zoo_network(f"cifar_resnet{depth}")
    return PublishedRow(
        f"ResNet-{depth}", network, error, deviation, remark, panel=panel, budgets=_budgets(depth)
    )


def _imagenet(
    label: str, network: NamedNetwork, small_network: NamedNetwork, errors: tuple[float, float], views: str
) -> tuple[PublishedRow, PublishedRow]:
    """A row for the top-1 and one for the top-5 error."""

    def row(measure: Measure, error: float) -> PublishedRow:
        return PublishedRow(
            f"{label}, {measure[:4]}",
            network,
            error,
            measure=measure,
            views=views,
            data="imagenet",
            small_network=small_network,
        )

    return row("top1_error", errors[0]), row("top5_error", errors[1])


def _curve(label: str, name: str, small_name: str, panel: str, error: float) -> PublishedRow:
    """A curve of figure 4, whose end is printed in table 2."""
    return PublishedRow(
        label,
        zoo_network(name),
        error,
        remark="10-crop",
        measure="top1_error",
        views="10crop",
        data="imagenet",
        panel=panel,
        small_network=zoo_network(small_name),
    )


FIGURE_4 = (
    _curve("plain-18", "plain18", "cifar_plain20", "Plain networks", 27.94),
    _curve("plain-34", "plain34", "cifar_plain56", "Plain networks", 28.54),
    _curve("ResNet-18", "resnet18_a", "cifar_resnet20", "Residual networks", 27.88),
    _curve("ResNet-34", "resnet34_a", "cifar_resnet56", "Residual networks", 25.03),
)
TABLE_3 = (
    ("plain-34", zoo_network("plain34"), zoo_network("cifar_plain56"), (28.54, 10.02)),
    ("ResNet-34 A", zoo_network("resnet34_a"), zoo_network("cifar_resnet56"), (25.03, 7.76)),
    ("ResNet-34 B", zoo_network("resnet34"), zoo_network("cifar_resnet56", shortcut="B"), (24.52, 7.46)),
    ("ResNet-34 C", zoo_network("resnet34_c"), zoo_network("cifar_resnet56", shortcut="C"), (24.19, 7.40)),
)
"""Label, network, network for small images, top-1 and top-5 errors of table 3."""
BOTTLENECKS = (
    ("ResNet-50", zoo_network("resnet50_v1"), cifar_bottleneck_network(56), (22.85, 6.71), (20.74, 5.25)),
    ("ResNet-101", zoo_network("resnet101_v1"), cifar_bottleneck_network(83), (21.75, 6.05), (19.87, 4.60)),
    ("ResNet-152", zoo_network("resnet152_v1"), cifar_bottleneck_network(110), (21.43, 5.71), (19.38, 4.49)),
)
"""Label, network, network for small images, top-1 and top-5 errors of table 3, of table 4."""
TABLE_4 = {"ResNet-34 B": (21.84, 5.71), "ResNet-34 C": (21.53, 5.60)}
"""Table 4: top-1 and top-5 errors of the networks of basic blocks."""
TABLE_1 = {
    "resnet18": 1.8e9,
    "resnet34": 3.6e9,
    "resnet50_v1": 3.8e9,
    "resnet101_v1": 7.6e9,
    "resnet152_v1": 11.3e9,
}
"""Table 1: multiply-adds."""


TOP1, TOP5 = "top-1 error", "top-5 error"
OTHERS_IN_TABLE_3 = (
    Reference("VGG-16", ("28.07", "9.33"), "vgg16"),
    Reference("GoogLeNet", ("", "9.15"), "googlenet_2014"),
    Reference("PReLU-net", ("24.27", "7.38")),
)
"""Table 3: what other authors reported of single networks."""
OTHERS_IN_TABLE_4 = (
    Reference("VGG (ILSVRC'14)", ("", "8.43 (test set)")),
    Reference("VGG (v5)", ("24.4", "7.1")),
    Reference("GoogLeNet", ("", "7.89"), "googlenet_2014"),
    Reference("PReLU-net", ("21.59", "5.71")),
    Reference("BN-inception", ("21.99", "5.81")),
)
"""Table 4: the same, tested at several scales."""
OTHERS_IN_TABLE_6 = (
    Reference("Maxout", ("9.38",)),
    Reference("NIN", ("8.81",)),
    Reference("DSN", ("8.22",)),
    Reference("FitNet, 19 layers", ("8.39",)),
    Reference("Highway, 19 layers", ("7.54 (mean 7.72 ± 0.16)",)),
    Reference("Highway, 32 layers", ("8.80",)),
)
"""Table 6: other networks on CIFAR-10 with augmentation."""
FASTER_RCNN = NamedNetwork("fasterrcnn_c4_resnet101_v1", zoo_network("resnet101_v1").build)
"""Faster R-CNN on conv4 of ResNet-101 (appendix A)."""


def _detection(trained_on: str, data: str, measure: Measure, paper: float) -> PublishedRow:
    return PublishedRow(
        f"ResNet-101, {trained_on}", FASTER_RCNN, paper, measure=measure, data=data, budgets=("full",)
    )


def _not_feasible(table: int, title: str, obstacle: str) -> Item:
    return Item(
        f"he2015/table{table}", title, f"He et al. 2015, table {table} (arXiv appendix)", obstacle=obstacle
    )


NEEDS_REFINEMENT = "needs box refinement, context and several scales, which residua does not have, and {}"
NEEDS_LOCALISATION = "needs a localisation network, which residua does not have, and ImageNet with boxes"

ITEMS = (
    Item(
        "he2015/fig1",
        "deeper plain nets have the higher training error",
        "He et al. 2015, figure 1",
        (_plain(20, ""), _plain(56, "")),
        "curves",
        "The deeper net is worse on the images it trains on, so this is not overfitting. Nor are vanishing "
        "gradients the likely cause: the authors found them healthy (4.1).",
        claims=(
            PaperClaim("the deeper plain net trains worse", (("plain-56", "plain-20"),), "train_error"),
            PaperClaim("the deeper plain net tests worse", (("plain-56", "plain-20"),)),
        ),
    ),
    Item(
        "he2015/fig2",
        "the building block of residual learning",
        "He et al. 2015, figure 2",
        (
            PublishedRow(
                "a residual block",
                zoo_network("resnet34_a"),
                remark=DRAWN_ONLY,
                measure="params",
                data="imagenet",
            ),
        ),
        "blocks",
        "The layers learn what is to be added to their input, F(x) = H(x) - x. The paper does not claim "
        "that F goes to zero: the identity is hardly optimal, only a good starting point (3.1).",
    ),
    Item(
        "he2015/fig3",
        "VGG-19, and 34 layers, plain and residual",
        "He et al. 2015, figure 3",
        (
            PublishedRow("VGG-19", zoo_network("vgg19"), 19.6e9, measure="macs", data="imagenet"),
            PublishedRow("plain-34", zoo_network("plain34"), 3.6e9, measure="macs", data="imagenet"),
            PublishedRow("ResNet-34", zoo_network("resnet34_a"), 3.6e9, measure="macs", data="imagenet"),
        ),
        "networks",
        "The plain net follows VGG's rules with fewer filters, at 18 % of the multiply-adds; it is inspired "
        "by VGG-19, not built on it. The shortcuts of option A add no parameters.",
    ),
    Item(
        "he2015/fig4",
        "plain and residual nets of 18 and 34 layers",
        "He et al. 2015, figure 4 and table 2",
        FIGURE_4,
        "curves",
        "Depth hurts plain nets and helps residual nets of the same layers and parameters (option A).",
        claims=(
            PaperClaim("the deeper plain net trains worse", (("plain-34", "plain-18"),), "train_error"),
            PaperClaim("shortcuts make 34 layers trainable", (("plain-34", "ResNet-34"),), "train_error"),
            PaperClaim("the deeper residual net is better", (("ResNet-18", "ResNet-34"),)),
        ),
    ),
    Item(
        "he2015/fig5",
        "a block of two layers and a bottleneck of three",
        "He et al. 2015, figure 5",
        tuple(
            PublishedRow(label, zoo_network(name), remark=DRAWN_ONLY, measure="params", data="imagenet")
            for label, name in (
                ("basic block, 34 layers", "resnet34_a"),
                ("bottleneck, 50 layers", "resnet50_v1"),
            )
        ),
        "blocks",
        "The first 1x1 convolution makes the map thin, the last one wide again. Inception reduces so, too, "
        "but has branches side by side. Projections would double a bottleneck's time and size.",
    ),
    Item(
        "he2015/fig6",
        "plain and residual nets of 20 to 110 layers",
        "He et al. 2015, figure 6 and table 6",
        (*map(_plain, FIGURE_6_DEPTHS), *map(_residual, FIGURE_6_DEPTHS)),
        "curves",
        "Plain nets get worse with depth in training error; residual nets get better. The cause the authors "
        "conjecture is slow convergence, not vanishing gradients (4.1).",
        claims=(
            PaperClaim(
                "plain nets get worse in training with depth",
                falling(*(f"plain-{depth}" for depth in reversed(FIGURE_6_DEPTHS))),
                "train_error",
            ),
            PaperClaim(
                "shortcuts lower the training error at every depth",
                tuple((f"plain-{depth}", f"ResNet-{depth}") for depth in FIGURE_6_DEPTHS),
                "train_error",
            ),
            PaperClaim(
                "residual nets get better with depth",
                falling(*(f"ResNet-{depth}" for depth in FIGURE_6_DEPTHS)),
            ),
        ),
    ),
    Item(
        "he2015/fig7",
        "standard deviations of the responses of the 3x3 layers",
        "He et al. 2015, figure 7",
        tuple(
            PublishedRow(
                f"{kind}-{depth}",
                zoo_network(f"cifar_{kind.lower()}{depth}"),
                remark=CURVE_ONLY,
                measure="response",
            )
            for kind, depth in (("plain", 20), ("plain", 56), ("ResNet", 20), ("ResNet", 56), ("ResNet", 110))
        ),
        "responses",
        "Residual nets respond less strongly than plain ones, and deeper residual nets less in each layer: "
        "their layers change the signal little. Measured after the norm, before activation and addition.",
        claims=(
            PaperClaim(
                "residual nets respond less strongly than plain ones",
                (("plain-20", "ResNet-20"), ("plain-56", "ResNet-56")),
            ),
            PaperClaim(
                "deeper residual nets respond less in each layer",
                falling("ResNet-20", "ResNet-56", "ResNet-110"),
            ),
        ),
    ),
    Item(
        "he2015/table1",
        "multiply-adds of the ImageNet networks",
        "He et al. 2015, table 1",
        tuple(
            PublishedRow(name, zoo_network(name), macs, measure="macs", data="imagenet")
            for name, macs in TABLE_1.items()
        ),
        conclusion="Counted from the networks, not trained. Bottlenecks have their stride on the first 1x1.",
    ),
    Item(
        "he2015/table2",
        "18 and 34 layers, plain and residual: top-1 error, 10-crop",
        "He et al. 2015, table 2",
        FIGURE_4,
        conclusion="The deeper plain net is worse, the deeper residual net better. "
        "Option A adds no parameters.",
        claims=(
            PaperClaim("the deeper plain net is worse", (("plain-34", "plain-18"),)),
            PaperClaim("the deeper residual net is better", (("ResNet-18", "ResNet-34"),)),
        ),
    ),
    Item(
        "he2015/table3",
        "shortcut options A, B and C, and bottlenecks: 10-crop errors",
        "He et al. 2015, table 3",
        tuple(
            row
            for label, network, small, errors in TABLE_3
            for row in _imagenet(label, network, small, errors, "10crop")
        )
        + tuple(
            row
            for label, network, small, errors, _ in BOTTLENECKS
            for row in _imagenet(label, network, small, errors, "10crop")
        ),
        conclusion="B is slightly better than A, C than B. The gaps are small, so projections are not "
        "essential.",
        references=OTHERS_IN_TABLE_3,
        reference_columns=(TOP1, TOP5),
        claims=(
            PaperClaim(
                "every shortcut option is better than the plain net",
                tuple(("plain-34, top1", f"ResNet-34 {option}, top1") for option in "ABC"),
            ),
            PaperClaim(
                "B is slightly better than A, and C than B",
                falling(*(f"ResNet-34 {option}, top1" for option in "ABC")),
            ),
            PaperClaim(
                "bottlenecks get better with depth", falling(*(f"{row[0]}, top1" for row in BOTTLENECKS))
            ),
        ),
    ),
    Item(
        "he2015/table4",
        "single models, averaged over five scales",
        "He et al. 2015, table 4",
        tuple(
            row
            for label, network, small, _ in TABLE_3
            if label in TABLE_4
            for row in _imagenet(label, network, small, TABLE_4[label], "multiscale")
        )
        + tuple(
            row
            for label, network, small, _, errors in BOTTLENECKS
            for row in _imagenet(label, network, small, errors, "multiscale")
        ),
        conclusion="A single ResNet-152 has 4.49 % top-5 error; 3.57 % belongs to an ensemble of six "
        "(table 5).",
        references=OTHERS_IN_TABLE_4,
        reference_columns=(TOP1, TOP5),
        claims=(
            PaperClaim(
                "bottlenecks get better with depth", falling(*(f"{row[0]}, top5" for row in BOTTLENECKS))
            ),
        ),
    ),
    Item(
        "he2015/table5",
        "ensembles: top-5 error on the ImageNet test set",
        "He et al. 2015, table 5",
        obstacle="3.57 % is measured by the organisers' server on a test set whose labels are not public",
    ),
    Item(
        "he2015/table6",
        "CIFAR-10 test errors of residual nets of 20 to 1202 layers",
        "He et al. 2015, table 6",
        tuple(_residual(depth, "") for depth in TABLE_6),
        conclusion="The error falls up to 110 layers; 1202 layers train as well and test worse, which the "
        "authors attribute to overfitting.",
        references=OTHERS_IN_TABLE_6,
        reference_columns=("test error",),
        claims=(
            PaperClaim(
                "the error falls up to 110 layers", falling(*(f"ResNet-{depth}" for depth in FIGURE_6_DEPTHS))
            ),
            PaperClaim("1202 layers test worse than 110", (("ResNet-1202", "ResNet-110"),)),
        ),
    ),
    Item(
        "he2015/table7",
        "PASCAL VOC detection: mAP of Faster R-CNN",
        "He et al. 2015, table 7",
        (
            _detection("07+12, VOC 2007 test", "voc2007", "map50", 76.4),
            _detection("07++12, VOC 2012 test", "voc2012", "map50", 73.8),
        ),
        conclusion="VGG-16 in its place reaches 73.2 and 70.4. A server evaluates the test boxes of "
        "VOC 2012.",
    ),
    Item(
        "he2015/table8",
        "COCO detection: mAP of Faster R-CNN on the validation set",
        "He et al. 2015, table 8",
        (
            _detection("mAP@.5", "coco", "map50", 48.4),
            _detection("mAP@[.5,.95]", "coco", "map", 27.2),
        ),
        conclusion="VGG-16 in its place reaches 41.5 and 21.2: the backbone alone gains 6.0 points, 28 %.",
    ),
    _not_feasible(9, "COCO detection with improvements", NEEDS_REFINEMENT.format("COCO")),
    _not_feasible(10, "VOC 2007 detection with improvements", NEEDS_REFINEMENT.format("COCO and VOC 2007")),
    _not_feasible(11, "VOC 2012 detection with improvements", NEEDS_REFINEMENT.format("COCO and VOC 2012")),
    _not_feasible(12, "ImageNet detection", NEEDS_REFINEMENT.format("the ImageNet DET images")),
    _not_feasible(13, "ImageNet localisation, single steps", NEEDS_LOCALISATION),
    _not_feasible(14, "ImageNet localisation, entries", NEEDS_LOCALISATION),
)
"""All tables of the paper and of its arXiv appendix, and all figures."""
