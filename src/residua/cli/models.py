"""`residua models`."""

import typer

from residua.cli.terminal import console, next_line, put_json, say, show_table


def models(
    pattern: str = typer.Argument("*", help="Shell-style pattern, e.g. 'cifar_*'."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """List the networks with what they cost.

    Example: residua models 'cifar_*'
    """
    from residua.spec import zoo
    from residua.spec.describe import cost
    from residua.spec.record import nearest

    names = zoo.names(pattern)
    if not names:
        raise ValueError(f"no model matches {pattern!r}: {nearest(pattern, zoo.NAMES)}")
    archs = [zoo.arch(name) for name in names]
    if as_json:
        facts = [(arch, cost(arch)) for arch in archs]
        put_json(
            [
                {
                    "name": arch.name,
                    "family": arch.family,
                    "params": found.params,
                    "macs": found.macs,
                    "input": arch.preprocess.size,
                }
                for arch, found in facts
            ]
        )
        return
    to = console()
    rows = []
    for arch in archs:
        found = cost(arch)
        numbers = (f"{found.params / 1e6:.2f} M", f"{found.macs / 1e6:,.1f} M", f"{arch.preprocess.size} px")
        rows.append((arch.name, arch.family, arch.source, *numbers))
    show_table(to, ("name", "family", "source", "parameters", "multiply-adds", "input"), rows, numeric=3)
    say(to, f"{len(rows)} networks; multiply-adds are what the papers call FLOPs", "dim")
    next_line(to, f"residua explain {names[0]}")
