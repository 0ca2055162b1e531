"""The pretrained weights that training on images takes by itself: the best permissive ones of the network.

No weights are taken where they may have seen the test images: the benchmarks by name, and arrays from Python,
of which nothing is known. Without them training begins from scratch, and one line says what would help.
"""

from collections.abc import Callable
from dataclasses import dataclass

from residua.data.download_settings import is_offline
from residua.data.http_download import Patience
from residua.data.sources.table import parse_source
from residua.errors import CheckpointError, ResourceError, UnreachableError
from residua.events import Event, Note
from residua.spec.amount import format_bytes
from residua.weights import catalogue, fetch
from residua.weights.catalogue import ReleasedWeights

BENCHMARKS = ("digits", "cifar10", "cifar100", "imagenet")
"""Sources by name whose images published weights may have been trained on."""
SHORT_PATIENCE = Patience(seconds=8.0)
"""How long a server is waited for whose weights nobody asked for: a firewall may drop all."""


@dataclass(frozen=True, slots=True)
class DefaultWeights:
    """Weights that nobody asked for, or why there are none."""

    name: str = ""
    """Name in the catalogue; empty to begin from scratch."""
    note: str = ""
    """Why training begins from scratch, or where better ones are; empty where there is nothing to say."""


def default_weights(
    source: str, model: str, *, download: bool, listen: Callable[[Event], None] = lambda _: None
) -> DefaultWeights:
    """The weights that a run on images takes by default.

    Args:
        source: The DATA argument.
        model: The network, with changes where wanted.
        download: Whether they may be downloaded.
        listen: Receives what will be downloaded, before it is, and the progress.

    Returns:
        Their name in the catalogue, with the file on this machine, which comes before any download; or the
        reason why there are none.
    """
    if parse_source(source).name in BENCHMARKS or not (entry := catalogue.best(model)):
        return DefaultWeights()
    if here := catalogue.best(model, fetch.cached):
        better = f"{here.name} is on this machine; `residua weights get {entry.name}` fetches the best ones"
        return DefaultWeights(here.name, "" if here == entry else better)
    if is_offline():
        return DefaultWeights(
            note=f"none, from scratch: {facts(entry)} is not here and downloads are off; "
            f"`residua weights get {entry.name}` downloads it, or {fetch.by_hand(entry)}"
        )
    if not download:
        return DefaultWeights(note=f"{facts(entry)} would be downloaded; this plan is from scratch")
    listen(Note(f"{'weights':7} downloading {facts(entry)}; --from-scratch trains without"))
    try:
        fetch.fetch(entry, listen=listen, patience=SHORT_PATIENCE)
    except (UnreachableError, ResourceError, CheckpointError) as error:  # nobody asked for them
        return DefaultWeights(note=f"none, from scratch: {entry.name} cannot be fetched ({error})")
    return DefaultWeights(entry.name)


def facts(entry: ReleasedWeights) -> str:
    """`resnet18.timm.a1 (46.8 MB, licence Apache-2.0, trained on ImageNet-1k)`."""
    size = format_bytes(entry.size) if entry.size else "size not known"
    return f"{entry.name} ({size}, licence {entry.licence}, trained on {entry.training_data})"
