"""What timm expects of every network it lists, asked of ours: configuration, heads, maps, graphs."""

import copy
import math
import warnings
from typing import Any

import pytest
import timm
import torch
from timm.models import FeatureInfo
from timm.models._features import FeatureGetterNet
from torch import Tensor, nn

import residua
import residua.timm
from few import few_of, one_of_each_family
from residua.errors import ConfigError
from residua.nn.network import Features, Network, build
from residua.spec.change import deepen
from residua.spec.named_network import arch_of
from residua.spec.zoo import NAMES, arch

IMAGES = [name for name in NAMES if not (arch(name).is_flat or arch(name).clip)]
SHALLOW = [name for name in NAMES if arch(name).depth() < 1000]
RESIDUAL = ("resnet18", "preresnet18", "iresnet18", "resgroup50", "resnet50_v1")


def created(name: str, **options: Any) -> Any:
    return timm.create_model(f"residua_{name}", pretrained=False, **options)


def on_meta(name: str, **options: Any) -> Any:
    with torch.device("meta"):
        return created(name, **options).eval()


def maps_of(outputs: Any) -> list[Tensor]:
    return list(outputs.values()) if isinstance(outputs, dict) else list(outputs)


@pytest.mark.usefixtures("light_norms")
@pytest.mark.parametrize("name", one_of_each_family(name for name in IMAGES if name in SHALLOW))
def test_the_configuration_is_that_of_the_network(name: str) -> None:
    network = on_meta(name)
    cfg, state = network.default_cfg, network.state_dict()
    registered = timm.get_pretrained_cfg(f"residua_{name}")
    assert (tuple(registered.input_size), registered.classifier) == (cfg["input_size"], cfg["classifier"])
    assert {f"{cfg['classifier']}.weight", f"{cfg['first_conv']}.weight"} <= set(state)
    assert cfg["num_classes"] == network.num_classes == len(state[f"{cfg['classifier']}.weight"])
    assert cfg["input_size"][0] == network.in_chans == state[f"{cfg['first_conv']}.weight"].shape[1]
    x = torch.empty(1, *cfg["input_size"], device="meta")
    last = network.forward_features(x)
    assert last.shape == (1, network.num_features, *cfg["pool_size"])
    hidden = network.forward_head(last, pre_logits=True)
    assert hidden.shape == (1, network.head_hidden_size)
    network.reset_classifier(0)
    assert (network.num_classes, network(x).shape) == (0, hidden.shape)
    network.reset_classifier(0, "")
    assert network(x).shape == last.shape
    network.reset_classifier(6, "max")
    assert (network.num_classes, network(x).shape) == (6, (1, 6))
    assert on_meta(name, num_classes=0)(x).shape == hidden.shape
    assert on_meta(name, num_classes=0, global_pool="")(x).shape == last.shape


@pytest.mark.usefixtures("light_norms")
@pytest.mark.parametrize("name", one_of_each_family(name for name in IMAGES if name in SHALLOW))
def test_maps_are_as_the_feature_info_says(name: str) -> None:
    size = max(96, arch(name).preprocess.size) if arch(name).head.grid > 1 else 96
    x = torch.empty(1, 3, size, size, device="meta")
    for options in ({}, {"feature_cls": "getter"}):
        features = on_meta(name, features_only=True, **options)
        maps, info = features(x), features.feature_info
        assert len(maps) == len(info.channels()) >= 3
        for each, channels, reduction in zip(maps, info.channels(), info.reduction(), strict=True):
            assert each.shape[1] == channels
            assert size / (2 * reduction) < each.shape[-1] <= math.ceil(size / reduction) + 1
    network = on_meta(name)
    info = FeatureInfo(network.feature_info, len(network.feature_info))
    last, maps = network.forward_intermediates(x, output_fmt="NCHW")
    assert [each.shape[1] for each in maps] == info.channels()
    assert last.shape == network.forward_features(x).shape
    assert set(info.module_name()) <= {name for name, _ in network.named_modules()}


def test_index_0_is_the_stem_before_its_pool() -> None:
    strides = {name: [2, 4, 8, 16, 32] for name in ("resnet18", "preresnet18", "iresnet18", "vgg16")}
    strides |= {"googlenet": [4, 8, 16, 32], "cifar_resnet20": [1, 1, 2, 4]}
    for name, expected in strides.items():
        assert on_meta(name, features_only=True).feature_info.reduction() == expected


