"""Folders on a hub: upload and download them with `huggingface_hub`."""

import re
from pathlib import Path
from types import ModuleType

from residua.data.decode import one_line, printable_path
from residua.data.download_settings import is_offline
from residua.data.hub import check_hub
from residua.errors import CheckpointError, ConfigError, UnreachableError
from residua.weights.hub_folder import CONFIG
from residua.weights.load import FILE

_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def is_name(text: str) -> bool:
    """Whether `text` can be `owner/name`; a path of two parts can, too."""
    return _NAME.fullmatch(text) is not None


def upload(folder: Path, repository: str, *, private: bool | None, message: str) -> str:
    """Upload the files in `folder`, and return the address of the commit.

    Raises:
        ConfigError: The extra `hub` is not installed.
    """
    api = _library().HfApi()
    api.create_repo(repository, private=private, exist_ok=True)
    commit = api.upload_folder(repo_id=repository, folder_path=str(folder), commit_message=message)
    return str(commit.commit_url)


def download(repository: str, *, revision: str | None = None) -> Path:
    """A folder with a network of a hub; where that does not answer, from the cache.

    Args:
        repository: `owner/name`.
        revision: A branch, tag or commit; None takes the newest.

    Raises:
        CheckpointError: There is no network called so.
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
            local_files_only=unreachable is not None or is_offline(),
        )
    except Exception as error:  # the library changed its HTTP client, and with it the errors
        name, reason = printable_path(repository), one_line(error)
        fault = CheckpointError(f"{name} cannot be downloaded ({reason}): check the name, or the network")
        raise unreachable or fault from None
    return Path(folder)


def check_library() -> None:
    """ConfigError when the extra `hub` is not installed."""
    _library()


def _library() -> ModuleType:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise ConfigError("the hub needs huggingface_hub: pip install 'residua[hub]'") from None
    return huggingface_hub
