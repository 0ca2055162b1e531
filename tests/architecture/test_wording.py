"""Tests pin the class of an error and its key words, never the sentence around them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted({*TESTS.rglob("test_*.py")} - {Path(__file__)})
MAX_WORDS = 4
"""Words of prose in a row. Names of files and fields, numbers, commands and programs are no prose."""
COMPARES = {"re.search", "re.match", "re.fullmatch", "re.escape", "any", "all", "Note"}
WORD = re.compile(r"[('\"`]*[A-Za-z']+[)'\"`,.:;?$]*")


def prose(text: str) -> int:
    """Words in the longest stretch of prose of a text, or of a pattern between its gaps."""
    if text.startswith(("next: ", "residua ")) or "import " in text:
        return 0
    stretches = re.split(r"\.[*+]\??|\||\n|\s\s+", text)
    return max(sum(bool(WORD.fullmatch(word)) for word in stretch.split()) for stretch in stretches)


def spelled(node: ast.AST) -> Iterator[str]:
    """The texts in an expression, with holes for what is filled in, and without what calls are given."""
    if isinstance(node, ast.Constant | ast.JoinedStr):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in parts)
    elif not isinstance(node, ast.Call):
        for child in ast.iter_child_nodes(node):
            yield from spelled(child)
    elif ast.unparse(node.func) in COMPARES or ast.unparse(node.func).endswith(("swith", ".count")):
        yield from (text for argument in node.args for text in spelled(argument))


def sentences(source: str) -> list[str]:
    """Every text of more than `MAX_WORDS` that is compared, or stands in a table or under a name."""
    texts: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign(value=ast.Dict()):
                pass
            case ast.Assert(test=found) | ast.keyword(arg="match", value=found):
                texts += spelled(found)
            case ast.Assign(value=found) | ast.AnnAssign(value=ast.expr() as found) | ast.For(iter=found):
                texts += spelled(found)
            case ast.Call(func=ast.Attribute(attr="parametrize"), args=[_, found]):
                texts += spelled(found)
    return [text for text in texts if prose(text) > MAX_WORDS]


def test_key_words_are_pinned_and_no_sentences() -> None:
    found = {path.relative_to(TESTS).as_posix(): sentences(path.read_text()) for path in FILES}
    assert {name: texts for name, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    "line",
    [
        'with raises(ConfigError, match=r"{}"): pass',
        'assert "{}" in complaint(residua("train"), 2)',
        'assert str(error.value) == f"{{name}}: {}"',
        'assert any(re.search("{}", note) for note in notes)',
        'assert messages == [Note("{}")]',
        'assert out.startswith("{}")',
        'parametrize = pytest.mark.parametrize(("words", "says"), [(["-x"], "{}")])',
        'MISTAKES: list[tuple[int, str]] = [(2, "{}")]',
        'for value, says in ((1, "{}"), (2, "two")): pass',
        'message = "{}"',
    ],
)
def test_a_sentence_is_found_wherever_it_is_pinned(line: str) -> None:
    assert len(sentences(line.format("depth 57 is not of the form 6n+2"))) == 1
    assert sentences(line.format("depth 57 .*6n.2")) == []
    assert sentences(line.format("data/red/01.png is not an image")) == []
