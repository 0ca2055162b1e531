"""The grammar: legal words mean what they promise, illegal ones say what to change."""

import re

import pytest
import torch
from hypothesis import given, settings
from words import SIZE, arches

from residua.errors import ConfigError
from residua.nn.blocks import ResidualBlock
from residua.nn.network import Network, build
from residua.spec import describe, orders, walk
from residua.spec.arch import Arch, Head
from residua.spec.block import Block, Conv, Pool
from residua.spec.zoo import NAMES, arch, names

C4, C8 = Conv(4), Conv(8)
STEM = Block("CNA", (C4,))


def check_shapes_are_promised(spec: Arch) -> Network:
    """Builds `spec`, runs it, and compares each block's map and the logits with the words' arithmetic."""
    network = build(spec).eval()
    x = torch.zeros(1, spec.channels, SIZE, SIZE)
    shapes = []
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    assert network(x).shape == (1, spec.classes)
    sizes = [line.size for line in describe.table(spec)]
    width, size = spec.widths()[-1], sizes[-2]
    assert shapes[-1] == (width, size, size)
    assert network.forward_features(x).shape[1:] == (width, size, size)
    return network


@settings(max_examples=60, deadline=None)
@given(arches())
def test_any_legal_word_has_the_promised_shape(spec: Arch) -> None:
    network = check_shapes_are_promised(spec)
    assert describe.cost(spec).params == sum(value.numel() for value in network.parameters())


@settings(max_examples=30, deadline=None)
@given(arches())
def test_layers_run_in_the_order_they_are_spelled(spec: Arch) -> None:
    network, ran = build(spec).eval(), []
    for name, module in network.named_modules():
        if not list(module.children()) and name.rpartition(".")[2] not in ("before", "after", "shortcut"):
            letter = name.rpartition(".")[2].rstrip("0123456789")
            module.register_forward_hook(lambda *_, letter=letter: ran.append(letter))
    network(torch.zeros(1, spec.channels, SIZE, SIZE))
    spelled = {"C": "conv", "N": "norm", "A": "act", "P": "pool", "V": "mean", "D": "drop", "L": "linear"}
    letters = [{**spelled, "Z": "zero", "E": "zero"}[layer.letter] for layer in walk.layers(spec)]
    assert [letter for letter in ran if letter != "tail"] == letters


