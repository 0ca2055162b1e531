"""Networks from one word: equal to the zoo's where the papers have them, buildable where they do not."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from residua.errors import ConfigError, WordError
from residua.nn.network import build
from residua.spec.describe import cost, describe_shortcuts, word_differences
from residua.spec.named_network import arch_of
from residua.spec.orders import ORDERS, Place
from residua.spec.word import check_word
from residua.spec.word_network import PATTERNS, is_word, network_of_word, pattern_of, tail_of

GOLDEN = Path(__file__).parents[1] / "golden" / "counts.json"
PLACE = Place(1, 1, 3)


@pytest.mark.parametrize("letter", ORDERS)
def test_word_of_an_order_is_the_network_of_the_zoo(letter: str) -> None:
    listed = arch_of(f"cifar_resnet110:order={letter}")
    word = listed.stages[1][1].word
    assert network_of_word(word, depth=110) == network_of_word(letter, depth=110) == listed


@pytest.mark.parametrize(
    ("word", "depth", "shortcut", "name"),
    [
        ("CNA CNA", 56, "", "cifar_plain56"),
        ("plain", 20, "", "cifar_plain20"),
        ("(CNA CN)A", 20, "A", "cifar_resnet20"),
        ("(CNACN)A", 20, "B", "cifar_resnet20:shortcut=B"),
        ("(CNA CNA CN)A", 164, "", "cifar_resnet164"),
        ("(NAC NAC)", 110, "gate", "cifar_resnet110:shortcut=gate,order=e"),
    ],
)
def test_network_has_the_name_of_an_equal_one(word: str, depth: int, shortcut: str, name: str) -> None:
    arch = network_of_word(word, depth=depth, shortcut=shortcut)
    assert arch == arch_of(name)
    assert arch.name == name


@pytest.mark.parametrize(
    ("name", "text", "depth"),
    [("cifar_resnet20", "(CNA CN)A", 20), ("cifar_resnet110", "a", 110), ("cifar_plain56", "CNA CNA", 56)],
)
def test_counts_are_those_of_the_papers_networks(name: str, text: str, depth: int) -> None:
    row, total = json.loads(GOLDEN.read_text())[name], cost(network_of_word(text, depth=depth))
    assert (total.params, total.macs) == (row["params"], row["macs"])


@pytest.mark.parametrize(
    "text",
    [
        "(NAC)",
        "NA(C NAC)",
        "(NAC NAC NAC)NA",
        "(CDNA CN)A",
        "(CNA CNA CNA CN)A",
        "resstage",
        "CNA",
        "(ACN ACN S)",
    ],
)
def test_words_of_no_paper_are_built_as_counted(text: str) -> None:
    arch = network_of_word(text, depth=3 * (2 if text == "resstage" else text.count("C")) + 2)
    network = build(arch).eval()
    assert sum(value.numel() for value in network.parameters()) == cost(arch).params
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@settings(max_examples=100, deadline=None)
@given(st.text("CNAPVDL()x ", max_size=12))
def test_any_text_is_a_network_or_one_line(text: str) -> None:
    try:
        arch = network_of_word(text, depth=3 * max(1, text.count("C")) + 2)
    except ConfigError as error:
        line, position = str(error), getattr(error, "position", 0)
    else:
        line, position = describe_shortcuts(arch), 0
    assert line.count("\n") == 0
    assert 0 <= position <= max(1, len(text.strip()))


@pytest.mark.parametrize(
    ("word", "position"),
    [("(CXA CN)A", 2), ("(CNA CN", 0), ("CNA CN)A", 6), ("(CN)(CN)", 4), ("()C", 0), (")CN(", 0)],
)
def test_mistake_has_a_place(word: str, position: int) -> None:
    with pytest.raises(WordError) as error:
        check_word(word)
    assert error.value.position == position


def test_depth_that_does_not_fit_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"21 .*20 or 26"):
        network_of_word("(CNA CN)A", depth=21)
    with pytest.raises(ConfigError, match="3002"):
        network_of_word("a", depth=30_002)


@pytest.mark.parametrize(
    ("word", "tail"),
    [("(NAC NAC)", "NA"), ("(ACN ACN)", "A"), ("(CNA CN)A", ""), ("(CNA CNA)", ""), ("NAC", "NA")],
)
def test_last_addition_gets_what_the_next_block_would_add(word: str, tail: str) -> None:
    assert tail_of(word) == tail


def test_tails_are_those_of_the_orders() -> None:
    assert all(tail_of(order(2, PLACE)) == tail for order, tail in ORDERS.values())


@pytest.mark.parametrize("text", ["(CNA", "NAC", "e", "resstage", ")"])
def test_words_and_orders_are_told_from_names(text: str) -> None:
    assert is_word(text)
    assert not is_word("resnet34:shortcut=A")


def test_every_order_is_known_by_its_word() -> None:
    for key in ("plain", *ORDERS):
        assert pattern_of(PATTERNS[key](2, PLACE)) == key
    assert pattern_of("(NAC NAC)NA") == ""


def test_differences_of_words_are_marked_letter_by_letter() -> None:
    rows = {r.part: r for r in word_differences(arch_of("cifar_resnet20"), arch_of("cifar_resnet20:order=e"))}
    assert rows["conv1"].is_equal
    assert not rows["conv2_x"].is_equal
    text = "".join(piece for piece, _ in rows["conv2_x"].second)
    assert text.startswith("(C NAC), (NAC NAC) × 2")
    assert [piece for piece, differs in rows["head"].second if differs] == ["NA "]
    assert all(row.is_equal for row in word_differences(arch_of("resnet50"), arch_of("resnet50")))


def test_parts_that_one_network_lacks_are_empty() -> None:
    rows = {r.part: r for r in word_differences(arch_of("cifar_resnet20"), arch_of("resnet18"))}
    assert rows["conv5_x"].first == ()
    assert rows["conv5_x"].second
