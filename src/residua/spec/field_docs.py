"""What the fields of a frozen dataclass mean, read from the docstrings below them in the source.

Such a docstring may end in `Unit: pixels.`; the unit of a plain number or share is part of its meaning.
"""

import ast
import inspect
import re
from dataclasses import dataclass
from functools import cache
from textwrap import dedent
from typing import Any

_UNIT = re.compile(r"\s*\bUnit: ([^.]+)\.$")


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """The documentation of one field."""

    meaning: str
    """What it is, on one line."""
    unit: str
    """What it counts or measures, e.g. `pixels`; empty for names, choices and plain numbers."""


@cache
def field_docs(kind: type[Any]) -> dict[str, FieldDoc]:
    """The documentation of every documented field of the dataclass `kind`, in order."""
    (tree,) = ast.parse(dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    docs = {}
    for field, following in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = _text(following)
            unit = _UNIT.search(text)
            meaning = text[: unit.start()] if unit else text
            docs[field.target.id] = FieldDoc(meaning, unit[1] if unit else "")
    return docs


def _text(node: ast.stmt) -> str:
    """The docstring that `node` is, on one line; empty for another statement."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return " ".join(str(node.value.value).split()) if is_text else ""  # type: ignore[attr-defined]
