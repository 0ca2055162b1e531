"""`residua data`: check images before training, clean them, add new ones and pack them into shards."""

import time
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import typer

from residua.cli import clean
from residua.cli.failures import BAD_DATA
from residua.cli.terminal import command, console, counting, next_line, put_json, say, show_table
from residua.data.sources.table import help_text, written_forms
from residua.files import check_output_path

if TYPE_CHECKING:
    from rich.console import Console

    from residua.curate.check import DataCheck

_EXAMPLE_WIDTH = 29  # characters, so that a row fits 80 columns
_WIDTH = 80  # characters of a line, also in a pipe

app = typer.Typer(
    help="Check images before training, clean them, add new ones and pack them into shards.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def data(context: typer.Context) -> None:
    """Check images before training, clean them, add new ones and pack them into shards."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("check")
def check(
    path: str = typer.Argument(metavar="DATA", help=help_text()),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    strict: bool = typer.Option(False, "--strict", help="Exit with code 4 if there is a problem."),
    out: Path = typer.Option(None, "-o", "--out", metavar="HTML", help="Contact sheet to write."),
    force: bool = typer.Option(False, "--force", help="Replace an existing sheet."),
    workers: int = typer.Option(-1, min=-1, max=256, help="Processes that read images. -1: one per core."),
) -> None:
    """Find unreadable files, duplicates, data leakage and unusual images.

    No file is changed, moved or deleted.

    Example: residua data check photos -o sheet.html
    """
    if out is not None:
        check_output_path(out, force=force, suffixes=(".html", ".htm"))

    from residua.curate import check as job
    from residua.training.processes import world

    to = console(json_on_stdout=as_json)
    start = time.monotonic()
    with counting(to) as progress:
        count = world.available_cores() if workers < 0 else workers
        result = job.check(path, workers=count, progress=progress)
    if out is not None:
        from residua.curate.check_page import contact_sheet
        from residua.files import write_file

        write_file(out, contact_sheet(result))
    if as_json:
        put_json(result.plain())
    else:
        _show(to, result, time.monotonic() - start, out)
    if strict and result.has_problem:
        raise typer.Exit(BAD_DATA)


app.command("clean")(clean.clean)
app.command("apply")(clean.apply)
app.command("add")(clean.add)
app.command("augment")(clean.augment)


@app.command("pack")
def pack(
    path: str = typer.Argument(metavar="DATA", help=f"Images to pack: {written_forms('images')}."),
    out: Path = typer.Argument(metavar="OUT", help="New folder."),
    shard_mb: int = typer.Option(256, min=1, help="Size of a shard, in MB."),
    side: int = typer.Option(0, min=0, help="Longest shorter side in pixels. 0: copy files unchanged."),
    decoded: bool = typer.Option(
        False, "--decoded", help="Store pixels instead of files: larger, faster to read."
    ),
    force: bool = typer.Option(False, "--force", help="Replace an existing folder."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
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
    shards = "1 shard" if done.shards == 1 else f"{done.shards:,} shards"
    say(to, f"{done.images:,} images in {shards} of {done.bytes / 1e6:,.0f} MB: {out}")
    if side:
        say(to, f"{done.reduced:,} of them made smaller, to {side} pixels along the shorter side")
    next_line(to, command("data", "check", out), command("train", out))


def _show(to: "Console", result: "DataCheck", seconds: float, out: Path | None) -> None:
    total, noun = len(result.scan.facts), result.noun
    counts = [f"{len(images):,} {images.name}" for images in result.splits]
    splits = " + ".join(counts) if len(counts) > 1 else f"{total:,}"
    classes = len({name for by_class in result.class_counts().values() for name in by_class})
    source = " ".join(result.source.split())
    speed = f"{total / max(seconds, 1e-9):,.0f} {noun}s/s"
    say(to, f"{source}: {splits} {noun}s, {'1 class' if classes == 1 else f'{classes:,} classes'}, {speed}")
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
    if out is not None:
        say(to, f"sheet   {out}")
        next_line(to, command("train", result.source))
    else:
        next_line(to, command("data", "check", result.source, "-o", "sheet.html"))


def _shorten_example(text: str) -> str:
    """An example in the width of its column; of a pair, both names get the same width."""
    names = text.split(" = ")
    width = _EXAMPLE_WIDTH if len(names) == 1 else (_EXAMPLE_WIDTH - 3) // 2
    return " = ".join(_shorten(name, width) for name in names)


def _shorten(text: str, width: int) -> str:
    """`text` on one line without its middle: the end of a path is the most specific."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width // 3]}…{line[-(width - width // 3 - 1) :]}"
