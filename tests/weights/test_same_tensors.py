"""Networks with the same tensors, and the change that would fit a file: on networks made here."""

import pytest
import torch

from few import few_of
from residua.errors import CheckpointError
from residua.nn.network import Network, build
from residua.spec.change import deepen, with_shortcut
from residua.spec.named_network import apply_changes, arch_of
from residua.spec.zoo import NAMES, arch
from residua.weights import load, save_as
from residua.weights.same_tensors import clear_kind, distances, kind_of, note, same_tensors


def trained(option: str) -> Network:
    """A network whose running statistics are those of images, as after training."""
    torch.manual_seed(0)
    network = build(with_shortcut(arch("cifar_resnet20"), option)).train()
    with torch.no_grad():
        for _ in range(30):
            network(torch.randn(8, 3, 32, 32).cumsum(2).cumsum(3) / 16)
    return network


@pytest.mark.parametrize("option", ["A", "A_after"])
def test_loading_says_which_zeros_were_taken(option: str) -> None:
    state = save_as(trained(option), "torchvision")
    words = {"A": "both sides", "A_after": "after the channels"}
    report = load(build(with_shortcut(arch("cifar_resnet20"), option)), state)
    assert words[option] in report
    assert "\n" not in report


def test_untrained_weights_are_loaded_without_a_verdict() -> None:
    network = build(arch("cifar_resnet20"))
    report = load(network, save_as(network, "torchvision"))
    assert "A_after would take" in report
    assert "WARNING" not in report
    assert distances(same_tensors(network.arch), {"A": network.state_dict()}) == {}


def test_the_note_warns_only_where_another_is_clearly_nearer() -> None:
    assert "WARNING" in note("A", {"A": 0.1, "A_after": 0.05, "no shortcuts": 2.0})
    assert "WARNING" not in note("A", {"A": 0.06, "A_after": 0.05})
    assert "nothing tells" in note("A", {"A": 0.06, "A_after": 0.05})
    assert "nothing tells" in note("A", {"A": 0.4, "A_after": 0.2})  # neither fits: hardly trained
    assert note("no shortcuts", {"A": 2.0, "no shortcuts": 0.05}) == ""


def test_a_kind_is_clear_only_where_it_is_near_and_the_others_are_not() -> None:
    assert clear_kind({"A": 0.04, "A_after": 0.07, "no shortcuts": 0.3}) == "A"
    assert clear_kind({"A": 0.04, "A_after": 0.05}) == ""
    assert clear_kind({"A": 0.4, "A_after": 0.2}) == ""
    assert clear_kind({"A": 0.04}) == ""


def test_weights_stay_as_they_are_and_so_does_the_random_state() -> None:
    state = save_as(trained("A"), "torchvision")
    before = {name: value.clone() for name, value in state.items()}
    network = build(arch("cifar_resnet20"))
    torch.manual_seed(1)
    load(network, state)
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(before[name], value) for name, value in state.items())
    assert all(
        torch.equal(value, network.state_dict()[name]) for name, value in trained("A").state_dict().items()
    )


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("cifar_resnet20", ("A", "A_after", "no shortcuts")),
        ("cifar_plain20", ("A", "A_after", "no shortcuts")),
        ("resnet34_a", ("A", "A_after", "no shortcuts")),
        ("cifar_preresnet110", ("A", "A_after")),
        ("cifar_resnet20:shortcut=B", ()),
        ("cifar_resnet20:shortcut=gate", ()),
        ("resnet50", ()),
        ("vgg16_bn", ()),
        ("googlenet", ()),
        ("resmlp", ()),
        ("resnet34_a:frames=4", ()),
    ],
)
def test_only_networks_of_option_a_have_others_with_the_same_tensors(
    name: str, kinds: tuple[str, ...]
) -> None:
    spec = arch_of(name)
    family = same_tensors(spec)
    assert tuple(family) == kinds
    if kinds:
        assert family[kind_of(spec)].blocks() == spec.blocks()
        assert (
            len({tuple(save_as(tiny(each), "torchvision")) for each in family.values() if not each.tail}) <= 1
        )


def tiny(spec: object) -> Network:
    with torch.device("meta"):
        return build(spec)


FITTING = {
    "cifar_resnet20": {"shortcut": "B"},
    "cifar_resnet32": {"shortcut": "C"},
    "preresnet18": {"opening": "timm"},
    "preresnet50": {"opening": "timm"},
}


@pytest.mark.parametrize("name", few_of(FITTING, ["cifar_resnet20", "preresnet18"]))
def test_a_refusal_says_which_change_would_fit(name: str) -> None:
    source = "timm" if "preresnet" in name else "chenyaofo"
    state = save_as(build(apply_changes(arch(name), **FITTING[name])), source)
    ((option, value),) = FITTING[name].items()
    with pytest.raises(CheckpointError, match=f"with {option}={value}"):
        load(build(arch(name)), state)
    assert load(build(apply_changes(arch(name), **FITTING[name])), state)


def test_a_refusal_of_another_depth_names_no_change() -> None:
    state = save_as(build(arch("cifar_resnet32")), "cifar")
    with pytest.raises(CheckpointError, match="do not fit") as caught:
        load(build(arch("cifar_resnet20")), state)
    assert "They fit" not in str(caught.value)


@pytest.mark.parametrize("name", ["cifar_plain20", "cifar_resnet20:shortcut=A_after"])
def test_names_of_a_martyn_go_there_and_back(name: str) -> None:
    network = build(arch_of(name))
    theirs = save_as(network, "a-martyn")
    assert {"convIn.weight", "stack1.2.conv2.weight", "stack2a.bn1.bias", "stack3b.1.conv1.weight"} < set(
        theirs
    )
    other = build(arch_of(name))
    assert "from a-martyn names" in load(other, theirs)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in network.state_dict().items())


def test_chenyaofo_names_are_torchvisions_for_cifar_networks_alone() -> None:
    network = build(arch_of("cifar_resnet20:shortcut=B"))
    theirs = save_as(network, "chenyaofo")
    assert "layer2.0.downsample.1.running_var" in theirs
    assert "fc.weight" in theirs
    with pytest.raises(CheckpointError, match="CIFAR"):
        save_as(build(arch("resnet18")), "chenyaofo")


def test_no_other_network_of_the_list_has_the_tensors_of_option_a() -> None:
    """So a warning names all that could be meant: networks of option A and plain ones."""
    kinds = {arch(name).family for name in NAMES if arch(name).depth() < 200 and same_tensors(arch(name))}
    assert kinds == {"plain", "cifar_plain", "resnet", "cifar_resnet", "cifar_preresnet"}


def test_a_short_network_of_option_a_has_them_too() -> None:
    assert set(same_tensors(deepen(arch("cifar_resnet20"), (1, 1, 1)))) == {"A", "A_after", "no shortcuts"}