@pytest.mark.parametrize("name", few_of(["resnet18", "preresnet18"], ["preresnet18"]))
def test_every_feature_class_gives_the_same_maps(name: str) -> None:
    ours = created(name, features_only=True, out_indices=(0, 2)).eval()
    state, x = ours.network.state_dict(), torch.randn(1, 3, 32, 32)
    expected = ours(x)
    for chosen in ("getter", "hook", "list", "dict", "fx", FeatureGetterNet):
        torch.manual_seed(0)
        whole = build(arch(name)).eval()
        whole.load_state_dict(state, strict=False)
        features = residua.timm._features(whole, {}, {"feature_cls": chosen, "out_indices": (0, 2)}).eval()
        maps = maps_of(features(x))
        assert all(torch.equal(a, b) for a, b in zip(maps, expected, strict=True)), chosen
        assert features.feature_info.channels() == [64, 128]
    with pytest.raises(ConfigError, match="hooks"):
        created(name, features_only=True, feature_cls="hooks")


@pytest.mark.parametrize("index", range(5))
def test_a_pruned_network_uses_every_parameter(index: int) -> None:
    network, x = build(deepen(arch("preresnet18"), (1, 1, 1, 1))), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = network.eval().forward_intermediates(x, (index,), intermediates_only=True)
        early = network.forward_intermediates(x, (index,), stop_early=True, intermediates_only=True)
    assert torch.equal(expected[0], early[0])
    network.prune_intermediate_layers([index])
    with torch.no_grad():
        pruned = network.forward_intermediates(x, (index,), intermediates_only=True)
    assert torch.equal(expected[0], pruned[0])
    network.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    network.reset_classifier(3, "avg")
    assert network(x).shape == (2, 3)


def test_pruning_without_the_head_changes_nothing() -> None:
    network, x = build(deepen(arch("preresnet18"), (1, 1, 1, 1))).eval(), torch.randn(2, 3, 32, 32)
    pruned = copy.deepcopy(network)
    assert pruned.prune_intermediate_layers([-1], prune_head=False) == [4]
    assert torch.equal(network(x), pruned(x))


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("name", few_of(["resnet18", "resnet50"], ["resnet18"]))
def test_output_stride_is_that_of_timm(name: str, stride: int) -> None:
    ours, theirs = created(name, output_stride=stride), timm.create_model(name, output_stride=stride)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours.eval()(x), theirs.eval()(x))
        assert ours.forward_features(x).shape[-1] == 64 // stride
    assert ours.feature_info[-1]["reduction"] == stride


@pytest.mark.parametrize("name", one_of_each_family(RESIDUAL))
def test_dilated_networks_keep_their_weights_and_say_what_they_are(name: str) -> None:
    plain, dilated = arch(name), arch_of(name, output_stride=8)
    assert max(dilated.strides()) == 8
    assert dilated.name == f"{name}:output_stride=8"
    assert arch_of(name, output_stride=32) == plain
    with torch.device("meta"):
        network, whole = build(dilated), build(plain)
    assert [v.shape for v in network.state_dict().values()] == [v.shape for v in whole.state_dict().values()]
    features = Features(network.eval())(torch.empty(1, 3, 64, 64, device="meta"))
    assert [each.shape[-1] for each in features] == [64 // stride for stride in dilated.map_strides()]


def test_weights_of_a_classifier_fill_the_dilated_network(tmp_path: Any) -> None:
    small = residua.create_model("resnet18", num_classes=2)
    folder = residua.save(small, tmp_path / "saved")
    dilated = residua.create_model("resnet18", folder, num_classes=2, output_stride=16)
    assert torch.equal(dilated.stem.conv1.weight, small.stem.conv1.weight)


@pytest.mark.parametrize("name", ["vgg16", "googlenet", "plain18", "resnet3d18"])
def test_output_stride_is_refused_where_it_cannot_be(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        created(name, output_stride=8)


@pytest.mark.parametrize("pool", ["max", "avgmax"])
def test_global_pools_are_those_of_timm(pool: str) -> None:
    ours, theirs = created("resnet18", global_pool=pool), timm.create_model("resnet18", global_pool=pool)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-5, atol=1e-5)
        expected = ours.forward_head(ours.forward_features(x), pre_logits=True)
        ours.reset_classifier(5)
        assert torch.equal(ours.forward_head(ours.forward_features(x), pre_logits=True), expected)
        ours.reset_classifier(5, "avg")
        assert not torch.equal(ours.forward_head(ours.forward_features(x), pre_logits=True), expected)


def test_drop_rate_acts_before_the_last_layer_in_training() -> None:
    network, x = created("cifar_resnet20", drop_rate=0.5), torch.randn(2, 3, 32, 32)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))
    assert network.state_dict().keys() == created("cifar_resnet20").state_dict().keys()
    assert on_meta("vgg16_bn", drop_rate=0.2).head.drop1.p == 0.2


