"""Tables and figures of He et al. 2015, with the numbers they print."""

from residua.reproduce.published import DRAWN, Budget, Claim, Item, Net, PublishedRow, bottleneck, net

DEPTHS = (20, 32, 44, 56, 110)
"""Figure 6."""
SMALL_DEPTHS = (20, 56)
"""Trained at the budget `small`: the pair that the paper's first figure shows."""
TABLE6 = {
    20: ("0.27 M", 8.75, None, ""),
    32: ("0.46 M", 7.51, None, ""),
    44: ("0.66 M", 7.17, None, ""),
    56: ("0.85 M", 6.97, None, ""),
    110: ("1.7 M", 6.61, 0.16, "mean of 5; best 6.43"),
    1202: ("19.4 M", 7.93, None, ""),
}
"""Table 6: depth -> parameters, test error in percent, its deviation, remark."""
PLAIN = "curve"
SHALLOW, DEEP = net("cifar_resnet20"), net("cifar_resnet56")


def _budgets(depth: int) -> tuple[Budget, ...]:
    if depth > 110:
        return ("full",)
    return ("smoke", "small", "full") if depth in SMALL_DEPTHS else ("smoke", "full")


def _plain(depth: int, panel: str = "Plain networks") -> PublishedRow:
    said = "above 60" if depth == 110 else PLAIN
    return PublishedRow(
        f"plain-{depth}", net(f"cifar_plain{depth}"), said=said, panel=panel, budgets=_budgets(depth)
    )


def _residual(depth: int, panel: str = "Residual networks") -> PublishedRow:
    _, error, deviation, said = TABLE6[depth]
    net_ = net(f"cifar_resnet{depth}")
    return PublishedRow(f"ResNet-{depth}", net_, error, deviation, said, panel=panel, budgets=_budgets(depth))


def _imagenet(
    label: str, net_: Net, stand_in: Net, errors: tuple[float, ...], views: str
) -> tuple[PublishedRow, ...]:
    """A row for top-1, and one for top-5 where both are printed."""
    kinds = ("top1_error", "top5_error")
    return tuple(
        PublishedRow(
            f"{label}, {kind[:4]}",
            net_,
            e,
            measure=kind,  # type: ignore[arg-type]
            views=views,
            data="imagenet",
            stand_in=stand_in,
        )
        for kind, e in zip(kinds, errors, strict=False)
    )


def _curve(label: str, name: str, stand_in: str, panel: str, error: float) -> PublishedRow:
    """A row of figure 4, whose end table 2 prints."""
    return PublishedRow(
        label, net(name), error, said="10-crop", measure="top1_error", views="10crop",
        data="imagenet", panel=panel, stand_in=net(stand_in),
    )  # fmt: skip


FIG4 = (
    _curve("plain-18", "plain18", "cifar_plain20", "Plain networks", 27.94),
    _curve("plain-34", "plain34", "cifar_plain56", "Plain networks", 28.54),
    _curve("ResNet-18", "resnet18_a", "cifar_resnet20", "Residual networks", 27.88),
    _curve("ResNet-34", "resnet34_a", "cifar_resnet56", "Residual networks", 25.03),
)
TABLE3 = (
    ("plain-34", net("plain34"), net("cifar_plain56"), (28.54, 10.02)),
    ("ResNet-34 A", net("resnet34_a"), DEEP, (25.03, 7.76)),
    ("ResNet-34 B", net("resnet34"), net("cifar_resnet56", shortcut="B"), (24.52, 7.46)),
    ("ResNet-34 C", net("resnet34_c"), net("cifar_resnet56", shortcut="C"), (24.19, 7.40)),
)
DEEPER = (
    ("ResNet-50", net("resnet50_v1"), bottleneck(56), (22.85, 6.71), (20.74, 5.25)),
    ("ResNet-101", net("resnet101_v1"), bottleneck(83), (21.75, 6.05), (19.87, 4.60)),
    ("ResNet-152", net("resnet152_v1"), bottleneck(110), (21.43, 5.71), (19.38, 4.49)),
)
"""Bottlenecks: tables 3 and 4."""
MULTISCALE = {"ResNet-34 B": (21.84, 5.71), "ResNet-34 C": (21.53, 5.60)}
"""Table 4."""
COSTS = {
    "resnet18": 1.8e9,
    "resnet34": 3.6e9,
    "resnet50_v1": 3.8e9,
    "resnet101_v1": 7.6e9,
    "resnet152_v1": 11.3e9,
}
"""Table 1: multiply-adds."""


