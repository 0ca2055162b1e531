"""Each study against a slow reference, and the promise that it changes nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pupils import Pupil, one_stage
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from few import few_of
from residua import analyse
from residua.analyse.copies import fingerprint, recalibrated_copy, working_copy
from residua.analyse.landscape import random_directions
from residua.errors import ConfigError
from residua.nn.network import Network, build
from residua.spec import change, zoo
from residua.spec.describe import receptive_field
from residua.spec.orders import original, plain

STUDIES: dict[str, Callable[[Network, Tensor, Tensor], object]] = {
    "responses": lambda n, x, y: analyse.layer_responses(n, x),
    "gradients": analyse.gradient_norms,
    "identity": analyse.identity_errors,
    "lesion": analyse.lesion_study,
    "paths": analyse.path_lengths,
    "landscape": lambda n, x, y: analyse.loss_slice(n, x, y, steps=3),
    "cam": lambda n, x, y: analyse.grad_cam(n, x),
    "occlusion": lambda n, x, y: analyse.occlusion_sensitivity(n, x),
    "features": lambda n, x, y: analyse.feature_maps(n, x[0]),
    "field": lambda n, x, y: analyse.effective_field(n, draws=1),
}


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("training", few_of([True, False], [True]), ids=["train", "eval"])
def test_a_study_leaves_weights_statistics_mode_and_gradients_alone(
    name: str, training: bool, residual: Pupil
) -> None:
    network = residual.network.train(training)
    network.stem[0].weight.grad = torch.ones_like(network.stem[0].weight)  # type: ignore[union-attr]
    before = {key: value.clone() for key, value in network.state_dict().items()}
    random_state = torch.random.get_rng_state()
    STUDIES[name](network, residual.images[:6], residual.labels[:6])
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(module.training == training for module in network.modules())
    assert all(p.requires_grad for p in network.parameters())
    assert float(network.stem[0].weight.grad.sum()) == network.stem[0].weight.numel()  # type: ignore[union-attr]
    assert torch.equal(random_state, torch.random.get_rng_state())
    network.eval().zero_grad(set_to_none=True)


@pytest.mark.parametrize("harm", ["weight", "mode", "hook"])
def test_a_study_that_changed_the_network_would_be_caught(harm: str) -> None:
    network = build(one_stage(original, blocks=1, width=4)).eval()

    def change_it() -> None:
        if harm == "weight":
            network.stem[0].weight.data.mul_(2)  # type: ignore[union-attr, operator]
        elif harm == "mode":
            network.stem.train()
        else:
            network.stem.register_forward_hook(lambda *_: None)

    with pytest.raises(AssertionError, match="changed the network"), working_copy(network):
        change_it()


def test_responses_are_deviations_after_the_norm_and_before_activation_and_addition(activated: Pupil) -> None:
    network, x = activated.network, activated.images
    responses = analyse.layer_responses(network, x)
    assert responses.layers[:3] == ("stem.norm1", "stages.0.0.residual.norm1", "stages.0.0.residual.norm2")
    with torch.inference_mode():
        first = network.stem[1](network.stem[0](x))
        block = network.stages[0][0]  # type: ignore[index]
        branch = block.residual(network.stem(x))  # type: ignore[operator]
    assert responses.deviations[0] == pytest.approx(float(first.double().std(correction=0)), rel=1e-5)
    assert responses.deviations[2] == pytest.approx(float(branch.double().std(correction=0)), rel=1e-5)
    assert responses.sorted == tuple(sorted(responses.deviations, reverse=True))
    assert len(responses.deviations) == 25


def test_a_pre_activation_branch_ends_in_a_convolution_which_is_measured_itself(residual: Pupil) -> None:
    responses = analyse.layer_responses(residual.network, residual.images[:8])
    assert responses.layers[1:3] == ("stages.0.0.residual.norm1", "stages.0.0.residual.conv2")


def test_networks_without_3x3_layers_are_refused() -> None:
    from dataclasses import replace

    from residua.spec.block import Block, Conv

    flat = zoo.arch("cifar_resnet20")
    pointwise = replace(flat, stem=Block("CNA", (Conv(16, 1),)), stages=((Block("CNA", (Conv(16, 1),)),),))
    with pytest.raises(ConfigError, match="no 3x3 layer"):
        analyse.layer_responses(build(pointwise), torch.randn(2, 3, 8, 8))


def test_gradient_norms_are_autograds() -> None:
    torch.manual_seed(0)
    network = build(one_stage(original, blocks=2, width=4)).train()
    images, labels = torch.randn(6, 1, 8, 8), torch.arange(6)
    norms = analyse.gradient_norms(network, images, labels)
    x = network.stem(images)
    x.retain_grad()
    cross_entropy(network.forward_head(network.tail(network.stages(x))), labels).backward()  # type: ignore[no-untyped-call]
    each = 6 * x.grad.flatten(1).norm(dim=1)
    assert norms.signals[0] == pytest.approx(float(each.square().mean().sqrt()), rel=1e-4)
    weight: Any = network.stem[0].weight
    assert norms.weights[0] == pytest.approx(float(weight.grad.norm() / weight.detach().norm()), rel=1e-4)
    with pytest.raises(ConfigError, match="give at least 2"):
        analyse.gradient_norms(network, images[:1], labels[:1])


def test_directions_have_the_length_of_the_networks_own_filters() -> None:
    weights = [torch.randn(5, 3, 3, 3), torch.randn(4, 7)]
    directions = random_directions(weights, torch.Generator().manual_seed(0))
    for weight, direction in zip(weights, directions, strict=True):
        torch.testing.assert_close(direction.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))


def test_the_slice_has_the_network_in_its_middle_and_rises_around_it(residual: Pupil) -> None:
    images, labels = residual.images[:100], residual.labels[:100]
    surface = analyse.loss_slice(residual.network, images, labels, steps=5)
    with torch.inference_mode():
        loss = float(cross_entropy(residual.network(images), labels))
    assert surface.center == pytest.approx(loss, rel=1e-5)
    assert surface.places == (-1.0, -0.5, 0.0, 0.5, 1.0)
    assert (
        min(surface.losses[0][0], surface.losses[0][4], surface.losses[4][0], surface.losses[4][4]) > loss + 1
    )
    assert 0 < surface.flat < 1
    with pytest.raises(ConfigError, match="odd number"):
        analyse.loss_slice(residual.network, images, labels, steps=4)


def test_what_a_cell_cannot_see_has_no_effect_and_what_it_can_see_has_little() -> None:
    torch.manual_seed(0)
    network = build(one_stage(plain, blocks=3, width=8)).eval()
    field = analyse.effective_field(network, draws=4)
    theoretical = receptive_field(network.arch)
    assert (field.theoretical, field.is_cut) == (theoretical, False)
    assert theoretical == 15  # seven 3x3 layers
    rows, columns = np.nonzero(field.effect.numpy())
    assert np.ptp(rows) + 1 <= theoretical
    assert np.ptp(columns) + 1 <= theoretical
    assert np.ptp(rows) + 1 >= theoretical - 2  # noise reaches nearly all of it
    assert 1 < field.effective < theoretical
    assert float(field.effect.max()) == pytest.approx(1)


def test_a_field_wider_than_the_canvas_is_said_to_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("residua.analyse.field.MAX_SIDE", 32)
    network = build(change.with_channels(zoo.arch("cifar_resnet20"), 1)).eval()
    field = analyse.effective_field(network, draws=1)
    assert field.is_cut
    assert field.effect.shape == (32, 32)


def test_grad_cam_is_gradients_times_maps(residual: Pupil) -> None:
    pytest.importorskip("captum")
    images = residual.images[:5]
    cams = analyse.grad_cam(residual.network, images)
    maps = residual.network.forward_features(images).detach().requires_grad_()
    logits = residual.network.forward_head(maps)
    logits.max(1).values.sum().backward()  # type: ignore[no-untyped-call]
    assert maps.grad is not None
    expected = (maps * maps.grad.mean((2, 3), keepdim=True)).sum(1).clamp_min(0).detach()
    expected = interpolate(expected[:, None], (8, 8), mode="bilinear", align_corners=False)[:, 0]
    expected = expected / expected.amax((1, 2), keepdim=True).clamp_min(1e-12)
    torch.testing.assert_close(cams.maps, expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(cams.predicted, logits.argmax(1))


def test_occlusion_finds_the_only_pixels_that_matter() -> None:
    pytest.importorskip("captum")

    network = build(change.with_channels(zoo.arch("cifar_resnet20"), 1)).eval()
    with torch.no_grad():  # the first logit is the brightness of the picture, the others are nothing
        for parameter in network.parameters():
            parameter.zero_()
        network.stem[0].weight[:, :, 1, 1] = 1  # type: ignore[union-attr, index]
        for name, module in network.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.fill_(float("residual" not in name))
        network.head[-1].weight[0] = 1  # type: ignore[union-attr, index]
    picture = torch.zeros(1, 1, 16, 16)
    picture[0, 0, 2:7, 6:11] = 1  # of which two strides of 2 let (4, 8) through
    (sensitivity,) = analyse.occlusion_sensitivity(network, picture).maps
    assert float(sensitivity[4, 8]) == 1
    assert float(sensitivity[8:].max()) == 0
    assert float(sensitivity[:, 12:].max()) == 0


def test_without_captum_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, residual: Pupil
) -> None:
    import importlib

    def missing(name: str) -> object:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    for study in (analyse.grad_cam, analyse.occlusion_sensitivity):
        with pytest.raises(ConfigError, match=r"captum.*residua\[explain\]"):
            study(residual.network, residual.images[:2])


def test_feature_maps_are_the_liveliest_channels(residual: Pupil) -> None:
    features = analyse.feature_maps(residual.network, residual.images[0], channels=3)
    with torch.inference_mode():
        stem = residual.network.stem(residual.images[:1])[0]
    lively = sorted(range(len(stem)), key=lambda c: -float(stem[c].std()))[:3]
    assert list(features.channels[0]) == lively
    torch.testing.assert_close(features.maps[0], stem[lively])
    assert len(features.maps) == 4


def test_a_settled_network_normalises_what_it_has_seen() -> None:
    torch.manual_seed(0)
    network = build(change.with_channels(zoo.arch("cifar_resnet20"), 1))
    images = 3 + 2 * torch.randn(64, 1, 8, 8)
    before = fingerprint(network)
    recalibrated = recalibrated_copy(network, images)
    assert fingerprint(network) == before
    with torch.inference_mode():
        conv, norm, _ = recalibrated.stem
        out = norm(conv(images))
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(16), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3)), torch.ones(16), atol=1e-2, rtol=0)
