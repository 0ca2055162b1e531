"""Networks for others: saved folders and hubs, under the names that `transformers` has for them."""

from pathlib import Path
from tempfile import TemporaryDirectory

from residua.files import write_file
from residua.nn.network import Network
from residua.predict import folder, hub
from residua.predict.classifier import Classifier
from residua.predict.model_card import model_card
from residua.predict.predictor import load_network
from residua.runs.run import Run

CARD = "README.md"
"""File of the card in a repository."""


def push_to_hub(
    trained: Network | Classifier | Run | str | Path,
    repository: str,
    *,
    private: bool | None = None,
    message: str = "",
    license_name: str = "",
) -> str:
    """Upload a network to a hub, with a card that says what was measured.

    Args:
        trained: A Run or the path of one, whose data, training and scores the card then tells; or a Network
            or a Classifier. Names of folders of this machine are left out of the card.
        repository: `owner/name`; created where it does not exist. Log in with `hf auth login` first. Its
            README.md is replaced.
        private: Whether a new repository is private; None leaves it to the hub.
        message: Of the commit.
        license_name: The licence of the weights as hubs write it, e.g. `apache-2.0`; empty leaves it out.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: The extra `hub` is not installed.
        CheckpointError: The run holds no classifier, or a damaged one.
    """
    hub.check_library()
    network, run = _network_and_run(trained)
    with TemporaryDirectory() as place:
        folder.save(network, place)
        card = model_card(network, repository, run=run, license_name=license_name)
        write_file(Path(place) / CARD, card)
        summary = message or f"{network.arch.name} by residua"
        return hub.upload(Path(place), repository, private=private, message=summary)


def from_hub(repository: str, *, revision: str | None = None) -> Classifier:
    """Download a classifier from a hub; where that does not answer, take it from the cache.

    Args:
        repository: `owner/name`.
        revision: A branch, tag or commit; None takes the newest.

    Returns:
        The classifier, on the CPU.

    Raises:
        CheckpointError: There is no network called so, or a byte of it changed since it was written.
        UnreachableError: The hub does not answer, and the cache holds none.
        ConfigError: The extra `hub` is not installed.
    """
    return Classifier(folder.read(hub.download(repository, revision=revision)))


def _network_and_run(trained: Network | Classifier | Run | str | Path) -> tuple[Network, Run | None]:
    if isinstance(trained, Network):
        return trained, None
    if isinstance(trained, Classifier):
        return trained.network, None
    path = trained.path if isinstance(trained, Run) else Path(trained)
    run = Run(path) if (path / "recipe.json").is_file() else None
    return load_network(path), run
