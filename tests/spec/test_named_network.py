"""Networks as text: names, changes, JSON files, and every mistake in them."""

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residua.errors import ConfigError
from residua.spec.arch import Arch
from residua.spec.change import with_order, with_shortcut
from residua.spec.changes import Changes, change_rows
from residua.spec.named_network import CHANGES, apply_changes, arch_of, read_changes, spell
from residua.spec.orders import ORDERS
from residua.spec.record import to_json, to_plain
from residua.spec.zoo import arch

SHORTCUTS = [
    "A",
    "A_after",
    "B",
    "C",
    "gate",
    "gate-3",
    "exclusive_gate",
    "conv",
    "scale0.5",
    "scale0.5,0.25",
]
STEM = '"stem": {"word": "CNA", "convs": [{"out": 8}]}'
MINE = '{"name": "mine", "family": "", "source": "", ' + STEM + ', "stages": %s}'


def test_a_name_with_changes_is_the_changed_network_under_that_name() -> None:
    changed = arch_of("cifar_resnet110:order=e,shortcut=gate")
    by_hand = with_order(with_shortcut(arch("cifar_resnet110"), "gate"), "e")
    assert (changed.stages, changed.tail) == (by_hand.stages, by_hand.tail)
    assert changed.name == "cifar_resnet110:shortcut=gate,order=e"


def test_equal_spellings_are_equal_networks() -> None:
    changes = ("order=e", "shortcut=scale0.5,0.5", "img_size=64")
    spellings = {f"resnet34:{','.join(some)}" for some in permutations(changes)}
    assert len({arch_of(text).name for text in spellings}) == 1
    assert all(arch_of(text) == arch_of(f"resnet34:{','.join(changes)}") for text in spellings)
    assert arch_of("resnet34: order = e ") == arch_of("resnet34", order="e")
    assert arch_of("resnet34:shortcut=scale.50,1") == arch_of("resnet34:shortcut=scale0.5")
    assert arch_of("resnet34:shortcut=gate-6.0") == arch_of("resnet34:shortcut=gate")


def test_a_change_without_effect_is_no_part_of_the_name() -> None:
    assert arch_of("resnet34:shortcut=B,order=a") == arch("resnet34")
    fitted = arch_of("resnet34:num_classes=7,in_chans=1,img_size=64")
    assert (fitted.name, fitted.classes, fitted.channels, fitted.preprocess.size) == ("resnet34", 7, 1, 64)


@settings(max_examples=25, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "shortcut": st.sampled_from(SHORTCUTS),
            "order": st.sampled_from([*ORDERS]),
            "drop_path_rate": st.floats(0, 0.9),
            "num_classes": st.integers(1, 1000),
            "frames": st.integers(2, 16),
            "segments": st.integers(1, 8),
        },
    )
)
def test_what_is_spelled_is_read_back(changes: Any) -> None:
    text = spell("cifar_resnet20", changes)
    assert arch_of(text) == arch_of("cifar_resnet20", **changes)
    assert spell(text, {}) == text


def test_further_changes_win_over_those_in_the_name() -> None:
    assert arch_of("resnet34:order=e,shortcut=A", order="d") == arch_of("resnet34:order=d,shortcut=A")
    assert spell("resnet34:order=e", {"order": "d", "frames": 8}) == "resnet34:order=d,frames=8"
    assert arch_of("resnet34:order=e", order=None) == arch_of("resnet34:order=e")  # type: ignore[arg-type]


