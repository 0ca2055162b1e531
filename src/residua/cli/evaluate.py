"""`residua evaluate`."""

from pathlib import Path

import typer

from residua.cli.processes import OPTION, launch_if_asked
from residua.cli.terminal import console, next_line, put_json, say, show_table


def evaluate(
    trained: Path = typer.Argument(metavar="RUN|FILE", help="A run, or one of its checkpoint files."),
    data: str = typer.Option(None, "--data", help="Images to judge by; else those the run kept apart."),
    views: list[str] = typer.Option(["center"], "--views", help="How each image is shown."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    processes: int = OPTION,
) -> None:
    """Judge a trained network on images.

    Accuracy comes with its protocol, its 95 % interval and the number of images.

    Example: residua evaluate runs/photos-1 --data photos/test
    """
    launch_if_asked(processes)
    from residua.jobs.evaluate import evaluate as judge
    from residua.spec.record import to_plain
    from residua.training.world import joined

    wanted = [view for text in views for view in text.split(",")]
    with joined() as world:
        scores = judge(trained, data=data, views=wanted, world=world)
    if as_json:
        put_json({"scores": [to_plain(score) for score in scores]})
        return
    to = console()
    rows = [
        (
            s.views,
            s.split,
            s.weights,
            f"{s.n:,}",
            f"{s.top1:.2f} %",
            f"{s.interval[0]:.2f} to {s.interval[1]:.2f} %",
        )
        for s in scores
    ]
    show_table(to, ("views", "images", "weights", "n", "top-1", "95 % interval"), rows, numeric=3)
    say(to, "views: center = one centre crop; each image counts once", "dim")
    next_line(to, f"residua predict {trained} IMAGE")
