"""Commands that need no torch: help, models, explain, and mistakes in words."""

import json

import pytest

import command
import residua
from command import complaint, succeeded
from residua.cli import app
from residua.spec import zoo

COMMANDS = [
    "demo",
    "models",
    "explain",
    "train",
    "resume",
    "evaluate",
    "compare",
    "predict",
    "analyse",
    "doctor",
]


def test_the_help_lists_every_command() -> None:
    out = succeeded(command.residua("--help"))
    assert [word for word in COMMANDS if word not in out] == []
    found = [each.name for each in app.registered_commands]
    assert sorted(filter(None, found)) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(name: str) -> None:
    assert f"Example: residua {name}" in succeeded(command.residua(name, "--help"))


def test_the_version_is_one_line() -> None:
    assert succeeded(command.residua("--version")) == f"residua {residua.__version__}\n"


def test_models_are_listed_as_json_with_the_promised_fields() -> None:
    found = json.loads(succeeded(command.residua("models", "cifar_*20", "--json")))
    assert [set(row) for row in found] == [{"name", "family", "params", "macs", "input"}] * 2
    assert found[1] == {
        "name": "cifar_resnet20",
        "family": "cifar_resnet",
        "params": 269_722,
        "macs": 40_551_040,
        "input": 32,
    }


def test_all_models_are_listed_as_a_table() -> None:
    out = succeeded(command.residua("models"))
    assert all(f"{name} " in out for name in zoo.NAMES)
    assert out.splitlines()[-1].startswith("next: residua explain")
    assert f"{len(zoo.NAMES)} networks" in out


def test_explain_shows_the_papers_table_its_words_and_its_cost() -> None:
    out = succeeded(command.residua("explain", "resnet50"))
    for said in ("conv3_x", "(CNA CNA CN)A", "28×28", "[1×1, 128; 3×3, 128; 1×1, 512] × 4", "25,557,032"):
        assert said in out
    assert "16 activations in the stages that no shortcut skips" in out
    assert "receptive field 427 px" in out
    assert out.splitlines()[-1] == "next: residua train DATA -m resnet50"


def test_explain_gives_the_same_as_json() -> None:
    found = json.loads(succeeded(command.residua("explain", "resnet50", "--json")))
    assert (found["main_path_activations"], found["params"]) == (16, 25_557_032)
    assert [row["part"] for row in found["table"]] == [
        "conv1",
        "conv2_x",
        "conv3_x",
        "conv4_x",
        "conv5_x",
        "head",
    ]
    assert found["arch"]["classes"] == 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["models", "resnte*"], "no model matches 'resnte*': did you mean resnet"),
        (["explain", "resnet_50"], "no model 'resnet_50': did you mean resnet50"),
        (["explain"], "Missing argument"),
        (["tarin", "digits"], "No such command 'tarin'"),
        (["models", "--jsn"], "No such option: --jsn"),
        (["predict", "run", "image", "--topk", "0"], "topk"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(words: list[str], said: str) -> None:
    assert said in complaint(command.residua(*words), 2)


def test_debug_shows_where_it_happened() -> None:
    done = command.residua("explain", "resnet_50", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "ValueError: no model 'resnet_50'" in done.stderr