CHANGES_OF_ANY = st.fixed_dictionaries(
    {},
    optional={
        "shortcut": st.sampled_from(SHORTCUTS),
        "order": st.sampled_from([*ORDERS]),
        "drop_path_rate": st.floats(0, 0.9),
        "num_classes": st.integers(1, 1000),
        "in_chans": st.integers(1, 6),
        "img_size": st.sampled_from([32, 64]),
        "frames": st.integers(2, 16),
        "segments": st.integers(1, 8),
        "drop_rate": st.floats(0, 0.9),
        "global_pool": st.sampled_from(["avg", "max", "avgmax"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["cifar_resnet20", "cifar_preresnet110", "resnet18_a", "iresnet18"]),
    st.lists(CHANGES_OF_ANY, min_size=1, max_size=3),
)
def test_the_name_of_a_network_that_was_changed_often_gives_it_back(name: str, rounds: list[Any]) -> None:
    network = arch(name)
    for changes in rounds:
        network = apply_changes(network, **changes)
    again = arch_of(network.name)
    fitted = replace(again, classes=network.classes, preprocess=network.preprocess)
    assert (fitted, again.name, network.name.count(":") < 2) == (network, network.name, True)


def test_the_later_change_of_an_option_wins_and_the_others_stay() -> None:
    first = arch_of("cifar_resnet20:order=e,num_classes=7")
    second = apply_changes(first, shortcut="B")
    assert second == arch_of("cifar_resnet20:order=e,shortcut=B", num_classes=7)
    assert apply_changes(second, order="d", img_size=48).name == "cifar_resnet20:shortcut=B,order=d"
    assert apply_changes(second, order="a", shortcut="A") == arch_of("cifar_resnet20", num_classes=7)
    assert apply_changes(apply_changes(first, drop_path_rate=0.5), drop_path_rate=0.1).name == (
        "cifar_resnet20:order=e,drop_path_rate=0.1"
    )
    assert apply_changes(first) is first


def test_a_hand_written_network_keeps_its_layers_under_a_name_with_one_list() -> None:
    mine = replace(arch_of("cifar_resnet20:order=e"), tail="N")
    again = apply_changes(apply_changes(mine, shortcut="gate"), drop_rate=0.5)
    assert (again.tail, again.name) == ("N", "cifar_resnet20:shortcut=gate,order=e,drop_rate=0.5")
    strange = apply_changes(replace(mine, name="two:colons:here"), drop_rate=0.5)
    assert strange.name == "two:colons:here:drop_rate=0.5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet34:oder=e", r"oder.*order"),
        ("resnet34:order=z", r"'z'.*a, b"),
        ("resnet34:shortcut=scale", r"'scale'.*scale0\.5"),
        ("resnet34:shortcut=gate1,2", r"'gate1,2'"),
        ("resnet34:order=e,gate", r"'gate'.*CHANGE=VALUE"),
        ("resnet34:order=e,order=e", "order.* once"),
        ("resnet34:", r"CHANGE=VALUE"),
        ("resnet34:,", r"CHANGE=VALUE"),
        ("resnet34:order", r"'order'.*CHANGE=VALUE"),
        ("resnet34:order=", r"'order='.*CHANGE=VALUE"),
        ("resnet34:=e", r"'=e'.*CHANGE=VALUE"),
        ("resnet34:a:b", r"'a:b'.*CHANGE=VALUE"),
        ("resnet34:frames=eight", r"frames.*'eight'.*whole number"),
        ("resnet34:frames=8.5", r"frames.*whole number"),
        ("resnet34:frames=0", r"frames is 0: .*1 .*4096"),
        ("resnet34:segments=-1", r"segments is -1: .*1 "),
        ("resnet34:frames=8,frame_stride=-1", r"frame_stride is -1: .*0 "),
        ("resnet34:img_size=0", r"img_size is 0: .*1 "),
        ("resnet34:img_size=99999", r"img_size is 99999: .*1 "),
        ("resnet34:in_chans=0", r"in_chans is 0: .*1 "),
        ("resnet34:in_chans=9999", r"in_chans is 9999: .*4096"),
        ("resnet34:num_classes=0", r"0 classes: .*1 "),
        ("resnet34:drop_path_rate=nan", r"drop_path_rate is nan"),
        ("resnet34:drop_path_rate=much", r"drop_path_rate.*'much'.*number"),
        ("rsnet34:order=e", r"rsnet34.*resnet34"),
        ("plain34:order=e", r"plain34.*shortcut"),
        ("resnet18:opening=timm", r"resnet18.*preresnet18"),
        ("preresnet18:opening=timm,order=a", r"preresnet18.*order e"),
        ("nowhere.json:order=e", r"nowhere\.json"),
    ],
)
def test_a_mistake_in_a_name_says_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        arch_of(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_classes": "7"},
        {"num_classes": 7.0},
        {"num_classes": True},
        {"order": 5},
        {"drop_path_rate": "0.1"},
    ],
)
def test_a_value_of_another_type_is_refused(changes: Any) -> None:
    (option,) = changes
    with pytest.raises(ConfigError, match=f"{option} is .*: give"):
        arch_of("resnet18", **changes)
    with pytest.raises(ConfigError, match=f"{option} is .*: give"):
        spell("resnet18", changes)


