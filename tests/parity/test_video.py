"""Networks for clips against torchvision's: equal keys, equal logits."""

import pytest
import torch
from torch import nn
from torchvision.models.video import r3d_18
from torchvision.models.video.resnet import BasicStem, Bottleneck, Conv3DSimple, VideoResNet

from residua.errors import CheckpointError
from residua.jobs.models import create_model
from residua.weights import load, save_as


def r3d_50(num_classes: int) -> nn.Module:
    """torchvision's parts put together with bottlenecks, which it has no name for."""
    return VideoResNet(Bottleneck, [Conv3DSimple] * 4, [3, 4, 6, 3], BasicStem, num_classes=num_classes)


@pytest.mark.parametrize(("name", "peer"), [("resnet3d18", r3d_18), ("resnet3d50", r3d_50)])
def test_logits_keys_and_gradients_are_torchvisions(name: str, peer: type[nn.Module]) -> None:
    theirs, ours = peer(num_classes=7), create_model(name, num_classes=7)
    for norm in (module for module in theirs.modules() if isinstance(module, nn.BatchNorm3d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
        norm.running_mean.normal_(std=0.2)
        norm.running_var.uniform_(0.5, 1.5)
    state = theirs.state_dict()
    assert load(ours, state) == f"{len(state)} tensors from torchvision names"
    back = save_as(ours, "torchvision")
    assert {key: value.shape for key, value in back.items()} == {k: v.shape for k, v in state.items()}
    x = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        assert (ours.eval()(x) - theirs.eval()(x)).abs().max() == 0
    if name == "resnet3d18":  # a pass of training too, statistics included
        ours.train()(x).sum().backward()
        theirs.train()(x).sum().backward()
        assert torch.equal(ours.stem.conv1.weight.grad, theirs.stem[0].weight.grad)
        assert torch.equal(ours.stem.norm1.running_var, theirs.stem[1].running_var)


def test_other_sources_say_what_they_lack() -> None:
    with torch.device("meta"):
        network = create_model("resnet3d18")
    with pytest.raises(CheckpointError, match=r"timm.*torchvision"):
        save_as(network, "timm")
