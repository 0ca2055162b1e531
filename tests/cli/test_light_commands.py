"""Commands that need no torch: help, models, explain, and mistakes in words."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import command
import residua
from command import complaint, succeeded
from eyes import Eyes
from residua.cli import app
from residua.report.standalone import can_convert
from residua.spec import zoo

COMMANDS = [
    "demo",
    "lab",
    "models",
    "explain",
    "recipes",
    "train",
    "resume",
    "evaluate",
    "compare",
    "predict",
    "analyse",
    "reproduce",
    "convert",
    "doctor",
    "export",
    "serve",
]


def test_the_help_lists_every_command() -> None:
    out = succeeded(command.residua("--help"))
    assert [word for word in COMMANDS if word not in out] == []
    names = [each.name for each in app.registered_commands]
    assert sorted(filter(None, names)) == sorted(COMMANDS)


def test_the_version_is_one_line() -> None:
    assert succeeded(command.residua("--version")) == f"residua {residua.__version__}\n"


def test_a_rank_without_a_world_is_no_reason_to_be_silent() -> None:
    alone = {**os.environ, "RANK": "1"}
    assert json.loads(succeeded(command.residua("models", "resnet50", "--json", env=alone)))


def test_models_are_listed_as_json_with_the_promised_fields() -> None:
    models = json.loads(succeeded(command.residua("models", "cifar_*20", "--json")))
    assert models[1] == {
        "name": "cifar_resnet20",
        "family": "cifar_resnet",
        "source": "He et al. 2015, 4.2",
        "paper": "he2015",
        "params": 269_722,
        "macs": 40_551_040,
        "activations": 188_426,
        "input": 32,
        "frames": 1,
        "depth": 20,
        "receptive_field": 81,
        "main_path_activations": 9,
    }


def test_all_models_are_listed_as_a_table() -> None:
    out = succeeded(command.residua("models"))
    assert all(f"{name} " in out for name in zoo.NAMES)
    assert out.splitlines()[-1].startswith("next: residua explain")
    assert f"{len(zoo.NAMES)} networks" in out
    assert len(out.splitlines()) == len(zoo.NAMES) + 3


def test_a_narrow_terminal_keeps_a_network_to_a_line() -> None:
    narrow = {**os.environ, "COLUMNS": "80", "TTY_COMPATIBLE": "1", "TERM": "dumb"}
    lines = succeeded(command.residua("models", env=narrow)).splitlines()
    assert len(lines) == len(zoo.NAMES) + 3
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["name", "parameters", "mult-adds", "activ.", "depth", "field", "input"]
    names = ["resnet50", "iresnet50_released", "iresgroupfix50_released", "resnet34"]
    compared = succeeded(command.residua("models", *names, env=narrow)).splitlines()
    assert max(map(len, compared[:-1])) <= 81
    assert all(any(name in line for line in compared) for name in names)


@pytest.mark.skipif(not can_convert(), reason="the extra figures or the library cairo is missing")
@pytest.mark.parametrize(("name", "start"), [("twins.pdf", b"%PDF"), ("twins.PNG", b"\x89PNG")])
def test_networks_are_drawn_as_the_ending_says(name: str, start: bytes, tmp_path: Path) -> None:
    succeeded(command.residua("explain", "plain34", "resnet34", "--svg", tmp_path / name))
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_command_that_was_begun_without_an_output_does_its_work(closed: str, tmp_path: Path) -> None:
    file = tmp_path / "twins.svg"
    words = [sys.executable, "-m", "residua", "explain", "plain34", "resnet34", "--svg", file]
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_text("utf-8").startswith("<svg")


def test_models_are_filtered_and_sorted() -> None:
    words = ("models", "--paper", "he2015", "--max-params", "1M", "--sort", "params", "--reverse", "--json")
    models = json.loads(succeeded(command.residua(*words)))
    assert models[0]["name"] in ("cifar_resnet56", "cifar_plain56")
    assert all(row["params"] <= 10**6 for row in models)


def test_several_names_are_compared_with_the_first() -> None:
    out = succeeded(command.residua("models", "--compare", "resnet50", "iresnet50"))
    assert out == succeeded(command.residua("models", "resnet50", "iresnet50"))
    assert "4.13 G ×1.01" in out
    assert "4 ×0.25" in out


def test_networks_are_drawn_into_a_file_that_is_not_overwritten(look: Eyes, tmp_path: Path) -> None:
    file = tmp_path / "twins.svg"
    out = succeeded(command.residua("explain", "plain34", "resnet34", "--svg", file))
    assert f"resnet34 drawn in {file}" in out
    svg = file.read_text("utf-8")
    assert "resnet34" in svg
    message = complaint(command.residua("explain", "resnet50", "--svg", file), 2)
    assert "--force" in message
    assert file.read_text("utf-8") == svg
    succeeded(command.residua("explain", "resnet50", "--order", "e", "--block", "--svg", file, "--force"))
    assert "NA(C NAC NAC)" in file.read_text("utf-8")
    look(file)


def test_explain_shows_the_papers_table_its_words_and_its_cost() -> None:
    out = succeeded(command.residua("explain", "resnet50"))
    for phrase in ("conv3_x", "(CNA CNA CN)A", "28×28", "[1×1, 128; 3×3, 128; 1×1, 512] × 4", "25,557,032"):
        assert phrase in out
    assert "16 activations" in out
    assert "receptive field 427 px" in out
    assert out.splitlines()[-1] == "next: residua train DATA -m resnet50"


def test_explain_gives_the_same_as_json() -> None:
    document = json.loads(succeeded(command.residua("explain", "resnet50", "--json")))
    assert (document["main_path_activations"], document["params"]) == (16, 25_557_032)
    assert [row["part"] for row in document["table"]] == [
        "conv1",
        "conv2_x",
        "conv3_x",
        "conv4_x",
        "conv5_x",
        "head",
    ]
    assert document["arch"]["classes"] == 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["models", "resnte*"], r"resnte\*.*mean resnet"),
        (["explain", "resnet_50"], "resnet_50.*resnet50"),
        (["explain"], "Missing argument"),
        (["tarin", "digits"], "tarin"),
        (["models", "--jsn"], "--jsn"),
        (["models", "--compare", "resnet50"], "two names or more"),
        (["models", "--compare", "resnet50", "vgg16", "--sort", "name"], "--compare takes names only"),
        (["explain", "resnet50", "--block"], "--svg FILE"),
        (["explain", "resnet50", "--svg", "x.gif"], r"\.gif.*\.svg, \.pdf, \.png"),
        (["explain", "resnet50", "--svg", "no/x.svg"], "no is no folder"),
        (["explain", *["resnet50"] * 4, "--svg", "x.svg"], "4 networks.*at most 3"),
        (["explain", "plain34", "--order", "e"], "without shortcut"),
        (["predict", "run", "image", "--topk", "0"], "topk"),
        (["resume", ""], "word 2 .* empty"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(words: list[str], message: str) -> None:
    assert re.search(message, complaint(command.residua(*words), 2))


def test_debug_shows_where_it_happened() -> None:
    done = command.residua("explain", "resnet_50", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "ConfigError: no model" in done.stderr


def test_without_a_command_the_help_is_printed_line_by_line() -> None:
    lines = succeeded(command.residua()).splitlines()
    assert lines[0].startswith("Usage: residua")
    assert any(line.startswith("  train ") for line in lines)
