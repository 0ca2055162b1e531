"""Studies of Duta et al. 2020 on video: none of its numbers was read, nor what its networks are in detail.

The rows are the paper's words in R3D's layout, which is ours to choose; a number of theirs beside a number of
the paper would compare two networks.
"""

from residua.reproduce.published import Item, PublishedRow, net

NETS = {
    "R3D-50, the baseline": "resnet3d50",
    "ResStage-50": "resstage3d50",
    "ResGroup-50": "resgroup3d50",
    "iResNet-50": "iresnet3d50",
    "iResGroup-50": "iresgroup3d50",
}
"""What a row is called, and the network that stands for it."""


def _rows(data: str) -> tuple[PublishedRow, ...]:
    return tuple(
        PublishedRow(label, net(name), measure="top1_error", data=data, budgets=("full",))
        for label, name in NETS.items()
    )


ITEMS = (
    Item(
        "duta2020/kinetics400",
        "improved blocks in networks for clips on Kinetics-400",
        "Duta et al. 2020, video recognition",
        _rows("kinetics400"),
        says="The abstract names the data alone.",
    ),
    Item(
        "duta2020/something2",
        "improved blocks in networks for clips on Something-Something v2",
        "Duta et al. 2020, video recognition",
        _rows("something2"),
        says="The abstract names the data alone.",
    ),
)
