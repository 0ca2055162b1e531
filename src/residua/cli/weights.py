"""`residua weights`: released weights by name, downloads, and digests compared again."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from residua.cli.commands import HELP_WIDTH, CommandGroups, register
from residua.cli.options import FORCE, JSON
from residua.cli.terminal import aside, command, console, next_line, put_json, say, say_wrapped, show_table
from residua.errors import CheckpointError
from residua.progress import ProgressPrinter
from residua.spec.amount import quantity

if TYPE_CHECKING:
    from rich.console import Console

    from residua.jobs.weights import ListedWeights

LIST = "list"
"""The command that may be left out."""
BROAD, PIPE = 140, 180
"""Terminal width from which network and training data have room; and the width of a line in a file."""
LABEL = 14
"""Characters of a label of a fact."""


class WeightsGroup(CommandGroups):
    """The commands, of which `list` may be left out: `residua weights resnet50`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line, with `list` put in where no command is named."""
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        if not (named or ctx.resilient_parsing):  # a shell asks for completions with the latter
            args = [LIST, *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest


app = typer.Typer(
    help="List, download and verify released weights.",
    cls=WeightsGroup,
    context_settings={"max_content_width": HELP_WIDTH},
    rich_markup_mode=None,
    epilog="Example: residua weights 'resnet50*'    the same as residua weights list 'resnet50*'",
)


def complete_weights(incomplete: str) -> list[str]:
    """Names of released weights that begin with `incomplete`, for a shell."""
    rows = json.loads(files("residua").joinpath("weights", "catalogue.json").read_text("utf-8"))["entries"]
    return [row["name"] for row in rows if row["name"].startswith(incomplete)]  # importing it loads torch


def list_(
    pattern: str = typer.Argument(
        "*",
        metavar="PATTERN",
        help="A network (resnet50), an owner (timm), a pattern ('*.torchvision.*'), or a name, of which "
        "everything is printed; default: all.",
        autocompletion=complete_weights,
    ),
    as_json: bool = JSON,
) -> None:
    """List released weights: published accuracy, licence, size, and whether they are on this machine.

    Example: residua weights 'resnet50*'
    """
    from residua.jobs.weights import list_weights

    rows = list_weights(pattern)
    if as_json:
        put_json([row.plain() for row in rows])
        return
    to = console()
    if len(rows) == 1:
        _show_one(to, rows[0])
    else:
        _show_table(to, rows)
    name = rows[0].entry.name
    next_line(to, command("weights", "get", name), f"residua train DATA --weights {name}")


def get(
    names: list[str] = typer.Argument(
        metavar="NAME", help="Names, or patterns in quotes.", autocompletion=complete_weights
    ),
    out: Path = typer.Option(
        None,
        "-o",
        "--out",
        metavar="DIR",
        help="Also copy the files, as DIR/NAME/FILE, for a machine without network.",
    ),
    accept_licence: bool = typer.Option(
        False,
        "--accept-licence",
        help="Accept licences that forbid commercial use; or set RESIDUA_ACCEPT_LICENCE=cc-by-nc-4.0.",
    ),
    force: bool = FORCE,
    as_json: bool = JSON,
) -> None:
    """Download released weights once, and verify them.

    Files that torchvision, timm or huggingface_hub downloaded before are used where they are.

    Example: residua weights get resnet18.timm.a1 cifar_resnet20.akamaster
    """
    from residua.jobs.weights import get_weights

    to = console(json_on_stdout=as_json)
    printer = ProgressPrinter(aside(to))
    with printer.showing_bars():
        rows = get_weights(names, out=out, accepted=accept_licence, force=force, listen=printer.show)
    if as_json:
        put_json([row.plain() for row in rows])
        return
    for row in rows:
        say(to, f"{row.entry.name}: {row.path}")
        say(aside(to), f"  licence {row.entry.licence}, trained on {row.entry.training_data}", "dim")
    name = rows[0].entry.name
    next_line(to, f"residua train DATA --weights {name}", f"residua predict {name} IMAGE")


def verify(
    names: list[str] = typer.Argument(
        None,
        metavar="NAME",
        help="Names, or patterns in quotes; default: all on this machine.",
        autocompletion=complete_weights,
    ),
    as_json: bool = JSON,
) -> None:
    """Compute the SHA-256 of every file on this machine anew, and compare it.

    It is compared with the published one. Where none was published, the first digest is written down beside
    the file, and later ones are compared with that. If a file is wrong, the exit code is 5.

    Example: residua weights verify
    """
    from residua.jobs.weights import verify_weights

    checks = verify_weights(names or [])
    wrong = [check for check in checks if check.state == "wrong"]
    to = console(json_on_stdout=as_json)
    if as_json:
        put_json([check.plain() for check in checks])
    elif checks:
        rows = [(check.entry.name, check.state, check.sha256[:8], str(check.path)) for check in checks]
        show_table(to, ("name", "digest", "SHA-256", "file"), rows, width=PIPE)
    if not as_json:
        say(aside(to), f"{quantity(len(checks), 'file')} of released weights on this machine", "dim")
    if wrong:
        raise CheckpointError(
            f"{quantity(len(wrong), 'file')} of {len(checks)} wrong: {wrong[0].path}: {wrong[0].problem}: "
            f"remove it, then residua weights get {wrong[0].entry.name}"
        )


def _show_table(to: "Console", rows: "list[ListedWeights]") -> None:
    """Print one line per entry."""
    is_broad = not to.is_terminal or to.width >= BROAD
    head = ["name", *(["network", "trained on"] if is_broad else []), "licence", "crop px"]
    lines = []
    for row in rows:
        entry = row.entry
        broad = [entry.model, entry.training_data] if is_broad else []
        crop = f"{entry.preprocess.size} of {entry.preprocess.resize}"
        top1 = f"{entry.top1:.2f}" if entry.top1 is not None else "unknown"
        size = f"{entry.size / 1e6:.1f}"
        lines.append((entry.name, *broad, entry.licence, crop, top1, size, "yes" if row.path else ""))
    show_table(to, (*head, "top-1 %", "MB", "here"), lines, numeric=len(head), width=PIPE)
    here = sum(row.path is not None for row in rows)
    say_wrapped(
        aside(to),
        f"{quantity(len(rows), 'file')}, {here} on this machine; top-1 as published, on one crop of the "
        "resized image (videos: five clips); the terms of the training data may hold for weights, too",
        "dim",
    )


def _show_one(to: "Console", row: "ListedWeights") -> None:
    """Print everything that is known of one entry."""
    from residua.jobs.weights import address
    from residua.weights.catalogue import class_names

    entry, reads = row.entry, row.entry.preprocess
    top1 = f"{entry.top1:g} % ({entry.protocol})" if entry.top1 is not None else "not published"
    digest = entry.sha256 or "not published: that of the first download is written down"
    names = class_names(entry)
    facts = {
        "name": entry.name,
        "network": entry.model,
        "dialect": entry.dialect,
        "top-1": top1,
        "published at": entry.source,
        "licence": entry.licence if entry.is_permissive else f"{entry.licence}: no commercial use",
        "trained on": entry.training_data,
        "reads": f"{reads.size} px from {reads.resize}, {reads.interpolation}, mean {reads.mean}, "
        f"std {reads.std}",
        "classes": f"{len(names)}: {', '.join(names[:3])}, ...",
        "size": f"{entry.size / 1e6:.1f} MB",
        "address": address(entry),
        "SHA-256": digest if len(digest) != 8 else f"begins with {digest}",
        "verified here": entry.verified or "nothing",
        "file": str(row.path or "not on this machine"),
    }
    for label, text in facts.items():
        say(to, f"{label:<{LABEL}}{text}")


COMMANDS: Mapping[str, Callable[..., None]] = {LIST: list_, "get": get, "verify": verify}
"""Name of each command -> its function."""
for _name, _function in COMMANDS.items():
    register(app, _name, _function)
