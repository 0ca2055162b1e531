"""Options that several commands share: numbers with a range, and names that a shell completes."""

from typing import Any

import typer

from residua.cli.network_options import NETWORK, NETWORK_HELP
from residua.data.sources.table import SOURCES
from residua.errors import ConfigError
from residua.spec.recipe import MAX_WORKERS

DEVICES = "cpu, cuda, cuda:1, mps or auto"
"""What --device takes."""
LOADERS = "Processes that load data"
"""What --workers counts."""


def number(
    default: float | None,
    *names: str,
    low: float,
    high: float | None = None,
    help: str,  # noqa: A002 - the name that typer gives it
    metavar: str = "N",
) -> Any:
    """An option whose value is a number in a range, which the help and the error name.

    Args:
        default: Its value when it is left out.
        names: How it is written, e.g. `-n`, `--count`.
        low: Smallest allowed number.
        high: Largest allowed number; None for no end.
        help: What it means, without the range.
        metavar: What stands for the number in the help.
    """
    name = next(name for name in names if name.startswith("--"))
    allowed = f"{low} or more" if high is None else f"{low} to {high}"

    def check(value: float | None) -> float | None:
        if value is not None and not low <= value <= (value if high is None else high):
            raise ConfigError(f"{name} is {value}: give {allowed}")
        return value

    return typer.Option(
        default, *names, metavar=metavar, callback=check, help=f"{help.rstrip('.')} ({allowed})."
    )


def complete_network(incomplete: str) -> list[str]:
    """Names of networks that begin with `incomplete`, for a shell."""
    from residua.spec import zoo

    return [name for name in zoo.NAMES if name.startswith(incomplete)]


def complete_recipe(incomplete: str) -> list[str]:
    """Names of recipes that begin with `incomplete`, for a shell."""
    from residua.recipes import RECIPES

    return [name for name in RECIPES if name.startswith(incomplete)]


def complete_source(incomplete: str) -> list[str]:
    """Data sources that begin with `incomplete`, for a shell, which adds files and folders."""
    forms = [name if kind.place == "none" else f"{name}:" for name, kind in SOURCES.items() if kind.is_named]
    return [form for form in forms if form.startswith(incomplete)]


REPORT = typer.Option(None, "-r", "--report", metavar="HTML", help="Write a page: .html.")
OLD_REPORT = typer.Option(None, "-o", "--out", hidden=True)
"""How --report was written in residua 0.0; elsewhere -o is what a command makes for other commands."""
DATA = typer.Option(
    None,
    "--data",
    metavar="DATA",
    help="Labelled data; default: the test split of the run.",
    autocompletion=complete_source,
)
WEIGHTS = typer.Option(
    "auto",
    "--weights",
    metavar="KIND",
    help="Weights of a run: raw, ema, best; auto is ema where there is one.",
)
TOPK = 5
"""Classes for each image in a file of predictions."""
FORCE = typer.Option(False, "--force", help="Replace output that exists.")
JSON = typer.Option(False, "--json", help="Print one JSON document on stdout.")
MODEL = typer.Option(
    None,
    "-m",
    "--model",
    metavar=NETWORK,
    help=NETWORK_HELP,
    autocompletion=complete_network,
)
RECIPE = typer.Option(
    None,
    "--recipe",
    metavar="NAME|FILE",
    help="Name of a recipe, or a recipe.json; list them with `residua recipes`.",
    autocompletion=complete_recipe,
)
PRETRAINED = typer.Option(
    "",
    "--weights",
    metavar="NAME|FILE|RUN",
    help="Pretrained weights to fine-tune: by name (auto, timm.a1, timm:resnet18, hf:OWNER/NAME; see "
    "`residua weights`), a file, a folder or a run. Without -m the network is theirs.",
)
BEST_PRETRAINED = typer.Option(False, "--pretrained", help="Short for --weights auto.")
SETTINGS = typer.Option(
    [],
    "--set",
    metavar="PATH=VALUE",
    help="Set one field of the recipe, e.g. optim.lr=0.05; `residua recipes NAME` lists them.",
)
PROCESSES = number(1, "--processes", low=1, help="Number of processes that share the work, one for each GPU.")
WORKERS = number(
    -1,
    "--workers",
    low=-1,
    high=MAX_WORKERS,
    help=f"{LOADERS}; -1 is one for each core.",
)
INFERENCE_DEVICE = typer.Option("auto", "--device", metavar="DEVICE", help=f"{DEVICES}.")
STUDY_DEVICE = typer.Option("cpu", "--device", metavar="DEVICE", help=f"{DEVICES}; studies need float64.")
INFERENCE_BATCH_SIZE = number(None, "--batch-size", low=1, help="Images, views or clips computed at once.")
INFERENCE_WORKERS = number(
    0, "--workers", low=-1, high=MAX_WORKERS, help=f"{LOADERS}; 0 is this one, -1 one for each core."
)
