"""Parity with torchvision's detectors: equal weights give equal losses and equal boxes."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.ssd import SSD
from torchvision.ops import MultiScaleRoIAlign

import box_data
from residua.errors import ConfigError
from residua.nn.network import build
from residua.spec.detector import DETECTORS, Detector, for_boxes, map_indices, named, split_name
from residua.spec.record import from_json, to_json
from residua.spec.zoo import arch
from residua.tasks.detect.network import DetectionNetwork
from residua.weights.load import load

MEAN, STD = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
HIGH, WIDE = 96, 128
SIZES = torch.tensor([[HIGH, WIDE]] * 2)


def images(high: int = HIGH, wide: int = WIDE) -> Tensor:
    return torch.rand(2, 3, high, wide, generator=torch.Generator().manual_seed(1))


def targets() -> list[dict[str, Tensor]]:
    boxes = torch.tensor([[10.0, 12, 60, 70], [70, 20, 120, 90]])
    return [
        {"boxes": boxes, "labels": torch.tensor([1, 3])},
        {"boxes": boxes[:1], "labels": torch.tensor([2])},
    ]


def classified(body: dict[str, Tensor], width: int) -> dict[str, Tensor]:
    """A backbone's weights with a head, as torchvision's classifiers have one."""
    return {**body, "fc.weight": torch.zeros(1000, width), "fc.bias": torch.zeros(1000)}


def assert_equal_outputs(ours: DetectionNetwork, theirs: nn.Module) -> None:
    """Equal losses in training, equal boxes, labels and scores in judging."""
    normal = (images() - MEAN) / STD
    theirs.train().transform.eval()  # type: ignore[union-attr, operator]
    for network in (ours.train().parts, theirs):
        network.roi_heads.fg_bg_sampler.batch_size_per_image = 16  # type: ignore[union-attr, union-attr]
        network.rpn._post_nms_top_n = {"training": 100, "testing": 20}  # type: ignore[union-attr]
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()  # so that the two may run one after the other
    torch.manual_seed(5)  # sampled regions depend on it
    mine = ours(normal, SIZES, targets())
    torch.manual_seed(5)
    losses = theirs(list(images()), targets())
    assert set(mine) == set(losses)
    for name, loss in losses.items():
        assert mine[name].item() == pytest.approx(loss.item(), rel=1e-4), name
    with torch.inference_mode():
        for actual, expected in zip(ours.eval()(normal, SIZES), theirs.eval()(list(images())), strict=True):
            assert len(expected["boxes"]) > 0
            for name in ("boxes", "labels", "scores"):
                assert torch.allclose(actual[name].float(), expected[name].float(), atol=1e-3), name


def test_fpn_equals_torchvision_s_fasterrcnn_resnet50_fpn() -> None:
    torch.manual_seed(0)
    theirs = fasterrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=4,
        min_size=HIGH,
        max_size=WIDE,
        box_score_thresh=0.05,
    )
    state_dict = theirs.state_dict()
    detector = replace(DETECTORS["fasterrcnn_fpn"], size=HIGH, longest=WIDE, norm="batch", still=0)
    network = build(for_boxes(arch("resnet50"), detector))
    prefix = "backbone.body."
    body = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
    load(network, classified(body, 2048), source="torchvision")
    ours = DetectionNetwork(network, detector, 3)
    names = {
        "backbone.fpn.": "parts.backbone.behind.",
        "rpn.head.": "parts.rpn.head.head.",
        "roi_heads.box_head.": "parts.roi_heads.box_head.",
        "roi_heads.box_predictor.": "parts.roi_heads.box_predictor.head.",
    }
    state = ours.state_dict()
    moved = {
        new + k.removeprefix(old): v
        for k, v in state_dict.items()
        for old, new in names.items()
        if k.startswith(old)
    }
    assert set(moved) == {k for k in state if not k.startswith("parts.backbone.features.")}
    ours.load_state_dict({**state, **moved})
    assert_equal_outputs(ours, theirs)


def test_c4_equals_torchvision_s_parts_put_together() -> None:
    torch.manual_seed(0)
    whole = resnet18(num_classes=1000)
    body = nn.Sequential(
        whole.conv1, whole.bn1, whole.relu, whole.maxpool, whole.layer1, whole.layer2, whole.layer3
    )
    body.out_channels = 256
    detector = replace(DETECTORS["fasterrcnn_c4"], size=HIGH, longest=WIDE, norm="batch", still=0)
    theirs = FasterRCNN(
        body,
        rpn_anchor_generator=AnchorGenerator(detector.sizes, detector.ratios),
        box_roi_pool=MultiScaleRoIAlign(["0"], 14, 2),
        box_head=nn.Sequential(whole.layer4, nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        box_predictor=FastRCNNPredictor(512, 4),
        min_size=HIGH,
        max_size=WIDE,
        rpn_post_nms_top_n_test=300,
    )
    network = build(for_boxes(arch("resnet18"), detector))
    load(network, whole.state_dict(), source="torchvision")
    ours = DetectionNetwork(network, detector, 3)
    ours.parts.rpn.head.head.load_state_dict(theirs.rpn.head.state_dict())  # type: ignore[union-attr, operator]
    predictor = theirs.roi_heads.box_predictor.state_dict()
    ours.parts.roi_heads.box_predictor.head.load_state_dict(predictor)  # type: ignore[union-attr, operator]
    assert_equal_outputs(ours, theirs)


def test_ssd_equals_torchvision_s_with_its_own_transform() -> None:
    torch.manual_seed(0)
    detector = box_data.DETECTOR
    ours = DetectionNetwork(build(box_data.arch()), detector, 3)
    inner = ours.parts
    theirs = SSD(
        inner.backbone,  # type: ignore[arg-type]
        inner.anchor_generator,  # type: ignore[arg-type]
        (64, 64),
        4,
        image_mean=MEAN.flatten().tolist(),
        image_std=STD.flatten().tolist(),
        head=inner.head.head,  # type: ignore[union-attr, arg-type]
    )
    boxes = [{**target, "boxes": target["boxes"] / 2} for target in targets()]
    for network in (ours, theirs):
        network.eval()
        network.training = True
    square = images(64, 64)
    mine = ours.parts
    mine.training = True
    losses = ours((square - MEAN) / STD, torch.tensor([[64, 64]] * 2), boxes)
    for name, loss in theirs(list(square), boxes).items():
        assert losses[name].item() == pytest.approx(loss.item(), rel=1e-5)


def test_ssd300_has_the_maps_and_boxes_of_the_paper() -> None:
    """Liu et al. 2016, figure 2: 38, 19, 10, 5, 3 and 1 places a side, 8732 boxes."""
    detector, backbone = named("ssd300_resnet18")
    network = DetectionNetwork(build(for_boxes(backbone, detector)), detector, 20).eval()
    with torch.inference_mode():
        maps = network.parts.backbone(torch.zeros(1, 3, 300, 300))  # type: ignore[operator]
        assert [feature_map.shape[-1] for feature_map in maps.values()] == [38, 19, 10, 5, 3, 1]
        outputs = network.parts.head(list(maps.values()))  # type: ignore[operator]
    assert outputs["cls_logits"].shape == (1, 8732, 21)


def test_frozen_norms_and_stages_have_no_gradient() -> None:
    detector = replace(DETECTORS["fasterrcnn_c4"], size=64, longest=64)
    network = DetectionNetwork(build(for_boxes(arch("resnet18"), detector), norm="frozen"), detector, 2)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    frozen = [name for name, weight in network.named_parameters() if not weight.requires_grad]
    prefix = "parts.backbone.features.network."
    assert frozen
    assert all(name.startswith((prefix + "stem.", prefix + "stages.0.")) for name in frozen)


def test_bfloat16_leaves_boxes_and_anchors_in_float32() -> None:
    network = DetectionNetwork(build(box_data.arch()), box_data.DETECTOR, 2).eval()
    anchors: list[Tensor] = []
    network.parts.anchor_generator.register_forward_hook(  # type: ignore[union-attr, operator]
        lambda _layer, _inputs, outputs: anchors.append(outputs[0])
    )
    for enabled in (False, True):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            detections = network(torch.rand(1, 3, 64, 64), torch.tensor([[64, 64]]))
        assert detections[0]["boxes"].dtype == torch.float32
    assert torch.equal(*anchors)


def test_a_detector_round_trips_through_json() -> None:
    for detector in DETECTORS.values():
        assert from_json(Detector, to_json(detector)) == detector


def test_names_are_a_detector_and_any_backbone_with_its_maps() -> None:
    assert split_name("resnet50") is None
    detector, backbone = named("fasterrcnn_fpn_iresnet34")
    assert (detector.kind, backbone.name) == ("fpn", "iresnet34")
    assert map_indices(detector, backbone) == (1, 2, 3, 4)
    with pytest.raises(ConfigError, match=r"'sdd300_resnet50'.*ssd300_resnet50"):
        named("sdd300_resnet50")
    with pytest.raises(ConfigError, match="no model 'resnet51'"):
        named("ssd300_resnet51")
    with pytest.raises(ConfigError, match=r"cifar_resnet20 .*1, 1, 2, 4 times smaller.*224"):
        map_indices(*[named("ssd300_cifar_resnet20")[i] for i in (0, 1)])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 0}, r"detector\.size is 0"),
        ({"longest": 400}, "longest 400"),
        ({"extras": (8,)}, r"4 maps.* detector\.sizes"),
        ({"sizes": ((1, 2),)}, r"6 maps.* detector\.sizes"),
        ({"still": -1}, r"detector\.still is -1"),
        ({"sizes": ((0.0, 1),) * 6}, r"detector\.sizes .*above 0"),
    ],
)
def test_an_inconsistent_detector_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(DETECTORS["ssd300"], **change)  # type: ignore[arg-type]
