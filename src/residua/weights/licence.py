"""Licences of released weights: what forbids commercial use is downloaded only when the user accepts it."""

from residua.data.download_settings import ACCEPT_LICENCE, accepted_licences
from residua.errors import ConfigError
from residua.weights.catalogue import ReleasedWeights


def check_licence(entry: ReleasedWeights, *, accepted: bool = False) -> None:
    """Check that the user accepts the licence of `entry`.

    Args:
        entry: Released weights.
        accepted: Whether the user says so here; else the environment may, RESIDUA_ACCEPT_LICENCE.

    Raises:
        ConfigError: The licence forbids commercial use, and nobody accepted it.
    """
    if not (entry.is_permissive or accepted):
        _check_accepted(entry.name, entry.licence, f"residua weights get {entry.name} --accept-licence, or ")


def check_stated_licence(name: str, licence: str) -> None:
    """Check that the user accepts the licence that a repository of the hub states for itself.

    Raises:
        ConfigError: It forbids commercial use by its name, as CC-BY-NC does, and nobody accepted it.
    """
    if "nc" in licence.lower().split("-"):
        _check_accepted(name, licence, "")


def _check_accepted(name: str, licence: str, how: str) -> None:
    if licence.lower() not in accepted_licences():
        raise ConfigError(
            f"{name} is published under {licence}, which forbids commercial use: "
            f"{how}set {ACCEPT_LICENCE}={licence.lower()}"
        )
