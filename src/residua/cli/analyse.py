"""`residua analyse`."""

from pathlib import Path

import typer

from residua.analyse.table import STUDIES
from residua.cli.terminal import console, next_line, put_json, say


def analyse(
    trained: list[str] = typer.Argument(metavar="RUN|NAME...", help="Runs, checkpoint files or model names."),
    what: list[str] = typer.Option(
        [], "--what", help=f"Studies, separated by commas: {', '.join(STUDIES)}. Default: all that fit."
    ),
    data: str = typer.Option(None, "--data", help="Images to study with. Default: each run's test images."),
    images: int = typer.Option(256, "--images", min=2, help="How many images, at most."),
    out: Path = typer.Option(None, "-o", "--out", help="Folder for the page, the figures and the numbers."),
    force: bool = typer.Option(False, "--force", help="Replace an existing analysis."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Study networks: Grad-CAM, gradient flow, lesion study, loss landscape and more.

    Several networks are drawn side by side, and stay unchanged. A model name has fresh weights.

    Example: residua analyse runs/plain runs/residual --what lesion,responses -o analysis
    """
    from residua.jobs.analyse import analyse as run_studies

    to = console(json_on_stdout=as_json)
    folder = out or (None if as_json else Path("analysis"))
    results = run_studies(
        trained,
        what=[name for text in what for name in text.split(",")],
        data=data,
        images=images,
        out=folder,
        force=force,
        listen=lambda line: say(to, line),
    )
    if as_json:
        put_json({"studies": {result.name: result.numbers for result in results}})
    if folder:
        count = sum(len(result.figures) for result in results)
        noun = "figure" if count == 1 else "figures"
        say(to, f"{count} {noun}, their numbers and a page written to {folder}")
        next_line(to, f"open {folder / 'analysis.html'}")
