"""Entries of ILSVRC from AlexNet 2012 to ResNet 2015: counted here, with the errors that table 5 prints."""

from residua.reproduce.published import NO_PAPER_VALUE, Item, PublishedRow, Reference, zoo_network


def _macs(label: str, name: str, paper: float | None = None) -> PublishedRow:
    remark = NO_PAPER_VALUE if paper is None else ""
    return PublishedRow(label, zoo_network(name), paper, remark=remark, measure="macs", data="imagenet")


ENTRIES = (
    Reference("AlexNet", ("2012", "won", "8", ""), "alexnet_2012"),
    Reference("GoogLeNet", ("2014", "won", "22", "6.66"), "googlenet_2014"),
    Reference("VGG-19", ("2014", "second", "19", "7.32"), "vgg19"),
    Reference("ResNet-152", ("2015", "won", "152", "3.57"), "resnet152_v1"),
)
"""Year, place, layers of one network, and top-5 test error of the whole entry, an ensemble (table 5). No
source was reached for the winner of 2013, nor for AlexNet's error."""
ITEMS = (
    Item(
        "project/history",
        "entries of ILSVRC from AlexNet 2012 to ResNet 2015",
        "He et al. 2015, section 1 and table 5",
        (
            _macs("AlexNet", "alexnet_2012"),
            _macs("GoogLeNet", "googlenet_2014"),
            _macs("VGG-19", "vgg19", 19.6e9),
            _macs("ResNet-152", "resnet152_v1", 11.3e9),
        ),
        "history",
        conclusion="Layers, parameters and multiply-adds are counted from one network of each entry; the "
        "errors are those of whole entries, ensembles of several networks on the test set (table 5). The "
        "winner of 2013 is left out and AlexNet's error is empty: no source for them was reached. 3.57 % is "
        "not the error of one ResNet-152, which has 4.49 % (table 4).",
        references=ENTRIES,
        reference_title="The entries",
        reference_columns=("year", "place", "layers", "top-5 error"),
    ),
)
"""The one figure, which is in no paper."""
