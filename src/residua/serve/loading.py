"""Loading: from a path to a network that is served, of whatever task and file it is."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from residua.errors import ConfigError
from residua.events import Event
from residua.predict.exported import is_exported, load_exported
from residua.serve.model import ServedModel, picture_model


def load_model(
    path: Path,
    *,
    name: str = "",
    engine: str = "auto",
    running: str = "",
    listen: Callable[[Event], object] = lambda _: None,
) -> ServedModel:
    """Load a trained network to serve it.

    Args:
        path: A run, a saved folder, a checkpoint file, or an exported file (`.onnx`, `.xml`), which needs no
            torch.
        name: Its name in addresses, of letters, digits, `.`, `_` and `-`; empty takes the name of the file or
            folder.
        engine: What computes the images of a run: `torch`, another name, or `auto` for the fastest here.
        running: The engine that serves now: `auto` takes it without measuring, since requests would distort
            what is measured. Empty when none serves yet.
        listen: Receives what is measured, a Note for each line.

    Returns:
        The network.

    Raises:
        CheckpointError: There is no network, or it is damaged.
        ConfigError: The name cannot stand in addresses, or an engine or a package is missing.
    """
    title = _checked(name) if name else model_name(path)
    if is_exported(path):
        if engine != "auto":
            raise ConfigError(f"--engine {engine}: {path} has its own engine, leave the option out")
        exported = load_exported(path)
        model = picture_model(title, exported, exported.engine.name)
        return replace(model, holds_pictures=exported.facts.takes != "inputs")
    from residua.serve.trained import load_trained  # torch, which exported files do without

    return load_trained(path, title, engine, listen, running=running)


def model_name(path: Path) -> str:
    """The name of a file or folder, with `-` for characters that addresses do not take as they are."""
    stem = path.resolve().name if path.is_dir() else path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "model"


def _checked(name: str) -> str:
    """The name, which can stand in addresses: clients read `.` and `..` there as steps between folders."""
    if re.fullmatch(r"[A-Za-z0-9._-]+", name) and name.strip("."):
        return name
    allowed = "letters from a to z, digits, '.', '_' and '-'"
    raise ConfigError(f"--name {name!r} cannot stand in addresses: give {allowed}")
