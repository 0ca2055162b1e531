"""The list of networks: filters, orders, comparisons."""

import pytest

from residua.errors import ConfigError
from residua.jobs.catalogue import SORT_KEYS, ModelFilter, compare_entries, list_entries, paper_of
from residua.spec import zoo
from residua.spec.describe import cost, receptive_field


def names(criteria: ModelFilter, **how: object) -> list[str]:
    return [entry.arch.name for entry in list_entries(criteria, **how)]


def test_without_wishes_all_networks_come_in_the_order_of_the_papers() -> None:
    assert names(ModelFilter()) == list(zoo.NAMES)
    assert names(ModelFilter(), reverse=True) == list(zoo.NAMES)[::-1]


def test_filters_narrow_together() -> None:
    entries = list_entries(ModelFilter(("*resnet*",), paper="he2015", max_params="1M", size=32))
    assert [entry.arch.name for entry in entries] == [f"cifar_resnet{depth}" for depth in (20, 32, 44, 56)]
    assert names(ModelFilter(family="plain")) == ["plain18", "plain34"]
    assert names(ModelFilter(("resnet18", "plain*")), sort="name")[:2] == ["plain18", "plain34"]
    limit = cost(zoo.arch("resnet50")).macs
    assert "resnet50" in names(ModelFilter(max_macs=str(limit)))
    assert "resnet50" not in names(ModelFilter(max_macs=str(limit - 1)))


@pytest.mark.parametrize("order", SORT_KEYS)
def test_a_list_is_sorted_from_small_to_large(order: str) -> None:
    values = [entry.plain()[order] for entry in list_entries(ModelFilter(("cifar_*",)), sort=order)]
    assert values == sorted(values)
    backward = [
        entry.plain()[order] for entry in list_entries(ModelFilter(("cifar_*",)), sort=order, reverse=True)
    ]
    assert backward == sorted(values, reverse=True)


def test_an_entry_has_the_numbers_of_its_network() -> None:
    (entry,) = list_entries(ModelFilter(("iresnet50",)))
    plain, spec = entry.plain(), zoo.arch("iresnet50")
    assert (plain["params"], plain["macs"]) == (cost(spec).params, cost(spec).macs)
    assert plain["receptive_field"] == receptive_field(spec)
    assert (plain["paper"], plain["depth"], plain["main_path_activations"]) == ("duta2020", 50, 4)


@pytest.mark.parametrize(
    ("name", "paper"),
    [("resnet50", "he2015"), ("preresnet50", "he2016"), ("vgg16", "simonyan2015"), ("smallconvnet", "")],
)
def test_the_paper_is_author_and_year(name: str, paper: str) -> None:
    assert paper_of(zoo.arch(name)) == paper


def test_a_comparison_keeps_the_order_it_was_asked_for() -> None:
    assert [entry.arch.name for entry in compare_entries(["vgg16", "resnet50"])] == ["vgg16", "resnet50"]
    with pytest.raises(ConfigError, match="two names or more"):
        compare_entries(["vgg16"])


@pytest.mark.parametrize(
    ("criteria", "order", "message"),
    [
        (ModelFilter(("resnte*",)), "", r"resnte\*.*mean resnet"),
        (ModelFilter(family="iresnt"), "", "iresnt.*mean iresnet"),
        (ModelFilter(paper="he2014"), "", "he2014.*mean he201"),
        (
            ModelFilter(max_params="thirty"),
            "",
            r"thirty.* 30M or 5G",
        ),
        (ModelFilter(max_macs="-5G"), "", "'-5G' is no number"),
        (ModelFilter(max_params="1"), "", "no network"),
        (ModelFilter(), "flops", "flops.*params, macs"),
    ],
)
def test_a_filter_that_cannot_be_met_is_explained(criteria: ModelFilter, order: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list_entries(criteria, sort=order)
