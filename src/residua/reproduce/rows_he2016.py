"""Tables and figures of He et al. 2016, with the numbers they print."""

from dataclasses import replace
from itertools import chain

from residua.reproduce.published import (
    BUDGETS,
    DRAWN_ONLY,
    Budget,
    Item,
    Measure,
    NamedNetwork,
    PaperClaim,
    PublishedRow,
    cifar_bottleneck_network,
    falling,
    lowest,
    zoo_network,
)
from residua.spec import orders
from residua.spec.arch import Arch
from residua.spec.block import Conv
from residua.spec.change import SHORTCUTS
from residua.spec.orders import Order
from residua.spec.zoo.stages import CIFAR, CIFAR_STEM, stages

FAIL = "fail (> 20 %)"
"""What table 1 prints for a run that does not get below 20 %."""
TABLE_1 = (
    ("original", "", 6.61, ""),
    ("scale 0, 1: plain", "scale0", None, FAIL),
    ("scale 0.5, 1", "scale0.5", None, FAIL),
    ("scale 0.5, 0.5", "scale0.5,0.5", 12.35, ""),
    ("exclusive gate, bias 0", "exclusive_gate0", None, f"{FAIL}, bias 0 to -5"),
    ("exclusive gate, bias -6", "exclusive_gate-6", 8.70, ""),
    ("exclusive gate, bias -7", "exclusive_gate-7", 9.81, ""),
    ("shortcut gate, bias 0", "gate0", 12.86, ""),
    ("shortcut gate, bias -6", "gate-6", 6.91, ""),
    ("1x1 convolution", "conv", 12.22, ""),
    ("dropout 0.5", "dropout", None, FAIL),
)
"""Table 1: case, shortcut option, median test error of ResNet-110 in percent, remark."""
TABLE_2 = (
    ("a", "original", 6.61, 5.93),
    ("b", "norm after addition", 8.17, 6.50),
    ("c", "ReLU before addition", 7.84, 6.14),
    ("d", "ReLU-only pre-activation", 6.71, 5.91),
    ("e", "full pre-activation", 6.37, 5.46),
)
"""Table 2: letter of figure 4, name, test errors of ResNet-110 and ResNet-164."""
FIGURE_2 = (
    "original",
    "scale 0.5, 0.5",
    "exclusive gate, bias -6",
    "shortcut gate, bias -6",
    "1x1 convolution",
    "dropout 0.5",
)
"""Figure 2: the shortcuts that are drawn, by their cases of table 1."""
FIGURE_3 = {
    "Scaling, convolution, dropout": ("original", "scale 0.5, 0.5", "1x1 convolution", "dropout 0.5"),
    "Gates": ("original", "exclusive gate, bias -6", "shortcut gate, bias 0", "shortcut gate, bias -6"),
}
"""Figure 3: panel -> the cases of table 1 whose curves it shows."""
STRIDE = "1x1"
"""Where both sides of a comparison have the stride of their bottlenecks: where the authors' code of the
pre-activation nets has it (resnet-1k-layers). Their original nets may have it on the 3x3, as FAIR's code."""
DEEPEST_BASIC = 110
"""Layers of the deepest CIFAR network of basic blocks."""
FROM_SMALL: tuple[Budget, ...] = ("small", "full")
ONLY_FULL: tuple[Budget, ...] = ("full",)


def _table_1(panel: str) -> tuple[PublishedRow, ...]:
    return tuple(
        PublishedRow(
            label, zoo_network("cifar_resnet110", shortcut=option), error, remark=remark, panel=panel
        )
        for label, option, error, remark in TABLE_1
    )


def _order(letter: str, name: str, depth: int, error: float) -> PublishedRow:
    budgets = ("smoke", "small", "full") if depth == 110 else FROM_SMALL
    stride_on = STRIDE if depth > DEEPEST_BASIC else ""
    network = zoo_network(f"cifar_resnet{depth}", order=letter, stride_on=stride_on)
    label = f"({letter}) {name}, {depth}"
    return PublishedRow(label, network, error, panel=f"ResNet-{depth}", budgets=budgets)


