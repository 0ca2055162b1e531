"""Networks on a hub: upload and download saved folders with `huggingface_hub`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from residua.errors import ConfigError
from residua.nn.network import Network
from residua.predict.classifier import Classifier
from residua.predict.folder import CONFIG, read, save
from residua.weights.load import FILE


def push_to_hub(network: Network, repository: str, *, private: bool | None = None, message: str = "") -> str:
    """Upload a network to a hub.

    Args:
        network: With a last layer.
        repository: `owner/name`; created where it does not exist. Log in with `hf auth login` first.
        private: Whether a new repository is private; None leaves it to the hub.
        message: Of the commit.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: The extra `hub` is not installed.
    """
    hub = _library()
    with TemporaryDirectory() as folder:
        save(network, folder)
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        summary = message or f"{network.arch.name} by residua"
        commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=summary)
    return str(commit.commit_url)


def from_hub(repository: str, *, revision: str | None = None) -> Classifier:
    """Download a classifier from a hub, or take it from the cache.

    Args:
        repository: `owner/name`.
        revision: A branch, tag or commit; None takes the newest.

    Returns:
        The classifier, on the CPU.

    Raises:
        CheckpointError: There is no network, or a byte of it changed since it was written.
        ConfigError: The extra `hub` is not installed.
    """
    folder = _library().snapshot_download(repository, revision=revision, allow_patterns=[CONFIG, FILE])
    return Classifier(read(Path(folder)))


def _library() -> ModuleType:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise ConfigError("the hub needs huggingface_hub: pip install 'residua[hub]'") from None
    return huggingface_hub