ITEMS = (
    Item(
        "he2015/fig1",
        "deeper plain nets have the higher training error",
        "He et al. 2015, figure 1",
        (_plain(20, ""), _plain(56, "")),
        "curves",
        "The deeper net is worse on the images it trains on, so this is not overfitting. Nor are vanishing "
        "gradients the likely cause: the authors found them healthy (4.1).",
        claims=(Claim("plain-56", "plain-20", "train_error"), Claim("plain-56", "plain-20")),
    ),
    Item(
        "he2015/fig2",
        "the building block of residual learning",
        "He et al. 2015, figure 2",
        (PublishedRow("a residual block", net("resnet34_a"), said=DRAWN, measure="params", data="imagenet"),),
        "blocks",
        "The layers learn what is to be added to their input, F(x) = H(x) - x. It is not said that F goes to "
        "zero: the identity is hardly the best answer, only a good place to start from (3.1).",
    ),
    Item(
        "he2015/fig3",
        "VGG-19, and 34 layers, plain and residual",
        "He et al. 2015, figure 3",
        (
            PublishedRow("VGG-19", net("vgg19"), 19.6e9, measure="macs", data="imagenet"),
            PublishedRow("plain-34", net("plain34"), 3.6e9, measure="macs", data="imagenet"),
            PublishedRow("ResNet-34", net("resnet34_a"), 3.6e9, measure="macs", data="imagenet"),
        ),
        "networks",
        "The plain net follows VGG's rules with fewer filters, at 18 % of the multiply-adds; it is inspired "
        "by VGG-19, not built on it. The shortcuts of option A add no parameters.",
    ),
    Item(
        "he2015/fig4",
        "plain and residual nets of 18 and 34 layers",
        "He et al. 2015, figure 4 and table 2",
        FIG4,
        "curves",
        "Depth hurts plain nets and helps residual nets of the same layers and parameters (option A).",
        claims=(
            Claim("plain-34", "plain-18", "train_error"),
            Claim("plain-34", "ResNet-34", "train_error"),
            Claim("ResNet-18", "ResNet-34"),
        ),
    ),
    Item(
        "he2015/fig5",
        "a block of two layers beside a bottleneck of three",
        "He et al. 2015, figure 5",
        tuple(
            PublishedRow(label, net(name), said=DRAWN, measure="params", data="imagenet")
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
        (*map(_plain, DEPTHS), *map(_residual, DEPTHS)),
        "curves",
        "Plain nets get worse with depth in training error; residual nets get better. The cause the authors "
        "conjecture is slow convergence, not vanishing gradients (4.1).",
        claims=(
            Claim("plain-56", "plain-20", "train_error"),
            Claim("plain-56", "ResNet-56", "train_error"),
            Claim("ResNet-20", "ResNet-56"),
        ),
    ),
    Item(
        "he2015/fig7",
        "standard deviations of the responses of the 3x3 layers",
        "He et al. 2015, figure 7",
        tuple(
            PublishedRow(
                f"{kind}-{depth}", net(f"cifar_{kind.lower()}{depth}"), said=PLAIN, measure="response"
            )
            for kind, depth in (("plain", 20), ("plain", 56), ("ResNet", 20), ("ResNet", 56), ("ResNet", 110))
        ),
        "responses",
        "Residual nets answer less strongly than plain ones, and deeper residual nets less in each layer: "
        "their layers change the signal little. Measured after the norm, before activation and addition.",
        claims=(
            Claim("plain-20", "ResNet-20"),
            Claim("plain-56", "ResNet-56"),
            Claim("ResNet-20", "ResNet-56"),
        ),
    ),
    Item(
        "he2015/table1",
        "multiply-adds of the ImageNet networks",
        "He et al. 2015, table 1",
        tuple(PublishedRow(n, net(n), macs, measure="macs", data="imagenet") for n, macs in COSTS.items()),
        says="Counted from the networks, not trained. Bottlenecks have their stride on the first 1x1.",
    ),
    Item(
        "he2015/table2",
        "18 and 34 layers, plain and residual: top-1 error, 10-crop",
        "He et al. 2015, table 2",
        FIG4,
        says="The deeper plain net is worse, the deeper residual net better. Option A: no extra parameters.",
        claims=(Claim("plain-34", "plain-18"), Claim("ResNet-18", "ResNet-34")),
    ),
    Item(
        "he2015/table3",
        "shortcut options A, B and C, and bottlenecks: 10-crop errors",
        "He et al. 2015, table 3",
        tuple(row for label, n, s, errors in TABLE3 for row in _imagenet(label, n, s, errors, "10crop"))
        + tuple(row for label, n, s, errors, _ in DEEPER for row in _imagenet(label, n, s, errors, "10crop")),
        says="B is slightly better than A, C than B; the gaps are small, so projections are not essential.",
        claims=(
            Claim("plain-34, top1", "ResNet-34 A, top1"),
            Claim("ResNet-34 A, top1", "ResNet-34 B, top1"),
            Claim("ResNet-34 B, top1", "ResNet-34 C, top1"),
        ),
    ),
    Item(
        "he2015/table4",
        "single models, averaged over five scales",
        "He et al. 2015, table 4",
        tuple(
            row
            for label, n, s, _ in TABLE3
            if label in MULTISCALE
            for row in _imagenet(label, n, s, MULTISCALE[label], "multiscale")
        )
        + tuple(row for label, n, s, _, e in DEEPER for row in _imagenet(label, n, s, e, "multiscale")),
        says="A single ResNet-152 has 4.49 % top-5 error; 3.57 % belongs to an ensemble of six (table 5).",
    ),
    Item(
        "he2015/table5",
        "ensembles: top-5 error on the ImageNet test set",
        "He et al. 2015, table 5",
        reason="3.57 % is measured by the organisers' server on a test set whose labels are not public",
    ),
    Item(
        "he2015/table6",
        "CIFAR-10 test errors of residual nets of 20 to 1202 layers",
        "He et al. 2015, table 6",
        tuple(_residual(depth, "") for depth in TABLE6),
        says="Error falls up to 110 layers; 1202 layers train as well and test worse, which the authors "
        "put down to overfitting.",
        seeds=5,
        claims=(
            Claim("ResNet-20", "ResNet-56"),
            Claim("ResNet-56", "ResNet-110"),
            Claim("ResNet-1202", "ResNet-110"),
        ),
    ),
    Item(
        "he2015/table13",
        "ImageNet localisation, single steps",
        "He et al. 2015, table 13 (arXiv appendix)",
        reason="needs a localisation network, which residua does not have, and ImageNet with boxes",
    ),
    Item(
        "he2015/table14",
        "ImageNet localisation, entries",
        "He et al. 2015, table 14 (arXiv appendix)",
        reason="needs a localisation network, which residua does not have, and ImageNet with boxes",
    ),
)
