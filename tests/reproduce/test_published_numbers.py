"""What the papers print of one network is found by its layers."""

from dataclasses import replace

from residua.reproduce.published_numbers import published_numbers
from residua.spec.change import with_classes
from residua.spec.named_network import arch_of


def texts(name: str) -> set[str]:
    return {number.text for number in published_numbers(arch_of(name)) if number.is_number}


def test_numbers_are_those_of_the_tables() -> None:
    assert texts("cifar_resnet20") == {"8.75"}
    assert "6.61 ± 0.16 (mean of 5; best 6.43)" in texts("cifar_resnet110")
    assert texts("cifar_resnet110:order=e") == {"6.37"}
    assert "27.88 (10-crop)" in texts("resnet18_a")


def test_name_and_classes_do_not_matter_but_layers_do() -> None:
    arch = with_classes(replace(arch_of("cifar_resnet20"), name="mine"), 7)
    assert published_numbers(arch) == published_numbers(arch_of("cifar_resnet20"))
    assert published_numbers(arch_of("cifar_resnet20:shortcut=B")) == ()


def test_network_without_a_number_says_so() -> None:
    numbers = published_numbers(arch_of("cifar_iresnet3002"))
    assert numbers
    assert not any(number.is_number for number in numbers)
