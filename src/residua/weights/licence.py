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
    licence = entry.licence.lower()
    if not (entry.is_permissive or accepted or licence in accepted_licences()):
        raise ConfigError(
            f"{entry.name} is published under {entry.licence}, which forbids commercial use: "
            f"residua weights get {entry.name} --accept-licence, or set {ACCEPT_LICENCE}={licence}"
        )
