"""`residua explain`."""

import typer

from residua.cli.terminal import console, next_line, put_json, say, show_table


def explain(
    name: str = typer.Argument(help="Name of a network; `residua models` lists them."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Show a network as the paper's table and as words.

    Example: residua explain resnet50
    """
    from residua.spec import zoo
    from residua.spec.block import MEANING
    from residua.spec.describe import plain_numbers, table
    from residua.spec.record import to_plain

    arch = zoo.arch(name)
    rows, numbers = table(arch), plain_numbers(arch)
    if as_json:
        put_json(
            {"name": name, "source": arch.source, **numbers, "table": to_plain(rows), "arch": to_plain(arch)}
        )
        return
    to = console()
    say(to, f"{arch.name}  ({arch.source})", "bold")
    lines = [(r.part, f"{r.size}×{r.size}", r.layers, r.words, f"{r.macs / 1e6:,.1f} M") for r in rows]
    show_table(to, ("part", "output", "layers", "word", "multiply-adds"), lines, numeric=4)
    skipping = arch.residual_blocks()
    words = (arch.stem.word, arch.tail, arch.head.word, *(row.words for row in rows))
    letters = set("".join((*words, *(block.shortcut for block in skipping))))
    used = [f"{letter} {MEANING[letter]}" for letter in MEANING if letter in letters]
    shortcuts = sorted({block.shortcut for block in skipping})
    say(to, f"letters      {', '.join(used)}; ( ) what the shortcut skips", "dim")
    always = any(block.always for block in skipping)
    where = "in every block" if always else "where shapes change, identity elsewhere"
    spelled = f"{', '.join(shortcuts)} {where}" if shortcuts else "none"
    say(to, f"shortcuts    {spelled}")
    say(to, f"parameters   {numbers['params']:,}")
    say(to, f"cost         {numbers['macs']:,} multiply-adds, {numbers['activations']:,} activations written")
    say(
        to,
        f"depth        {numbers['depth']} layers; receptive field {numbers['receptive_field']} px",
    )
    say(
        to,
        f"main path    {numbers['main_path_activations']} activations in the stages that no shortcut skips",
    )
    next_line(to, f"residua train DATA -m {name}")
