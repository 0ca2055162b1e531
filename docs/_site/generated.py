"""The directive `generated`: parts of a page that the package itself writes when the site is built.

`{generated} NAME WORDS` is replaced by the Markdown that PARTS[NAME] returns for the words: help texts,
exit codes and the papers' numbers are on the site as the code has them.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar

from docutils import nodes
from paper_parts import MEASURES, architecture, recipes, results, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer import Context
from typer.main import get_command

from residua import errors
from residua.cli.app import app as commands

WIDTH = 88
"""Characters of a line of help on the site."""
STOPPED = (
    "stopped by a signal, after everything was saved: `residua resume` continues, a queue may start it again"
)
"""What exit code 75 means; no error is raised then."""


def help_of_commands() -> str:
    """A section for each command, with what its `--help` prints."""
    root: Any = get_command(commands)
    context = Context(root, info_name="residua", max_content_width=WIDTH, terminal_width=WIDTH)
    sections = [_section("residua", root.get_help(context))]
    for name, command in root.commands.items():
        sections += _sections(command, name, context)
    return "\n".join(sections)


def _sections(command: Any, name: str, parent: Context) -> list[str]:
    """The sections of a command and of the commands in its group."""
    context = Context(command, info_name=name, parent=parent, max_content_width=WIDTH, terminal_width=WIDTH)
    own = [] if command.hidden else [_section(context.command_path, command.get_help(context))]
    inner = getattr(command, "commands", {})
    return [*own, *(text for key, each in inner.items() for text in _sections(each, key, context))]


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n```text\n{text.rstrip()}\n```\n"


def exit_codes() -> str:
    """Every exit code with the errors that have it."""
    rows = [("0", "", "success"), ("1", "`ResiduaError`", "any other error"), ("75", "", STOPPED)]
    rows.append((str(errors.INTERRUPTED), "", "ended by Ctrl-C where there was nothing to save"))
    rows += [
        (str(kind.exit_code), f"`{kind.__name__}`", " ".join((kind.__doc__ or "").split()))
        for kind in errors.known()
    ]
    return table(("Code", "Error in Python", "Meaning"), sorted(rows, key=lambda row: int(row[0])))


def routes() -> str:
    """Every address of `residua serve`, from the application that serves it."""
    from http_routes import rows

    return table(("Request", "Answer"), rows())


def docstring(module: str) -> str:
    """The docstring of a module, with its indented lines as they stand."""
    blocks = inspect.cleandoc(import_module(module).__doc__ or "").split("\n\n")
    return "\n\n".join(_preformatted(block) if block.startswith(" ") else block for block in blocks)


def _preformatted(block: str) -> str:
    return f"```text\n{textwrap.dedent(block)}\n```"


def modules(*names: str) -> str:
    """A section for each module: its docstring, and its public names from their docstrings."""
    texts = (_directive("automodule", name, members="") for name in names)
    return "\n".join(
        f"## {name}\n\n{docstring(name)}\n\n{text}" for name, text in zip(names, texts, strict=True)
    )


def exported(module: str) -> str:
    """Every name of a module's `__all__`."""
    home = import_module(module)
    names = [name for name in home.__all__ if not name.startswith("_")]
    for name in names:
        value = getattr(home, name)
        if isinstance(
            value, type
        ):  # autodoc shows a class under another name as an alias, without its members
            value.__name__ = value.__qualname__ = name
    return "\n".join(
        _directive("autoclass", f"{module}.{name}", members="", inherited_members="")
        if isinstance(getattr(home, name), type)
        else _directive("autofunction", f"{module}.{name}")
        for name in names
    )


def _directive(kind: str, name: str, **options: str) -> str:
    """A directive of autodoc in Markdown."""
    lines = [
        f".. {kind}:: {name}",
        *(f"   :{key.replace('_', '-')}: {value}" for key, value in options.items()),
    ]
    return "```{eval-rst}\n" + "\n".join(lines) + "\n```\n"


PARTS: Mapping[str, Callable[..., str]] = {
    "commands": help_of_commands,
    "exit-codes": exit_codes,
    "routes": routes,
    "docstring": docstring,
    "modules": modules,
    "exported": exported,
    "architecture": architecture,
    "results": results,
    "paper-recipes": recipes,
}
"""Name -> what writes the part; it takes the words behind the name."""


class Generated(SphinxDirective):
    """`{generated} NAME WORDS`."""

    required_arguments: ClassVar[int] = 1
    final_argument_whitespace: ClassVar[bool] = True

    def run(self) -> list[nodes.Node]:
        """The nodes of the part; what has no sentence is not offered to translators."""
        name, *words = self.arguments[0].split()
        there = set(self._paragraphs(self.state.document))
        parts = self.parse_text_to_nodes(PARTS[name](*words), allow_section_headings=True)
        # a part that begins with a heading is put into the page at once, others are returned
        for paragraph in self._paragraphs(self.state.document, *parts):
            if paragraph not in there:
                paragraph["translatable"] = _has_sentence(paragraph)
        return parts

    def _paragraphs(self, *parts: nodes.Node) -> list[nodes.paragraph]:
        return [paragraph for part in parts for paragraph in part.findall(nodes.paragraph)]


def _has_sentence(paragraph: nodes.paragraph) -> bool:
    """Whether there is something to translate: not where there are only names, code, links and numbers."""
    in_cell = isinstance(paragraph.parent, nodes.entry)
    if in_cell and isinstance(paragraph.parent.parent.parent, nodes.thead):
        return True
    if paragraph.astext() in {*MEASURES.values(), "head"}:
        return True
    texts = (text for text in paragraph.findall(nodes.Text) if type(text.parent) is nodes.paragraph)
    return len(re.findall(r"[a-z]{2,}", " ".join(texts))) >= (4 if in_cell else 2)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True}
