"""`residua explain`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.network_options import LAST_MODEL_SET, NETWORK, with_model_set
from residua.cli.options import JSON, complete_network
from residua.cli.terminal import command, console, next_line, put_json, say, show_table
from residua.errors import ConfigError
from residua.spec.orders import ORDERS

if TYPE_CHECKING:
    from rich.console import Console

    from residua.spec.arch import Arch


def explain(
    names: list[str] = typer.Argument(
        metavar=f"{NETWORK}",
        help="Networks, at most three: names of `residua models`, or JSON files, with changes where wanted.",
        autocompletion=complete_network,
    ),
    model_set: list[str] = LAST_MODEL_SET,
    svg: Path | None = typer.Option(
        None, "--svg", metavar="FILE", help="Draw them as in the papers; FILE ends in .svg, .pdf or .png."
    ),
    block: bool = typer.Option(False, "--block", help="Draw their blocks letter by letter."),
    fold: bool | None = typer.Option(
        None, "--fold/--whole", help="Draw equal blocks once, or all of them; default: what fits a page."
    ),
    order: str | None = typer.Option(
        None,
        "--order",
        metavar="LETTER",
        help=f"Order of layers: {', '.join(ORDERS)} (He et al. 2016, fig. 4), as --model-set order=VALUE.",
    ),
    shortcut: str | None = typer.Option(
        None, "--shortcut", metavar="KIND", help="Another shortcut, as --model-set shortcut=VALUE."
    ),
    frames: int | None = typer.Option(
        None, "--frames", metavar="N", help="Video: frames that it reads together."
    ),
    segments: int | None = typer.Option(
        None, "--segments", metavar="N", help="Video: segments whose logits it averages."
    ),
    force: bool = typer.Option(False, "--force", help="Replace an existing drawing."),
    as_json: bool = JSON,
) -> None:
    """Show networks as the paper's architecture table and as words, or draw them.

    Example: residua explain resnet34 resnet34:order=e,shortcut=gate --svg pair.svg
    """
    from residua.jobs.draw import draw
    from residua.spec.named_network import arch_of

    if svg is None and (block or fold is not None or force):
        raise ConfigError("--block, --fold, --whole and --force need a drawing: give --svg FILE too")
    if svg is not None and as_json:
        raise ConfigError("--svg and --json together: give one of them")
    names = with_model_set(names, model_set, shortcut=shortcut, order=order, frames=frames, segments=segments)
    archs = [arch_of(name) for name in names]
    if as_json:
        rows = [_plain(arch) for arch in archs]
        put_json(rows if len(rows) > 1 else rows[0])
        return
    to = console()
    if svg is not None:
        draw(archs, svg, block=block, fold=fold, force=force)
        say(to, f"{', '.join(arch.name for arch in archs)} drawn in {svg}")
    else:
        for arch in archs:
            _show(to, arch)
    next_line(to, *(command("train", "DATA", "-m", name) for name in dict.fromkeys(names)))


def _plain(arch: "Arch") -> dict[str, object]:
    from residua.spec.describe import plain_numbers, table
    from residua.spec.record import to_plain

    numbers = plain_numbers(arch)
    return {
        "name": arch.name,
        "source": arch.source,
        **numbers,
        "table": to_plain(table(arch)),
        "arch": to_plain(arch),
    }


def _show(to: "Console", arch: "Arch") -> None:
    """Print table, letters and numbers of one network."""
    from residua.spec.describe import describe_shortcuts, extent, plain_numbers, table
    from residua.spec.word import MEANING

    rows, numbers = table(arch), plain_numbers(arch)
    say(to, f"{arch.name}  ({arch.source})", "bold")
    lines = [(r.part, extent(r.size, r.frames), r.layers, r.words, f"{r.macs / 1e6:,.1f} M") for r in rows]
    show_table(to, ("part", "output", "layers", "word", "multiply-adds"), lines, numeric=4)
    residual_blocks = arch.residual_blocks()
    words = (arch.stem.word, arch.tail, arch.head.word, *(row.words for row in rows))
    if arch.clip:
        say(to, f"reads        {arch.clip.description}")
    letters = set("".join((*words, *(block.shortcut for block in residual_blocks))))
    used = [f"{letter} {MEANING[letter]}" for letter in MEANING if letter in letters]
    say(to, f"letters      {', '.join(used)}; ( ) what the shortcut skips", "dim")
    say(to, f"shortcuts    {describe_shortcuts(arch)}")
    say(to, f"parameters   {numbers['params']:,}")
    say(to, f"cost         {numbers['macs']:,} multiply-adds, {numbers['activations']:,} activations written")
    say(to, f"depth        {numbers['depth']} layers; receptive field {numbers['receptive_field']} px")
    main_path = numbers["main_path_activations"]
    say(to, f"main path    {main_path} activations in the stages that no shortcut skips")
