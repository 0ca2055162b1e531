"""Object detectors on any backbone of the package: SSD and two-stage Faster R-CNN (C4 and FPN).

Anchors, matching, heads, losses and non-maximum suppression are torchvision's. The backbone gives its
feature maps through `Features`, the module behind `features_only`. torchvision is imported inside
functions, because importing its models takes half a second. The attribute names `parts`, `behind`, `head`
and `layers` are keys of saved weights.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from residua.errors import ConfigError
from residua.nn.memory import UnitSequence
from residua.nn.network import Features, Network
from residua.nn.sequence import LayerSequence
from residua.spec.detector import Detector, map_indices
from residua.spec.record import to_plain

BoxTarget = dict[str, Tensor]
"""Ground truth of one image: `boxes` (n, 4) float32, x1 y1 x2 y2 in pixels, and `labels` (n,) int64, counted
from 1 because 0 is the background."""
RawDetections = dict[str, Tensor]
"""Output for one image: `boxes` and `labels` as in a BoxTarget, and `scores` (n,) from 0 to 1, descending."""

PYRAMID_CHANNELS = 256  # of every map of a feature pyramid (Lin et al. 2017, section 3)
BOX_HEAD_WIDTH = 1024  # units of the two hidden layers of the box head (Lin et al. 2017, section 4.2)
SIZE_DIVISOR = 32  # a multiple of every stride, so that upsampled maps of a pyramid match in size


class PadToBatch(nn.Module):
    """Stack images of different sizes into one batch, in place of torchvision's `GeneralizedRCNNTransform`.

    `transforms.py` has already resized the images, and `normalise` has scaled their colours.

    Args:
        size_divisor: height and width of the batch are rounded up to multiples of it.
    """

    def __init__(self, size_divisor: int) -> None:
        super().__init__()
        self.size_divisor = size_divisor

    def forward(self, images: Sequence[Tensor], targets: Any) -> tuple[Any, Any]:
        """Pad the images at the right and at the bottom with zeros.

        Args:
            images: tensors (C, H, W) of possibly different H and W.
            targets: returned unchanged.

        Returns:
            torchvision's ImageList with the batch (N, C, H, W) and the size of each image, and `targets`.
        """
        from torchvision.models.detection.image_list import ImageList

        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        height, width = (
            -(-max(side) // self.size_divisor) * self.size_divisor for side in zip(*sizes, strict=True)
        )
        batch = images[0].new_zeros(len(images), images[0].shape[0], height, width)
        for row, image in zip(batch, images, strict=True):
            row[:, : image.shape[-2], : image.shape[-1]] = image
        is_channels_last = images[0].stride(0) == 1  # `is_contiguous` cannot tell it from a slice
        layout = torch.channels_last if is_channels_last else torch.contiguous_format
        return ImageList(batch.contiguous(memory_format=layout), sizes), targets

    def postprocess(
        self, detections: list[RawDetections], _sizes: object, _original_sizes: object
    ) -> list[RawDetections]:
        """Return `detections` unchanged: `transforms.to_image` maps boxes back to the image."""
        return detections


class Float32Head(nn.Module):
    """A head with float32 outputs under autocast: bfloat16 coordinates would be wrong by pixels.

    Args:
        head: any module that returns tensors, or lists or dicts of them.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Any) -> Any:
        """The outputs of `head` for `x`, in float32."""
        return _to_float32(self.head(x))


