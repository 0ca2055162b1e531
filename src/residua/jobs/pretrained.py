"""Pretrained weights of a run that begins: opened once, before the network is chosen, and what they decide.

They decide the network where the user leaves it out, and what it reads: size, mean and deviation stay those
that the weights were trained with, unless the user or the data fix others. One line says which are used.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from residua.events import Event
from residua.nn.network import Network
from residua.runs import checkpoint
from residua.spec import change, detector
from residua.spec.arch import Arch
from residua.spec.changes import Changes
from residua.spec.named_network import is_file, origin_of
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Recipe
from residua.weights import named
from residua.weights.fill import check_network, known_arch, sure_report
from residua.weights.named import OpenedWeights

if TYPE_CHECKING:  # a network is created without training
    from residua.training.learn_task import AnyLearnTask


def open_pretrained(
    weights: str,
    written: Recipe | None,
    *,
    model: str,
    default: str,
    download: bool,
    listen: Callable[[Event], None],
) -> OpenedWeights | None:
    """The weights that a run begins with.

    Args:
        weights: What the user wrote; empty for nothing.
        written: The recipe that the user wrote, which may record weights.
        model: The network by name; empty where the user leaves it out.
        default: The network that the data would get.
        download: Whether weights may be downloaded.
        listen: Receives the progress of a download.

    Returns:
        The weights; None where the run begins from scratch.

    Raises:
        ConfigError: There are no such weights.
        CheckpointError: A file is damaged, or another one than was published.
        UnreachableError: They are not on this machine, and cannot be downloaded.
    """
    text = weights or (written.weights if written else "")
    if not text:
        return None
    if not weights and named.read_record(text):
        return named.open_record(text)
    network = _backbone(model or (written.arch.name if written else ""))
    if not weights or named.is_path(text):
        return named.open_weights(str(Path(text).absolute()), network, file_of=checkpoint.weights_file)
    return named.open_weights(
        text,
        network,
        default=_backbone(default),
        download=download,
        file_of=checkpoint.weights_file,
        listen=listen,
    )


def _backbone(name: str) -> str:
    """`resnet50` of `ssd300_resnet50`; other networks as they are. A file of a network is no name."""
    parts = detector.split_name(name)
    return parts[1] if parts else "" if is_file(origin_of(name)) else name


def with_preprocess(arch: Arch, weights: OpenedWeights | None, changes: Changes) -> Arch:
    """`arch` that reads what its weights were trained on.

    Args:
        arch: A network by name; one that the user wrote in full keeps its own.
        weights: The weights; nothing changes where they do not say what they read.
        changes: What the user asked for: a size and a number of channels stay.
    """
    if weights is None or weights.preprocess is None:
        return arch
    old, new = arch.preprocess, weights.preprocess
    if arch.clip and not (weights.arch and weights.arch.clip):  # an image network, inflated
        new = replace(new, size=old.size, resize=old.resize)
    changed = change.with_channels(change.with_preprocess(arch, new), arch.channels)
    return change.with_size(changed, old.size) if "img_size" in changes else changed


def describe(recipe: Recipe, weights: OpenedWeights | None, *, wrote_network: bool) -> list[tuple[str, str]]:
    """Names and texts of lines: what is known of the weights, and what the network reads and why.

    Args:
        recipe: The resolved recipe.
        weights: The weights that it begins with; None for none.
        wrote_network: Whether the user wrote the network in full, as a value, a file or in a recipe.
    """
    if weights is None:
        return []
    reads = describe_preprocess(recipe.arch, weights, wrote_network=wrote_network)
    if weights.preprocess is None:
        reads += "; --image-size and --set arch.preprocess.mean=... change it"
    return [*(("weights", note) for note in weights.notes), ("pixels", reads)]


def describe_preprocess(arch: Arch, weights: OpenedWeights, *, wrote_network: bool) -> str:
    """Which Preprocess is used and why, on one line.

    Args:
        arch: The network, as it is trained or used.
        weights: Its weights.
        wrote_network: Whether the user wrote the network in full, as a file, a value or in a recipe.
    """
    preprocess, theirs = arch.preprocess, weights.preprocess
    text = in_words(preprocess)
    if theirs is None:
        return f"{text}: assumed, because the file does not say what it reads"
    if wrote_network:
        return f"{text}: as the network says that you wrote; the weights read {in_words(theirs)}"
    same = change.with_channels(change.with_preprocess(arch, theirs), arch.channels).preprocess
    same = replace(same, mean_image=preprocess.mean_image)
    if preprocess == same:
        return f"{text}: as {weights.title} was trained"
    if preprocess == replace(same, size=preprocess.size, resize=preprocess.resize):
        size = f"{theirs.size} of {theirs.resize} pixels"
        return f"{text}: as {weights.title} was trained, but for the size, which was {size}"
    return f"{text}: as was set; {weights.title} was trained with {in_words(theirs)}"


def in_words(preprocess: Preprocess) -> str:
    """`224 of 235 pixels, mean 0.485 0.456 0.406, std 0.229 0.224 0.225, bicubic`."""
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (preprocess.mean, preprocess.std))
    size = f"{preprocess.size} of {preprocess.resize} pixels"
    return f"{size}, mean {mean}, std {std}, {preprocess.interpolation}"


def network_of(weights: OpenedWeights, default_model: str) -> tuple[Arch, detector.Detector | None]:
    """The network that a run gets which leaves it to its weights, and the detector behind it.

    Args:
        weights: The weights.
        default_model: The network that the data would get; of a detector, the head stays.

    Raises:
        ConfigError: The weights do not say which network they are of.
    """
    arch = known_arch(weights)
    if weights.detector:
        return arch, weights.detector
    parts = detector.split_name(default_model)
    if not parts:
        return arch, None
    detector.map_indices(parts[0], arch)
    return arch, parts[0]


def initial_network(
    task: "AnyLearnTask",
    recipe: Recipe,
    classes: tuple[str, ...],
    weights: OpenedWeights | None,
    *,
    listen: Callable[[str], None],
) -> Network:
    """The network of `recipe` with its first weights.

    Args:
        task: The task of the data.
        recipe: The resolved recipe.
        classes: Names of the classes.
        weights: The weights that it begins with; None leaves them to the recipe.
        listen: Receives what was read and adapted.

    Raises:
        ConfigError: The weights are published, of a network that computes something else.
        CheckpointError: The weights do not fit.
    """
    if weights is None:
        return task.initial_network(recipe, classes, listen=listen)  # type: ignore[no-any-return]
    check_network(weights, recipe.arch)
    file = replace(recipe, weights=str(weights.path))
    network: Network = task.initial_network(
        file, classes, listen=lambda line: listen(sure_report(line, weights))
    )
    network.pretrained_from = weights.provenance
    return network
