"""`residua data`: looking at images before anything is learned from them, and packing them."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli import clean
from residua.cli.failures import BAD_DATA
from residua.cli.terminal import check_page, command, console, counting, next_line, put_json, say, show_table

if TYPE_CHECKING:
    from rich.console import Console

    from residua.curate.checked import Checked

_WIDE = 35  # characters of an example, so that a row fits 80

app = typer.Typer(
    help="Look at images before anything is learned from them, clean, add to and pack them.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def data(context: typer.Context) -> None:
    """Look at images before anything is learned from them, clean, add to and pack them."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("check")
def check(
    path: str = typer.Argument(
        metavar="PATH", help="What train takes: a folder, a .csv, a shard index, video:DIR, voc:DIR, ..."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    strict: bool = typer.Option(False, "--strict", help="Exit with 4 when there is a problem."),
    out: Path = typer.Option(None, "-o", "--out", metavar="HTML", help="Contact sheet to write."),
    force: bool = typer.Option(False, "--force", help="Replace a sheet that is there."),
    workers: int = typer.Option(-1, min=-1, help="Processes; -1 takes one for each core."),
) -> None:
    """Find what is unreadable, twice there, in two splits or oddly stored.

    Nothing is changed, moved or deleted.

    Example: residua data check photos -o sheet.html
    """
    if out is not None:
        check_page(out, force=force)

    from residua.curate.check import check as look
    from residua.training.processes import world

    to = console(json_on_stdout=as_json)
    start = time.monotonic()
    with counting(to) as tell:
        checked = look(path, workers=world.cores() if workers < 0 else workers, tell=tell)
    if out is not None:
        from residua.curate.check_page import sheet
        from residua.runs.run import write

        write(out, sheet(checked))
    if as_json:
        put_json(checked.plain())
    else:
        _say(to, checked, time.monotonic() - start, out)
    if strict and checked.bad:
        raise typer.Exit(BAD_DATA)


app.command("clean")(clean.clean)
app.command("apply")(clean.apply)
app.command("add")(clean.add)
app.command("augment")(clean.augment)


@app.command("pack")
def pack(
    path: str = typer.Argument(metavar="PATH", help="A folder, or a .csv or .parquet of paths and labels."),
    out: Path = typer.Argument(metavar="OUT", help="Folder to make."),
    shard_mb: int = typer.Option(256, min=1, help="Size at which a new shard begins, in MB."),
    side: int = typer.Option(0, min=0, help="Longest shorter side in pixels; 0 keeps files bit for bit."),
    decoded: bool = typer.Option(False, "--decoded", help="Pixels, not files: more room, less time."),
    force: bool = typer.Option(False, "--force", help="Replace what is there."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Write images into a few tar files with an index; `residua train OUT` reads them.

    Example: residua data pack photos photos-packed
    """
    from dataclasses import asdict

    from residua.data.sources.shards import write_shards as write_shards
    from residua.data.sources.table import find

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


def _say(to: "Console", checked: "Checked", seconds: float, out: Path | None) -> None:
    total = len(checked.scan.facts)
    counts = [f"{len(images):,} {images.name}" for images in checked.splits]
    splits = " + ".join(counts) if len(counts) > 1 else f"{total:,}"
    count = len({name for held in checked.classes().values() for name in held})
    classes = "1 class" if count == 1 else f"{count:,} classes"
    source = " ".join(checked.source.split())
    pace = f"{total / max(seconds, 1e-9):,.0f} {checked.noun}s/s"
    say(to, f"{source}: {splits} {checked.noun}s, {classes}, {pace}")
    rows = [
        (
            "✗" if finding.level == "problem" else "·",
            finding.what,
            f"{finding.count:,}",
            _example(finding.example),
        )
        for finding in checked.findings
    ]
    if rows:
        show_table(to, ("", "found", "count", "for example"), rows)
    problems = [finding for finding in checked.findings if finding.level == "problem"]
    for finding in problems:
        say(to, f"✗ {finding.what}: {finding.cure}")
    if not problems:
        say(to, f"no problem: every {checked.noun} was read, and none is twice there or in two splits")
    if checked.metadata:
        found = checked.metadata
        say(
            to,
            f"labels from metadata alone: {found.accuracy:.1f} % right, {found.baseline:.1f} % by guessing",
            "dim",
        )
    if out is not None:
        say(to, f"sheet   {out}")
        next_line(to, command("train", checked.source))
    else:
        next_line(to, command("data", "check", checked.source, "-o", "sheet.html"))


def _example(text: str) -> str:
    """The example of a finding in a column's width, both names of a pair alike."""
    parts = text.split(" = ")
    return " = ".join(_cut(part, _WIDE if len(parts) == 1 else (_WIDE - 3) // 2) for part in parts)


def _cut(text: str, most: int) -> str:
    """`text` in at most `most` characters of one line, its end kept: that of a path says most."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most // 3]}…{line[-(most - most // 3 - 1) :]}"