def test_a_new_head_has_the_device_type_and_mode_of_the_rest() -> None:
    network = created("cifar_resnet20").to(dtype=torch.float64).eval()
    network.requires_grad_(False)
    network.reset_classifier(0)
    network.reset_classifier(0, "")
    assert not any(parameter.requires_grad for parameter in network.parameters())
    network.reset_classifier(2)
    assert network.get_classifier().weight.dtype == torch.float64
    assert not any(module.training for module in network.modules())
    placed = created("cifar_resnet20", device="meta", dtype=torch.bfloat16)
    assert {(p.device.type, p.dtype) for p in placed.parameters()} == {("meta", torch.bfloat16)}


def test_layer_decay_finds_a_depth_for_each_block() -> None:
    from timm.models._manipulate import group_parameters

    network = created("resnet18")
    depths = group_parameters(network, network.group_matcher(coarse=False), reverse=True)
    assert len(set(depths.values())) == 1 + 8 + 1
    assert (
        depths["stem.conv1.weight"] < depths["stages.0.1.residual.conv1.weight"] < depths["head.linear1.bias"]
    )


def check_graphs(network: Network, x: Tensor) -> None:
    """The traced and the scripted network compute what it computes; torch has deprecated TorchScript."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, traced = network(x), torch.fx.symbolic_trace(network)
        assert torch.equal(traced(x), expected)
        torch.testing.assert_close(torch.jit.script(network)(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", few_of(SHALLOW, ("cifar_resnet20", "preresnet18", "resmlp")))
def test_graphs_and_torchscript_compute_the_same(name: str) -> None:
    network = created(name).eval()
    shape = network.arch.input_shape if network.arch.is_flat else (*network.arch.input_shape[:-2], 64, 64)
    check_graphs(network, torch.randn(1, *shape))


def test_graphs_and_torchscript_of_clips_compute_the_same() -> None:
    check_graphs(created("cifar_resnet20", frames=4).eval(), torch.randn(1, 3, 4, 32, 32))


def test_maps_are_scripted_too() -> None:
    features, x = created("cifar_resnet20", features_only=True).eval(), torch.randn(1, 3, 32, 32)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        maps = torch.jit.script(features)(x)
    assert [each.shape for each in maps] == [each.shape for each in features(x)]


def test_maps_have_the_same_gradients_with_checkpointing() -> None:
    gradients = []
    for enable in (False, True):
        torch.manual_seed(0)
        features = created("cifar_resnet20", features_only=True).train()
        features.set_grad_checkpointing(enable)
        sum(each.square().mean() for each in features(torch.ones(2, 3, 32, 32))).backward()
        gradients.append([parameter.grad for parameter in features.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain)


def test_segmentation_models_read_ours() -> None:
    models = pytest.importorskip("segmentation_models_pytorch")
    network = models.Unet("tu-residua_resnet18", encoder_weights=None, classes=2).eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 2, 64, 64)


def test_an_unknown_option_is_a_type_error_that_names_the_nearest() -> None:
    with pytest.raises(TypeError, match="drop_rate") as caught:
        created("resnet18", drop_rates=0.1)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "group"},
        {"norm": ["batch"]},
        {"num_classes": -1},
        {"num_classes": "ten"},
        {"in_chans": 0},
        {"drop_rate": 1.0},
        {"drop_rate": "high"},
        {"drop_path_rate": -0.1},
        {"global_pool": "catavgmax"},
        {"global_pool": "", "num_classes": 3},
        {"output_stride": 4},
        {"output_stride": "small"},
        {"out_indices": (9,), "features_only": True},
        {"out_indices": 0, "features_only": True},
        {"out_indices": "last", "features_only": True},
        {"feature_cls": "hooky", "features_only": True},
        {"order": "z"},
        {"order": 3},
        {"shortcut": "Z"},
        {"img_size": 0},
        {"pretrained_cfg": "a1_in1k"},
    ],
    ids=str,
)
def test_every_wrong_value_is_one_sentence(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        created("cifar_resnet20", **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"norm": "group"}, {"out_indices": (1,)}])
def test_wrong_values_of_create_model_are_one_sentence(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        residua.create_model("cifar_resnet20", **options)
    with pytest.raises(ConfigError, match="norm"):
        build(arch("cifar_resnet20"), norm="group")  # type: ignore[arg-type]


def test_pretrained_false_is_accepted_everywhere() -> None:
    assert isinstance(residua.create_model("cifar_resnet20", pretrained=False), Network)
    network = residua.create_model("cifar_resnet20", pretrained=False, features_only=True)
    assert isinstance(network, nn.Module)


def test_timm_creates_a_saved_network_with_its_changes(tmp_path: Any) -> None:
    network = residua.create_model("cifar_resnet20:order=e,global_pool=max", num_classes=3)
    folder = residua.save(network, tmp_path / "saved")
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert loaded.arch == network.arch
    assert torch.equal(loaded.stem.conv1.weight, network.stem.conv1.weight)
