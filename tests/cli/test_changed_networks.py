"""Every command takes a network with changes; `explain` ends with the command that trains what it showed."""

import json
import re
import shlex
from pathlib import Path

import pytest

from command import complaint, residua, succeeded
from residua.jobs.prepare import resolve
from residua.jobs.train_request import TrainRequest
from residua.spec.arch import Arch
from residua.spec.changes import change_rows
from residua.spec.named_network import arch_of
from residua.spec.record import from_plain

SHOWN = [
    ["cifar_resnet20", "--order", "e"],
    ["cifar_resnet20:order=b", "--model-set", "order=e", "--shortcut", "scale0.5,0.5"],
    ["resnet18", "--frames", "8", "--segments", "2", "--model-set", "frame_stride=4"],
    ["resnet34:shortcut=B"],
]


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_the_next_line_of_explain_trains_what_was_shown(words: list[str]) -> None:
    document = json.loads(succeeded(residua("explain", *words, "--json")))
    line = succeeded(residua("explain", *words)).splitlines()[-1]
    assert line.startswith("next: ")
    *command, model = shlex.split(line.removeprefix("next: "))
    assert command == ["residua", "train", "DATA", "-m"]
    assert arch_of(model) == from_plain(Arch, document["arch"])
    if "--frames" not in words:
        trained = resolve(TrainRequest("digits", model))[0].arch
        assert (trained.name, trained.stages) == (document["arch"]["name"], arch_of(model).stages)


def test_what_explain_prints_as_json_can_be_trained_and_explained_again(tmp_path: Path) -> None:
    file = tmp_path / "my net.json"
    file.write_text(succeeded(residua("explain", "cifar_resnet20:order=e", "--json")))
    line = succeeded(residua("explain", "plain18", file, "--model-set", "shortcut=B")).splitlines()[-1]
    first, second = line.removeprefix("next: ").split("  ·  ")
    assert shlex.split(first)[-1] == "plain18"
    assert shlex.split(second)[-1] == f"{file}:shortcut=B"
    trained = resolve(TrainRequest("digits", shlex.split(second)[-1]))[0].arch
    assert trained.name == "cifar_resnet20:shortcut=B,order=e"


def test_the_help_of_explain_lists_every_change() -> None:
    out = succeeded(residua("explain", "--help"))
    assert all(re.search(rf"^ +{row.name} ", out, re.MULTILINE) for row in change_rows())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["explain", "resnet18:oder=e"], "oder.*order"),
        (["explain", "resnet18", "--model-set", "order=z"], "'z'.*a, b"),
        (["explain", "resnet18", "--order", "e", "--model-set", "order=d"], "order.* once"),
        (["train", "digits", "-m", "cifar_resnet20:frames=x"], "'x'.*whole number"),
        (["train", "digits", "--model-set", "order"], "CHANGE=VALUE"),
        (["train", "digits", "--frames", "8", "--model-set", "frames=4"], "frames.* once"),
        (["train", "digits", "-m", "cifar_resnet20:num_classes=7"], "num_classes is 7.* 10"),
        (["analyse", "runs/none", "--model-set", "order=e"], "runs/none.*changes"),
        (["analyse", "resnet18:order=z"], "'z'.*a, b"),
        (["reproduce", "he2015/table1", "--model-set", "order=e"], "-m NAME"),
        (["reproduce", "he2015/table1", "-m", "resnet18"], "resnet18 already"),
        (["models", "--compare", "resnet18", "resnet18:oder=e"], "oder.*order"),
        (["models", "resnte18:order=e"], "resnte18.*resnet18"),
    ],
)
def test_a_mistake_in_a_change_is_one_line_and_exit_2(words: list[str], message: str) -> None:
    assert re.search(message, complaint(residua(*words), 2))


def test_changed_networks_are_compared_and_listed() -> None:
    names = ["resnet50", "resnet50:order=e"]
    compared = json.loads(succeeded(residua("models", *names, "--json")))
    assert [row["name"] for row in compared] == names
    out = succeeded(residua("models", "--compare", *names))
    assert out.splitlines()[-1] == "next: residua explain resnet50 resnet50:order=e --svg FILE"
    (alone,) = json.loads(succeeded(residua("models", "resnet50:shortcut=C", "--json")))
    assert alone["params"] > compared[0]["params"]


def test_a_changed_network_is_analysed_beside_the_one_it_was(tmp_path: Path) -> None:
    words = ("analyse", "resnet18", "resnet18", "--model-set", "order=e", "--what", "activations", "--json")
    numbers = json.loads(succeeded(residua(*words, cwd=tmp_path)))["studies"]["activations"]
    assert list(numbers) == ["resnet18", "resnet18:order=e"]


def test_a_network_is_counted_beside_those_of_a_paper(tmp_path: Path) -> None:
    words = ("reproduce", "he2015/table1", "-m", "resnet18:shortcut=C", "--json", "-o", tmp_path)
    result = json.loads(succeeded(residua(*words)))
    paper, added = result["rows"][0], result["rows"][-1]
    assert (added["what"], added["paper"], added["paper_text"]) == (
        "resnet18:shortcut=C",
        None,
        "not in the paper",
    )
    assert added["ours"] > paper["ours"]
    assert "-m resnet18:shortcut=C" in Path(result["report"]).read_text("utf-8")
    assert succeeded(residua("reproduce", "he2015/table1", "-o", tmp_path)).count("not in the paper") == 0
