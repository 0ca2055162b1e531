"""`residua data`: check images before training, clean them, add new ones and pack them into shards."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import typer

from residua.cli import clean
from residua.cli.commands import HELP_WIDTH, CommandGroups, register
from residua.cli.failures import BAD_DATA
from residua.cli.options import FORCE, JSON, OLD_REPORT, REPORT, WORKERS, complete_source, number
from residua.cli.paths import page_path
from residua.cli.terminal import command, console, counting, next_line, put_json, say, show_table
from residua.data.sources.table import help_text, written_forms
from residua.files import check_output_path
from residua.spec.amount import plural, quantity

if TYPE_CHECKING:
    from rich.console import Console

    from residua.curate.check import DataCheck

_EXAMPLE_WIDTH = 29  # characters, so that a row fits 80 columns
_WIDTH = 80  # characters of a line, also in a pipe

app = typer.Typer(
    help="Check images before training, clean them, add new ones and pack them into shards.",
    cls=CommandGroups,
    context_settings={"max_content_width": HELP_WIDTH},
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def data(context: typer.Context) -> None:
    """Check images before training, clean them, add new ones and pack them into shards."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def check(
    path: str = typer.Argument(metavar="DATA", help=help_text(), autocompletion=complete_source),
    as_json: bool = JSON,
    strict: bool = typer.Option(False, "--strict", help="Exit with code 4 if there is a problem."),
    report: Path = REPORT,
    force: bool = FORCE,
    workers: int = WORKERS,
    old_report: Path = OLD_REPORT,
) -> None:
    """Find unreadable files, duplicates, data leakage and unusual images.

    No file is changed, moved or deleted.

    Example: residua data check photos --report sheet.html
    """
    page = page_path(report, old_report)
    check_output_path(page, force=force, suffixes=(".html", ".htm"))

    from residua.curate import check as job
    from residua.training.processes import world

    to = console(json_on_stdout=as_json)
    start = time.monotonic()
    with counting(to) as progress:
        count = world.available_cores() if workers < 0 else workers
        result = job.check(path, workers=count, progress=progress)
    if page is not None:
        from residua.curate.check_page import contact_sheet
        from residua.files import write_file

        write_file(page, contact_sheet(result))
    if as_json:
        put_json(result.plain())
    else:
        _show(to, result, time.monotonic() - start, page)
    if strict and result.has_problem:
        raise typer.Exit(BAD_DATA)


def pack(
    path: str = typer.Argument(metavar="DATA", help=f"Images to pack: {written_forms('images')}."),
    out: Path = typer.Argument(metavar="OUT", help="New folder."),
    shard_mb: int = number(256, "--shard-mb", low=1, help="Size of a shard in MB."),
    side: int = number(
        0, "--side", low=0, metavar="PX", help="Longest shorter side in pixels; 0 copies files unchanged."
    ),
    decoded: bool = typer.Option(
        False, "--decoded", help="Store pixels instead of files: larger, faster to read."
    ),
    force: bool = typer.Option(False, "--force", help="Replace an existing folder."),
    as_json: bool = JSON,
) -> None:
    """Pack images into a few tar files (shards) with an index; `residua train OUT` reads them.

    Example: residua data pack photos photos-packed
    """
    from dataclasses import asdict

    from residua.data.open import find
    from residua.data.sources.shards import write_shards

    to = console(json_on_stdout=as_json)
    with counting(to) as tell:
        done = write_shards(
            find(path), out, shard_bytes=shard_mb << 20, side=side, decoded=decoded, force=force, tell=tell
        )
    if as_json:
        put_json({**asdict(done), "out": str(out)})
        return
    say(
        to,
        f"{quantity(done.images, 'image')} in {quantity(done.shards, 'shard')} "
        f"of {done.bytes / 1e6:,.0f} MB: {out}",
    )
    if side:
        say(to, f"{done.reduced:,} of them made smaller, to {quantity(side, 'pixel')} along the shorter side")
    next_line(to, command("data", "check", out), command("train", out))


def _show(to: "Console", result: "DataCheck", seconds: float, page: Path | None) -> None:
    total, noun = len(result.scan.facts), result.noun
    counts = [f"{len(images):,} {images.name}" for images in result.splits]
    splits = " + ".join(counts) if len(counts) > 1 else f"{total:,}"
    classes = len({name for by_class in result.class_counts().values() for name in by_class})
    source = " ".join(result.source.split())
    speed = f"{quantity(round(total / max(seconds, 1e-9)), noun)}/s"
    say(to, f"{source}: {splits} {plural(total, noun)}, {quantity(classes, 'class')}, {speed}")
    rows = [
        (
            "✗" if finding.level == "problem" else "·",
            finding.what,
            f"{finding.count:,}",
            _shorten_example(finding.example),
        )
        for finding in result.findings
    ]
    if rows:
        show_table(to, ("", "found", "count", "for example"), rows)
    problems = [finding for finding in result.findings if finding.level == "problem"]
    for finding in problems:
        for line in wrap(f"✗ {finding.what}: {finding.cure}", _WIDTH, subsequent_indent="  "):
            say(to, line)
    if not problems:
        say(to, f"no problem: every {noun} is readable, no duplicates, no data leakage")
    if leak := result.metadata:
        baseline = f"{leak.baseline:.1f} % for the commonest class"
        text = f"labels predicted from metadata alone: {leak.accuracy:.1f} % right, {baseline}"
        for line in wrap(text, _WIDTH, subsequent_indent="  "):
            say(to, line, "dim")
    if page is not None:
        say(to, f"sheet   {page}")
        next_line(to, command("train", result.source))
    else:
        next_line(to, command("data", "check", result.source, "--report", "sheet.html"))


def _shorten_example(text: str) -> str:
    """An example in the width of its column; of a pair, both names get the same width."""
    names = text.split(" = ")
    width = _EXAMPLE_WIDTH if len(names) == 1 else (_EXAMPLE_WIDTH - 3) // 2
    return " = ".join(_shorten(name, width) for name in names)


def _shorten(text: str, width: int) -> str:
    """`text` on one line without its middle: the end of a path is the most specific."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width // 3]}…{line[-(width - width // 3 - 1) :]}"


COMMANDS: Mapping[str, Callable[..., None]] = {
    "check": check,
    "clean": clean.clean,
    "apply": clean.apply,
    "add": clean.add,
    "augment": clean.augment,
    "pack": pack,
}
"""Name of each command -> its function."""
for _name, _function in COMMANDS.items():
    register(app, _name, _function)
