"""`residua analyse`."""

from pathlib import Path

import typer

from residua.analyse.table import STUDIES
from residua.cli.network_options import LAST_MODEL_SET, NETWORK, with_model_set
from residua.cli.options import JSON, STUDY_DEVICE, complete_source, number
from residua.cli.terminal import aside, console, next_line, put_json, say
from residua.files import check_output_folder
from residua.spec.amount import quantity


def analyse(
    trained: list[str] = typer.Argument(
        metavar=f"RUN|{NETWORK}",
        help="Runs, checkpoint files, or networks by name with fresh weights.",
    ),
    model_set: list[str] = LAST_MODEL_SET,
    what: list[str] = typer.Option(
        [],
        "--what",
        metavar="STUDY,...",
        help=f"Studies, separated by commas: {', '.join(STUDIES)}. Default: all that fit.",
    ),
    data: str = typer.Option(
        None,
        "--data",
        metavar="DATA",
        help="Images to study with. Default: each run's test images.",
        autocompletion=complete_source,
    ),
    images: int = number(256, "--images", low=2, help="How many images, at most."),
    device: str = STUDY_DEVICE,
    out: Path = typer.Option(
        None, "-o", "--out", metavar="DIR", help="Folder for the page, the figures and the numbers."
    ),
    force: bool = typer.Option(False, "--force", help="Replace an existing analysis."),
    as_json: bool = JSON,
) -> None:
    """Study networks: Grad-CAM, gradient flow, lesion study, loss landscape and more.

    Several networks are drawn side by side, and stay unchanged.

    Example: residua analyse runs/plain runs/residual --what lesion,responses -o analysis
    """
    check_output_folder(out)
    networks = with_model_set(trained, model_set)

    from residua.jobs.analyse import analyse as run_studies

    to = console(json_on_stdout=as_json)
    folder = out or (None if as_json else Path("analysis"))
    results = run_studies(
        networks,
        what=[name for text in what for name in text.split(",")],
        data=data,
        images=images,
        device=device,
        out=folder,
        force=force,
        listen=lambda line: say(aside(to), line),
    )
    if as_json:
        put_json({"studies": {result.name: result.numbers for result in results}})
    if folder:
        count = sum(len(result.figures) for result in results)
        say(to, f"{quantity(count, 'figure')}, their numbers and a page written to {folder}")
        next_line(to, f"open {folder / 'analysis.html'}")