def _single(width: int, stride: int) -> tuple[Conv, ...]:
    return (Conv(width, 3, stride),)


def _one_layer(order: Order, tail: str) -> Arch:
    """110 layers whose shortcuts skip one convolution each (table 3, "1 layer")."""
    blocks = stages((36, 36, 36), _single, order, narrow=16, shortcut=SHORTCUTS["A"])
    source = "He et al. 2016, table 3, one layer"
    return Arch("", "cifar_resnet", source, CIFAR_STEM, blocks, tail, classes=10, preprocess=CIFAR)


ONE_LAYER = NamedNetwork("cifar_resnet110_1layer", lambda: _one_layer(orders.original, ""))
ONE_LAYER_PREACTIVATION = NamedNetwork(
    "cifar_preresnet110_1layer", lambda: _one_layer(orders.preactivation, "NA")
)


def _depths(
    data: str,
    cases: tuple[tuple[str, NamedNetwork, float | None, NamedNetwork, float, tuple[Budget, ...]], ...],
) -> tuple[PublishedRow, ...]:
    """Baseline and pre-activation of each depth."""
    panel = f"{data.replace('cifar', 'CIFAR-')} in the paper"
    return tuple(
        PublishedRow(f"{label}, {kind}", network, error, data=data, budgets=budgets, panel=panel)
        for label, original, its_error, preactivation, error_after, budgets in cases
        for kind, network, error in (
            ("baseline", original, its_error),
            ("pre-activation", preactivation, error_after),
        )
    )


R110, P110 = zoo_network("cifar_resnet110"), zoo_network("cifar_preresnet110")
R164, P164 = zoo_network("cifar_resnet164", stride_on=STRIDE), zoo_network("cifar_preresnet164")
R1001, P1001 = zoo_network("cifar_resnet1001", stride_on=STRIDE), zoo_network("cifar_preresnet1001")
TABLE_3 = _depths(
    "cifar10",
    (
        (
            "110, one layer skipped",
            ONE_LAYER,
            9.90,
            ONE_LAYER_PREACTIVATION,
            8.91,
            ("smoke", "small", "full"),
        ),
        ("110", R110, 6.61, P110, 6.37, ("smoke", "small", "full")),
        ("164", R164, 5.93, P164, 5.46, FROM_SMALL),
        ("1001", R1001, 7.61, P1001, 4.92, ONLY_FULL),
    ),
)
TABLE_3_CIFAR100 = _depths(
    "cifar100",
    (
        ("164", R164, 25.16, P164, 24.33, FROM_SMALL),  # digits have ten classes
        ("1001", R1001, 27.82, P1001, 22.71, ONLY_FULL),
    ),
)
TABLE_4 = (
    PublishedRow("ResNet-110", R110, 6.61),
    PublishedRow("ResNet-1202", zoo_network("cifar_resnet1202"), 7.93, budgets=ONLY_FULL),
    PublishedRow("pre-activation ResNet-164", P164, 5.46),
    PublishedRow("pre-activation ResNet-1001", P1001, 4.89, 0.14, "mean; median 4.92", budgets=ONLY_FULL),
)


def _table_5(
    label: str, name: str, small_network: NamedNetwork, views: str, errors: tuple[float, float]
) -> tuple[PublishedRow, PublishedRow]:
    """A row for the top-1 and one for the top-5 error."""

    def row(measure: Measure, error: float) -> PublishedRow:
        return PublishedRow(
            f"{label}, {measure[:4]}",
            zoo_network(name),
            error,
            measure=measure,
            views=views,
            data="imagenet",
            small_network=small_network,
        )

    return row("top1_error", errors[0]), row("top5_error", errors[1])


def _drawn_network(label: str, network: NamedNetwork) -> PublishedRow:
    return PublishedRow(label, network, remark=DRAWN_ONLY, measure="params")


def _pre_activation(*labels: str) -> tuple[tuple[str, str], ...]:
    """Pairs that say that pre-activation is better in these cases."""
    return tuple((f"{label}, baseline", f"{label}, pre-activation") for label in labels)


