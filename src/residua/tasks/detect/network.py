"""Networks that find boxes: torchvision's parts behind any backbone of ours, through `features_only`.

torchvision is imported where its parts are used: all of its models come with it, half a second for nothing.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from residua.nn.features import Features
from residua.nn.network import Network
from residua.nn.sequence import LayerSequence
from residua.spec.detector import Detector, map_indices
from residua.spec.record import to_plain

Target = dict[str, Tensor]
"""`boxes` (n, 4) float32, left, top, right and bottom in pixels, and `labels` (n,) int64, from 1."""
Found = dict[str, Tensor]
"""`boxes` and `labels` as in a Target, and `scores` (n,), the highest first."""

PYRAMID = 256  # channels of every map of a pyramid (Lin et al. 2017, 3)
HIDDEN = 1024  # of the two layers that read a region (Lin et al. 2017, 4.2)
DIVISIBLE = 32  # sides of a batch of images that keep their shape: the pyramid's maps then add up


class Still(nn.Module):
    """In the place of torchvision's transform: our views have their size already, and are normalised."""

    def __init__(self, divisible: int) -> None:
        """Batches get sides that `divisible` divides."""
        super().__init__()
        self.divisible = divisible

    def forward(self, images: Sequence[Tensor], targets: Any) -> tuple[Any, Any]:
        """`images`, each (C, H, W), as one ImageList with zeros beyond each of them."""
        from torchvision.models.detection.image_list import ImageList

        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        high, wide = (-(-max(side) // self.divisible) * self.divisible for side in zip(*sizes, strict=True))
        batch = images[0].new_zeros(len(images), images[0].shape[0], high, wide)
        for row, image in zip(batch, images, strict=True):
            row[:, : image.shape[-2], : image.shape[-1]] = image
        last = images[0].stride(0) == 1  # the images' order of axes in memory, which slices do not tell alone
        layout = torch.channels_last if last else torch.contiguous_format
        return ImageList(batch.contiguous(memory_format=layout), sizes), targets

    def postprocess(self, found: list[Found], _sizes: object, _original: object) -> list[Found]:
        """`found`: whoever made the views leads boxes back to their images."""
        return found


class Wide(nn.Module):
    """A head whose outputs are float32 whatever the arithmetic: bfloat16 would move a box by pixels."""

    def __init__(self, head: nn.Module) -> None:
        """Around `head`."""
        super().__init__()
        self.head = head

    def forward(self, x: Any) -> Any:
        """What `head` says of `x`: tensors, or lists or dicts of them."""
        return _float(self.head(x))


class FeaturePyramid(nn.Module):
    """The backbone of a detector: its chosen maps, by number, as torchvision wants them."""

    def __init__(self, network: Network, indices: Sequence[int], behind: nn.Module) -> None:
        """The maps at `indices` of `network`, followed by what `behind` makes of them."""
        super().__init__()
        self.features, self.behind = Features(network, indices), behind

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W) -> maps by number, the largest first; float32, which anchors take over from them."""
        maps = OrderedDict((str(i), found) for i, found in enumerate(self.features(x)))
        found: dict[str, Tensor] = _float(self.behind(maps))
        return found


class Extras(nn.Module):
    """SSD's maps behind the backbone's, each half as large as the one before (Liu et al. 2016, fig. 2).

    With a norm after each convolution, without which SSD does not train from scratch (Zhu et al. 2019).
    """

    def __init__(self, width: int, channels: Sequence[int], side: int) -> None:
        """Maps of `channels` channels behind one of `width` that is `side` x `side`."""
        super().__init__()
        self.layers = nn.ModuleList()
        for out in channels:
            inner, border = out // 2, int(side != 3)  # 3 x 3 becomes 1 x 1, as in the paper
            first, second = _normed(width, inner, 1, 1, 0), _normed(inner, out, 3, 2, border)
            self.layers.append(nn.Sequential(*first, *second))
            width, side = out, (side + 2 * border - 3) // 2 + 1

    def forward(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """`maps` and those behind them."""
        found = OrderedDict(maps)
        last = list(maps.values())[-1]
        for layer in self.layers:
            last = found[str(len(found))] = layer(last)
        return found


class Boxer(nn.Module):
    """A detector: `forward` gives losses while it trains, boxes while it does not.

    `arch` is the backbone's, `detector` what is behind it; `class_names` do not count the background.
    `segments` and `ceiling` are the backbone's, as in `Network`.
    """

    def __init__(self, network: Network, detector: Detector, classes: int) -> None:
        """Take `network` over, without its head; fresh weights behind it for `classes` classes.

        ValueError when it lacks a map that the detector reads.
        """
        super().__init__()
        self.arch, self.detector, self.preprocess = network.arch, detector, network.preprocess
        self.class_names: tuple[str, ...] = network.class_names
        indices = map_indices(detector, network.arch)
        network.head, network.sides = nn.Identity(), nn.ModuleList()  # type: ignore[assignment]
        for part in [network.stem, *network.stages][: detector.still]:
            part.requires_grad_(False)
        make = {"ssd": _ssd, "c4": _c4, "fpn": _fpn}[detector.kind]
        self.parts: nn.Module = make(network, detector, indices, classes + 1)

    @property
    def facts(self) -> dict[str, Any]:
        """What a file of its weights says of it, as JSON values."""
        plain = {"arch": to_plain(self.arch), "classes": list(self.class_names)}
        return {**plain, "detector": to_plain(self.detector)}

    def forward(self, images: Tensor, sizes: Tensor, targets: list[Target] | None = None) -> Any:
        """Normalised `images` (N, C, H, W), of which the first `sizes` (N, 2) rows and columns are shown.

        In training a dict of losses, each the mean over the batch; else N of Found.
        """
        shown = [image[:, :high, :wide] for image, (high, wide) in zip(images, sizes.tolist(), strict=True)]
        return self.parts(shown, targets)


def _ssd(network: Network, detector: Detector, indices: Sequence[int], outputs: int) -> Any:
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD, SSDHead

    widths = network.arch.widths()
    side = -(-detector.size // detector.strides[-1])
    maps = FeaturePyramid(network, indices, Extras(widths[indices[-1]], detector.extras, side))
    sides = [row[0] for row in detector.sizes] + [detector.sizes[-1][1]]
    anchors = DefaultBoxGenerator(
        [list(row) for row in detector.ratios],
        scales=[side / detector.size for side in sides],
    )
    channels = [*(widths[i] for i in indices), *detector.extras]
    head = Wide(SSDHead(channels, anchors.num_anchors_per_location(), outputs))
    square = (detector.size, detector.size)
    found = SSD(maps, anchors, square, outputs, head=head)
    found.transform = Still(1)  # leaves views as they are
    return found


def _fpn(network: Network, detector: Detector, indices: Sequence[int], outputs: int) -> Any:
    from torchvision.models.detection.faster_rcnn import TwoMLPHead
    from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
    from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

    widths = [network.arch.widths()[i] for i in indices]
    maps = FeaturePyramid(network, indices, FeaturePyramidNetwork(widths, PYRAMID, LastLevelMaxPool()))
    regions = MultiScaleRoIAlign([str(i) for i in range(len(indices))], 7, 2)
    head = TwoMLPHead(PYRAMID * regions.output_size[0] ** 2, HIDDEN)
    return _faster(maps, detector, PYRAMID, _heads(regions, head, HIDDEN, outputs), many=(2000, 1000))


def _c4(network: Network, detector: Detector, indices: Sequence[int], outputs: int) -> Any:
    """The last stage runs for each region, on 14 x 14 places that its stride makes 7 x 7."""
    from torchvision.ops import MultiScaleRoIAlign

    arch = network.arch
    if indices[0] != len(arch.stages) - 1:
        raise ValueError(f"{arch.name} has no one stage behind its map of stride 16: C4 runs it on regions")
    top = nn.Sequential(network.stages[-1], network.tail, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.stages, network.tail = network.stages[:-1], LayerSequence()
    network.arch = replace(arch, stages=arch.stages[:-1], tail="")
    widths = arch.widths()
    heads = _heads(MultiScaleRoIAlign(["0"], 14, 2), top, widths[-1], outputs)
    return _faster(
        FeaturePyramid(network, indices, nn.Identity()), detector, widths[-2], heads, many=(2000, 300)
    )


def _faster(
    maps: nn.Module, detector: Detector, width: int, heads: nn.Module, *, many: tuple[int, int]
) -> Any:
    """Faster R-CNN with torchvision's numbers; `many` regions are passed on in training and in judging.

    Training keeps 2000 (Ren et al. 2015, 3.3), judging 300 of one map (He et al. 2015, appendix A).
    """
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
    from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

    anchors = AnchorGenerator(detector.sizes, detector.ratios)
    kept = dict(zip(("training", "testing"), many, strict=True))
    regions = RegionProposalNetwork(
        anchors,
        Wide(RPNHead(width, anchors.num_anchors_per_location()[0])),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 2000, "testing": 1000},
        post_nms_top_n=kept,
        nms_thresh=0.7,
    )
    return GeneralizedRCNN(maps, regions, heads, Still(DIVISIBLE))


def _heads(regions: nn.Module, head: nn.Module, width: int, outputs: int) -> Any:
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
    from torchvision.models.detection.roi_heads import RoIHeads

    return RoIHeads(
        regions,
        head,
        Wide(FastRCNNPredictor(width, outputs)),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=512,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=100,
    )


def _normed(width: int, out: int, kernel: int, stride: int, border: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(width, out, kernel, stride, border, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv, nn.BatchNorm2d(out), nn.ReLU()


def _float(said: Any) -> Any:
    if isinstance(said, Tensor):
        return said.float()
    if isinstance(said, dict):
        return {name: _float(each) for name, each in said.items()}
    return type(said)(map(_float, said))
