"""Pure changes of a network keep everything else."""

from dataclasses import replace

import pytest

from residua.spec.arch import Arch
from residua.spec.change import deepen, with_channels, with_classes, with_preprocess, with_shortcut
from residua.spec.preprocess import IMAGENET
from residua.spec.zoo import arch

SPEC = arch("cifar_resnet20")


def test_with_classes_changes_only_the_classes() -> None:
    assert with_classes(SPEC, 7) == replace(SPEC, classes=7)
    assert SPEC.classes == 10
    with pytest.raises(ValueError, match="give at least 1"):
        with_classes(SPEC, 0)


def test_with_preprocess_changes_only_the_images() -> None:
    assert with_preprocess(SPEC, IMAGENET) == replace(SPEC, preprocess=IMAGENET)


@pytest.mark.parametrize(("option", "name"), [("A", "resnet18_a"), ("B", "resnet18"), ("C", "resnet18_c")])
def test_with_shortcut_makes_the_named_options_of_one_another(option: str, name: str) -> None:
    for start in ("resnet18", "resnet18_a", "resnet18_c"):
        assert with_shortcut(arch(start), option).stages == arch(name).stages


def test_with_shortcut_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="no shortcut option 'D': known: A, B, C"):
        with_shortcut(SPEC, "D")
    with pytest.raises(ValueError, match="cifar_plain20 has no shortcuts to change"):
        with_shortcut(arch("cifar_plain20"), "B")


def test_deepen_turns_one_depth_into_another() -> None:
    assert deepen(SPEC, (9, 9, 9)).stages == arch("cifar_resnet56").stages
    assert deepen(arch("resnet152"), (3, 4, 6, 3)).stages == arch("resnet50").stages
    assert deepen(SPEC, (1, 2, 3)).depth() == 14


def test_deepen_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="has 3 stages: give as many counts above 0"):
        deepen(SPEC, (3, 3))
    with pytest.raises(ValueError, match="counts above 0"):
        deepen(SPEC, (3, 0, 3))
    with pytest.raises(ValueError, match="keep its count at 1"):
        deepen(deepen(SPEC, (1, 1, 1)), (2, 1, 1))


def test_with_channels_averages_the_statistics_and_goes_back() -> None:
    grey: Arch = with_channels(SPEC, 1)
    assert (grey.channels, grey.preprocess.colour) == (1, "grey")
    assert grey.preprocess.mean == (pytest.approx(sum(SPEC.preprocess.mean) / 3),)
    assert with_channels(SPEC, 3) is SPEC
    assert with_channels(grey, 3).channels == 3
    with pytest.raises(ValueError, match="in_chans is 4: give 1"):
        with_channels(SPEC, 4)