def _best_order(depth: int) -> tuple[tuple[str, str], ...]:
    """Pairs that say that full pre-activation is the best of all orders."""
    *others, best = (f"({letter}) {name}, {depth}" for letter, name, *_ in TABLE_2)
    return lowest(best, *others)


def _worst_order(depth: int) -> tuple[tuple[str, str], ...]:
    """Pairs that say that the norm after the addition is the worst of all orders."""
    labels = [f"({letter}) {name}, {depth}" for letter, name, *_ in TABLE_2]
    return tuple((labels[1], label) for label in labels if label != labels[1])


ITEMS = (
    Item(
        "he2016/fig1",
        "training curves of 1001 layers, original and full pre-activation",
        "He et al. 2016, figure 1 and table 3",
        tuple(
            replace(row, budgets=ONLY_FULL if row.label.startswith("1001,") else BUDGETS)
            for row in TABLE_3
            if row.label.startswith(("164,", "1001,"))
        ),
        "curves",
        "With pre-activation 1001 layers reach a lower error. The figure shows 1001 layers alone; smaller "
        "budgets train the 164 of table 3.",
        claims=(PaperClaim("pre-activation is better", _pre_activation("164", "1001")),),
    ),
    Item(
        "he2016/fig2",
        "operations on the shortcut",
        "He et al. 2016, figure 2",
        tuple(
            _drawn_network(label, zoo_network("cifar_resnet110", shortcut=option))
            for label, option, *_ in TABLE_1
            if label in FIGURE_2
        ),
        "blocks",
        "Gates and convolutions could represent the identity and more, and do worse all the same (table 1).",
    ),
    Item(
        "he2016/fig3",
        "training curves of the shortcut studies",
        "He et al. 2016, figure 3 and table 1",
        tuple(
            replace(row, panel=panel)
            for panel, labels in FIGURE_3.items()
            for row in _table_1(panel)
            if row.label in labels
        ),
        "curves",
        "Every operation on the shortcut makes training harder, although some could represent more.",
        claims=(
            PaperClaim(
                "every operation on the shortcut makes training harder",
                lowest("original", *(label for label in chain(*FIGURE_3.values()) if label != "original")),
                "train_error",
            ),
        ),
    ),
    Item(
        "he2016/fig4",
        "the five orders of norm, activation and addition, drawn",
        "He et al. 2016, figure 4",
        tuple(
            _drawn_network(f"({letter}) {name}", zoo_network("cifar_resnet110", order=letter))
            for letter, name, *_ in TABLE_2
        ),
        "blocks",
        conclusion="The same layers in another order; counted from the networks, not trained.",
    ),
    Item(
        "he2016/fig5",
        "an activation for the residual branch alone is a pre-activation",
        "He et al. 2016, figure 5",
        tuple(
            _drawn_network(f"({letter}) {name}", zoo_network("cifar_resnet110", order=letter))
            for letter, name, *_ in TABLE_2
            if letter in "ae"
        ),
        "blocks",
        "An activation after the addition that only the next residual branch sees can be drawn as the first "
        "layer of that branch: the same function. Nothing follows the addition then.",
    ),
    Item(
        "he2016/fig6",
        "training curves of norm after addition (110) and full pre-activation (164)",
        "He et al. 2016, figure 6 and table 2",
        tuple(
            replace(_order(letter, name, depth, errors[depth > 110]), budgets=BUDGETS)
            for depth, letters in ((110, "ab"), (164, "ae"))
            for letter, name, *errors in TABLE_2
            if letter in letters
        ),
        "curves",
        "A norm on the main path makes training harder; full pre-activation has the lower test error.",
        claims=(
            PaperClaim(
                "a norm after the addition makes training harder",
                (("(b) norm after addition, 110", "(a) original, 110"),),
                "train_error",
            ),
            PaperClaim(
                "a norm after the addition is worse in testing",
                (("(b) norm after addition, 110", "(a) original, 110"),),
            ),
            PaperClaim(
                "full pre-activation is better", (("(a) original, 164", "(e) full pre-activation, 164"),)
            ),
        ),
    ),
    Item(
        "he2016/table1",
        "what the shortcut carries: scaling, gates, convolution, dropout",
        "He et al. 2016, table 1",
        _table_1(""),
        conclusion="The identity is the best of all shortcuts tried. The factor on the gradient, 1 plus a "
        "derivative, is not bounded below by 1; it is only unlikely to cancel for every image of a batch "
        "(section 2).",
        claims=(
            PaperClaim(
                "the identity is the best of all shortcuts",
                lowest(*(label for label, *_ in TABLE_1)),
            ),
            PaperClaim(
                "a gate that begins closed is better",
                (
                    ("shortcut gate, bias 0", "shortcut gate, bias -6"),
                    ("exclusive gate, bias 0", "exclusive gate, bias -6"),
                ),
            ),
        ),
    ),
    Item(
        "he2016/table2",
        "the five orders of norm, activation and addition",
        "He et al. 2016, table 2",
        tuple(_order(letter, name, 110, error) for letter, name, error, _ in TABLE_2)
        + tuple(_order(letter, name, 164, error) for letter, name, _, error in TABLE_2),
        conclusion="Full pre-activation is best; a norm on the main path after the addition is worst.",
        claims=(
            *(
                PaperClaim(f"full pre-activation is the best at {depth} layers", _best_order(depth))
                for depth in (110, 164)
            ),
            *(
                PaperClaim(f"a norm after the addition is the worst at {depth} layers", _worst_order(depth))
                for depth in (110, 164)
            ),
        ),
    ),
    Item(
        "he2016/table3",
        "baseline and pre-activation units by depth, CIFAR-10",
        "He et al. 2016, table 3",
        TABLE_3,
        conclusion="The deeper the net, the more pre-activation helps.",
        claims=(
            PaperClaim(
                "pre-activation is better at every depth",
                _pre_activation("110, one layer skipped", "110", "164", "1001"),
            ),
        ),
    ),
    Item(
        "he2016/table3-cifar100",
        "baseline and pre-activation units by depth, CIFAR-100",
        "He et al. 2016, table 3",
        TABLE_3_CIFAR100,
        conclusion="The same on a hundred classes.",
        claims=(PaperClaim("pre-activation is better at every depth", _pre_activation("164", "1001")),),
    ),
    Item(
        "he2016/table4",
        "the deepest nets, CIFAR-10",
        "He et al. 2016, table 4",
        TABLE_4,
        conclusion="Rows of other authors' networks are left out: they are not residual nets of these "
        "papers.",
        claims=(
            PaperClaim(
                "1001 layers are better than 164 with pre-activation",
                falling("pre-activation ResNet-164", "pre-activation ResNet-1001"),
            ),
        ),
    ),
    Item(
        "he2016/table5",
        "ResNet-152 and 200 on ImageNet, single crops of 224 and 320",
        "He et al. 2016, table 5",
        _table_5("ResNet-152, 224", "resnet152", cifar_bottleneck_network(83), "center", (23.0, 6.7))
        + _table_5("ResNet-152, 320", "resnet152", cifar_bottleneck_network(83), "320", (21.3, 5.5))
        + _table_5(
            "ResNet-152 pre-act, 320",
            "preresnet152",
            cifar_bottleneck_network(83, order="e"),
            "320",
            (21.1, 5.5),
        )
        + _table_5("ResNet-200, 320", "resnet200", cifar_bottleneck_network(110), "320", (21.8, 6.0))
        + _table_5(
            "ResNet-200 pre-act, 320",
            "preresnet200",
            cifar_bottleneck_network(110, order="e"),
            "320",
            (20.7, 5.3),
        ),
        conclusion="The original ResNet-200 has the lower training error than 152 and the higher test error.",
        claims=(
            PaperClaim(
                "the original net tests worse with 200 layers than with 152",
                (("ResNet-200, 320, top1", "ResNet-152, 320, top1"),),
            ),
            PaperClaim(
                "pre-activation is better at 200 layers",
                (("ResNet-200, 320, top1", "ResNet-200 pre-act, 320, top1"),),
            ),
        ),
    ),
)
