"""Saved networks on a hub: folders that `huggingface_hub` carries there and back."""

from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from residua.nn.network import Network
from residua.predict.classifier import Classifier
from residua.predict.folder import CONFIG, read, save
from residua.weights.load import FILE


def push_to_hub(network: Network, repository: str, *, private: bool | None = None, message: str = "") -> str:
    """Makes `repository` (`owner/name`) if need be, puts the saved network there; the address of the commit.

    Who may write is the hub library's own matter (`hf auth login`). ValueError without the extra `hub`.
    """
    hub = _library()
    with TemporaryDirectory() as folder:
        save(network, folder)
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        said = message or f"{network.arch.name} by residua"
        commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=said)
    return str(commit.commit_url)


def from_hub(repository: str, *, revision: str | None = None) -> Classifier:
    """The classifier saved at `repository`, from the library's cache when it was fetched before.

    CheckpointError when it is none, or a byte of it is not as it was written. ValueError without the extra.
    """
    folder = _library().snapshot_download(repository, revision=revision, allow_patterns=[CONFIG, FILE])
    return Classifier(read(Path(folder)))


def _library() -> ModuleType:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise ValueError("the hub needs huggingface_hub: pip install 'residua[hub]'") from None
    return huggingface_hub
