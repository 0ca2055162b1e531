"""`residua analyse`."""

from pathlib import Path

import typer

from residua.cli.terminal import console, next_line, put_json, say


def analyse(
    trained: list[str] = typer.Argument(metavar="RUN|NAME...", help="Runs, checkpoint files or model names."),
    what: list[str] = typer.Option(
        [],
        "--what",
        help="responses, gradients, identity, lesion, paths, activations, landscape, cam, occlusion, "
        "features, field; else all that fit.",
    ),
    data: str = typer.Option(None, "--data", help="Images to study with; else those the run kept apart."),
    images: int = typer.Option(256, "--images", min=2, help="How many of them, at most."),
    out: Path = typer.Option(None, "-o", "--out", help="Folder for the page, figures and numbers."),
    force: bool = typer.Option(False, "--force", help="Replace an analysis that is there."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Look inside networks, which stay as they are.

    Several are drawn side by side. A model name has fresh weights.

    Example: residua analyse runs/plain runs/residual --what lesion,responses -o analysis
    """
    from residua.jobs.analyse import analyse as study

    to = console(json_on_stdout=as_json)
    wanted = [name for text in what for name in text.split(",")]
    folder = out or (None if as_json else Path("analysis"))
    found = study(
        trained,
        what=wanted,
        data=data,
        images=images,
        out=folder,
        force=force,
        listen=lambda line: say(to, line),
    )
    if as_json:
        put_json({"studies": {one.name: one.numbers for one in found}})
    if folder:
        drawings = sum(len(one.drawings) for one in found)
        say(to, f"{drawings} figures, their numbers and a page written to {folder}")
        next_line(to, f"open {folder / 'analysis.html'}")
