"""Options that every command has or shares: amount of output, ranges, patterns, pages, completion."""

import inspect
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

import command
from command import complaint, succeeded
from residua.cli.app import COMMANDS, app
from residua.cli.data import COMMANDS as DATA_COMMANDS
from residua.cli.options import number
from residua.cli.paths import expand_patterns, page_path
from residua.cli.weights import COMMANDS as WEIGHTS_COMMANDS
from residua.errors import ConfigError, DataError
from residua.recipes import RECIPES
from residua.spec import zoo

ALL = [
    *(name for group in COMMANDS.values() for name in group),
    *(f"data {name}" for name in DATA_COMMANDS),
    *(f"weights {name}" for name in WEIGHTS_COMMANDS),
]


def completions(*words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    asks = {"_RESIDUA_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words)}
    asks["COMP_CWORD"] = str(len(words) - 1)
    return succeeded(command.residua(env={**os.environ, **asks})).split()


def help_of(name: str, width: int) -> str:
    """The help of a command on a terminal so wide."""
    return (
        CliRunner().invoke(app, [*name.split(), "--help"], prog_name="residua", terminal_width=width).output
    )


@pytest.mark.parametrize("name", ALL)
def test_every_command_says_more_or_less_and_shows_an_example(name: str) -> None:
    out = help_of(name, 80)
    assert "--verbose" in out
    assert "--quiet" in out
    assert re.search(rf"^Examples?:\n  residua {name.removesuffix(' list')} ?", out, re.MULTILINE)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", ALL)
def test_help_is_plain_at_any_width(name: str, width: int) -> None:
    out = help_of(name, width)
    usage, *parts = re.split(r"^(?:Examples?|Arguments|Options):\n", out, flags=re.MULTILINE)
    assert not re.search(r"<(str|int|float|path|list)|range>|[<>]=|[{}]", out, re.IGNORECASE)
    assert max(map(len, out.splitlines())) <= width
    arguments = usage.splitlines()[0].removeprefix(f"Usage: residua {name} [OPTIONS]").split()
    listed = re.findall(r"^  (\S+)  ", parts[1], re.MULTILINE) if parts[2:] else []
    assert arguments == listed


def test_examples_are_whole_commands() -> None:
    for name in ALL:
        examples = re.split(r"^[A-Z]\w+:\n", help_of(name, 80), flags=re.MULTILINE)[1]
        for example in examples.replace("\\\n", "").strip().splitlines():
            assert f"{example.strip()} ".startswith(f"residua {name.removesuffix(' list')} ")
    assert " \\\n      --report evaluation.html" in help_of("evaluate", 80)
    assert " --report evaluation.html" in help_of("evaluate", 120)


def test_the_groups_of_the_help_are_those_of_the_contract() -> None:
    lines = succeeded(command.residua("--help")).splitlines()
    titles = [line.removesuffix(":") for line in lines if re.fullmatch(r"[A-Z][a-z]+:", line)]
    assert titles == ["Options", "Start", "Networks", "Data", "Train", "Judge", "Explain", "Ship"]


def test_quiet_leaves_the_result_and_verbose_adds_to_stderr_alone() -> None:
    words = ("recipes", "fast_cifar")
    usual, quiet = (succeeded(command.residua(*words, *more)) for more in ((), ("-q",)))
    assert "next: " in usual
    assert "next: " not in quiet
    assert set(quiet.splitlines()) < set(usual.splitlines())
    verbose = command.residua(*words, "--verbose")
    assert succeeded(verbose) == usual
    assert re.search(r"residua 0\.\S+, Python 3.*torch \S+", verbose.stderr)
    assert re.search(r"\d s$", verbose.stderr.rstrip())


def test_verbose_json_is_still_one_document() -> None:
    assert json.loads(succeeded(command.residua("recipes", "--json", "-v")))


def test_a_number_names_its_option_and_its_range() -> None:
    option = number(8, "-n", "--images", low=1, high=64, help="Images.")
    assert option.help == "Images (1 to 64)."
    assert [option.callback(value) for value in (None, 1, 64)] == [None, 1, 64]
    for value in (0, 65):
        with pytest.raises(ConfigError, match=f"--images is {value}: give 1 to 64"):
            option.callback(value)
    with pytest.raises(ConfigError, match="1 or more"):
        number(None, "--epochs", low=1, help="Epochs.").callback(0)


def test_a_quoted_pattern_is_expanded_and_a_file_with_brackets_is_a_file(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "c[1].jpg", "deep/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [path.name for path in expand_patterns([tmp_path / "?.jpg", tmp_path / "c[1].jpg"])]
    assert names == ["a.jpg", "b.jpg", "c[1].jpg"]
    assert expand_patterns([tmp_path / "**/d.jpg"]) == [tmp_path / "deep/d.jpg"]
    assert expand_patterns([tmp_path / "missing"]) == [tmp_path / "missing"]
    with pytest.raises(DataError, match=r"\*\.png"):
        expand_patterns([tmp_path / "*.png"])


def test_a_page_is_a_report_also_by_its_old_option(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert (page_path(page, None), page_path(None, page), page_path(None, None)) == (page, page, None)
    with pytest.raises(ConfigError, match="--report"):
        page_path(page, page)
    page.touch()
    for option in ("--report", "-r", "-o"):
        assert "--force" in complaint(command.residua("evaluate", "runs/x", option, page), 2)
    assert "--report" in complaint(command.residua("data", "augment", "digits"), 2)


def test_o_is_what_a_command_makes_and_never_a_page() -> None:
    for name, function in {
        **{n: f for g in COMMANDS.values() for n, f in g.items()},
        **DATA_COMMANDS,
    }.items():
        for parameter in inspect.signature(function).parameters.values():
            option = parameter.default
            if "-o" in (getattr(option, "param_decls", None) or ()) and not option.hidden:
                assert "HTML" not in str(option.metavar), name
                assert "--out" in option.param_decls, name


def test_a_shell_completes_commands_options_networks_recipes_and_sources() -> None:
    assert completions("residua", "rec") == ["recipes"]
    assert "--batch-size" in completions("residua", "train", "digits", "--b")
    assert completions("residua", "train", "digits", "-m", "iresnet10") == [
        name for name in zoo.NAMES if name.startswith("iresnet10")
    ]
    assert completions("residua", "recipes", "he2016") == [n for n in RECIPES if n.startswith("he2016")]
    assert {"cifar10:", "cifar100:"} <= set(completions("residua", "data", "check", "cif"))


def test_completion_is_shown_for_a_shell() -> None:
    quick = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done: subprocess.CompletedProcess[str] = command.residua("--show-completion", "bash", env=quick)
    assert "complete -o default -F _residua_completion residua" in succeeded(done)
