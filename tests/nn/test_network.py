"""The residual forward pass, and what stands around it."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from module_cost import module_cost
from residua.errors import ConfigError
from residua.nn import initialise
from residua.nn.blocks import ResidualBlock
from residua.nn.initialise import whiten_stem, zero_last_layers
from residua.nn.letters import ZeroPad
from residua.nn.network import Features, Network, build
from residua.spec.arch import Arch, Head
from residua.spec.block import Block, Conv, Pool
from residua.spec.change import deepen, with_classes, with_shortcut
from residua.spec.zoo import arch

DOWN = (Conv(8, 3, 2), Conv(8))


def small(name: str = "cifar_resnet20") -> Arch:
    return deepen(arch(name), (1, 2, 1))


def shaken(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    return module.eval()


def norm(x: Tensor, layer: nn.BatchNorm2d) -> Tensor:
    return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)


def original(block: ResidualBlock, x: Tensor) -> Tensor:
    r, s = block.residual, block.shortcut
    y = F.relu(norm(F.conv2d(x, r.conv1.weight, None, 2, 1), r.norm1))
    y = norm(F.conv2d(y, r.conv2.weight, None, 1, 1), r.norm2)
    return F.relu(y + norm(F.conv2d(x, s.conv1.weight, None, 2), s.norm1))


def shared_norm(block: ResidualBlock, x: Tensor) -> Tensor:
    b, r, s = block.before, block.residual, block.shortcut
    x = F.relu(norm(x, b.norm0))
    y = F.conv2d(F.relu(norm(F.conv2d(x, r.conv1.weight, None, 2, 1), r.norm1)), r.conv2.weight, None, 1, 1)
    return y + F.conv2d(x, s.conv1.weight, None, 2)


def norm_after_addition(block: ResidualBlock, x: Tensor) -> Tensor:
    r = block.residual
    y = F.relu(norm(F.conv2d(x, r.conv1.weight, None, 2, 1), r.norm1))
    y = F.conv2d(y, r.conv2.weight, None, 1, 1)
    zeros = torch.zeros(2, 2, 4, 4)
    return F.relu(norm(y + torch.cat([zeros, x[:, :, ::2, ::2], zeros], 1), block.after.norm2))


def pooled(block: ResidualBlock, x: Tensor) -> Tensor:
    r, s = block.residual, block.shortcut
    y = F.relu(norm(F.conv2d(x, r.conv1.weight, None, 2, 1), r.norm1))
    y = norm(F.conv2d(y, r.conv2.weight, None, 1, 1), r.norm2)
    return F.relu(y + norm(F.conv2d(F.max_pool2d(x, 3, 2, 1), s.conv1.weight), s.norm1))


@pytest.mark.parametrize(
    ("block", "by_hand"),
    [
        (Block("(CNA CN)A", DOWN, "CN"), original),
        (Block("NA(C NAC)", DOWN, "C"), shared_norm),
        (Block("(CNA C)NA", DOWN, "Z"), norm_after_addition),
        (Block("(CNA CN)A", DOWN, "PCN"), pooled),
    ],
    ids=lambda value: getattr(value, "word", ""),
)
def test_a_block_computes_what_is_written_out_by_hand(
    block: Block, by_hand: Callable[[ResidualBlock, Tensor], Tensor]
) -> None:
    module, x = shaken(ResidualBlock(block, 4)), torch.randn(2, 4, 8, 8)
    assert isinstance(module, ResidualBlock)
    torch.testing.assert_close(module(x), by_hand(module, x), rtol=0, atol=1e-6)
    forked = module.before(x)
    assert torch.equal(module(x), module.after(module.residual(forked) + module.shortcut(forked)))


def test_second_block_forks_after_the_relu() -> None:
    """A block that follows `(CNA CN)A` reads a map without negatives, by both of its ways."""
    network, block_inputs = shaken(build(small())), []
    first, second = network.stages[1]
    for way in (second.residual, second.shortcut):
        way.register_forward_pre_hook(lambda _, inputs: block_inputs.append(inputs[0]))
    out = []
    first.register_forward_hook(lambda _, __, y: out.append(y))
    network(torch.randn(2, 3, 16, 16))
    assert torch.equal(block_inputs[0], block_inputs[1])
    assert block_inputs[0] is block_inputs[1] is out[0]
    assert (block_inputs[0] >= 0).all()
    assert (block_inputs[0] > 0).any()


def test_brackets_place_the_fork() -> None:
    """`A(C)` sends relu(x) around, `(AC)` sends x: on a negative map they differ by it."""
    x = -torch.rand(1, 4, 4, 4)
    outside, inside = [ResidualBlock(Block(word, (Conv(4),), "C"), 4) for word in ("A(C)", "(AC)")]
    assert torch.equal(outside(x), torch.zeros_like(x))
    assert torch.equal(inside(x), x)


def test_no_layer_changes_its_input() -> None:
    x = torch.randn(2, 4, 8, 8)
    before = x.clone()
    for word in ("A(ACN ACN)A", "(ACN ACN)", "ACN ACN"):
        ResidualBlock(Block(word, DOWN, "CN" if "(" in word else ""), 4)(x)
        assert torch.equal(x, before)


def network_of_stem(conv: Conv) -> Network:
    stages = ((Block("CNA", (Conv(8),)),),)
    return build(Arch("whitened", "tests", "tests", Block("CA", (conv,)), stages, classes=3))


@pytest.mark.parametrize("conv", [Conv(24, 2, bias=True, padding=0), Conv(54, 3, 2), Conv(9, 3)])
def test_a_whitening_stem_gives_uncorrelated_outputs_of_variance_1(conv: Conv) -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(3, 3, generator=generator)
    images = torch.einsum("dc,nchw->ndhw", mixing, torch.randn(64, 3, 16, 16, generator=generator))
    images = F.avg_pool2d(images, 2, 1)  # neighbours are correlated
    network = network_of_stem(conv)
    whiten_stem(network, images.split(10))
    layer = network.stem.conv1
    patches = F.unfold(images, conv.kernel, stride=conv.stride).transpose(0, 1).flatten(1)
    outputs = layer.weight.flatten(1) @ patches
    positive, negative = outputs[::2], outputs[1::2]
    assert torch.equal(positive[: len(negative)], -negative)
    moments = (positive @ positive.T) / positive.shape[1]
    assert (moments - moments.diag().diag()).abs().max() < 1e-4
    assert moments.diag().max() <= 1
    assert moments[0, 0] > 0.99
    assert conv.bias is (layer.bias is not None)
    assert layer.bias is None or not layer.bias.any()


def test_a_stem_that_cannot_whiten_is_refused() -> None:
    images = [torch.zeros(2, 3, 8, 8)]
    with pytest.raises(ConfigError, match="at most 24 channels"):
        whiten_stem(network_of_stem(Conv(25, 2, padding=0)), images)
    with pytest.raises(ConfigError, match="begins with a convolution"):
        whiten_stem(build(arch("resmlp")), images)


def test_whitening_holds_few_patches_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randn(12, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    whole, parts = network_of_stem(Conv(24, 2, padding=0)), network_of_stem(Conv(24, 2, padding=0))
    whiten_stem(whole, [images])
    counts: list[int] = []
    unfold = F.unfold
    monkeypatch.setattr(initialise, "MAX_PATCH_VALUES", 5 * 12 * 16 * 16)
    monkeypatch.setattr(
        F, "unfold", lambda part, *args, **keys: counts.append(len(part)) or unfold(part, *args, **keys)
    )
    whiten_stem(parts, [images])
    assert counts == [5, 5, 2]
    torch.testing.assert_close(parts.stem.conv1.weight, whole.stem.conv1.weight)


def test_zero_last_layers_make_each_block_its_shortcut() -> None:
    network = build(small())
    assert zero_last_layers(network) == 4
    shortcut_only = network.stages[1][0]
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(shortcut_only(x), torch.relu(shortcut_only.shortcut(x)))
    positive = torch.rand(2, 32, 8, 8)
    assert torch.equal(network.stages[1][1](positive), positive)
    assert zero_last_layers(build(arch("cifar_plain20"))) == 0


def test_in_full_pre_activation_the_last_convolution_is_zeroed() -> None:
    network = build(arch("preresnet18")).eval()
    assert zero_last_layers(network) == 8
    x = torch.randn(2, 64, 8, 8)
    assert torch.equal(network.stages[0][1](x), x)


def test_zeros_stand_on_both_sides_of_the_old_channels() -> None:
    x = torch.randn(1, 2, 5, 5)
    y = ZeroPad(2, Conv(5, 1, 2), before=True)(x)
    assert y.shape == (1, 5, 3, 3)
    assert torch.equal(y[:, 1:3], x[:, :, ::2, ::2])
    assert not y[:, [0, 3, 4]].any()
    with pytest.raises(ConfigError, match="4 channels to 2"):
        ZeroPad(4, Conv(2), before=True)


def test_zeros_after_stand_behind_the_old_channels() -> None:
    x = torch.randn(1, 2, 5, 5)
    y = ZeroPad(2, Conv(5, 1, 2), before=False)(x)
    assert torch.equal(y[:, :2], x[:, :, ::2, ::2])
    assert not y[:, 2:].any()


def test_the_two_kinds_of_option_a_have_one_shape_and_compute_two_things() -> None:
    both, after = (build(with_shortcut(small(), option)).eval() for option in ("A", "A_after"))
    after.load_state_dict(both.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert not torch.allclose(both(x), after(x))
    assert both.arch == with_shortcut(after.arch, "A")


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("before", [True, False])
def test_option_a_and_its_gradient_keep_the_memory_format(form: torch.memory_format, *, before: bool) -> None:
    """Odd sides: the last pixel of each is kept."""
    x = torch.randn(2, 3, 7, 5).contiguous(memory_format=form).requires_grad_()
    y = ZeroPad(3, Conv(8, 1, 2), before=before)(x)
    (gradient,) = torch.autograd.grad(y, x, torch.randn(y.shape).contiguous(memory_format=form))
    assert y.is_contiguous(memory_format=form)
    assert gradient.is_contiguous(memory_format=form)
    assert torch.equal(y[:, 2:5] if before else y[:, :3], x[:, :, ::2, ::2])
    assert int((gradient != 0).sum()) == 2 * 3 * 4 * 3


def test_layers_are_named_by_letter_and_convolutions_so_far() -> None:
    block = Block("NA(C NAC)", DOWN, "C")
    network = build(Arch("x", "f", "s", Block("CNAP", (Conv(4),)), ((block,),), "NA"))
    spelled = network.stages[0][0]
    after = ResidualBlock(Block("(CNA C)NA", DOWN, "Z"), 4).after
    forked = ResidualBlock(Block("CN(CN)", DOWN, "CN"), 4)
    for layers, names in (
        (network.stem, "conv1 norm1 act1 pool1"),
        (spelled.before, "norm0 act0"),
        (spelled.residual, "conv1 norm1 act1 conv2"),
        (spelled.shortcut, "conv1"),
        (spelled.after, ""),
        (after, "norm2 act2"),
        (forked.before, "conv1 norm1"),
        (forked.residual, "conv2 norm2"),
        (network.tail, "norm0 act0"),
        (network.head, "linear1"),
    ):
        assert [name for name, _ in layers.named_children()] == names.split()


def test_first_weights_are_those_of_he() -> None:
    conv = build(arch("resnet18")).stages[3][1].residual.conv2
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
    assert conv.weight.mean().abs().item() < 1e-4
    small_net = build(arch("smallconvnet"))
    assert not small_net.stem.conv1.bias.any()


def test_the_seed_of_torch_decides_the_weights() -> None:
    torch.manual_seed(3)
    first = build(small())
    torch.manual_seed(3)
    second, third = build(small()), build(small())
    assert torch.equal(first.stem.conv1.weight, second.stem.conv1.weight)
    assert not torch.equal(first.stem.conv1.weight, third.stem.conv1.weight)


@pytest.mark.parametrize("indices", [None, (1, 3), (-1,), (3, 0)])
def test_features_are_as_wide_and_as_small_as_they_say(indices: tuple[int, ...] | None) -> None:
    network = build(small()).eval()
    features = Features(network, indices)
    x = torch.randn(1, 3, 32, 32)
    maps = features(x)
    assert len(maps) == len(features.indices) == len(indices or range(4))
    for feature_map, channels, reduction in zip(maps, features.channels, features.reductions, strict=True):
        assert feature_map.shape == (1, channels, 32 // reduction, 32 // reduction)
    everything = Features(network)(x)
    assert all(torch.equal(a, everything[i]) for a, i in zip(maps, features.indices, strict=True))
    assert torch.equal(everything[-1], network.forward_features(x))


def test_the_last_feature_has_the_tail() -> None:
    block = Block("(NAC NAC)", (Conv(4), Conv(4)), "C")
    network = shaken(build(Arch("x", "f", "s", Block("C", (Conv(4),)), ((block,),), "NA")))
    x = torch.randn(1, 3, 8, 8)
    assert isinstance(network, Network)
    assert torch.equal(Features(network, (-1,))(x)[0], network.forward_features(x))
    assert (Features(network, (-1,))(x)[0] >= 0).all()


def test_an_index_of_no_stage_is_refused() -> None:
    for index in (4, -5):
        with pytest.raises(ConfigError, match=f"out_indices has {index}: .* has maps 0 to 3"):
            Features(build(small()), (index,))


def test_reset_classifier_makes_a_fresh_last_layer_and_keeps_the_rest() -> None:
    network = build(small()).double().eval()
    network.class_names = ("cat",)
    old = copy.deepcopy(network.state_dict())
    network.reset_classifier(3)
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    assert network(x).shape == (2, 3)
    assert network.arch == with_classes(small(), 3)
    assert network.class_names == ()
    assert network.get_classifier() is network.head.linear1
    rest = {key: value for key, value in network.state_dict().items() if not key.startswith("head")}
    assert all(torch.equal(value, old[key]) for key, value in rest.items())
    assert network.state_dict().keys() == old.keys()


def test_reset_classifier_to_nothing_leaves_the_features() -> None:
    network = build(arch("smallconvnet")).eval()
    x = torch.randn(2, 3, 32, 32)
    before = network.forward_head(network.forward_features(x), pre_logits=True)
    network.reset_classifier(0)
    assert torch.equal(network(x), before)
    assert before.shape == (2, 256) == (2, network.head_hidden_size)
    assert (network.num_classes, network.num_features) == (0, 128)
    network.reset_classifier(4)
    assert network(x).shape == (2, 4)
    network.reset_classifier(0, "")
    assert torch.equal(network(x), network.forward_features(x))
    network.reset_classifier(5)
    assert network(x).shape == (2, 5)
    with pytest.raises(ConfigError, match="global_pool"):
        network.reset_classifier(5, "")


def test_pre_logits_are_what_the_last_linear_layer_reads() -> None:
    stage = (Block("CA", (Conv(4),)),)
    spec = Arch("x", "f", "s", Block("C", (Conv(4),)), (stage,), head=Head("L A L", (6,), grid=2))
    network = build(spec)
    last = network.forward_features(torch.randn(2, 3, 8, 8))
    read = network.forward_head(last, pre_logits=True)
    assert read.shape == (2, 6)
    assert torch.equal(network.get_classifier()(read), network.forward_head(last))


def gradients(network: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    network.zero_grad()
    out = network(x)
    out.square().sum().backward()
    return out.detach(), [parameter.grad.clone() for parameter in network.parameters()]


def test_grad_checkpointing_gives_the_same_gradients_and_really_recomputes() -> None:
    network, x, runs = build(small()).train(), torch.randn(4, 3, 8, 8), []
    network.stages[2][0].residual.conv1.register_forward_hook(lambda *_: runs.append(1))
    out, plain = gradients(network, x)
    assert len(runs) == 1
    network.set_grad_checkpointing()
    again, recomputed = gradients(network, x)
    assert len(runs) == 3
    assert torch.equal(out, again)
    assert all(torch.equal(a, b) for a, b in zip(plain, recomputed, strict=True))
    counters = [int(b) for name, b in network.named_buffers() if name.endswith("num_batches_tracked")]
    assert set(counters) == {2}
    network.set_grad_checkpointing(False)
    gradients(network, x)
    assert len(runs) == 4


def test_dropout_of_the_head_acts_only_while_training() -> None:
    network, x = build(arch("smallconvnet")), torch.randn(2, 3, 32, 32)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))
    assert network.head.drop0.p == 0.5


def test_cost_leaves_its_module_as_it_was() -> None:
    network = build(small())
    total = module_cost(network, channels=3, size=32)
    assert total.params == sum(parameter.numel() for parameter in network.parameters())
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
    assert network.training
    assert module_cost(nn.Conv2d(4, 6, 3, padding=1, groups=2), channels=4, size=5).macs == 6 * 25 * 2 * 9


def test_pools_read_the_shape_of_their_block() -> None:
    layer = ResidualBlock(Block("CPCV", (Conv(4), Conv(4)), pool=Pool(2, 2, 0)), 3)
    x = torch.randn(1, 3, 8, 8)
    first, second = layer.before.conv1, layer.before.conv2
    by_hand = F.avg_pool2d(second(F.max_pool2d(first(x), 2, 2, 0)), 2, 2, 0)
    assert torch.equal(layer(x), by_hand)
