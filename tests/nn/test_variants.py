"""Shortcut studies, openings, forks, sides, flat networks and norms, against hand-written networks."""

import re
from dataclasses import replace

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from residua.errors import ConfigError
from residua.jobs.models import arch_of, create_model
from residua.nn.blocks import ResidualBlock
from residua.nn.joins import GatedJoin
from residua.nn.network import Network, build
from residua.spec.arch import Arch, Head, Side
from residua.spec.block import Block, Conv, Fork, Join, Pool
from residua.spec.describe import cost, describe_shortcuts, table
from residua.spec.record import from_json, to_json
from residua.spec.zoo import arch

X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
SAME, DOWN = (Conv(4), Conv(4)), (Conv(8, 3, 2), Conv(8))


def block(convs: tuple[Conv, ...], join: Join, shortcut: str = "Z") -> ResidualBlock:
    torch.manual_seed(0)
    return ResidualBlock(Block("(CNA CN)A", convs, shortcut, join=join), 4).eval()


@pytest.mark.parametrize("convs", [SAME, DOWN], ids=["same", "down"])
@pytest.mark.parametrize("gate", ["shortcut", "exclusive"])
def test_gates_are_those_of_the_paper(convs: tuple[Conv, ...], gate: str) -> None:
    module = block(convs, Join(gate, -2.0))
    stride = convs[0].stride
    g = torch.sigmoid(F.conv2d(X, module.join.conv.weight, module.join.conv.bias, stride))
    residual, shortcut = module.residual(X), module.shortcut(X)
    expected = F.relu((g * residual if gate == "exclusive" else residual) + (1 - g) * shortcut)
    torch.testing.assert_close(module(X), expected, rtol=0, atol=1e-6)  # strides of few channels are cut out


def test_constants_multiply_each_way() -> None:
    module = block(SAME, Join(shortcut=0.5, residual=0.25))
    torch.testing.assert_close(module(X), F.relu(0.25 * module.residual(X) + 0.5 * X))


@pytest.mark.parametrize(
    ("option", "bias"), [("gate-3", -3.0), ("gate", -6.0), ("exclusive_gate", -6.0)]
)  # He et al. 2016, table 1: -6 is the best found
def test_a_gate_starts_at_its_bias_and_a_fresh_network_keeps_it(option: str, bias: float) -> None:
    network = create_model("cifar_resnet20", shortcut=option)
    gates = [module for module in network.modules() if isinstance(module, GatedJoin)]
    assert len(gates) == 9
    assert all(bool((gate.conv.bias == bias).all()) for gate in gates)
    assert gates[0].exclusive == (option == "exclusive_gate")


