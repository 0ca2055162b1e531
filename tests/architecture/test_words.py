"""One word, one meaning: banned names, class names that occur twice, circles of imports."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import residua

SOURCE = Path(residua.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

BANNED = {
    "found",
    "said",
    "told",
    "held",
    "given",
    "wanted",
    "shown",
    "judged",
    "drawn",
    "settled",
    "suited",
    "taught",
    "lost",
    "kept",
    "asked",
    "seen",
    "taken",
    "made",
    "looked",
    "wished",
    "desks",
    "pulse",
    "parting",
    "spare",
    "feed",
    "heap",
    "twin",
    "twins",
    "beside",
    "ink",
    "inks",
    "versus",
    "contest",
    "rays",
    "ledger",
    "readings",
    "mend",
    "judge",
    "look",
    "looks",
    "wish",
    "betrayal",
    "patient",
    "ward",
    "opinions",
    "opinion",
    "answers",
    "answer",
    "verdict",
    "suspects",
    "touch",
    "touched",
    "comes",
    "beating",
    "heat",
    "mood",
}
"""Participles and moods that named nothing: a name says what a thing is, never the act that made it."""

OLD_WORDS = {
    "Wish",
    "Betrayal",
    "Touch",
    "Desks",
    "Feed",
    "Patient",
    "Judged",
    "Judgement",
    "BoxJudgement",
    "Answers",
    "Answer",
    "Named",
    "Boxed",
    "BoxAnswer",
    "Filmed",
    "Watched",
    "Detections",
    "Opinions",
    "Verdict",
    "ByClass",
    "ByBox",
    "FoundBoxes",
    "Found",
    "Told",
    "Kind",
    "Sets",
    "Objective",
    "Running",
}
"""Classes that the glossary renamed."""


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def names_bound_in(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that `tree` binds: functions, classes, parameters, variables, attributes, aliases."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname, node.lineno


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_banned_word_is_a_name(path: Path) -> None:
    bound = names_bound_in(ast.parse(path.read_text()))
    assert [(word, line) for word, line in bound if word.strip("_").lower() in BANNED] == []
    assert path.stem not in BANNED


def test_no_class_name_occurs_twice_and_no_old_one_is_left() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name(path))
    assert {word: files for word, files in places.items() if len(files) > 1} == {}
    assert OLD_WORDS & places.keys() == set()


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """Modules of residua that the file imports anywhere, in functions and for types alone, too."""
    imports = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                imports.add(inner if inner in modules else node.module)
        elif isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
    return (imports & modules) - {module_of(path)}


def test_no_import_leads_back_to_where_it_began() -> None:
    modules = {module_of(path) for path in FILES}
    left = {module_of(path): imports_of(path, modules) for path in FILES}
    while leaves := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in leaves}
    # what is left is a circle, or above one: drop what no module of the rest imports
    while tops := left.keys() - {need for needs in left.values() for need in needs}:
        left = {module: needs for module, needs in left.items() if module not in tops}
    assert sorted(left) == []
