"""Every page: commands that exist, words that are found, lines that fit."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from residua.cli.app import app
from residua.recipes.fields import recipe_fields

ROOT = Path(__file__).parents[2]
GENERATED = {ROOT / "docs/explanation/reproductions.md"}
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")} - {*ROOT.glob("docs/results/**/*.md")})
TEXT_BLOCK = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
FIND = ROOT / "docs/start/find.md"
FIELDS = {field.field for field in recipe_fields("quick.photos")} | {"detector.size"}
MAX_LINE, MAX_ROW = 160, 200


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands_of(page: str) -> Iterator[list[str]]:
    """The words of every residua command in the blocks of a page; lines that end in a backslash go on."""
    for block in TEXT_BLOCK.findall(page):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            found = re.search(r"(?:^|[;&$] |-m |exec |^> )(residua [^|&;<>]*)", line.replace("$ ", "", 1))
            if found and "$" not in found[1]:
                yield shlex.split(found[1].split(" #")[0].split(" (")[0].rstrip('"'), comments=True)


def unknown_words(words: list[str]) -> list[str]:
    """Commands, options and recipe fields among the words of a command line that do not exist."""
    command: Any = get_command(app)
    unknown = []
    rest = words[1:]
    while rest and (inner := getattr(command, "commands", {})):
        if rest[0] not in inner:
            is_pattern = command.name == "weights" or rest[0].startswith("-")
            unknown += [] if is_pattern else [rest[0]]
            break
        command, rest = inner[rest[0]], rest[1:]
    options = {"--help", "-h", "--debug"}
    options |= {text for option in command.params for text in (*option.opts, *option.secondary_opts)}
    unknown += [word for word in rest if re.match(r"--?[a-z]", word) and word not in options]
    settings = [setting for option, setting in itertools.pairwise(rest) if option == "--set"]
    return unknown + [text for text in settings if text.split("=")[0] not in FIELDS]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_what_it_is(page: Path) -> None:
    opening = re.findall(r"^ *```(.*)\n(?:(?! *```).*\n)* *```$", page.read_text(), re.MULTILINE)
    assert {kind for kind in opening if kind in {"", "py", "shell"}} == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_on_a_page_exists(page: Path) -> None:
    wrong = {" ".join(words): unknown_words(words) for words in commands_of(page.read_text())}
    assert {line: words for line, words in wrong.items() if words} == {}


def test_a_command_that_does_not_exist_is_seen() -> None:
    page = (
        "```console\n$ residua train photos --learning-rate --set optim.rate=2\n```\n```sh\nresidua fly\n```"
    )
    assert [unknown_words(words) for words in commands_of(page)] == [
        ["--learning-rate", "optim.rate=2"],
        ["fly"],
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if page not in GENERATED], ids=name)
def test_lines_fit(page: Path) -> None:
    lines = enumerate(page.read_text().splitlines(), start=1)
    limits = [(number, line, MAX_ROW if line.startswith("|") else MAX_LINE) for number, line in lines]
    assert [(number, line) for number, line, limit in limits if len(line) > limit] == []


def heads(page: str) -> str:
    """Headings and first paragraph of a page, in lower case."""
    prose = TEXT_BLOCK.sub("", page)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    paragraphs = [part for part in prose.split("\n\n") if not part.startswith("#")]
    return "\n".join([*headings, paragraphs[0]]).lower()


def searched() -> list[tuple[str, Path]]:
    """Every searched word, with the page that its row names."""
    rows = re.findall(r"^\| (.*?) \| \[.*?\]\((.*?)\) \|$", FIND.read_text(), re.MULTILINE)
    return [(word, FIND.parent / link.split("#")[0]) for words, link in rows for word in words.split(", ")]


@pytest.mark.parametrize(("word", "page"), searched(), ids=lambda value: getattr(value, "stem", value))
def test_a_searched_word_is_in_a_heading_or_the_first_paragraph(word: str, page: Path) -> None:
    assert word.lower() in heads(page.resolve().read_text())


def test_the_list_of_searched_words_is_long_enough_to_be_one() -> None:
    assert len(searched()) > 60
