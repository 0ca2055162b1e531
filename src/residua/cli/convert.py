"""`residua convert`."""

from pathlib import Path

import typer

from residua.cli.terminal import console, next_line, put_json, say
from residua.cli.train import setting


def convert(
    file: Path = typer.Argument(metavar="FILE", help="Weights of others, or a run, folder or file of ours."),
    model: str = typer.Option(None, "-m", "--model", help="Name of the network they are of."),
    source: str = typer.Option(
        "auto", "--from", help="Whose names they have: torchvision, timm, iduta, cifar..."
    ),
    to: str = typer.Option("", "--to", help="Whose names to write instead of a folder of ours."),
    out: Path = typer.Option(None, "-o", "--out", help="Folder to make; with --to a .safetensors file."),
    settings: list[str] = typer.Option(
        [], "--set", metavar="NAME=VALUE", help="One change of the network, e.g. order=e or opening=timm."
    ),
    classes: Path = typer.Option(None, "--classes", help="Text file of class names, one per line."),
    force: bool = typer.Option(False, "--force", help="Replace what is there."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Read weights of others into a folder of ours, or write ours for others.

    Where the peer is installed it gets the same weights and images, and the largest difference of a logit
    is printed.

    Example: residua convert resnet50.pth --model resnet50 --from torchvision -o resnet50
    """
    from residua.jobs.convert import IMAGES
    from residua.jobs.convert import convert as translate
    from residua.spec.record import to_plain

    names = [line for line in classes.read_text("utf-8").splitlines() if line] if classes else []
    changes = dict(setting(text) for text in settings)
    done = translate(file, model, source=source, to=to, out=out, changes=changes, classes=names, force=force)
    if as_json:
        put_json(to_plain(done))
        return
    screen = console()
    say(screen, f"read    {file}: {done.read}")
    say(screen, f"wrote   {done.written}: {done.tensors} tensors of {done.model}")
    if done.difference is None:
        say(screen, "peer    none installed that computes this network, so nothing was compared")
    else:
        shown = f"{IMAGES} random images"
        say(screen, f"peer    {done.peer}: largest difference of a logit {done.difference:.2g} on {shown}")
    if to:
        next_line(screen, f"safetensors.torch.load_file('{done.written}')")
    else:
        next_line(
            screen, f"residua evaluate {done.written} --data DATA", f"residua predict {done.written} IMAGE"
        )
