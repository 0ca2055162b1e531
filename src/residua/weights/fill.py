"""Opened weights into a network, where it computes what they were trained as."""

from collections.abc import Callable

from residua.errors import ConfigError
from residua.events import Event, Note
from residua.nn.network import Network, build
from residua.spec.arch import Arch
from residua.spec.describe import first_difference
from residua.spec.dilate import like
from residua.spec.inflate import for_images
from residua.weights.load import load
from residua.weights.named import OpenedWeights, open_weights


def check_network(weights: OpenedWeights, arch: Arch) -> None:
    """Refuse published weights for a network that computes something else than the one they are of.

    Args:
        weights: Files of ours are left to `weights.load.load`, which knows what they are of.
        arch: The network, which may be inflated or dilated, for other classes or channels.

    Raises:
        ConfigError: It computes something else, though names and shapes may be the same.
    """
    if not weights.is_published or weights.arch is None:
        return
    theirs = like(weights.arch, arch)
    if difference := first_difference(theirs, arch if theirs.has_time else for_images(arch)):
        raise ConfigError(
            f"{weights.title} is of {weights.arch.name}, not of {arch.name} ({difference}): "
            f"give the network {weights.arch.name}, or leave it out"
        )


def trained_network(text: str, *, listen: Callable[[Event], None] = lambda _: None) -> Network:
    """The network that published weights are of, with its Preprocess and class names, in eval mode.

    Args:
        text: A name, or a bare file that one listed network alone fits.
        listen: Receives the progress of a download, and what is known of the weights.

    Raises:
        ConfigError: There are no such weights, or their network is not known.
        CheckpointError: The file is damaged, or does not fit.
        UnreachableError: They are not on this machine, and cannot be downloaded.
    """
    weights = open_weights(text, listen=listen)
    for note in weights.notes:
        listen(Note(note))
    network = build(known_arch(weights))
    listen(Note(fill(network, weights)))
    return network.eval()


def known_arch(weights: OpenedWeights) -> Arch:
    """The network that `weights` are of. ConfigError for a bare file that could be of several, or of none."""
    if weights.arch is None:
        raise ConfigError(f"{weights.notes[0] if weights.notes else weights.path}: give --model NAME")
    return weights.arch


def fill(network: Network, weights: OpenedWeights) -> str:
    """Load `weights` into `network`, and what is known of them.

    Returns:
        What was read and adapted, on one line.

    Raises:
        ConfigError: The network computes something else.
        CheckpointError: The weights do not fit.
    """
    check_network(weights, network.arch)
    report = sure_report(load(network, weights.path, source=_source(weights)), weights)
    network.pretrained_from = weights.provenance
    if len(weights.classes) == network.arch.classes:
        network.class_names = weights.classes
    return report


def sure_report(report: str, weights: OpenedWeights) -> str:
    """The report of `load`, without its doubt about look-alikes where it is known what the weights are of."""
    parts = report.split(", ")
    return ", ".join(part for part in parts if not (weights.arch and part.startswith("the file fits ")))


def _source(weights: OpenedWeights) -> str:
    return weights.dialect if weights.arch and weights.arch.clip is None else "auto"
