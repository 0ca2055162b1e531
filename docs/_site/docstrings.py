"""Docstrings as this project writes them, for Sphinx.

A short name links to the one public thing that it can mean: docstrings say `ConfigError`, not
`residua.errors.ConfigError`. Names of modules that have no page in the reference are parts of the house: they
stay without a link. The docstring of a field is a sentence: napoleon would read the words before a colon as a
type. The docstring of a module is on its page already, as Markdown, and the arguments of a dataclass are its
fields.
"""

import dataclasses
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode


def link_short_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """A link to what a name means; its text for a private one; None where it should have been found."""
    if node.get("refdomain") != "py":
        return None
    name, objects = node["reftarget"], env.domains.python_domain.objects
    last = name.rpartition(".")[2]
    found = sorted((full for full in objects if full.rpartition(".")[2] == last), key=len)
    if found and (name == last or name.startswith("residua.")):
        place = objects[found[0]]
        return make_refnode(app.builder, node["refdoc"], place.docname, place.node_id, content, found[0])
    return content if name.startswith("residua.") else None


FIELDS = ("attribute", "data", "property")
"""Kinds of things whose docstrings are sentences."""
_sentences: dict[str, list[str]] = {}


def keep_sentence(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Remember the docstring of a field before napoleon reads it."""
    if what == "module":
        lines.clear()
    if what in FIELDS:
        _sentences[name] = list(lines)


def restore_sentence(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Put the docstring of a field back."""
    lines[:] = _sentences.pop(name, lines)


def leave_out_fields(app: Sphinx, what: str, name: str, value: Any, *_: Any) -> tuple[str, str] | None:
    """No signature for a dataclass; None for others, which keep theirs."""
    return ("", "") if what in ("class", "exception") and dataclasses.is_dataclass(value) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask for names without a place, and for docstrings before and after napoleon."""
    app.connect("missing-reference", link_short_name)
    app.connect("autodoc-process-signature", leave_out_fields)
    app.connect("autodoc-process-docstring", keep_sentence, priority=400)
    app.connect("autodoc-process-docstring", restore_sentence, priority=600)  # napoleon has 500
    return {"parallel_read_safe": True}
