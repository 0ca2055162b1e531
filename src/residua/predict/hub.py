"""Networks on a hub: upload and download saved folders with `huggingface_hub`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from residua.data.decode import one_line, printable_path
from residua.data.hub import check_hub
from residua.errors import CheckpointError, ConfigError, UnreachableError
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
    hub, unreachable = _library(), None
    try:
        check_hub("model", repository, revision=revision)
    except UnreachableError as error:
        unreachable = error
    try:
        folder = hub.snapshot_download(
            repository,
            revision=revision,
            allow_patterns=[CONFIG, FILE],
            local_files_only=unreachable is not None,
        )
    except Exception as error:  # the library changed its HTTP client, and with it the errors
        name, reason = printable_path(repository), one_line(error)
        fault = CheckpointError(f"{name} cannot be downloaded ({reason}): check the name, or the network")
        raise unreachable or fault from None
    return Classifier(read(Path(folder)))


def _library() -> ModuleType:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise ConfigError("the hub needs huggingface_hub: pip install 'residua[hub]'") from None
    return huggingface_hub