class DetectorBackbone(nn.Module):
    """Feature maps of a backbone followed by a neck, named by number as torchvision's detectors read them.

    Args:
        network: the backbone; its head is not used.
        indices: which feature maps are read, as in `features_only`.
        neck: maps a dict of feature maps to a dict of feature maps, e.g. a pyramid.
    """

    def __init__(self, network: Network, indices: Sequence[int], neck: nn.Module) -> None:
        super().__init__()
        self.features, self.behind = Features(network, indices), neck

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Compute the feature maps.

        Args:
            x: normalised images (N, C, H, W).

        Returns:
            Maps (N, channels, h, w) float32 under the keys "0", "1" ..., the largest first. torchvision gives
            anchors the dtype of the maps, therefore float32 also under autocast.
        """
        maps = OrderedDict((str(i), feature_map) for i, feature_map in enumerate(self.features(x)))
        outputs: dict[str, Tensor] = _to_float32(self.behind(maps))
        return outputs


class ExtraFeatureLayers(nn.Module):
    """SSD's extra feature layers, each with half the resolution of the one before (Liu et al. 2016, fig. 2).

    Each is a 1x1 and a 3x3 convolution of stride 2. Batch norm follows every convolution, unlike in the
    paper: without it SSD does not train from scratch (Zhu et al. 2019).

    Args:
        width: channels of the last map of the backbone.
        channels: channels of each extra map.
        side: height and width of the last map of the backbone.
    """

    def __init__(self, width: int, channels: Sequence[int], side: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for out in channels:
            inner, padding = out // 2, int(side != 3)  # 3x3 becomes 1x1, as in the paper's fig. 2
            first, second = _conv_norm_relu(width, inner, 1, 1, 0), _conv_norm_relu(inner, out, 3, 2, padding)
            self.layers.append(nn.Sequential(*first, *second))
            width, side = out, (side + 2 * padding - 3) // 2 + 1

    def forward(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Append the extra maps to `maps`.

        Args:
            maps: feature maps (N, C, h, w) under the keys "0", "1" ...

        Returns:
            The same maps and the extra ones under the next numbers.
        """
        outputs = OrderedDict(maps)
        last = list(maps.values())[-1]
        for layer in self.layers:
            last = outputs[str(len(outputs))] = layer(last)
        return outputs


class DetectionNetwork(nn.Module):
    """A detector: `forward` returns losses in training mode and boxes in eval mode.

    It takes the layers of `network` over and removes its classification head. `class_names` has no
    background.

    Args:
        network: the backbone; its feature maps must have the strides that the detector reads.
        detector: everything behind the backbone.
        classes: number of classes without the background.

    Raises:
        ConfigError: the backbone lacks a feature map that the detector reads.
    """

    def __init__(self, network: Network, detector: Detector, classes: int) -> None:
        super().__init__()
        self.arch, self.detector, self.preprocess = network.arch, detector, network.preprocess
        self.class_names: tuple[str, ...] = network.class_names
        self.pretrained_from = network.pretrained_from
        indices = map_indices(detector, network.arch)
        network.head, network.sides = nn.Identity(), nn.ModuleList()  # type: ignore[assignment]
        for layers in [network.stem, *network.stages][: detector.still]:
            layers.requires_grad_(False)
        builder = {"ssd": _ssd, "c4": _faster_rcnn_c4, "fpn": _faster_rcnn_fpn}[detector.kind]
        self.parts: nn.Module = builder(network, detector, indices, classes + 1)

    @property
    def facts(self) -> dict[str, Any]:
        """Architecture, detector and class names as JSON values, stored beside the weights."""
        facts = {"arch": to_plain(self.arch), "classes": list(self.class_names)}
        facts |= {"detector": to_plain(self.detector)}
        return facts | ({"pretrained_from": to_plain(self.pretrained_from)} if self.pretrained_from else {})

    def forward(self, images: Tensor, sizes: Tensor, targets: list[BoxTarget] | None = None) -> Any:
        """Compute losses (training mode) or detections (eval mode).

        Args:
            images: normalised images (N, C, H, W), padded at the right and at the bottom.
            sizes: height and width of each image without its padding, (N, 2) int64.
            targets: ground truth of each image; required in training mode only.

        Returns:
            In training mode a dict of scalar losses, each averaged over the batch. In eval mode N
            RawDetections.
        """
        cropped = [
            image[:, :height, :width] for image, (height, width) in zip(images, sizes.tolist(), strict=True)
        ]
        return self.parts(cropped, targets)


