"""Options of `residua train`; those of SHORT_FORMS set one field: --lr is short for --set optim.lr."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from residua.cli.options import number
from residua.errors import ConfigError

SHORT_FORMS: Mapping[str, str] = {
    "epochs": "budget.epochs",
    "lr": "optim.lr",
    "batch_size": "budget.batch_size",
    "device": "plan.device",
    "seed": "seed",
    "workers": "data.num_workers",
    "val_fraction": "data.val_fraction",
    "memory_limit": "plan.memory_limit",
}
"""Name of an option, with `_` for `-`, -> the field of the recipe that it sets."""
OPPOSITES: Mapping[str, str] = {"budget.steps": "epochs"}
"""Other fields that decide the same as an option."""


def short(name: str, metavar: str, meaning: str) -> Any:
    """An option of SHORT_FORMS, whose help names the field; its range is that of the field."""
    return typer.Option(None, written(name), metavar=metavar, help=f"{meaning} ({SHORT_FORMS[name]}).")


def written(name: str) -> str:
    """How the option `name` is written: `--batch-size`."""
    return f"--{name.replace('_', '-')}"


EPOCHS = number(None, "--epochs", low=1, help="Passes over the training data.")
MINUTES = number(
    None,
    "--minutes",
    low=0.01,
    high=525600,
    help="Train as long as fits into so many minutes, with probe and validation, instead of --epochs.",
)
FROM_SCRATCH = typer.Option(False, "--from-scratch", help="Take no pretrained weights.")
PROBE = typer.Option(
    False, "--probe", help="Fit the last layer of pretrained weights and train nothing: seconds, no updates."
)
FOLDS = number(
    None,
    "--folds",
    low=1,
    high=100,
    help="Folds of the cross-validation that measures the probe, over all images where they are fewer than "
    "1,000 without a split; 1 leaves out the test images.",
)
IMAGE_SIZE = number(
    None, "--image-size", low=1, high=16384, help="Side of the images that the network reads, in pixels."
)
LR = short("lr", "X", "Peak learning rate")
BATCH_SIZE = short("batch_size", "N", "Images in an update, over all processes together")
DEVICE = short("device", "DEVICE", "cpu, cuda, cuda:1, mps or auto")
SEED = short("seed", "N", "Seed of the first weights, data order, augmentation and dropout")
LOADER_WORKERS = short("workers", "N", "Processes that load data; -1 chooses")
VAL_FRACTION = short("val_fraction", "X", "Size of the validation set, for data without a split")
MEMORY_LIMIT = short("memory_limit", "SIZE", "Limit memory, e.g. to 4GiB, by gradient checkpointing")
FRAMES = number(None, "--frames", low=1, help="Video: frames that the network reads together.")
FRAME_STRIDE = number(
    None, "--frame-stride", "--stride", low=0, help="Video: distance of two frames; 0 spreads them evenly."
)
SEGMENTS = number(None, "--segments", low=1, help="Video: segments whose logits are averaged.")


def recipe_changes(settings: Sequence[str], options: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Changes of the recipe from --set and the short forms.

    Args:
        settings: Texts of --set, `NAME=VALUE`.
        options: Name in SHORT_FORMS -> value of the option; None where it is left out.

    Returns:
        Paths of fields, and their values as text; without --epochs, which also sets `budget.steps`.

    Raises:
        ConfigError: A field is set by --set and by its short form, or is unknown.
    """
    from residua.spec.amount import parse_bytes
    from residua.spec.recipe import setting_path

    changes = [setting(text) for text in settings]
    values = {name: str(value) for name, value in options.items() if value is not None}
    owners = {SHORT_FORMS[name]: name for name in values}
    owners |= {path: name for path, name in OPPOSITES.items() if name in values}
    for path, _ in changes:
        if name := owners.get(setting_path(path)):
            raise ConfigError(f"{written(name)} and --set {path} set the same: give one of them")
    if size := values.get("memory_limit"):
        values["memory_limit"] = str(parse_bytes(size))
    return (*changes, *((SHORT_FORMS[name], text) for name, text in values.items() if name != "epochs"))


@contextmanager
def errors_named_as_typed(options: Mapping[str, object]) -> Iterator[None]:
    """Errors about a field that a short form set name the option: `--workers is 999`, not `data.num_workers`.

    Args:
        options: Name in SHORT_FORMS -> value of the option; None where it is left out.

    Raises:
        ConfigError: That of the block, which begins with the option that was typed.
    """
    try:
        yield
    except ConfigError as error:
        for name, value in options.items():
            field, message = f"{SHORT_FORMS[name]} is ", str(error)  # as `check_field` begins
            if value is not None and message.startswith(field):
                raise ConfigError(f"{written(name)} is {message.removeprefix(field)}") from error
        raise


def setting(text: str) -> tuple[str, str]:
    """The name and the value in `--set NAME=VALUE`. ConfigError without '='."""
    path, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text!r} has no '=': give NAME=VALUE, e.g. --set optim.lr=0.05")
    return path.strip(), value.strip()
