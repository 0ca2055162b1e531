"""The reference leaves nothing out: public names, commands and exit codes."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import residua
from residua import errors
from residua.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_site"))
generated = importlib.import_module("generated")
REFERENCE = "\n".join(page.read_text("utf-8") for page in DOCS.glob("reference/**/*.md"))
MODULES = re.findall(r"residua[\w.]+", " ".join(re.findall(r"\{generated\} modules (.*)", REFERENCE)))


def command_paths(command: object, path: str) -> list[str]:
    """`residua train`, `residua data check`, ...: every command that is not hidden."""
    inner = getattr(command, "commands", {})
    paths = [] if getattr(command, "hidden", False) else [path]
    return paths + [deep for name, each in inner.items() for deep in command_paths(each, f"{path} {name}")]


@pytest.mark.parametrize("name", [name for name in residua.__all__ if not name.startswith("_")])
def test_a_public_name_has_a_docstring_and_its_place(name: str) -> None:
    assert "{generated} exported residua\n" in REFERENCE
    assert f":: residua.{name}\n" in generated.exported("residua")
    value = getattr(residua, name)
    assert inspect.getdoc(value)
    if not isinstance(value, type):
        assert "Args:" in (inspect.getdoc(value) or "")


@pytest.mark.parametrize("module", MODULES)
def test_what_a_documented_module_offers_has_docstrings(module: str) -> None:
    home = importlib.import_module(module)
    own = {
        name: value
        for name, value in vars(home).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module
    }
    functions = {
        name: value for name, value in own.items() if inspect.isfunction(value) or isinstance(value, type)
    }
    assert functions
    assert [name for name, value in functions.items() if not inspect.getdoc(value)] == []


def test_every_command_shows_its_help() -> None:
    text = generated.help_of_commands()
    paths = command_paths(get_command(app), "residua")
    assert len(paths) > 20
    assert [path for path in paths if f"\n## {path}\n" not in f"\n{text}"] == []
    assert "--batch-size" in text


def test_every_exit_code_is_listed() -> None:
    codes = generated.exit_codes()
    assert [
        kind.__name__ for kind in errors.known() if f"| {kind.exit_code} | `{kind.__name__}` |" not in codes
    ] == []
    assert "| 75 |" in codes


def test_a_number_of_a_paper_comes_from_the_table_of_the_package() -> None:
    papers = importlib.import_module("paper_parts")
    page = papers.results("he2015")
    assert "| ResNet-152 | `resnet152_v1` | top-5 error, % | multiscale | imagenet | 4.49 |" in page
    assert "paper value not available" in papers.results("duta2020")
    assert "| parameters |  | 11,689,512 |" in papers.architecture("resnet18")


def test_module_docstrings_keep_their_columns() -> None:
    text = generated.docstring("residua.runs.run")
    assert re.search(r"```text\nrecipe\.json, data\.json +how", text)
