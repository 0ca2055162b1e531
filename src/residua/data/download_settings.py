"""What the environment of the user says about downloads: whether, from which mirrors, and where caches are.

The names are those of the libraries that own the caches, so that one file serves all of them.
"""

import os
from pathlib import Path

from residua.errors import ConfigError

OFFLINE = ("RESIDUA_OFFLINE", "HF_HUB_OFFLINE")
"""Variables that forbid every download."""
ACCEPT_LICENCE = "RESIDUA_ACCEPT_LICENCE"
"""Variable with the licences that the user accepts though they forbid commercial use: `cc-by-nc-4.0`."""

_YES, _NO = {"1", "on", "yes", "true"}, {"", "0", "off", "no", "false"}
_HUB = "https://huggingface.co"


def is_offline() -> bool:
    """Whether the user forbids downloads: `RESIDUA_OFFLINE=1` or `HF_HUB_OFFLINE=1`.

    Raises:
        ConfigError: A variable is neither yes nor no.
    """
    return bool(offline_variables())


def offline_variables() -> str:
    """The variables that forbid downloads now, for messages; empty where downloads are allowed.

    Raises:
        ConfigError: A variable is neither yes nor no.
    """
    return " and ".join(name for name in OFFLINE if _is_on(name))


def torch_folder() -> Path:
    """Where torch.hub, torchvision and timm store files that they download."""
    return _folder("TORCH_HOME", _caches() / "torch") / "hub" / "checkpoints"


def hub_folder() -> Path:
    """Where huggingface_hub stores repositories."""
    hub = _folder("HF_HOME", _caches() / "huggingface") / "hub"
    return _folder("HF_HUB_CACHE", _folder("HUGGINGFACE_HUB_CACHE", hub))


def hub_endpoint() -> str:
    """Address of the hub or of its mirror, without a slash at its end: `HF_ENDPOINT`."""
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")


def weights_mirror() -> str:
    """Address below which all files of released weights are, without a slash at its end; empty for none."""
    return os.environ.get("RESIDUA_WEIGHTS_MIRROR", "").rstrip("/")


def accepted_licences() -> set[str]:
    """Licences that the user accepts, SPDX identifiers in lower case."""
    return set(os.environ.get(ACCEPT_LICENCE, "").lower().replace(",", " ").split())


def _is_on(name: str) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value not in _YES | _NO:
        raise ConfigError(f"{name}={value!r}: give 1 or 0")
    return value in _YES


def _caches() -> Path:
    return _folder("XDG_CACHE_HOME", Path.home() / ".cache")


def _folder(name: str, default: Path) -> Path:
    value = os.environ.get(name)
    return Path(os.path.expandvars(value)).expanduser() if value else default