@pytest.mark.parametrize(
    ("word", "convs", "shortcut", "message"),
    [
        ("(CNA CN", (C4, C4), "CN", r"1 '\(' and 0 '\)'"),
        ("CNA CN)A", (C4, C4), "CN", r"1 '\)' and 0 '\('"),
        ("((CNA CN))A", (C4, C4), "CN", "2 pairs of brackets"),
        ("(CN)(CN)", (C4, C4), "CN", "2 pairs of brackets"),
        ("()A", (), "CN", "empty"),
        ("( )A", (), "CN", "empty"),
        (")CN(", (C4,), "CN", "closes .*before it opens"),
        ("", (), "", "without letters"),
        ("(CD)", (C4,), "CN", r"drop 0\.0.* between 0 and 1"),
        ("(CP)", (C4,), "CN", "inside its brackets"),
        ("(C)", (Conv(4, 3, 4),), "PCN", "strides 4, its pool 2"),
        ("(CNX CN)A", (C4, C4), "CN", r"'X' in '\(CNX CN\)A'.* C convolution"),
        ("(cna)", (C4,), "CN", "unknown letter 'c'"),
        ("(CNA CN)A", (C4,), "CN", "2 C but 1 convs"),
        ("(CNA CN)A", (C4,) * 3, "CN", "2 C but 3 convs"),
        ("(CNA ZN)A", (C4, C4), "CN", "Z .*in a shortcut"),
        ("(CNA EN)A", (C4, C4), "CN", "E .*in a shortcut"),
        ("(CN)A", (C4,), "ZE", "one C, Z"),
        ("CL", (C4,), "", "C and L"),
        ("CNA", (C4,), "CN", "no brackets.* shortcut 'CN'"),
        ("(CN)A", (C4,), "", "one C, Z"),
        ("(CN)A", (C4,), "N", "one C, Z"),
        ("(CN)A", (C4,), "CC", "one C, Z"),
        ("(CN)A", (C4,), "(C)", "one C, Z"),
        ("(CN)A", (C4,), "CL", "one C, Z"),
        ("(LN)A", (Conv(4, 1),), "CN", "one L, Z"),
        ("(LN)A", (Conv(4, 1),), "LL", "one L, Z"),
        ("(CN)A", (C4,), "CPN", "pool .*'PCN'"),
        ("LA", (C4,), "", r"window.* Conv\(out, 1\)"),
        ("(S CN)A", (C4,), "CN", r"drop 0\.0.* share"),
    ],
)
def test_an_illegal_block_says_what_to_change(
    word: str, convs: tuple[Conv, ...], shortcut: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Block(word, convs, shortcut)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv(0), "above 0"),
        (lambda: Conv(4, 2), "kernel 2 .*odd"),
        (lambda: Conv(4, 3, 1, 3), "4 channels.*3 groups"),
        (lambda: Pool(3, 2, 2), "padding from 0 to"),
        (lambda: Head("LA"), "end in L"),
        (lambda: Head("CL"), "L, A and D"),
        (lambda: Head("LAL"), "1 hidden L but 0 widths"),
        (lambda: Head("DL", drop=1.0), "below 1"),
        (lambda: Arch("x", "f", "s", STEM, ((STEM,),), classes=0), "0 classes"),
        (lambda: Arch("x", "f", "s", STEM, ((STEM,), ())), "stage without blocks"),
        (lambda: Arch("x", "f", "s", STEM, ()), "stage without blocks"),
        (lambda: Arch("x", "f", "s", Block("(C)", (C4,), "C"), ((STEM,),)), "blocks of a stage"),
        (lambda: Arch("x", "f", "s", STEM, ((STEM,),), tail="CN"), "N and A"),
        (lambda: Arch("x", "f", "s", STEM, ((Block("(C)C", (C8, C4), "C"),),)), "another block"),
        (
            lambda: Arch("x", "f", "s", STEM, ((Block("C", (Conv(9, groups=3),)),),)),
            "divide into groups",
        ),
    ],
)
def test_an_illegal_part_says_what_to_change(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_two_norms_in_a_row_cannot_be_built() -> None:
    with pytest.raises(ConfigError, match=r"N twice.*convolution"):
        ResidualBlock(Block("NN", ()), 4)


def test_a_shortcut_spells_only_what_has_something_to_do() -> None:
    down, wide = Block("(C)", (Conv(8, 3, 2),), "PCN"), Block("(C)", (C8,), "PCN")
    assert down.bridge(4) == ("PCN", (Conv(8, 1),))
    assert down.bridge(8) == ("P", ())
    assert wide.bridge(4) == ("CN", (Conv(8, 1),))
    assert wide.bridge(8) == ("", ())
    assert Block("(C)", (C8,), "CN", always=True).bridge(8) == ("CN", (Conv(8, 1),))
    assert Block("(C)", (Conv(8, 3, 2),), "Z").bridge(8) == ("Z", (Conv(8, 1, 2),))
    assert Block("(C)", (Conv(8, 3, 2),), "E").bridge(8) == ("E", (Conv(8, 1, 2),))
    assert Block("(C)", (Conv(8),), "E").bridge(8) == ("", ())
    assert Block("(C)", (Conv(8),), "ED", always=True, drop=0.5).bridge(8) == ("D", ())


def test_the_orders_are_those_of_the_figures() -> None:
    start, second, middle, end = (orders.Place(1, index, 4) for index in range(4))
    assert orders.original(2, start) == orders.original(2, end) == "(CNA CN)A"
    assert orders.original(3, middle) == "(CNA CNA CN)A"
    assert orders.plain(2, start) == "CNA CNA"
    assert orders.preactivation(2, orders.Place(0, 0, 4)) == "(C NAC)"
    assert orders.preactivation(2, start) == "NA(C NAC)"
    assert orders.preactivation(3, end) == "(NAC NAC NAC)"
    words = [orders.resstage(3, place) for place in (start, second, middle, end)]
    assert words == ["(CNA CNA CN)", "(AC NAC NAC)", "(NAC NAC NAC)", "(NAC NAC NAC)NA"]
    assert orders.resstage_released(3, second) == "A(C NAC NAC)"
    assert orders.resstage(2, orders.Place(0, 1, 2)) == "(AC NAC)NA"


COUNTED = {
    "smallconvnet": 8,
    "resmlp": 18,
    "alexnet": 8,
    "alexnet_2012": 8,
    "googlenet": 22,
    "googlenet_2014": 22,
}
"""Names without a depth in them; those of AlexNet and GoogLeNet are the papers'."""


@pytest.mark.parametrize("name", NAMES)
def test_the_depth_in_a_name_counts_its_weighted_layers(name: str) -> None:
    digits = re.search(r"(?:3d)?(\d+)", name)
    assert arch(name).depth() == (COUNTED[name] if name in COUNTED else int(digits[1]))


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'resnet5'.*resnet50"):
        arch("resnet5")


def test_names_are_found_by_pattern() -> None:
    assert names("cifar_plain*") == [f"cifar_plain{depth}" for depth in (20, 32, 44, 56, 110)]
    assert names() == list(NAMES)


def test_the_table_of_resnet50_is_the_one_of_the_paper() -> None:
    rows = describe.table(arch("resnet50"))
    assert [row.part for row in rows] == ["conv1", "conv2_x", "conv3_x", "conv4_x", "conv5_x", "head"]
    assert rows[1].layers == "[1×1, 64; 3×3, 64; 1×1, 256] × 3"
    assert rows[4].words == "(CNA CNA CN)A × 3"
    assert rows[5].layers == "average pool, 1000-d fc"
    assert sum(row.macs for row in rows) == describe.cost(arch("resnet50")).macs


def test_shortcuts_leave_few_activations_on_the_main_path() -> None:
    assert describe.main_path_activations(arch("cifar_resnet56")) == 27
    assert describe.main_path_activations(arch("cifar_plain56")) == 54
    assert describe.main_path_activations(arch("resnet50")) == 16
    assert describe.main_path_activations(arch("iresnet50")) == 4
    assert describe.main_path_activations(arch("iresnet50_released")) == 8
    assert describe.main_path_activations(arch("iresnet1001")) == 4


def test_an_image_too_small_says_so() -> None:
    deep = Arch("x", "f", "s", STEM, ((Block("CP", (C4,), pool=Pool(2, 2, 0)),) * 3,))
    with pytest.raises(ConfigError, match=r"x .*to nothing.*larger images"):
        walk.layers(deep, size=4)


def test_the_receptive_field_is_what_an_image_can_change() -> None:
    spec = arch("cifar_resnet20")
    network = build(spec).double().eval()
    image = torch.randn(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    network.forward_features(image)[0, :, 20, 20].sum().backward()
    nonzero = image.grad.abs().sum(1)[0].nonzero()
    spans = nonzero.max(0).values - nonzero.min(0).values + 1
    assert spans.tolist() == [describe.receptive_field(spec)] * 2
