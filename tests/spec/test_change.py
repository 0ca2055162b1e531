"""Pure changes of a network keep everything else."""

from dataclasses import replace

import pytest
import torch

from residua.errors import ConfigError
from residua.nn.network import build
from residua.spec.arch import Arch
from residua.spec.block import Join
from residua.spec.change import (
    deepen,
    with_channels,
    with_classes,
    with_order,
    with_preprocess,
    with_shortcut,
)
from residua.spec.describe import cost
from residua.spec.orders import ORDERS
from residua.spec.preprocess import IMAGENET
from residua.spec.zoo import arch

SPEC = arch("cifar_resnet20")


def test_with_classes_changes_only_the_classes() -> None:
    assert with_classes(SPEC, 7) == replace(SPEC, classes=7)
    assert SPEC.classes == 10
    with pytest.raises(ConfigError, match="0 classes"):
        with_classes(SPEC, 0)


def test_with_preprocess_changes_only_the_images() -> None:
    assert with_preprocess(SPEC, IMAGENET) == replace(SPEC, preprocess=IMAGENET)


@pytest.mark.parametrize(("option", "name"), [("A", "resnet18_a"), ("B", "resnet18"), ("C", "resnet18_c")])
def test_with_shortcut_makes_the_named_options_of_one_another(option: str, name: str) -> None:
    for start in ("resnet18", "resnet18_a", "resnet18_c"):
        assert with_shortcut(arch(start), option).stages == arch(name).stages


@pytest.mark.parametrize(
    ("option", "join"),
    [("scale0.5", Join(shortcut=0.5)), ("scale0.5,0.25", Join(shortcut=0.5, residual=0.25))],
)
def test_the_first_constant_multiplies_the_shortcut_and_the_second_the_residual(
    option: str, join: Join
) -> None:
    assert {block.join for block in with_shortcut(SPEC, option).residual_blocks()} == {join}


def test_with_shortcut_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match=r"'D'.*A, A_after, B"):
        with_shortcut(SPEC, "D")
    with pytest.raises(ConfigError, match=r"cifar_plain20.*no shortcuts"):
        with_shortcut(arch("cifar_plain20"), "B")


def test_deepen_turns_one_depth_into_another() -> None:
    assert deepen(SPEC, (9, 9, 9)).stages == arch("cifar_resnet56").stages
    assert deepen(arch("resnet152"), (3, 4, 6, 3)).stages == arch("resnet50").stages
    assert deepen(SPEC, (1, 2, 3)).depth() == 14


def test_deepen_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match=r"3 stages.*above 0"):
        deepen(SPEC, (3, 3))
    with pytest.raises(ConfigError, match="counts above 0"):
        deepen(SPEC, (3, 0, 3))
    with pytest.raises(ConfigError, match="count at 1"):
        deepen(deepen(SPEC, (1, 1, 1)), (2, 1, 1))


def test_with_channels_averages_the_statistics_and_goes_back() -> None:
    grey: Arch = with_channels(SPEC, 1)
    assert (grey.channels, grey.preprocess.colour) == (1, "grey")
    assert grey.preprocess.mean == (pytest.approx(sum(SPEC.preprocess.mean) / 3),)
    assert grey.preprocess.std == (pytest.approx(sum(SPEC.preprocess.std) / 3),)
    assert with_channels(SPEC, 3) is SPEC
    assert with_channels(grey, 3).channels == 3
    bands = with_channels(SPEC, 5)
    assert (bands.channels, bands.preprocess.colour, len(bands.preprocess.std)) == (5, "bands", 5)
    with pytest.raises(ConfigError, match="in_chans is 0: give 1"):
        with_channels(SPEC, 0)


@pytest.mark.parametrize(
    ("letter", "words", "tail"),
    [
        ("a", ("(CNA CN)A", "(CNA CN)A", "(CNA CN)A"), ""),
        ("b", ("(CNA C)NA", "(CNA C)NA", "(CNA C)NA"), ""),
        ("c", ("(CNA CNA)", "(CNA CNA)", "(CNA CNA)"), ""),
        ("d", ("(CN ACN)", "(ACN ACN)", "A(CN ACN)"), "A"),
        ("e", ("(C NAC)", "(NAC NAC)", "NA(C NAC)"), "NA"),
    ],
)
def test_the_five_orders_are_those_of_the_figure(letter: str, words: tuple[str, ...], tail: str) -> None:
    changed = with_order(arch("cifar_resnet20"), letter)
    first_words = changed.stages[0][0].word, changed.stages[0][1].word, changed.stages[1][0].word
    assert (first_words, changed.tail) == (words, tail)
    assert [block.convs for block in changed.blocks()] == [b.convs for b in arch("cifar_resnet20").blocks()]


def test_order_e_of_a_residual_network_is_its_preactivation() -> None:
    assert with_order(arch("cifar_resnet110"), "e").stages == arch("cifar_preresnet110").stages
    changed, published = with_order(arch("resnet50"), "e"), arch("preresnet50")
    assert (changed.stem, changed.stages, changed.tail) == (published.stem, published.stages, published.tail)


def test_orders_change_no_parameter_but_those_of_norms() -> None:
    """b to d have as many norms as a; e has one for the tail more and one per projection less."""
    costs = {letter: cost(with_order(arch("resnet50"), letter)) for letter in "abcde"}
    assert len({cost.macs for cost in costs.values()}) == 1
    assert costs["a"] == costs["c"] == costs["d"]
    assert costs["e"].params == 25_549_352


@pytest.mark.parametrize(
    ("name", "letter", "message"),
    [
        ("cifar_resnet20", "z", "'z'.* d, e"),
        ("cifar_plain20", "e", "without shortcut"),
    ],
)
def test_an_order_that_cannot_be_says_why(name: str, letter: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_order(arch(name), letter)


@pytest.mark.parametrize("letter", ORDERS)
def test_every_order_runs_as_it_is_spelled(letter: str) -> None:
    network = build(with_order(arch("cifar_resnet20"), letter)).eval()
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
    assert sum(p.numel() for p in network.parameters()) == cost(network.arch).params
