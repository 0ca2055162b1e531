"""Parameters of a network by layer, from the stem to the head."""

from residua.nn.network import Network


def layer_groups(network: Network) -> list[list[str]]:
    """Names of parameters: the stem's, one list per block, and one of tail, head and auxiliary heads."""
    found: dict[str, list[str]] = {}
    for name, _ in network.named_parameters():
        parts = name.split(".")
        key = ".".join(parts[:3]) if parts[0] == "stages" else parts[0] if parts[0] == "stem" else "head"
        found.setdefault(key, []).append(name)
    return list(found.values())