@pytest.mark.parametrize(
    ("option", "extra"),
    [
        ("scale0.5", 0),
        ("scale0.5,0.5", 0),
        ("gate", 18 * (16 * 16 + 16) + 17 * (32 * 32 + 32) + 17 * (64 * 64 + 64) + 544 + 2112),
        ("exclusive_gate", 18 * (16 * 16 + 16) + 17 * (32 * 32 + 32) + 17 * (64 * 64 + 64) + 544 + 2112),
        ("conv", 18 * (256 + 32) + 17 * (1024 + 64) + 17 * (4096 + 128) + 16 * 32 + 64 + 32 * 64 + 128),
        ("dropout", 0),
    ],
)
def test_the_studies_of_table_1_are_built_on_all_54_units(option: str, extra: int) -> None:
    spec = arch_of("cifar_resnet110", shortcut=option)
    assert from_json(Arch, to_json(spec)) == spec
    assert cost(spec).params == 1_727_962 + extra
    if option == "dropout":
        assert all(b.shortcut == "ZD" and b.drop == 0.5 for b in spec.residual_blocks())
    network = build(arch_of("cifar_resnet20", shortcut=option)).train()
    network(torch.randn(2, 3, 16, 16)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_dropout_on_the_shortcut_drops_only_there_and_only_in_training() -> None:
    module = ResidualBlock(Block("(CN)", (Conv(4),), "ZD", always=True, drop=0.5), 4)
    assert [name for name, _ in module.shortcut.named_children()] == ["drop0"]
    nn.init.zeros_(module.residual.norm1.weight)
    out = module.train()(torch.ones(1, 4, 8, 8))
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(module.eval()(X), X)


def test_an_unknown_study_offers_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'gates'.*gate"):
        arch_of("cifar_resnet110", shortcut="gates")
    with pytest.raises(ConfigError, match="gate or constants"):
        Join("shortcut", shortcut=0.5)


@pytest.mark.parametrize("depth", [18, 50])
def test_the_timm_opening_has_the_parameters_of_resnetv2_and_its_logits(depth: int) -> None:
    theirs = timm.create_model(f"resnetv2_{depth}", num_classes=5).eval()
    ours = create_model(f"preresnet{depth}", opening="timm", num_classes=5).eval()
    own = ours.state_dict()
    order = [value for key, value in theirs.state_dict().items() if not key.startswith("norm.")]
    order[-2:-2] = [value for key, value in theirs.state_dict().items() if key.startswith("norm.")]
    by_shape = sorted(tuple(v.shape[:2]) for v in order if v.ndim)
    assert by_shape == sorted(tuple(v.shape[:2]) for v in own.values() if v.ndim)
    assert cost(ours.arch).params == sum(p.numel() for p in theirs.parameters())


def test_openings_differ_where_they_say() -> None:
    words = {
        opening: (spec.stem.word, spec.stages[0][0].word, spec.stages[0][0].bridge(64)[0])
        for opening in ("fair", "timm", "mxnet")
        if (spec := arch_of("preresnet18", opening=opening))
    }
    assert words["fair"] == ("CNAP", "(C NAC)", "")
    assert words["timm"] == ("CP", "(NAC NAC)", "")
    assert words["mxnet"] == ("NCNAP", "NA(C NAC)", "C")
    assert arch_of("preresnet50", opening="timm").stages[0][0].word == "NA(C NAC NAC)"
    assert arch_of("preresnet50", opening="fair") == arch("preresnet50")
    with pytest.raises(ConfigError, match="resnet50 has one opening"):
        arch_of("resnet50", opening="timm")


def test_a_fork_stacks_its_branches_in_order() -> None:
    fork = Fork((Block("C", (Conv(2, 1),)), Block("P", pool=Pool(3, 1, 1)), Block("CA", (Conv(3),))))
    spec = Arch("x", "f", "s", Block("C", (Conv(4),)), ((fork,),), classes=3)
    assert (fork.out(4), spec.widths()) == (9, (4, 9))
    network = build(spec).eval()
    x = network.stem(torch.randn(1, 3, 8, 8))
    one, two, three = network.stages[0][0].branches
    expected = torch.cat([one.conv1(x), F.max_pool2d(x, 3, 1, 1), F.relu(three.conv1(x))], 1)
    assert torch.equal(network.stages[0][0](x), expected)
    assert isinstance(two.pool0, nn.MaxPool2d)
    assert from_json(Arch, to_json(spec)) == spec
    assert table(spec)[1].layers == "[1×1, 2 | 3×3 max pool | 3×3, 3]"


@pytest.mark.parametrize(
    ("branches", "message"),
    [
        ((Block("C", (Conv(2),)),), "two or more branches"),
        ((Block("C", (Conv(2),)), Block("(C)", (Conv(2),), "C")), "without brackets"),
        ((Block("C", (Conv(2),)), Block("C", (Conv(2, 3, 2),))), "give equal strides"),
    ],
)
def test_branches_that_cannot_stand_side_by_side_are_refused(
    branches: tuple[Block, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Fork(branches)


def in_order(theirs: nn.Module, ours: Network) -> None:
    """Copy the weights of `theirs` into `ours`, tensor by tensor in the order in which they are spelled."""
    state, own = theirs.state_dict(), ours.state_dict()
    assert [tuple(v.shape) for v in state.values()] == [tuple(v.shape) for v in own.values()]
    ours.load_state_dict(dict(zip(own, state.values(), strict=True)))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("alexnet", 70),
        ("googlenet", 67),
        pytest.param("vgg16", 33, marks=pytest.mark.battery),
        pytest.param("vgg16_bn", 32, marks=pytest.mark.battery),
    ],
)
def test_baselines_have_the_logits_of_torchvision(name: str, size: int) -> None:
    more = (
        {"aux_logits": False, "transform_input": False, "init_weights": False} if name == "googlenet" else {}
    )
    theirs = getattr(torchvision.models, name)(**more).eval()
    ours = build(arch(name)).eval()
    in_order(theirs, ours)
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        assert (ours(x) - theirs(x)).abs().max() == 0


def test_sides_train_with_the_network_and_leave_when_it_judges() -> None:
    side = Side(0, 0, Block("VCA", (Conv(4, 1, bias=True),), pool=Pool(5, 3, 0)), Head("LADL", (6,), grid=2))
    stage = (Block("CA", (Conv(8),)), Block("CA", (Conv(8),)))
    spec = Arch("x", "f", "s", Block("CA", (Conv(4),)), (stage,), classes=3, sides=(side,))
    network, x = build(spec), torch.randn(2, 3, 16, 16)
    logits, aux_logits = network.train()(x)
    assert logits.shape == aux_logits.shape == (2, 3)
    (logits.sum() + aux_logits.sum()).backward()
    assert all(p.grad is not None for p in network.parameters())
    assert network.eval()(x).shape == (2, 3)
    assert cost(spec).params == sum(p.numel() for p in network.parameters())
    network.reset_classifier(5)
    assert [out.shape for out in network.train()(x)] == [(2, 5), (2, 5)]
    with pytest.raises(ConfigError, match="block 7 in stage 0"):
        Arch("x", "f", "s", spec.stem, (stage,), sides=(Side(0, 7, side.stem, side.head),))


def test_google_net_as_published_has_two_sides_behind_4a_and_4d() -> None:
    network = build(arch("googlenet_2014")).train()
    outs = network(torch.randn(1, 3, 224, 224))
    assert [tuple(out.shape) for out in outs] == [(1, 1000)] * 3
    assert [(side.stage, side.block) for side in network.arch.sides] == [(1, 1), (1, 4)]


def test_response_norm_divides_by_its_neighbours() -> None:
    layer = ResidualBlock(Block("R"), 7)
    x = torch.randn(1, 7, 2, 2)
    padded = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
    sums = torch.stack([padded[:, c : c + 5].sum(1) for c in range(7)], 1)
    torch.testing.assert_close(layer(x), x / (1 + 1e-4 / 5 * sums) ** 0.75)


def test_a_flat_network_reads_images_and_vectors() -> None:
    network = create_model("resmlp", in_chans=3, img_size=4).eval()
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(network(x), network(x.flatten(1)))
    assert network(x).shape == (2, 10)
    assert network.forward_head(network.forward_features(x), pre_logits=True).shape == (2, 256)
    first = network.stages[0][0]
    y = network.stem(x.flatten(1))
    assert torch.equal(first(y), F.relu(first.residual(y) + y))


def test_drop_path_grows_with_depth_and_drops_whole_images() -> None:
    spec = arch_of("cifar_resnet20", drop_path_rate=0.4)
    rates = [b.drop for b in spec.residual_blocks()]
    assert rates == pytest.approx([0.05 * i for i in range(9)])
    assert rates == pytest.approx([float(r) for r in torch.linspace(0, 0.4, 9)])
    assert [b.word for b in spec.residual_blocks()][:2] == ["(CNA CN)A", "(CNACNS)A"]
    assert build(spec).state_dict().keys() == build(arch("cifar_resnet20")).state_dict().keys()
    module = ResidualBlock(Block("(CS)", (Conv(4),), "CN", drop=0.5), 4).train()
    change = (module(torch.ones(64, 4, 3, 3)) - 1).flatten(1).abs().amax(1)
    assert 10 < int((change == 0).sum()) < 54
    with pytest.raises(ConfigError, match=r"no path .*dropped"):
        arch_of("vgg16", drop_path_rate=0.1)
    with pytest.raises(ConfigError, match="last inside the brackets"):
        Block("(SCN)A", (Conv(4),), "CN", drop=0.1)


def test_norms_share_their_names_and_frozen_ones_stay() -> None:
    batch, frozen = build(arch("resnet18")), create_model("resnet18", norm="frozen")
    names = {key for key in batch.state_dict() if not key.endswith("num_batches_tracked")}
    assert set(frozen.state_dict()) == names
    before = {key: value.clone() for key, value in frozen.state_dict().items() if "running" in key}
    frozen.train()(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(torch.equal(frozen.state_dict()[key], value) for key, value in before.items())
    assert not any("norm" in key for key, _ in frozen.named_parameters())
    sync = create_model("resnet18", norm="sync").eval()
    sync.load_state_dict(batch.state_dict())
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(sync(x), batch.eval()(x))


def test_zero_init_last_is_offered_only_where_there_are_residual_branches() -> None:
    network = create_model("resnet18", zero_init_last=True)
    assert not network.stages[0][0].residual.norm2.weight.any()
    with pytest.raises(ConfigError, match="plain18 has no residual branch"):
        create_model("plain18", zero_init_last=True)


def test_intermediates_are_those_of_timm() -> None:
    theirs, ours = timm.create_model("resnet18").eval(), create_model("resnet18").eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(1, 3, 64, 64)
    for indices in (None, 2, (1, 4), (0, 2), (-1,)):
        (last, maps), (their_last, their_maps) = (
            net.forward_intermediates(x, indices=indices) for net in (ours, theirs)
        )
        assert (last - their_last).abs().max() == 0
        for a, b in zip(maps, their_maps, strict=True):
            assert (a - b).abs().max() == 0
    tailed = create_model("preresnet18").eval()
    only = tailed.forward_intermediates(x, (-1,), norm=True, intermediates_only=True)
    assert torch.equal(only[0], tailed.forward_features(x))


def test_unknown_changes_offer_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'num_class'.*num_classes"):
        arch_of("resnet18", num_class=3)


def test_the_stride_of_a_bottleneck_moves_and_nothing_else() -> None:
    moved = arch_of("resnet50:stride_on=1x1")
    assert replace(moved, name="", source="") == replace(arch_of("resnet50_v1"), name="", source="")
    assert arch_of("resnet50_v1:stride_on=3x3").stages == arch_of("resnet50").stages
    assert cost(moved).params == cost(arch_of("resnet50")).params
    assert cost(moved).macs < cost(arch_of("resnet50")).macs
    assert arch_of("cifar_resnet164:stride_on=1x1,order=e").stages == arch_of("cifar_preresnet164").stages


@pytest.mark.parametrize("text", ["resnet18:stride_on=1x1", "resnet50:stride_on=2x2"])
def test_a_stride_that_cannot_move_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="stride_on"):
        arch_of(text)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("resnet18", "^CN .*identity elsewhere$"),
        ("cifar_resnet20:shortcut=C", "^CN in every"),
        ("cifar_resnet20:shortcut=gate-6", "^Z .*times 1 - g.*-6"),
        ("cifar_resnet20:shortcut=exclusive_gate", "residual times g"),
        ("cifar_resnet20:shortcut=scale0.5,0.5", "times 0.5, .*times 0.5"),
        ("cifar_plain20", "^none$"),
    ],
)
def test_shortcuts_are_described_with_what_multiplies_them(text: str, pattern: str) -> None:
    assert re.search(pattern, describe_shortcuts(arch_of(text)))
