"""Mistakes in a request: words, checked before the data are opened, and changes without effect."""

from typing import Any

from residua import recipes
from residua.errors import ConfigError
from residua.spec import zoo
from residua.spec.arch import Arch
from residua.spec.changes import Changes
from residua.spec.named_network import apply_changes, spell
from residua.spec.recipe import Recipe
from residua.training.learn_task import AnyLearnTask
from residua.weights import named

OF_ANY_NETWORK = ("shortcut", "order", "drop_rate", "global_pool")
"""Changes whose values are right or wrong whatever the network is."""


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


def check_changes(changes: Changes, arch: Arch) -> None:
    """ConfigError for a change that cannot take effect, because the data or the detector decide."""
    fitted = {"in_chans": arch.channels, "img_size": arch.preprocess.size, "num_classes": arch.classes}
    if clip := arch.clip:
        fitted |= {"frames": clip.frames, "segments": clip.segments, "frame_stride": clip.stride}
    for option, value in fitted.items():
        if (request := changes.get(option)) not in (None, value):
            raise ConfigError(f"{option} is {request}, but this run needs {value}: leave {option} out")