def test_options_of_a_command_are_read_as_the_changes_of_a_name() -> None:
    read = read_changes(["order=e", "shortcut=scale0.5,0.5,frames=8"])
    assert read == {"order": "e", "shortcut": "scale0.5,0.5", "frames": 8}
    with pytest.raises(ConfigError, match=r"order.* once"):
        read_changes(["order=e", "order=d"])


def test_a_file_stands_for_a_name(tmp_path: Path) -> None:
    network = arch_of("googlenet_2014")
    plain, document = tmp_path / "bare.json", tmp_path / "of:explain.json"
    plain.write_text(to_json(network))
    document.write_text(json.dumps({"name": "x", "params": 1, "arch": to_plain(network)}))
    assert arch_of(str(plain)) == arch_of(str(document)) == network
    changed = arch_of(f"{document}:num_classes=3", drop_rate=0.1)
    assert (changed.classes, changed.name) == (3, "googlenet_2014:drop_rate=0.1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "Arch"),
        ('{"name": "mine"}', "'family'"),
        (MINE % "[[5]]", r"stages\[0\]\[0\] is 5"),
        (MINE % '[[{"word": "CN", "convs": []}]]', r"stages\[0\]\[0\].* 1 C but 0"),
        (MINE % '[[{"word": "CN", "convs": [{"out": 8, "kernel": 2}]}]]', r"stages\[0\]\[0\].*kernel 2"),
        (MINE % '[[{"word": "CN", "convs": [{"out": "8"}]}]]', r"stages\[0\]\[0\]\.convs\[0\]\.out"),
        (MINE % '[[{"word": "CN", "conv": []}]]', r"stages\[0\]\[0\].*'conv'.*convs"),
        (MINE % '[[{"branches": [{"word": "CN"}]}]]', r"stages\[0\]\[0\]"),
        (MINE % "[]", "stage"),
        (MINE % '[], "classes": 0', "classes"),
        (MINE % '[], "head": {"word": "C"}', r"head 'C'"),
    ],
)
def test_a_mistake_in_a_file_names_file_and_field(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"mine\.json: .*{message}"):
        arch_of(str(file))


def test_every_change_is_described_and_the_page_has_the_table() -> None:
    rows = change_rows()
    assert {row.name: row.kind for row in rows} == {k: v.__name__ for k, v in Changes.__annotations__.items()}
    assert {row.name for row in rows} == set(CHANGES)
    page = (Path(__file__).parents[2] / "docs/explanation/notation.md").read_text("utf-8")
    table = "".join(f"| `{row.name}` | {row.meaning} |\n" for row in rows)
    assert f"| Change | Values and meaning |\n| --- | --- |\n{table}\n" in page


def test_a_network_is_the_value_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "same.json"
    file.write_text(to_json(arch_of("iresnet50:frames=8,segments=2")))
    again: Arch = arch_of(str(file))
    assert again == arch_of("iresnet50:frames=8,segments=2")
