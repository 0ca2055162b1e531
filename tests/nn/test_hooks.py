"""Modules are called: hooks on every module with parameters run, as tools of others expect."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.feature_extraction import create_feature_extractor

from few import few_of, one_of_each_family
from residua.nn.network import Features, Network, build
from residua.spec.change import deepen
from residua.spec.zoo import NAMES, arch

SMALL = deepen(arch("resnet18"), (2, 1, 1, 2))
WITH_MAPS = [name for name in NAMES if not arch(name).is_flat]
IMAGES = [name for name in WITH_MAPS if not arch(name).clip]
FEW = ("cifar_resnet20",)


def grad_cam() -> Any:
    """The package of pytorch-grad-cam; the test is skipped where it is missing."""
    return pytest.importorskip("pytorch_grad_cam", reason="grad-cam needs opencv, 150 MB: install it by hand")


def silent(network: Network, x: Tensor) -> set[str]:
    """Names of modules with parameters whose forward hooks a training pass does not run."""
    called = set[str]()
    handles = [
        module.register_forward_hook(lambda *_, name=name: called.add(name))
        for name, module in network.named_modules()
    ]
    network.train()(x)
    for handle in handles:
        handle.remove()
    listed = {
        name
        for name, module in network.named_modules()
        if any(True for _ in module.parameters()) and not isinstance(module, nn.ModuleList)
    }
    return listed - called


@pytest.mark.usefixtures("light_norms")
@pytest.mark.parametrize("name", one_of_each_family(NAMES))
def test_hooks_of_every_module_with_parameters_run(name: str) -> None:
    with torch.device("meta"):
        network = build(arch(name))
        assert silent(network, torch.empty(2, *network.arch.input_shape)) == set()


@pytest.mark.parametrize(
    ("segments", "cut"),
    [
        (((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)), set()),
        (((1, 3), (3, 4), (5, 7)), set()),
        (((2, 4),), {"stages.0", "stages.1"}),
        (((0, 2),), {"stages", "stages.0"}),
        (((0, 7),), {"stages", "stages.0", "stages.1", "stages.2", "stages.3"}),
        (((1, 7),), {"stages.0", "stages.1", "stages.2", "stages.3"}),
    ],
)
def test_only_containers_that_a_segment_cuts_are_silent(
    segments: tuple[tuple[int, int], ...], cut: set[str]
) -> None:
    network, x = build(SMALL), torch.randn(2, 3, 32, 32)
    expected = network.train()(x)
    network.segments = segments
    assert torch.equal(network(x), expected)
    assert silent(network, x) == cut


def test_features_call_the_stem_and_the_stages() -> None:
    network, x, outputs = build(SMALL).eval(), torch.randn(1, 3, 32, 32), dict[str, Tensor]()
    for name in ("stem", "stem.conv1", "stages", "stages.0", "stages.3"):
        layer = network.get_submodule(name)
        layer.register_forward_hook(lambda _, __, y, name=name: outputs.update({name: y}))
    maps = Features(network)(x)
    assert set(outputs) == {"stem", "stem.conv1", "stages", "stages.0", "stages.3"}
    assert torch.equal(maps[1], outputs["stages.0"])
    assert torch.equal(maps[4], outputs["stages"])
    assert torch.equal(nn.functional.max_pool2d(maps[0], 3, 2, 1), outputs["stem"])


def test_captum_explains_a_stage() -> None:
    attr = pytest.importorskip("captum.attr")
    network = build(SMALL).eval()
    maps = attr.LayerGradCam(network, network.stages[-1]).attribute(torch.randn(2, 3, 64, 64), target=1)
    assert maps.shape == (2, 1, 2, 2)
    assert maps.any()


def test_grad_cam_explains_a_stage() -> None:
    cam = grad_cam()
    network = build(SMALL).eval()
    with cam.GradCAM(model=network, target_layers=[network.stages[-1]]) as method:
        assert method(input_tensor=torch.randn(2, 3, 64, 64), targets=None).shape == (2, 64, 64)


def test_a_hook_reads_output_and_gradient_of_a_stage() -> None:
    """What grad-cam does: keep the output of a layer and hook the gradient that reaches it."""
    network, kept = build(SMALL).eval(), list[Tensor]()

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        kept.append(output.clone())
        output.register_hook(kept.append)  # type: ignore[no-untyped-call]

    network.stages[-1].register_forward_hook(keep)
    x = torch.randn(2, 3, 64, 64)
    network(x)[:, 0].sum().backward()
    output, gradient = kept
    assert torch.equal(output, network.through(x)[0])
    expected = network.head.linear1.weight[0] / output[0, 0].numel()  # type: ignore[index, operator]
    torch.testing.assert_close(gradient, expected[None, :, None, None].expand_as(gradient))


def test_torchvisions_pyramid_reads_the_stages() -> None:
    """It reads direct children: the stem and the stages, named one by one."""
    network = build(SMALL).eval()
    layers = OrderedDict([("stem", network.stem), *network.stages.named_children()])
    places = {"0": "a", "1": "b", "2": "c", "3": "d"}
    pyramid = BackboneWithFPN(nn.Sequential(layers), places, [64, 128, 256, 512], 32)
    sides = {name: tuple(y.shape) for name, y in pyramid(torch.randn(1, 3, 64, 64)).items()}
    assert sides == {n: (1, 32, s, s) for n, s in {"a": 16, "b": 8, "c": 4, "d": 2, "pool": 1}.items()}
    whole = BackboneWithFPN(network, {"stages": "last"}, [512], 32)(torch.randn(1, 3, 64, 64))
    assert whole["last"].shape == (1, 32, 2, 2)


def test_torchvision_extracts_the_map_of_a_stage() -> None:
    network, x = build(SMALL).eval(), torch.randn(1, 3, 64, 64)
    extractor = create_feature_extractor(network, {"stages.1": "y", "head": "logits"})
    outputs = extractor(x)
    assert torch.equal(outputs["y"], Features(network, (2,))(x)[0])
    assert torch.equal(outputs["logits"], network(x))


def whole(name: str) -> tuple[Network, Tensor]:
    """The network called `name`, and a batch that is as small as its head allows."""
    network = build(arch(name)).eval()
    *channels, _, side = network.arch.input_shape
    side = side if network.arch.head.grid > 1 else min(side, 64)
    return network, torch.randn(1, *channels, side, side)


@pytest.mark.timeout(600)  # some have thousands of layers
@pytest.mark.parametrize("name", few_of(WITH_MAPS, FEW))
def test_captum_explains_the_last_stage_of_every_network(name: str) -> None:
    attr = pytest.importorskip("captum.attr")
    network, x = whole(name)
    maps = attr.LayerGradCam(network, network.stages[-1]).attribute(x, target=1)
    assert maps.shape == (1, 1, *network.forward_features(x).shape[2:])


@pytest.mark.timeout(600)  # some have thousands of layers
@pytest.mark.parametrize("name", few_of(WITH_MAPS, FEW))
def test_grad_cam_explains_the_last_stage_of_every_network(name: str) -> None:
    cam = grad_cam()
    network, x = whole(name)
    with cam.GradCAM(model=network, target_layers=[network.stages[-1]]) as method:
        assert method(input_tensor=x, targets=None).shape == (1, *x.shape[2:])


@pytest.mark.timeout(600)  # some have thousands of layers
@pytest.mark.parametrize("name", few_of(IMAGES, FEW))
def test_torchvisions_pyramid_reads_the_stages_of_every_network(name: str) -> None:
    network, x = whole(name)
    layers = OrderedDict([("stem", network.stem), *network.stages.named_children()])
    places = {str(number): str(number) for number in range(len(network.stages))}
    maps = BackboneWithFPN(nn.Sequential(layers), places, list(network.arch.widths()[1:]), 8)(x)
    assert [y.shape[1] for y in maps.values()] == [8] * (len(places) + 1)
    assert maps[max(places)].shape[2:] == network.forward_features(x).shape[2:]
