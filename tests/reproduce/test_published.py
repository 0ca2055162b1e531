"""What the papers printed: the numbers that matter most, typed a second time."""

import pytest

from residua.errors import ConfigError
from residua.reproduce.items import DATA_WITHOUT_SCHEDULE, ITEMS, PAPER_RECIPES, find_item
from residua.reproduce.page import reference_rows
from residua.reproduce.published import BUDGETS, NO_PAPER_VALUE
from residua.spec import zoo
from residua.spec.describe import cost

PRINTED = {
    "project/history": [None, None, 19.6e9, 11.3e9],
    "he2015/table2": [27.94, 28.54, 27.88, 25.03],
    "he2015/table6": [8.75, 7.51, 7.17, 6.97, 6.61, 7.93],
    "he2016/table1": [6.61, None, None, 12.35, None, 8.70, 9.81, 12.86, 6.91, 12.22, None],
    "he2016/table2": [6.61, 8.17, 7.84, 6.71, 6.37, 5.93, 6.50, 6.14, 5.91, 5.46],
    "he2016/table3": [9.90, 8.91, 6.61, 6.37, 5.93, 5.46, 7.61, 4.92],
    "he2016/table3-cifar100": [25.16, 24.33, 27.82, 22.71],
    "he2015/fig3": [19.6e9, 3.6e9, 3.6e9],
    "he2016/fig1": [5.93, 5.46, 7.61, 4.92],
    "he2016/fig6": [6.61, 8.17, 5.93, 5.46],
    "he2015/table7": [76.4, 73.8],
    "he2015/table8": [48.4, 27.2],
    "duta2020/depths": [23.88, 22.69, 22.00, 21.36, 21.55, 20.66, 22.45, 20.52, None, None],
}
README_OF_PAPER_3 = {23.88, 22.00, 21.55, 22.45, 22.69, 21.36, 20.66, 20.52}


@pytest.mark.parametrize("name", PRINTED)
def test_the_numbers_are_those_of_the_paper(name: str) -> None:
    assert [row.paper for row in ITEMS[name].rows] == PRINTED[name]


def test_every_table_and_figure_of_the_first_two_papers_is_listed() -> None:
    expected = {f"he2015/table{n}" for n in range(1, 15)} | {f"he2016/table{n}" for n in range(1, 6)}
    expected |= {f"he2015/fig{n}" for n in range(1, 8)} | {f"he2016/fig{n}" for n in range(1, 7)}
    assert expected | {"he2016/table3-cifar100"} == {name for name in ITEMS if name.startswith("he")}


def test_paper_three_has_only_numbers_with_a_source() -> None:
    rows = [row for item in ITEMS.values() if item.paper == "duta2020" for row in item.rows]
    assert {row.paper for row in rows} - {None} <= README_OF_PAPER_3
    remarks = {row.paper_text for row in rows if row.paper is None}
    assert remarks == {NO_PAPER_VALUE, "does not converge (abstract)", "one a block", "four, one a stage"}


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_can_be_built_or_names_its_obstacle(name: str) -> None:
    item = ITEMS[name]
    assert bool(item.rows) != bool(item.obstacle)
    labels = {row.label for row in item.rows}
    assert {label for claim in item.claims for pair in claim.pairs for label in pair} <= labels
    for row in item.rows:
        for network in {row.network, row.small_network or row.network}:
            arch = network.arch()
            assert arch.name == network.name
            assert arch.blocks()
        assert row.budgets[-1] == "full" or row.small_network or "depths-cifar" in name
    if item.datasets:
        assert (item.paper, "small") in PAPER_RECIPES
        assert item.networks("full", small_images=False)


def test_networks_for_small_images_are_small_and_distinct() -> None:
    for item in ITEMS.values():
        if set(item.datasets) & set(DATA_WITHOUT_SCHEDULE):
            assert not item.networks("small", small_images=True)
            continue
        for budget in BUDGETS:
            networks = item.networks(budget, small_images=True)
            archs = [network.arch() for network in networks]
            assert all(arch.preprocess.size == 32 for arch in archs)
            layers = {repr((arch.stem, arch.stages, arch.tail)) for arch in archs}
            assert len(layers) == len(networks), (item.name, budget)


def test_improvements_are_compared_at_equal_cost() -> None:
    for name in ("resstage", "projection", "grouped", "sum"):
        networks = ITEMS[f"duta2020/{name}"].networks("smoke", small_images=True)
        base, *others = (cost(network.arch()).macs for network in networks)
        assert all(abs(other / base - 1) < 0.1 for other in others), name


def test_a_published_network_is_the_one_of_its_name() -> None:
    rows = {row.label: row for row in ITEMS["he2016/table2"].rows}
    plain = rows["(a) original, 110"].network.arch()
    assert plain.stages == zoo.arch("cifar_resnet110").stages
    assert rows["(e) full pre-activation, 110"].network.arch().tail == "NA"
    skipped = next(row for row in ITEMS["he2016/table3"].rows if "one layer" in row.label).network.arch()
    assert skipped.depth() == 110
    assert len(skipped.residual_blocks()) == 108


def test_wrong_items_are_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean he2015/fig6"):
        find_item("he2015/fgi6")
    with pytest.raises(ConfigError, match="labels are not public"):
        find_item("he2015/table5")


def test_networks_of_other_authors_are_quoted_and_counted() -> None:
    head, rows = reference_rows(ITEMS["he2015/table3"])
    assert head == ("network", "top-1 error", "top-5 error", "parameters", "multiply-adds")
    assert rows[0] == ("VGG-16", "28.07", "9.33", "138.36 M", "15.47 G")
    assert rows[1][3] == "7.00 M"  # without the classifiers that only training uses
    assert rows[2][3:] == ("", "")
    for item in ITEMS.values():
        head, rows = reference_rows(item)
        assert all(len(row) == len(head) for row in rows)
