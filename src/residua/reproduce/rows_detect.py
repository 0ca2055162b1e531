"""Detection in He et al. 2015 and Duta et al. 2020: what they printed of boxes, and which detector it was.

Ours learn regions and boxes together; He et al. trained them in turns (appendix A), so that a number of ours
beside theirs compares two ways to train, too.
"""

from functools import partial
from typing import Literal

from residua.reproduce.published import Item, Net, PublishedRow
from residua.spec import zoo

BEYOND = "needs box refinement, context and several scales, which residua does not have, and {}"
_Measure = Literal["map", "map50"]


def _net(detector: str, backbone: str) -> Net:
    return Net(f"{detector}_{backbone}", partial(zoo.arch, backbone))


RESNET, IRESNET = _net("ssd300", "resnet50"), _net("ssd300", "iresnet50_released")
FASTER = _net("fasterrcnn_c4", "resnet101_v1")


def _faster(trained: str, data: str, measure: _Measure, paper: float) -> PublishedRow:
    return PublishedRow(
        f"ResNet-101, {trained}", FASTER, paper, measure=measure, data=data, budgets=("full",)
    )


def _beyond(table: int, what: str, says: str, reason: str) -> Item:
    place = f"He et al. 2015, table {table} (arXiv appendix)"
    return Item(f"he2015/table{table}", what, place, says=says, reason=reason)


ITEMS = (
    Item(
        "he2015/table7",
        "PASCAL VOC detection: mAP of Faster R-CNN",
        "He et al. 2015, table 7",
        (
            _faster("07+12, VOC 2007 test", "voc2007", "map50", 76.4),
            _faster("07++12, VOC 2012 test", "voc2012", "map50", 73.8),
        ),
        says="VGG-16 in its place has 73.2 and 70.4. VOC 2012's test boxes are judged by a server.",
    ),
    Item(
        "he2015/table8",
        "COCO detection: mAP of Faster R-CNN on the validation set",
        "He et al. 2015, table 8",
        (
            _faster("mAP@.5", "coco", "map50", 48.4),
            _faster("mAP@[.5,.95]", "coco", "map", 27.2),
        ),
        says="VGG-16 in its place has 41.5 and 21.2: the backbone alone gains 6.0 points, 28 %.",
    ),
    _beyond(
        9,
        "COCO detection with improvements",
        "mAP@.5 / mAP@[.5,.95]: box refinement val 49.9/29.9; context val 51.1/30.0, test-dev 53.3/32.2; "
        "several scales val 53.8/32.5, test-dev 55.7/34.9; ensemble of three, test-dev 59.0/37.4.",
        BEYOND.format("COCO"),
    ),
    _beyond(
        10,
        "VOC 2007 detection with improvements",
        "mAP of VGG-16 / ResNet-101 / with all improvements: 73.2 / 76.4 / 85.6.",
        BEYOND.format("COCO and VOC 2007"),
    ),
    _beyond(
        11,
        "VOC 2012 detection with improvements",
        "mAP of VGG-16 / ResNet-101 / with all improvements: 70.4 / 73.8 / 83.8.",
        BEYOND.format("COCO and VOC 2012"),
    ),
    _beyond(
        12,
        "ImageNet detection",
        "mAP: GoogLeNet 2014 test 43.9; one ResNet-101 val2 60.5, test 58.8; ensemble 63.6 / 62.1.",
        BEYOND.format("the ImageNet DET images"),
    ),
    Item(
        "duta2020/coco",
        "ResNet and iResNet behind SSD on COCO",
        "Duta et al. 2020, object detection",
        (
            PublishedRow("SSD300 on ResNet-50", RESNET, measure="map", data="coco", budgets=("full",)),
            PublishedRow("SSD300 on iResNet-50", IRESNET, measure="map", data="coco", budgets=("full",)),
        ),
        says="The abstract names COCO alone; which layers of the backbone SSD reads is ours to choose.",
    ),
)