def _ssd(network: Network, detector: Detector, indices: Sequence[int], outputs: int) -> Any:
    """SSD (Liu et al. 2016); `outputs` counts the background."""
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD, SSDHead

    widths = network.arch.widths()
    side = -(-detector.size // detector.strides[-1])
    extra_layers = ExtraFeatureLayers(widths[indices[-1]], detector.extras, side)
    backbone = DetectorBackbone(network, indices, extra_layers)
    anchor_sides = [row[0] for row in detector.sizes] + [detector.sizes[-1][1]]
    anchors = DefaultBoxGenerator(
        [list(row) for row in detector.ratios],
        scales=[anchor_side / detector.size for anchor_side in anchor_sides],
    )
    channels = [*(widths[i] for i in indices), *detector.extras]
    head = Float32Head(SSDHead(channels, anchors.num_anchors_per_location(), outputs))
    model = SSD(backbone, anchors, (detector.size, detector.size), outputs, head=head)
    model.transform = PadToBatch(1)  # all images have one size: no padding
    return model


def _faster_rcnn_fpn(network: Network, detector: Detector, indices: Sequence[int], outputs: int) -> Any:
    """Faster R-CNN on a feature pyramid (Lin et al. 2017); torchvision's 2000 and 1000 proposals."""
    from torchvision.models.detection.faster_rcnn import TwoMLPHead
    from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
    from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

    widths = [network.arch.widths()[i] for i in indices]
    pyramid = FeaturePyramidNetwork(widths, PYRAMID_CHANNELS, LastLevelMaxPool())
    backbone = DetectorBackbone(network, indices, pyramid)
    pooling = MultiScaleRoIAlign([str(i) for i in range(len(indices))], 7, 2)
    box_head = TwoMLPHead(PYRAMID_CHANNELS * pooling.output_size[0] ** 2, BOX_HEAD_WIDTH)
    roi_heads = _roi_heads(pooling, box_head, BOX_HEAD_WIDTH, outputs)
    return _faster_rcnn(backbone, detector, PYRAMID_CHANNELS, roi_heads, proposals=(2000, 1000))


def _faster_rcnn_c4(network: Network, detector: Detector, indices: Sequence[int], outputs: int) -> Any:
    """Faster R-CNN on one map; the last stage runs for each region (He et al. 2015, appendix A).

    RoI pooling gives 14x14 cells, which the stride of the last stage makes 7x7. Training keeps 2000
    proposals (Ren et al. 2015, section 3.3), inference 300 (He et al. 2015, appendix A).
    """
    from torchvision.ops import MultiScaleRoIAlign

    arch = network.arch
    if indices[0] != len(arch.stages) - 1:
        raise ConfigError(
            f"{arch.name} does not have exactly one stage after its map of stride 16, as C4 needs: "
            "use another backbone, or fasterrcnn_fpn"
        )
    box_head = nn.Sequential(network.stages[-1], network.tail, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.stages, network.tail = UnitSequence(*network.stages[:-1]), LayerSequence()
    network.arch = replace(arch, stages=arch.stages[:-1], tail="")
    widths = arch.widths()
    backbone = DetectorBackbone(network, indices, nn.Identity())
    roi_heads = _roi_heads(MultiScaleRoIAlign(["0"], 14, 2), box_head, widths[-1], outputs)
    return _faster_rcnn(backbone, detector, widths[-2], roi_heads, proposals=(2000, 300))


def _faster_rcnn(
    backbone: nn.Module, detector: Detector, width: int, roi_heads: nn.Module, *, proposals: tuple[int, int]
) -> Any:
    """Faster R-CNN with torchvision's settings; `proposals` are kept in training and in inference."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
    from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

    anchors = AnchorGenerator(detector.sizes, detector.ratios)
    region_proposals = RegionProposalNetwork(
        anchors,
        Float32Head(RPNHead(width, anchors.num_anchors_per_location()[0])),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 2000, "testing": 1000},
        post_nms_top_n=dict(zip(("training", "testing"), proposals, strict=True)),
        nms_thresh=0.7,
    )
    return GeneralizedRCNN(backbone, region_proposals, roi_heads, PadToBatch(SIZE_DIVISOR))


def _roi_heads(pooling: nn.Module, box_head: nn.Module, width: int, outputs: int) -> Any:
    """The second stage: classify and refine each proposal, with torchvision's settings."""
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
    from torchvision.models.detection.roi_heads import RoIHeads

    return RoIHeads(
        pooling,
        box_head,
        Float32Head(FastRCNNPredictor(width, outputs)),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=512,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=100,
    )


def _conv_norm_relu(width: int, out: int, kernel: int, stride: int, padding: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(width, out, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv, nn.BatchNorm2d(out), nn.ReLU()


def _to_float32(outputs: Any) -> Any:
    """`outputs`, a tensor or nested lists, tuples and dicts of tensors, in float32."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    if isinstance(outputs, dict):
        return {name: _to_float32(output) for name, output in outputs.items()}
    return type(outputs)(map(_to_float32, outputs))
