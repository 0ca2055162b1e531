"""`residua convert`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.network_options import MODEL_SET, NETWORK, model_changes
from residua.cli.options import JSON, complete_network
from residua.cli.terminal import aside, console, next_line, put_json, say, say_wrapped
from residua.spec.amount import quantity

if TYPE_CHECKING:
    from residua.jobs.convert import Conversion


def convert(
    file: str = typer.Argument(
        metavar="FILE|NAME", help="Weights of others, or a run, folder or file of residua."
    ),
    model: str = typer.Option(
        None,
        "-m",
        "--model",
        metavar=NETWORK,
        help="Their network, if they do not know it.",
        autocompletion=complete_network,
    ),
    model_set: list[str] = MODEL_SET,
    source: str = typer.Option(
        "auto", "--from", metavar="LIBRARY", help="Library they come from: torchvision, timm, iduta, cifar..."
    ),
    to: str = typer.Option(
        "", "--to", metavar="LIBRARY", help="Library to write for, instead of a residua folder."
    ),
    out: Path = typer.Option(
        None, "-o", "--out", metavar="DIR|FILE", help="Folder to create; with --to a .safetensors file."
    ),
    classes: Path = typer.Option(
        None, "--classes", metavar="FILE", help="Text file of class names, one per line."
    ),
    force: bool = typer.Option(False, "--force", help="Replace an existing output."),
    as_json: bool = JSON,
) -> None:
    """Convert weights of other libraries to a residua folder, or back.

    Published weights are written by name, and downloaded once: resnet50.torchvision.v2, timm:resnet18.

    If the other library is installed, both networks compute the same images, and the largest difference of a
    logit is printed.

    Example: residua convert resnet50.pth --model resnet50 --from torchvision -o resnet50
    """
    from residua.jobs.convert import convert as convert_weights
    from residua.progress import ProgressPrinter
    from residua.spec.record import to_plain

    names = [line for line in classes.read_text("utf-8").splitlines() if line] if classes else []
    notes = aside(console(json_on_stdout=True))
    result = convert_weights(
        file,
        model,
        source=source,
        to=to,
        out=out,
        changes=model_changes(model_set),
        classes=names,
        force=force,
        listen=ProgressPrinter(notes).show,
    )
    if as_json:
        put_json(to_plain(result))
        return
    for note in result.notes:
        say_wrapped(notes, f"note    {note}")
    _print_result(result, file, to)


def _print_result(result: "Conversion", file: str, to: str) -> None:
    """What was read, written and compared, and the next command."""
    from residua.jobs.convert import IMAGES

    screen = console()
    say(screen, f"read    {file}: {result.read}")
    say(screen, f"wrote   {result.written}: {quantity(result.tensors, 'tensor')} of {result.model}")
    if result.difference is None:
        say(screen, "peer    no installed library has this network: nothing was compared")
    else:
        inputs = f"{IMAGES} random images"
        say(
            screen,
            f"peer    {result.peer}: largest difference of a logit {result.difference:.2g} on {inputs}",
        )
    if to:
        next_line(screen, f"safetensors.torch.load_file('{result.written}')")
    else:
        next_line(
            screen,
            f"residua evaluate {result.written} --data DATA",
            f"residua predict {result.written} IMAGE",
        )
