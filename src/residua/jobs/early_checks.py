"""Mistakes in a request: words and values, checked before the data are opened, and changes without effect."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from residua import recipes
from residua.data.sources.folders import is_among_classes
from residua.data.sources.table import parse_source
from residua.errors import ConfigError, SettingError
from residua.nn.device import resolve_device
from residua.spec import zoo
from residua.spec.arch import Arch
from residua.spec.changes import Changes
from residua.spec.named_network import apply_changes, spell
from residua.spec.recipe import Data, Recipe, override_recipe, setting_path
from residua.training.learn_task import AnyLearnTask
from residua.weights import named

OF_ANY_NETWORK = ("shortcut", "order", "drop_rate", "global_pool")
"""Changes whose values are right or wrong whatever the network is."""

OF_DATA = ("data", "arch", "detector")
"""Sections of a recipe that depend on the data and the network."""


def check_words(
    task: AnyLearnTask,
    *,
    model: object,
    changes: Changes,
    recipe: str | Recipe | None,
    written: Recipe | None,
    weights: str,
) -> None:
    """Check the names that a user wrote.

    Args:
        task: The task of the data.
        model: The network: only a text is checked.
        changes: Further changes of the network.
        recipe: A recipe, its name or its file.
        written: The recipe that the user wrote; None for a name.
        weights: A name, a file, a folder or a run; empty for none.

    Raises:
        ConfigError: A network, a change, a recipe or weights are unknown; the message names the nearest.
        CheckpointError: There are no weights at a path.
    """
    if isinstance(recipe, str) and written is None:
        recipes.check_name(recipe)
    network = ""
    if isinstance(model, str) and not named.names_weights(model):
        network = spell(model, changes)
        task.find_network(network)
    elif model is None and written:
        apply_changes(written.arch, **changes)
    elif model is None:
        known: dict[str, Any] = {name: value for name, value in changes.items() if name in OF_ANY_NETWORK}
        apply_changes(zoo.arch("resnet18"), **known)
    if weights:
        named.check_text(weights, network)


def check_values(changes: Sequence[tuple[str, str]], written: Recipe | None, *, source: str) -> None:
    """Check the values of settings, as far as they are right or wrong whatever the data and the network are.

    Args:
        changes: Name of each setting, and its new value as text.
        written: The recipe that the user wrote; None for a name.
        source: The data.

    Raises:
        ConfigError: A setting is unknown, a value is of another type or out of range, or the device does not
            exist.
    """
    recipe = written or Recipe("", zoo.arch("resnet18"), Data(source))
    for name, text in changes:
        if setting_path(name).partition(".")[0] not in OF_DATA:
            try:
                recipe = override_recipe(recipe, name, text)
            except SettingError:
                raise
            except ConfigError:  # it may suit the recipe that the data call for
                continue
    resolve_device(recipe.plan.device)


def check_place(path: Path, source: str) -> None:
    """ConfigError for a run at `path` among the class folders of its data, where it would become a class."""
    place = parse_source(source)
    if place.name or not place.place or not Path(place.place).is_dir():
        return
    if is_among_classes(path, Path(place.place)):
        raise ConfigError(f"a run at {path} would become a class of {place.place}: give -o elsewhere")


def check_changes(changes: Changes, arch: Arch) -> None:
    """ConfigError for a change that cannot take effect, because the data or the detector decide."""
    fitted = {"in_chans": arch.channels, "img_size": arch.preprocess.size, "num_classes": arch.classes}
    if clip := arch.clip:
        fitted |= {"frames": clip.frames, "segments": clip.segments, "frame_stride": clip.stride}
    for option, value in fitted.items():
        if (request := changes.get(option)) not in (None, value):
            raise ConfigError(f"{option} is {request}, but this run needs {value}: leave {option} out")
